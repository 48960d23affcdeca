//! The lines of a report must be the same in each of its files and on its pages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::formats::{FORMATS, Page, Read, SourcePageReader};
use super::lines::{Hit, Lines, SourceFile};
use super::tests::{corpus, fixtures};
use super::*;
use crate::base::deadline::Deadline;
use crate::report::{Entry, Report, walk};

/// Reports and their files that contradict the counts of their own tool, and why. Such lines are never used.
const CONTRADICTIONS: &[(&str, &str, &str)] = &[
    ("coveragepy-5.5", "coverage.json", "executed_lines has docstrings, which are no statements"),
    ("coveragepy-6.5.0", "coverage.json", "executed_lines has docstrings"),
    ("coveragepy-6.5.0", "coverage.lcov", "made from executed_lines"),
    ("coveragepy-7.2.7", "coverage.json", "executed_lines has docstrings"),
    ("coveragepy-7.2.7", "coverage.lcov", "made from executed_lines"),
    ("coveragepy-7.6.12", "coverage.json", "executed_lines has docstrings"),
    ("coveragepy-5.5", "index.html", "line 0 of newer Pythons is counted, but not on the page"),
    ("coveragepy-4.5.4", "index.html", "line 0 is counted, but not on the page"),
    ("coverage.py-4.5.4", "index.html", "line 0 is counted, but not on the page"),
    ("bisect-ppx-2.8", "cobertura.xml", "a line with some points that did not run counts as not run"),
    ("bisect-ppx-2.8", "coverage.json", "a line with some points that did not run counts as not run"),
    ("covr-3.6", "cobertura.xml", "has lines of brackets alone, which the page leaves out"),
    ("gcovr-7.2-github", "coverage.html", "one of its two source pages is left out"),
    ("gcovr-8.6-title", "coverage.html", "one of its two source pages is left out"),
    ("scoverage-", "cobertura.xml", "the sums are statements"),
    ("simplecov-0.22-nocov", ".resultset.json", "has the lines between `:nocov:` comments"),
    ("simplecov-rcov-0.3-nocov", "index.html", "shows the lines between `:nocov:` comments, but does not count them"),
    ("tarpaulin-hostile", "tarpaulin-report.html", "written by hand, without most of the lines"),
];

/// Finds the lines of each file and of the pages: their source, and their lines.
fn all_lines(report: &Report) -> Vec<FoundLines<'static>> {
    let names = report.files.iter().map(|file| file.name.as_str());
    let is_candidate = |name: &&str| {
        name.matches('/').count() < 2
            && FORMATS.iter().any(|format| matches!(format.read, Read::File(..)) && format.reads(name))
    };
    let pages = search::pages(report).into_iter().map(|page| page.name.as_str());
    names.filter(is_candidate).chain(pages).filter_map(|name| lines_of(report, name)).collect()
}

fn lines_of(report: &Report, name: &str) -> Option<FoundLines<'static>> {
    lines_in(report, Choice::File { path: name.to_owned(), format: None, is_inside: false })
}

fn lines_as(report: &Report, name: &str, format: &'static str) -> Option<FoundLines<'static>> {
    lines_in(report, Choice::File { path: name.to_owned(), format: Some(format), is_inside: false })
}

fn lines_in(report: &Report, choice: Choice) -> Option<FoundLines<'static>> {
    let search = LineSearch { report, choice: &choice, totals: None, filter: None, deadline: Deadline::NEVER };
    let found = search.run(&mut Vec::new())?;
    // Does not keep the choice.
    let mut lines = lines::Lines::all();
    lines.merge(found.lines);
    lines.finish().unwrap();
    Some(FoundLines { lines, tool: found.tool, source: found.source, is_pages: found.is_pages, proof: found.proof })
}

/// The same source file in another report part, which may have written a longer or shorter path, or another folder of
/// the project: that of the corpus was replaced in some of the files.
fn counterpart<'a>(file: &SourceFile, others: &'a [&SourceFile]) -> Option<&'a SourceFile> {
    let ends = |long: &str, short: &str| long == short || long.ends_with(&format!("/{short}"));
    let is_longer = |other: &&&SourceFile| ends(&file.path, &other.path) || ends(&other.path, &file.path);
    let tail = |path: &str| path.rsplit('/').take(2).map(str::to_owned).collect::<Vec<_>>();
    let is_near = |other: &&&SourceFile| tail(&file.path) == tail(&other.path);
    let only = |fits: &dyn Fn(&&&'a SourceFile) -> bool| {
        let mut found = others.iter().filter(|other| fits(other));
        found.next().filter(|_| found.next().is_none()).copied()
    };
    only(&is_longer).or_else(|| only(&is_near))
}

fn differences(one: &FoundLines, other: &FoundLines) -> Vec<String> {
    let others: Vec<_> = other.lines.files().collect();
    let mut wrong = Vec::new();
    for file in one.lines.files() {
        let Some(same) = counterpart(file, &others) else {
            wrong.push(format!("{} is missing", file.path));
            continue;
        };
        let hits =
            |file: &SourceFile| -> Vec<_> { file.bits.iter().map(|(line, hit)| (line, hit != Hit::No)).collect() };
        let (ours, theirs) = (hits(file), hits(same));
        let only = |these: &[(u32, bool)], those: &[(u32, bool)]| -> Vec<_> {
            these.iter().filter(|line| !those.contains(line)).take(5).copied().collect()
        };
        if ours != theirs {
            wrong.push(format!("{}: {:?} against {:?}", file.path, only(&ours, &theirs), only(&theirs, &ours)));
        }
    }
    wrong
}

fn is_contradiction(report: &str, source: &str) -> bool {
    CONTRADICTIONS.iter().any(|(name, file, _)| report.starts_with(name) && *file == source)
}

fn check(folder: &Path, report: &Report, wrong: &mut Vec<String>) {
    let name = folder.file_name().unwrap().to_string_lossy();
    let (right, contradicting): (Vec<_>, Vec<_>) =
        all_lines(report).into_iter().partition(|found| found.proof.is_usable());
    let unknown = contradicting.iter().filter(|found| !is_contradiction(&name, &found.source));
    wrong.extend(unknown.map(|found| format!("{name}: {found}")));
    for (at, one) in right.iter().enumerate() {
        for other in &right[at + 1..] {
            let differences = differences(one, other);
            if !differences.is_empty() && !is_contradiction(&name, &one.source) {
                wrong.push(format!("{name}: {} and {}: {}", one.source, other.source, differences.join("; ")));
            }
        }
    }
}

#[test]
fn every_fixture_has_the_same_lines_in_all_of_its_files() {
    let mut wrong = Vec::new();
    for folder in fixtures() {
        check(&folder, &walk(&folder).unwrap(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_report_of_the_corpus_has_the_same_lines_in_all_of_its_files() {
    let Some(corpus) = corpus() else { return };
    let mut wrong = Vec::new();
    for folder in std::fs::read_dir(corpus).unwrap().map(|report| report.unwrap().path()) {
        check(&folder, &walk(&folder.join("report")).unwrap(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_damaged_file_is_noted_once_and_the_next_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.json", "{");
    write("lcov.info", "SF:a.c\nDA:1,1\nend_of_record\n");
    let report = walk(folder.path()).unwrap();
    let search =
        LineSearch { report: &report, choice: &Choice::Auto, totals: None, filter: None, deadline: Deadline::NEVER };
    let mut notes = Vec::new();
    let found = search.run(&mut notes).unwrap();
    assert_eq!((found.source.as_str(), found.proof), ("lcov.info", Proof::AddsUp));
    assert!(notes.len() == 1 && notes[0].starts_with("cannot read the lines of a.json: EOF"), "{notes:?}");
}

/// A pull request may change no file of the report: then it is known that its lines are not there.
#[test]
fn a_report_without_a_needed_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lcov.info"), "SF:a.c\nDA:1,1\nend_of_record\n").unwrap();
    let report = walk(folder.path()).unwrap();
    let filter = |path: &str| path == "b.c";
    let search = LineSearch {
        report: &report,
        choice: &Choice::Auto,
        totals: None,
        filter: Some(&filter),
        deadline: Deadline::NEVER,
    };
    let found = search.run(&mut Vec::new()).unwrap();
    assert_eq!((found.lines.files().count(), found.proof.is_usable()), (0, true));
    std::fs::write(folder.path().join("lcov.info"), "TN:\n").unwrap();
    assert!(search.run(&mut Vec::new()).is_none());
}

#[test]
fn lines_of_two_reports_in_one_folder_are_used_only_if_they_agree_or_the_total_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("chrome.info", "SF:a.c\nDA:1,1\nDA:2,0\nend_of_record\n");
    write("firefox.info", "SF:a.c\nDA:1,1\nDA:2,1\nend_of_record\n");
    let report = walk(folder.path()).unwrap();
    let run = |totals: Option<&Totals>, notes: &mut Vec<String>| {
        let search =
            LineSearch { report: &report, choice: &Choice::Auto, totals, filter: None, deadline: Deadline::NEVER };
        search.run(notes).map(|found| found.source)
    };
    let mut notes = Vec::new();
    assert_eq!(run(None, &mut notes), None);
    assert_eq!(notes, ["chrome.info and firefox.info have different lines: set --lines FILE"]);
    let total = search::search(&report, &Choice::parse("firefox.info").unwrap(), None, Deadline::NEVER).totals.unwrap();
    assert_eq!(run(Some(&total), &mut notes), Some("firefox.info".to_owned()));
    write("firefox.info", "SF:/other/a.c\nDA:1,1\nDA:2,0\nend_of_record\n");
    assert_eq!(run(None, &mut notes), Some("chrome.info".to_owned()));
}

#[test]
fn a_report_without_the_needed_files_has_lines_but_none_of_them() {
    let report = walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/coverage_py")).unwrap();
    let run = |needs: &(dyn Fn(&str) -> bool + Sync)| {
        let search = LineSearch {
            report: &report,
            choice: &Choice::Auto,
            totals: None,
            filter: Some(needs),
            deadline: Deadline::NEVER,
        };
        search.run(&mut Vec::new()).map(|found| found.to_string())
    };
    let none = run(&|_| false);
    assert_eq!(none.as_deref(), Some("no lines of changed files (coverage.py, index.html and its pages)"));
    assert!(run(&|path| path == "sample.py").unwrap().starts_with("9 lines in 1 file "));
}

/// All reports of this repository, and those of the corpus.
fn reports() -> impl Iterator<Item = PathBuf> {
    let corpus = corpus().into_iter().flat_map(|corpus| std::fs::read_dir(corpus).unwrap());
    fixtures().into_iter().chain(corpus.map(|report| report.unwrap().path().join("report")))
}

/// Pages are then read only up to their path, as far as that comes first.
#[test]
fn every_report_has_the_same_lines_with_a_filter() {
    for folder in reports() {
        let report = walk(&folder).unwrap();
        for page in search::pages(&report) {
            check_filters(&report, &page.name, &folder);
        }
    }
}

/// Reads some source files of a report alone. The filter is asked about the same paths, whatever it says.
fn check_filters(report: &Report, name: &str, folder: &Path) {
    let choice = Choice::File { path: name.to_owned(), format: None, is_inside: false };
    let files_and_paths = |accepts: &(dyn Fn(&str) -> bool + Sync)| {
        let asked = Mutex::new(BTreeSet::new());
        let filter = |path: &str| {
            asked.lock().unwrap().insert(path.to_owned());
            accepts(path)
        };
        let search =
            LineSearch { report, choice: &choice, totals: None, filter: Some(&filter), deadline: Deadline::NEVER };
        let found = search.run(&mut Vec::new());
        let files: Vec<SourceFile> = found.iter().flat_map(|found| found.lines.files().cloned()).collect();
        (files, asked.into_inner().unwrap())
    };
    let Some(all) = lines_in(report, Choice::File { path: name.to_owned(), format: None, is_inside: false }) else {
        return;
    };
    let (files, paths) = files_and_paths(&|_| true);
    assert!(all.lines.files().eq(&files), "{} {name}", folder.display());
    assert_eq!(files_and_paths(&|_| false), (Vec::new(), paths.clone()), "{} {name}", folder.display());
    let step = files.len() / 3 + 1;
    for file in files.into_iter().step_by(step) {
        let found = files_and_paths(&|path| path == file.path);
        assert_eq!(found, (vec![file], paths.clone()), "{} {name}", folder.display());
    }
}

/// A source file's page of JaCoCo, of which the fixtures have none.
const JACOCO: &str = "<div class=\"breadcrumb\" id=\"breadcrumb\"><a href=\"../index.html\" class=\"el_report\">app</a> &gt; <a \
    href=\"index.source.html\" class=\"el_package\">org.app</a> &gt; <span class=\"el_source\">A.java</span></div>\
    <h1>A.java</h1><pre><span class=\"nc\" id=\"L3\">  run();</span>\n</pre>";

#[test]
fn the_start_of_a_page_names_no_other_file_than_the_page() {
    let sources = FORMATS.iter().filter_map(|format| match format.read {
        Read::Page(_, Some(source)) if source.has_path_first => Some((format.name, source.read)),
        _ => None,
    });
    let mut named: BTreeMap<&str, usize> = sources.clone().map(|(name, _)| (name, 0)).collect();
    let is_page = |entry: &&Entry| FORMATS[0].reads(&entry.name);
    let files = |folder: PathBuf| -> Vec<PathBuf> {
        walk(&folder).unwrap().files.iter().filter(is_page).map(|entry| folder.join(&entry.name)).collect()
    };
    let pages = fixtures()
        .into_iter()
        .flat_map(files)
        .map(|path| (path.display().to_string(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()));
    for (page, html) in pages.chain([("JACOCO".to_owned(), JACOCO.to_owned())]) {
        for (name, read) in sources.clone() {
            let whole = named_paths(read, &html);
            assert!(whole.len() < 2, "{name}: {whole:?} in {page}");
            for end in (0..html.len().min(8 << 10)).step_by(101) {
                let start = named_paths(read, &html[..html.floor_char_boundary(end)]);
                assert!(start.is_empty() || start == whole, "{name}: {start:?} up to {end} of {page}, not {whole:?}");
                *named.get_mut(name).unwrap() += start.len();
            }
        }
    }
    assert!(named.values().all(|starts| *starts > 0), "{named:?}");
}

fn named_paths(read: SourcePageReader, html: &str) -> Vec<String> {
    let paths = Mutex::new(Vec::new());
    let filter = |path: &str| {
        paths.lock().unwrap().push(path.to_owned());
        false
    };
    read(&Page { html, read_sibling: &|_| None }, &mut Lines::only(Some(&filter)));
    paths.into_inner().unwrap()
}

#[test]
fn counts_of_methods_prove_only_lines_that_their_classes_list() {
    let xml = include_str!("../../tests/fixtures/totals/dotnet-coverage-17-cobertura/coverage.cobertura.xml");
    let lost = xml.replace(
        "            <line number=\"15\" hits=\"0\" branch=\"False\" />\n          </lines>",
        "          </lines>",
    );
    assert!(lost != xml);
    for (xml, is_usable) in [(xml, true), (&lost, false)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("coverage.xml"), xml).unwrap();
        let found = lines_of(&walk(folder.path()).unwrap(), "coverage.xml").unwrap();
        assert_eq!(found.proof.is_usable(), is_usable, "{found}");
    }
}

#[test]
fn lines_of_kover_are_used_only_if_their_instructions_add_up() {
    let report = include_str!("../../tests/fixtures/totals/kover-0.9/report.xml");
    for (line, is_usable) in [("nr=\"3\" mi=\"0\" ci=\"1\"", true), ("nr=\"3\" mi=\"0\" ci=\"2\"", false)] {
        let folder = tempfile::tempdir().unwrap();
        let report = report.replace("nr=\"3\" mi=\"0\" ci=\"1\"", line);
        std::fs::write(folder.path().join("report.xml"), report).unwrap();
        let found = lines_of(&walk(folder.path()).unwrap(), "report.xml").unwrap();
        assert_eq!(found.proof.is_usable(), is_usable, "{found}");
    }
}

#[test]
fn gcovr_may_count_more_lines_than_its_pages_show_only_since_it_counts_those_of_functions() {
    const INDEX: &str = include_str!("../../tests/fixtures/totals/gcovr-8.4-templates/index.html");
    const PAGE: &str = include_str!(
        "../../tests/fixtures/totals/gcovr-8.4-templates/index.calc.cpp.8697e8682b9a33e9f7900fc6186e2774.html"
    );
    for (version, is_usable) in [("8.4", true), ("8.10", true), ("9", false), ("8.3", false), ("7.20", false)] {
        let folder = tempfile::tempdir().unwrap();
        let page = PAGE.replace("(Version 8.4)", &format!("(Version {version})"));
        std::fs::write(folder.path().join("index.html"), INDEX).unwrap();
        std::fs::write(folder.path().join("index.calc.html"), page).unwrap();
        let found = lines_of(&walk(folder.path()).unwrap(), "index.html").unwrap();
        assert_eq!(found.proof.is_usable(), is_usable, "{version}: {found}");
    }
}

#[test]
fn a_row_of_llvm_cov_is_not_searched_beyond_its_count() {
    for (filler, lines) in [(0, 1), (60, 1), (256, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let page = format!(
            "</head><body><div class='centered'><table><div class='source-name-title'><pre>/a.c</pre></div>\
             <td class='line-number'><a name='L9' href='#L9'>{}<td class='covered-line'><pre>1</pre></td></html>",
            "é".repeat(filler / 2)
        );
        std::fs::write(folder.path().join("index.html"), page).unwrap();
        let found = lines_of(&walk(folder.path()).unwrap(), "index.html");
        assert_eq!(found.map_or(0, |found| found.lines.sums().1), lines, "{filler}");
    }
}

#[test]
fn a_page_is_read_in_the_format_that_the_user_names() {
    let folder = tempfile::tempdir().unwrap();
    let page = include_str!("../../tests/fixtures/totals/nyc-18/index.html");
    std::fs::write(folder.path().join("index.html"), page).unwrap();
    let source = "<title>Code coverage report for a.js</title>\
                  <td class=\"line-coverage quiet\"><span class=\"cline-any cline-no\">&nbsp;</span></td>";
    std::fs::write(folder.path().join("a.js.html"), source).unwrap();
    let report = walk(folder.path()).unwrap();
    assert!(lines_as(&report, "index.html", "istanbul").is_some());
    assert!(lines_as(&report, "index.html", "jacoco").is_none());
}

/// Their names are those of JSON files, which they are not.
#[test]
fn scripts_of_kcov_34_are_read_without_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/totals/kcov-43-programs");
    for entry in walk(&fixture).unwrap().files.iter().filter(|entry| entry.name != "expected") {
        let text = std::fs::read_to_string(fixture.join(&entry.name)).unwrap();
        let path = folder.path().join(entry.name.replace(".js", ".json").replace(".jsonon", ".json"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.replace("src=\"index.js\"", "src=\"index.json\"")).unwrap();
    }
    std::fs::remove_file(folder.path().join("kcov-merged/cobertura.xml")).unwrap();
    let report = walk(folder.path()).unwrap();
    let search =
        LineSearch { report: &report, choice: &Choice::Auto, totals: None, filter: None, deadline: Deadline::NEVER };
    let mut notes = Vec::new();
    let found = search.run(&mut notes).unwrap();
    assert_eq!((found.source.as_str(), found.lines.sums(), found.proof), ("index.html", (11, 13), Proof::AddsUp));
    assert!(notes.is_empty(), "{notes:?}");
}

/// What a format says about a file.
fn read_as(name: &str, file: &str) -> (Lines<'static>, Result<bool, String>) {
    let format = FORMATS.iter().find(|format| format.name == name).unwrap();
    let Read::File(_, read) = format.read else { panic!("{name} is no file format") };
    let mut lines = Lines::all();
    let found = read(&mut file.as_bytes(), &mut lines).map(|found| found.is_some());
    let found = found.and_then(|found| lines.finish().map(|()| found));
    (lines, found.map_err(|error| format!("{error:#}")))
}

fn read_page(name: &str, html: &str) -> Lines<'static> {
    let format = FORMATS.iter().find(|format| format.name == name).unwrap();
    let Read::Page(_, Some(source)) = format.read else { panic!("{name} has no pages of source files") };
    let mut lines = Lines::all();
    assert!((source.read)(&Page { html, read_sibling: &|_: &str| None }, &mut lines), "{name}");
    lines.finish().unwrap();
    lines
}

#[test]
fn a_page_of_unclosed_tags_takes_no_quadratic_time() {
    let genhtml =
        "Generated by: Current view:<td class=\"headerValue\"><a>top level</a> - a.c</td><span class=\"lineNum\">";
    let llvm = "<div class='source-name-title'><pre>a.c</pre>";
    let end = "</html>";
    let row = "<td class='line-number'><a name='L9' href='#L9'>";
    let slather = " - Slather</title><div id=\"reports\"><h4 class=\"cov_filepath\">a.m</h4>";
    for (name, head, part) in [
        ("genhtml", genhtml, "<span class=\"a"),
        ("llvm-cov", llvm, row),
        ("slather", slather, "<tr class=\"missed\">"),
    ] {
        let page = format!("{head}{}{end}", part.repeat((2 << 20) / part.len()));
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(read_page(name, &page).files().count()));
        // The quadratic time is many minutes, the linear one less than a second.
        assert_eq!(wait.recv_timeout(std::time::Duration::from_secs(60)), Ok(0), "{name}");
    }
}

#[test]
fn nesting_and_lists_of_hostile_files_are_not_kept() {
    let name = "a".repeat(5000);
    let covdir = format!(r#"{{"linesTotal": 1, "linesCovered": 1, "children": {{"{name}": {{"children": {{}}}}}}}}"#);
    let export = r#"{"data": [{"files": [{"filename": "a.c", "segments": [[[0, 0]]]}]}]}"#;
    let paths: String =
        (0..40).map(|number| format!("<Loc locRef='{number}' uri='{}'/>", "a".repeat(900_000))).collect();
    let parasoft = format!("<Coverage toolVer='1'>{paths}</Coverage>");
    for (format, file, problem) in [
        ("covdir", covdir.as_str(), "it has a path of more than 4096 bytes"),
        ("llvm-cov-export", export, "expected a number or a boolean"),
        ("parasoft", &parasoft, "its paths have more than 32 MB"),
    ] {
        let found = read_as(format, file).1.unwrap_err();
        assert!(found.contains(problem), "{format}: {found}");
    }
}

#[test]
fn conditions_of_one_line_add_up_and_instances_of_a_template_are_one() {
    let export = r#"{"type": "llvm.coverage.json.export", "data": [{"files": [{"filename": "a.c",
        "segments": [[7, 1, 1, true, true, false], [7, 40, 0, false, false, false]],
        "branches": [[7, 9, 7, 10, 1, 0, 0, 0, 4], [7, 14, 7, 15, 0, 0, 0, 0, 4], [7, 9, 7, 10, 0, 3, 0, 0, 4]]}]}]}"#;
    let page = "<div class='source-name-title'><pre>a.c</pre></div><td class='line-number'><a name='L7' \
        href='#L7'><pre>7</pre></a></td><td class='covered-line'><pre>1</pre></td>\
        <div class='expansion-view'><pre>CONDITIONS</pre></div></html>";
    let outcome = |is_taken| {
        if is_taken { "<span class='covered-line'>1</span>" } else { "<span class='uncovered-line'>0</span>" }
    };
    let condition = |(column, when_true, when_false): (u32, bool, bool)| {
        format!(
            "  Branch (<span class='line-number'><a href='#L7'>7:{column}</a></span>): [<span class='None'>True</span>: {}, \
             <span class='None'>False</span>: {}]\n",
            outcome(when_true),
            outcome(when_false)
        )
    };
    let conditions: String = [(9, true, false), (14, false, false), (9, false, true)].map(condition).concat();
    for lines in [read_as("llvm-cov-export", export).0, read_page("llvm-cov", &page.replace("CONDITIONS", &conditions))]
    {
        assert_eq!(lines.get("a.c").unwrap().branches, [lines::Branches { line: 7, taken: 2, total: 4 }]);
    }
}

#[test]
fn a_page_that_names_many_files_is_read_until_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let entry = "{\"link\":\"a.html\",\"title\":\"a\",\"summary_name\":\"a\",\"covered_class\":\"lineCov\"},\n";
    let header = "var header = { \"instrumented\" : 1, \"covered\" : 1,};";
    write("index.html", "<script src=\"index.js\"></script><td id=\"header-percent-covered\">");
    write("index.js", &format!("{}{header}", entry.repeat(20_000)));
    write("a.js", &format!("{{\"lineNum\":\"1\",\"line\":\"\",\"class\":\"lineCov\"}}\n{}", " ".repeat(1 << 20)));
    let report = walk(folder.path()).unwrap();
    let deadline = Deadline::new(std::time::Instant::now(), std::time::Duration::from_secs(1));
    let search = LineSearch { report: &report, choice: &Choice::Auto, totals: None, filter: None, deadline };
    let mut notes = Vec::new();
    assert!(search.run(&mut notes).is_none());
    assert!(notes.len() == 1 && notes[0].contains("the run exceeded its time limit"), "{notes:?}");
}

/// Tools on Windows write text files in this way.
#[test]
fn every_fixture_has_the_same_lines_with_the_line_breaks_of_windows() {
    let mut wrong = Vec::new();
    for folder in fixtures() {
        let report = walk(&folder).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for entry in &report.files {
            let to = copy.path().join(&entry.name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            let bytes = std::fs::read(folder.join(&entry.name)).unwrap();
            let text = String::from_utf8(bytes.clone()).ok().filter(|text| !text.contains('\r'));
            std::fs::write(to, text.map_or(bytes, |text| text.replace('\n', "\r\n").into_bytes())).unwrap();
        }
        let copied = walk(copy.path()).unwrap();
        let texts = |report: &Report| all_lines(report).iter().map(ToString::to_string).collect::<Vec<_>>();
        let (expected, found) = (texts(&report), texts(&copied));
        if expected != found {
            wrong.push(format!("{}: {expected:#?} became {found:#?}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_truncated_page_that_no_count_can_show_has_no_lines() {
    let index = include_str!("../../tests/fixtures/totals/llvm-cov-19/index.html");
    let source = include_str!("../../tests/fixtures/totals/llvm-cov-19/coverage/src/lib/calc.c.html");
    for (length, is_found) in [(source.len(), true), (source.len() / 2, false)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), index).unwrap();
        std::fs::write(folder.path().join("calc.c.html"), &source[..length]).unwrap();
        assert_eq!(lines_of(&walk(folder.path()).unwrap(), "index.html").is_some(), is_found, "{length}");
    }
}

#[test]
fn names_of_source_files_that_programs_of_kcov_use_differently_are_not_used() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/totals/kcov-43-programs");
    let other = "other.sh.5612bf0d0bc197c9/index.js";
    for (program, from, to, is_found) in [
        (other, "", "", true),
        (other, "[...]/app/src/common.sh", "[...]/common.sh", false),
        (other, "common.sh.41bcd66c.html", "common.sh.00000000.html", false),
        ("kcov-merged/index.js", "[...]/app/src/common.sh", "[...]/src/common.sh", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for entry in walk(&fixture).unwrap().files {
            let path = folder.path().join(&entry.name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = std::fs::read_to_string(fixture.join(&entry.name)).unwrap();
            let text = if entry.name == program { text.replacen(from, to, 1) } else { text };
            std::fs::write(path, text).unwrap();
        }
        let report = walk(folder.path()).unwrap();
        assert_eq!(lines_of(&report, "index.html").is_some(), is_found, "{program} {from}");
    }
}
