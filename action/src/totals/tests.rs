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
    // coverage.py's indexes of functions and classes, genhtml's sorted ones, and what stands instead of an index.
    let same = ["function_index.html", "class_index.html", "index-sort-f.html", "index-sort-l.html"];
    let is_other = |name: &str| Some(name) != index && !same.contains(&name) && !name.starts_with("tarpaulin");
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
