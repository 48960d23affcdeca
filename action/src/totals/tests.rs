//! Real tools' reports: small ones kept in `tests/fixtures/totals`, larger ones beside the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// The files of a folder, as the walk names them.
struct Folder(BTreeMap<String, PathBuf>);

impl Folder {
    fn new(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(root, "", &mut files);
        Self(files)
    }

    fn search(&self, choice: &Choice, metric: Option<&str>) -> Search {
        search(&self.report(), choice, metric)
    }

    fn report(&self) -> Report<'_> {
        let below = |name: &&String| name.strip_suffix("/index.html").is_some_and(|folder| !folder.contains('/'));
        let has_index = self.0.contains_key("index.html");
        let mut indexes = self.0.keys().filter(below);
        let only = indexes.next().filter(|_| indexes.next().is_none());
        Report {
            index: if has_index { Some("index.html") } else { only.map(String::as_str) },
            files: self.0.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect(),
        }
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, entry.path());
        }
    }
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/totals");
    let mut reports: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    reports.retain(|path| path.is_dir());
    reports.sort();
    reports
}

fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let is_there = corpus.is_dir();
    if !is_there {
        eprintln!("SKIPPED: there is no corpus of reports at {}", corpus.display());
    }
    is_there.then_some(corpus)
}

/// What the tool shows, of what the total counts.
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
        let search = Folder::new(&report.join("report")).search(&Choice::Auto, None);
        let percent = search.totals.as_ref().map(|totals| totals.percent.to_string());
        let truth = truth(&report);
        let right = match &truth {
            Some((shown, _)) if shown.parse::<f64>().is_ok() => percent.as_ref() == Some(shown),
            // Drawn by script: the same number, in two digits.
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
        assert_only_indexes_have_a_total(&Folder::new(&report.join("report")));
    }
}

fn assert_only_indexes_have_a_total(folder: &Folder) {
    let index = folder.report().index;
    // coverage.py's indexes of functions and classes, genhtml's sorted ones, and indexes of other names.
    let same = [
        "function_index.html",
        "class_index.html",
        "index-sort-f.html",
        "index-sort-l.html",
        "report.html",
        "coverage.html",
        "tarpaulin-report.html",
    ];
    let is_other = |name: &str| Some(name) != index && !same.contains(&name);
    for (_, path) in folder.0.iter().filter(|(name, _)| name.ends_with(".html") && is_other(name)) {
        let html = fs::read_to_string(path).unwrap();
        let beside = |_: &str| None;
        for format in FORMATS {
            if let Read::Page(read) = format.read {
                let found = read(&Page { html: &html, beside: &beside });
                assert_eq!(found, None, "{} is no index of {}", path.display(), format.name);
            }
        }
    }
}

/// Each line of a fixture's `expected`: what is asked (`auto` or a file, and the metric), and what is found.
#[test]
fn every_fixture_gives_the_totals_that_are_expected_of_it() {
    let mut wrong = Vec::new();
    for report in fixtures() {
        let expected = fs::read_to_string(report.join("expected")).unwrap_or_default();
        assert!(!expected.is_empty(), "{} expects nothing", report.display());
        for line in expected.lines() {
            let (asked, expected) = line.split_once(": ").unwrap();
            let found = ask(&Folder::new(&report), asked);
            if found != expected {
                wrong.push(format!("{} {asked}:\n  {found}, and not\n  {expected}", report.display()));
            }
        }
        assert_only_indexes_have_a_total(&Folder::new(&report));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ask(folder: &Folder, asked: &str) -> String {
    let (choice, metric) = asked.split_once(' ').unwrap_or((asked, ""));
    let search = folder.search(&Choice::parse(choice).unwrap(), Some(metric).filter(|metric| !metric.is_empty()));
    let found = search.totals.map_or_else(|| "none".to_owned(), |totals| totals.to_string());
    [found].into_iter().chain(search.notes).collect::<Vec<_>>().join("; ")
}
