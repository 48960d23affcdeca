//! Reports of real tools: small ones in `tests/fixtures/totals`, large ones in a corpus beside the repository.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::lab::parts::skip;

use super::formats::{FORMATS, Page, Read};
use super::fuzzing::{Family, check};
use super::measure::Measures;
use super::*;
use crate::base::deadline::Deadline;
use crate::report::{Content, Report, walk};

pub fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/totals");
    let mut reports: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    reports.retain(|path| path.is_dir());
    reports.sort();
    reports
}

/// Reports that are too large for the repository; the folder beside it, or the one that `COVERED_CORPUS` names. A test
/// without it is skipped, unless the variable promises it.
pub fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("COVERED_CORPUS").map(PathBuf::from);
    let is_named = named.is_some();
    let corpus = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"));
    if corpus.is_dir() {
        return Some(corpus);
    }
    assert!(!is_named, "COVERED_CORPUS is {}, which is not a folder", corpus.display());
    skip(&format!("there is no corpus of reports at {}", corpus.display()));
    None
}

/// The total that the tool shows.
fn truth(report: &Path) -> Option<(String, f64)> {
    let text = fs::read_to_string(report.join("truth.json")).unwrap();
    let truth: serde_json::Value = serde_json::from_str(&text).unwrap();
    let shown = &truth["displayed_total"];
    let shown = shown.as_str().or(["Lines", "Line", "Instruction"].iter().find_map(|kind| shown[kind].as_str()));
    let shown = shown.filter(|shown| shown.contains('%')).or(truth["text_report_total"].as_str())?;
    Some((shown.split('%').next()?.trim().to_owned(), truth["line_rate_percent"].as_f64()?))
}

#[test]
fn every_report_of_the_corpus_gives_the_total_that_it_shows() {
    let Some(corpus) = corpus() else { return };
    let mut wrong = Vec::new();
    for report in fs::read_dir(corpus).unwrap().map(|report| report.unwrap().path()) {
        let search = search(&walk(&report.join("report")).unwrap(), &Choice::Auto, None, Deadline::NEVER);
        let percent = search.totals.as_ref().map(|totals| totals.percent.to_string());
        let truth = truth(&report);
        let right = match &truth {
            Some((shown, _)) if shown.parse::<f64>().is_ok() => percent.as_ref() == Some(shown),
            // Drawn by a script: the same number with two digits.
            _ => percent == Some("50.39".to_owned()),
        };
        if !right {
            wrong.push(format!("{}: {percent:?}, and not {truth:?}", report.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_page_of_the_corpus_but_an_index_gives_a_total() {
    let Some(corpus) = corpus() else { return };
    for report in fs::read_dir(corpus).unwrap().map(|report| report.unwrap().path()) {
        assert_only_indexes_have_a_total(&walk(&report.join("report")).unwrap());
    }
}

fn assert_only_indexes_have_a_total(report: &Report) {
    let index = report.index();
    // coverage.py's indexes of functions and classes, genhtml's sorted ones, and indexes of other names.
    let same = [
        "function_index.html",
        "class_index.html",
        "index-sort-f.html",
        "index-sort-l.html",
        "report.html",
        "coverage.html",
        "summary.html",
        "hpc_index.html",
        "tarpaulin-report.html",
        "excoveralls.html",
        "dashboard.html",
        "covsummary.html",
    ];
    // gcovr's pages of folders show the total of the project, not that of the folder.
    let is_folder = |name: &str| name.starts_with("index.lib.") || name.starts_with("index.src.");
    let is_other = |name: &str| Some(name) != index && !same.contains(&name) && !is_folder(name);
    for file in report.files.iter().filter(|file| file.name.ends_with(".html") && is_other(&file.name)) {
        let Content::File(path) = &file.content else { panic!("it lies in a folder") };
        let html = fs::read_to_string(path).unwrap();
        let read_sibling = |_: &str| None;
        for format in FORMATS {
            if let Read::Page(read, _) = format.read {
                // Erlang's cover has no index: any of its pages shows that it is a report.
                let is_total = |found: &Measures| format.name != "erlang-cover" || !found.is_empty();
                let found = read(&Page { html: &html, read_sibling: &read_sibling }).filter(is_total);
                assert_eq!(found, None, "{} is no index of {}", path.display(), format.name);
            }
        }
    }
}

/// Each line of a fixture's `expected` is a request and its result: for totals, `auto` or a file, and the metric; for
/// lines, `lines` and `auto` or a file.
#[test]
fn every_fixture_gives_the_totals_that_are_expected_of_it() {
    let mut wrong = Vec::new();
    for report in fixtures() {
        let expected = fs::read_to_string(report.join("expected")).unwrap_or_default();
        assert!(!expected.is_empty(), "{} expects nothing", report.display());
        for line in expected.lines() {
            let (asked, expected) = line.split_once(": ").unwrap();
            let files = walk(&report).unwrap();
            let found = match asked.strip_prefix("lines ") {
                Some(choice) => ask_lines(&files, choice),
                None => ask(&files, asked),
            };
            if found != expected {
                wrong.push(format!("{} {asked}:\n  {found}, and not\n  {expected}", report.display()));
            }
        }
        assert_only_indexes_have_a_total(&walk(&report).unwrap());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ask(report: &Report, asked: &str) -> String {
    let (choice, metric) = asked.split_once(' ').unwrap_or((asked, ""));
    let search = search(
        report,
        &Choice::parse(choice).unwrap(),
        Some(metric).filter(|metric| !metric.is_empty()),
        Deadline::NEVER,
    );
    let found = search.totals.map_or_else(|| "none".to_owned(), |totals| totals.to_string());
    [found].into_iter().chain(search.notes).collect::<Vec<_>>().join("; ")
}

/// Where the lines come from, and whether they add up.
fn ask_lines(report: &Report, choice: &str) -> String {
    let totals = search(report, &Choice::Auto, None, Deadline::NEVER).totals;
    let choice = Choice::parse(choice).unwrap();
    let search =
        LineSearch { report, choice: &choice, totals: totals.as_ref(), filter: None, deadline: Deadline::NEVER };
    let mut notes = Vec::new();
    let found = search.run(&mut notes).map_or_else(|| "none".to_owned(), |found| found.to_string());
    [found].into_iter().chain(notes).collect::<Vec<_>>().join("; ")
}

/// What the format with this name finds in a page or a file.
fn read(name: &str, text: &str) -> Option<Measures> {
    FORMATS.iter().find(|format| format.name == name).unwrap().probe(text.as_bytes())
}

/// Replays the corpus of the fuzz targets.
#[test]
fn the_fuzz_corpus_causes_no_panic() {
    let families = [("pages", Family::Pages), ("json", Family::Json), ("xml", Family::Xml), ("lines", Family::Lines)];
    for (name, family) in families {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        for input in fs::read_dir(folder).unwrap() {
            check(family, &fs::read(input.unwrap().path()).unwrap());
        }
    }
}

#[test]
fn numbers_that_no_report_has_are_no_total() {
    let html = include_str!("../../tests/fixtures/totals/coverage.py-7.17-branch/index.html");
    for number in
        ["1e999", "NaN", "inf", "-1", "100.01", "101", "Unknown", "", "7２", "72\u{7}", "<b>1</b>", "99999999999"]
    {
        let page = html.replace("pc_cov\">72%", &format!("pc_cov\">{number}%"));
        assert!(page != html && read("coverage.py", &page).is_none_or(|found| found.is_empty()), "{number}");
    }
    let summary = |pct: &str, total: &str| {
        let metric = format!(r#"{{"total":{total},"covered":0,"skipped":0,"pct":{pct}}}"#);
        let kinds = ["lines", "statements", "functions", "branches"].map(|kind| format!("\"{kind}\":{metric}"));
        read("istanbul-summary", &format!(r#"{{"total":{{{}}}}}"#, kinds.join(",")))
    };
    assert_eq!(summary("0", "5").map(|found| found.len()), Some(4));
    for (pct, total) in [("\"Unknown\"", "0"), ("100", "0"), ("1e308", "5"), ("-1", "5"), ("null", "5"), ("100.5", "5")]
    {
        assert!(summary(pct, total).is_none_or(|found| found.is_empty()), "{pct} of {total}");
    }
    for rate in ["1e999", "NaN", "-0.1", "1.01", "", "x"] {
        let found = read("cobertura", &format!("<coverage line-rate=\"{rate}\"/>"));
        assert!(found.is_some_and(|found| found.is_empty()), "{rate}");
    }
}

#[test]
fn a_headline_that_the_table_contradicts_is_no_total() {
    let html = include_str!("../../tests/fixtures/totals/coverage.py-7.17-branch/index.html");
    let comment = "<body><!-- <h1>Coverage report: <span class=\"pc_cov\">100%</span></h1> --";
    let page = html.replacen("<body", comment, 1);
    assert!(page != html);
    assert_eq!(read("coverage.py", &page), Some(Vec::new()));
}

#[test]
fn an_empty_run_is_no_total() {
    let cobertura = r#"<coverage line-rate="1" lines-valid="0" lines-covered="0" branch-rate="1" branches-valid="0" branches-covered="0"/>"#;
    let empty = [
        ("cobertura", cobertura),
        ("clover", r#"<coverage><project><metrics statements="0" coveredstatements="0"/></project></coverage>"#),
        ("jacoco-xml", r#"<report name="x"/>"#),
        ("lcov", "TN:\nSF:a\nLF:0\nLH:0\nend_of_record\n"),
        ("coverprofile", "mode: set\n"),
        ("tarpaulin-json", r#"{"files":[{"covered":0,"coverable":0}]}"#),
        ("coverage.py-json", r#"{"totals":{"percent_covered":100.0,"covered_lines":0,"num_statements":0}}"#),
    ];
    for (name, text) in empty {
        assert_eq!(read(name, text), Some(Vec::new()), "{name}");
    }
}

#[test]
fn what_is_damaged_or_of_another_kind_is_no_total() {
    let texts = [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "1",
        "<",
        "<a",
        "<a><b></a>",
        "</a>",
        "\u{feff}",
        "\0",
        "mode",
        "TN:",
        "SF:",
        "<![CDATA[",
    ];
    for format in FORMATS {
        for text in texts {
            let found = read(format.name, text);
            assert!(found.is_none_or(|found| found.is_empty()), "{} of {text:?}", format.name);
        }
        assert_eq!(format.probe(b"\xff\xfe\x80<html>\xc3\x28"), None, "{}", format.name);
    }
}

#[test]
fn deep_nesting_and_bombs_end_at_a_bound() {
    let deep = |open: &str| open.repeat(1 << 15);
    for format in FORMATS {
        for text in [deep("<a>"), deep("["), deep("{\"total\":"), deep("{\"files\":["), deep("<!--"), deep("<")] {
            assert!(read(format.name, &text).is_none_or(|found| found.is_empty()), "{}", format.name);
        }
    }
    let bomb = "<!DOCTYPE c [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;\">]><coverage line-rate=\"&b;\"/>";
    assert_eq!(read("cobertura", bomb), Some(Vec::new()));
    for start in ["<coverage a=\"", "<coverage><!-- ", "<coverage><![CDATA["] {
        let long = format!("{start}{}", "x".repeat(3 << 20));
        assert_eq!(read("clover", &long), None, "{start}");
    }
}

#[test]
fn records_of_one_source_file_add_up_by_line() {
    let twice = "SF:a\nDA:1,1\nDA:2,0\nBRF:2\nBRH:1\nend_of_record\nSF:a\nDA:1,0\nDA:2,1\nDA:3,0\nend_of_record\n";
    let found = read("lcov", twice).unwrap();
    assert_eq!((found.len(), found[0].counts), (1, Counts::new(2, 3)));
    let found = read("lcov", &twice.replacen("SF:a", "SF:b", 1)).unwrap();
    assert_eq!((found.len(), found[0].counts), (2, Counts::new(2, 5)));
}

#[test]
fn a_tracefile_that_lacks_the_end_of_a_record_is_damaged() {
    let whole = "SF:a\nDA:1,1\nend_of_record\nSF:b\nDA:1,0\nend_of_record\n";
    assert_eq!(read("lcov", whole).unwrap()[0].counts, Counts::new(1, 2));
    let without_last = whole.strip_suffix("end_of_record\n").unwrap();
    for damaged in [without_last, &whole.replacen("end_of_record\n", "", 1), "SF:a\n"] {
        assert_eq!(read("lcov", damaged), None, "{damaged}");
    }
}

#[test]
fn a_rate_with_a_decimal_comma_is_read() {
    let found = read("cobertura", r#"<coverage line-rate="0,17" branch-rate="0"/>"#).unwrap();
    assert_eq!(found[0].percent, Percent::parse("17.00").unwrap());
    assert_eq!(read("cobertura", r#"<coverage line-rate="0,1,7"/>"#), Some(Vec::new()));
}

#[test]
fn a_page_of_emma_is_read_in_an_old_encoding() {
    let html = include_str!("../../tests/fixtures/totals/emma-2.1/index.html");
    let old = html.replace('\u{a0}', "\u{fffd}");
    assert!(old != html && read("emma", &old).is_some_and(|found| found.len() == 3));
    assert_eq!(read("emma", &old), read("emma", html));
}

#[test]
fn all_projects_of_a_clover_file_are_counted() {
    let project = |covered| format!(r#"<project><metrics statements="10" coveredstatements="{covered}"/></project>"#);
    let found = read("clover", &format!("<coverage>{}{}</coverage>", project(10), project(1))).unwrap();
    assert_eq!(found[0].counts, Counts::new(11, 20));
}

#[test]
fn jacoco_groups_are_counted_once() {
    let counter = r#"<counter type="LINE" missed="1" covered="2"/>"#;
    let package = format!(r#"<package name="p">{counter}</package>"#);
    let nested = format!("<report><group>{package}{counter}</group><group><group>{package}</group></group></report>");
    assert_eq!(read("jacoco-xml", &nested).unwrap()[0].counts, Counts::new(4, 6));
    let own = nested.replace("</report>", r#"<counter type="LINE" missed="5" covered="4"/></report>"#);
    assert_eq!(read("jacoco-xml", &own).unwrap()[0].counts, Counts::new(4, 9));
}

#[test]
fn simplecov_without_lines_is_no_total() {
    let page = |total: &str| {
        format!(
            r#"<div class="file_list_container" id="AllFiles"><h2>All Files (<span class="green">100.0%</span>)</h2>
            <b>{total}</b> relevant lines. <span class="green"><b>{total}</b> lines covered</span><table>"#
        )
    };
    let last_run = r#"{"result": {"line": 100.0}}"#;
    let (_folder, files) = folder_of(&[("index.html", &page("0.0")), (".last_run.json", last_run)]);
    assert_eq!(ask(&files, "auto"), "none");
    let (_folder, files) = folder_of(&[("index.html", &page("12.0")), (".last_run.json", last_run)]);
    assert_eq!(ask(&files, "auto"), "100.0% of lines (SimpleCov, index.html): 12 of 12");
}

#[test]
fn a_file_that_counted_nothing_does_not_hide_another_of_its_format() {
    let empty = r#"<coverage line-rate="1" lines-valid="0" lines-covered="0"/>"#;
    let (_folder, files) = folder_of(&[("a.xml", empty), ("b.xml", r#"<coverage line-rate="0.5"/>"#)]);
    assert_eq!(ask(&files, "auto"), "50.00% of lines (Cobertura, b.xml)");
}

#[test]
fn a_module_in_the_first_row_is_no_total_of_opencppcoverage() {
    let html = include_str!("../../tests/fixtures/totals/opencppcoverage-0.9.9/index.html");
    let without_total = html.replacen("<tbody>", "<tbody><tr><td><a href=\"Modules/a.html\">a.exe</a></td></tr>", 1);
    assert_eq!(read("opencppcoverage", html).unwrap().len(), 1);
    assert_eq!(read("opencppcoverage", &without_total), Some(Vec::new()));
}

#[test]
fn a_report_without_a_total_fails_where_there_is_a_threshold() {
    assert_eq!(State::of(None, &Percent::parse("0.0").unwrap()), State::Success);
    assert_eq!(State::of(None, &Percent::parse("0.1").unwrap()), State::Failure);
}

/// A report in a temporary folder.
fn folder_of(files: &[(&str, &str)]) -> (tempfile::TempDir, Report) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let files = walk(folder.path()).unwrap();
    (folder, files)
}

const NYC: &str = include_str!("../../tests/fixtures/totals/nyc-18/index.html");
const COVERAGE_PY: &str = include_str!("../../tests/fixtures/totals/coverage.py-5.0/index.html");
const COBERTURA: &str = r#"<coverage line-rate="0.5" lines-valid="4" lines-covered="2"/>"#;

#[test]
fn two_reports_that_disagree_are_no_total_and_both_are_reported() {
    let (_folder, files) = folder_of(&[("a/index.html", NYC), ("b/index.html", COVERAGE_PY)]);
    let message = "b/index.html (coverage.py) says 67% of lines, and a/index.html (istanbul) says 40% of lines";
    assert_eq!(
        ask(&files, "auto"),
        format!("none; {message}; cannot tell which file holds the report's total: set --totals FILE")
    );
    assert_eq!(ask(&files, "b/index.html"), "67% of lines (coverage.py, b/index.html): 6 of 9, 66.6666…%");
    let (_folder, files) = folder_of(&[("a/index.html", NYC), ("b/index.html", NYC)]);
    assert_eq!(ask(&files, "auto"), "40% of lines (istanbul, a/index.html): 2 of 5");
}

#[test]
fn the_readme_lists_every_format() {
    let readme = include_str!("../../README.md");
    let missing: Vec<_> = FORMATS
        .iter()
        .filter(|format| !readme.contains(&format!("`{}`", format.name)))
        .map(|format| format.name)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// karma writes a folder for each browser. One that ran nothing says 100 %.
#[test]
fn a_browser_that_measured_nothing_does_not_win() {
    let empty = include_str!("../../tests/fixtures/totals/nyc-18-empty/index.html");
    let old = NYC.replace("40% ", "100% ").replace(">2/5<", ">0/0<");
    assert_ne!(old, NYC);
    for nothing in [empty, &old] {
        for (nothing_in, browser) in
            [("Chrome-9/index.html", "Firefox-7/index.html"), ("Safari/index.html", "A/index.html")]
        {
            let (_folder, files) = folder_of(&[(nothing_in, nothing), (browser, NYC)]);
            assert_eq!(ask(&files, "auto"), format!("40% of lines (istanbul, {browser}): 2 of 5"));
            assert_eq!(ask(&files, nothing_in), "none");
        }
        let (_folder, files) = folder_of(&[("a/index.html", nothing), ("b/index.html", nothing)]);
        assert_eq!(ask(&files, "auto"), "none");
    }
}

#[test]
fn two_browsers_that_disagree_are_no_total() {
    let other = NYC.replace("40% ", "60% ").replace(">2/5<", ">3/5<");
    let (_folder, files) = folder_of(&[("Chrome/index.html", NYC), ("Firefox/index.html", &other)]);
    assert!(
        other != NYC && ask(&files, "auto").starts_with("none; Firefox/index.html (istanbul) says 60% of lines, and")
    );
    let (_folder, files) = folder_of(&[("Chrome/index.html", NYC), ("Firefox/index.html", NYC)]);
    assert_eq!(ask(&files, "auto"), "40% of lines (istanbul, Chrome/index.html): 2 of 5");
}

#[test]
fn an_index_of_another_name_is_found_among_many_pages() {
    let names: Vec<String> = (0..200).map(|number| format!("coverage.file{number}.c.html")).collect();
    let mut pages: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "<html>")).collect();
    pages.push(("coverage.html", NYC));
    let (_folder, files) = folder_of(&pages);
    assert_eq!(ask(&files, "auto"), "40% of lines (istanbul, coverage.html): 2 of 5");
}

#[test]
fn the_page_wins_over_a_file_that_disagrees_and_the_log_says_so() {
    let (_folder, files) = folder_of(&[("index.html", NYC), ("x.xml", COBERTURA)]);
    let message = "x.xml (Cobertura) says 50.00% of lines, and index.html (istanbul) says 40% of lines";
    assert_eq!(ask(&files, "auto"), format!("40% of lines (istanbul, index.html): 2 of 5; {message}"));
    assert_eq!(ask(&files, "x.xml:cobertura"), "50.00% of lines (Cobertura, x.xml): 2 of 4");
    assert_eq!(ask(&files, "x.xml:jacoco-xml"), "none");
}

#[test]
fn what_cannot_be_read_is_reported() {
    let (_folder, files) =
        folder_of(&[("index.html", "<html>"), ("x.json", "{"), ("y.xml", "<coverage><a></coverage>")]);
    let search = search(&files, &Choice::Auto, None, Deadline::NEVER);
    assert_eq!(search.searched, ["index.html", "x.json", "y.xml"]);
    assert!(
        search.totals.is_none() && search.notes[0].starts_with("cannot read x.json as coverage.py-json: EOF"),
        "{search:?}"
    );
    let search = super::search(&files, &Choice::parse("gone.xml").unwrap(), None, Deadline::NEVER);
    assert!(search.notes[0].starts_with("cannot read gone.xml as emma-xml: it cannot be opened"), "{search:?}");
}

#[test]
fn the_search_ends_with_the_runs_time() {
    let (_folder, files) = folder_of(&[("cobertura.xml", COBERTURA)]);
    let over = Deadline::new(std::time::Instant::now(), std::time::Duration::ZERO);
    let search = search(&files, &Choice::Auto, None, over);
    assert!(search.totals.is_none() && search.searched.is_empty(), "{search:?}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let files = [("a.xml", COBERTURA), ("a.info", "SF:a\nDA:1,1\nDA:2,0\nend_of_record\n")];
    let marked = files.map(|(name, text)| (name, format!("\u{feff}{}", text.replace('\n', "\r\n"))));
    let (_folder, files) = folder_of(&marked.each_ref().map(|(name, text)| (*name, text.as_str())));
    assert_eq!(ask(&files, "a.xml"), "50.00% of lines (Cobertura, a.xml): 2 of 4");
    assert_eq!(ask(&files, "a.info"), "50.00% of lines (lcov, a.info): 1 of 2");
}

#[test]
fn a_choice_is_auto_or_a_file_with_or_without_its_format() {
    let file = |path: &str, format| Ok(Choice::File { path: path.to_owned(), format, is_inside: false });
    assert_eq!(Choice::parse("auto"), Ok(Choice::Auto));
    assert_eq!(Choice::parse("a/coverage.xml"), file("a/coverage.xml", None));
    assert_eq!(Choice::parse("a/coverage.xml:clover"), file("a/coverage.xml", Some("clover")));
    assert_eq!(Choice::parse("C:coverage.xml"), file("C:coverage.xml", None));
    assert_eq!(Choice::parse(r"C:\coverage.xml"), file(r"C:\coverage.xml", None));
    assert!(Choice::parse("coverage.xml:cobertra").unwrap_err().contains("\"cobertra\": use one of coverage.py, "));
}
