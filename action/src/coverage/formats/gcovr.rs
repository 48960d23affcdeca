//! gcovr, 3.1 and newer, in every theme: the summary at the head of the index, the pages of source files,
//! `--json-summary`, and `--json`.
//!
//! The themes differ in tags, not in texts: `Lines:` `361` `1979` `18.2%` up to 8.3, `Lines:` `71.4%` `5 / 0 / 7` (with
//! excluded lines between) from 8.5 on, `Lines:` `5 of 7, 0 excluded` `71.4%` in GitHub's theme, `5 / 7 - 2 excl` `71.4%`
//! in it from 8.7 on. A file's page has such a summary too, but no list of files; where everything is on one page the
//! first summary is the total.
//!
//! From 8.4 on, a line of a C++ template counts once for each function made from it, unless `--merge-lines` is set. A
//! page shows it once.

mod tracefile;

use std::io::BufRead;

use anyhow::Result;

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, has, labelled, parts, split, texts, unescaped};
use crate::coverage::syntax::json;

pub use tracefile::read as json;

pub fn page(page: &Page) -> Option<Measures> {
    let body = after(page.html, "<body")?;
    let (summary, files) = summary(body).or_else(|| old_summary(body))?;
    let is_index = ["file-list\"", "filelist\"", "\"filelist ", "\"coverFile\""].iter().any(|mark| has(files, mark));
    let texts = texts(&format!("<{summary}"));
    if !is_index || !has(files, "gcovr.com") || texts.iter().any(|text| text == "File:") {
        return None;
    }
    let kinds = [("Lines:", "lines"), ("Branches:", "branches"), ("Functions:", "functions")];
    Some(kinds.into_iter().filter_map(|(label, metric)| labelled(&texts, label, metric)).collect())
}

/// The summary, and what follows it.
fn summary(body: &str) -> Option<(&str, &str)> {
    let (title, rest) = split(body, "</h1>")?;
    split(split(rest, "=\"summary\"").filter(|_| has(title, "<h1>"))?.1, "<hr")
}

/// Before 5.0.
fn old_summary(body: &str) -> Option<(&str, &str)> {
    split(after(body, "<td class=\"hr\"></td>")?, "<td class=\"hr\"></td>")
}

/// What the path of a source file follows: before 5.0, up to 8.4, and later; and two of GitHub's theme.
const PATHS: [&str; 4] = [
    "class=\"headerName\">File:</td>",
    "<th scope=\"row\">File:</th>",
    "<div>File: ",
    "<div class=\"Box-header d-flex flex-space-between sticky\">",
];
const BRANCHES: [&str; 2] = ["class=\"takenBranch\"", "class=\"notTakenBranch\""];

/// A source file's page, or a page of all.
///
/// ```html
/// <td class="lineno"><a id="l6" href="#l6">6</a></td> <td class="linebranch"> … <summary …>1/2</summary> … </td>
/// <td class="linecount partialCoveredLine">1</td> …
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let body = after(page.html, "<body").filter(|body| has(body, "gcovr.com"));
    let Some((body, mark)) = body.and_then(|body| Some((body, PATHS.into_iter().find(|mark| has(body, mark))?))) else {
        return false;
    };
    if version(body).is_some_and(|version| version >= COUNTS_FUNCTIONS) {
        lines.count_functions();
    }
    let folder = folder(body).unwrap_or_default();
    for part in parts(body, mark) {
        let (head, rows) = split(part, "<tr").unwrap_or((part, ""));
        let Some(path) = first_text(head) else { continue };
        // Since 8.0, the path starts at the folder.
        let path = if path.starts_with(folder) { path.to_owned() } else { format!("{folder}{path}") };
        if lines.file(&unescaped(&path)) {
            parts(&format!("<tr{rows}"), "<tr").for_each(|row| _ = add_row(row, lines));
        }
    }
    true
}

/// Major and minor version.
type Version = (u32, u32);
const COUNTS_FUNCTIONS: Version = (8, 4);

/// `(Version 8.4)` in the foot.
fn version(body: &str) -> Option<Version> {
    let (major, minor) = between(body, ">GCOVR (Version ", ")")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?))
}

/// The folder that all paths start at, unless it is that of the program itself.
fn folder(body: &str) -> Option<&str> {
    let named = || after(body, ">Directory:</t");
    // GitHub's theme draws a symbol before it.
    let drawn = || after(body, "</svg>");
    let folder = first_text(named().or_else(drawn)?)?;
    Some(folder).filter(|folder| *folder != "./" && folder.ends_with('/'))
}

/// The first text that is not blank, between or before tags.
fn first_text(html: &str) -> Option<&str> {
    let texts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text).trim());
    texts.take(10).find(|text| !text.is_empty())
}

fn add_row(row: &str, lines: &mut Lines) -> Option<()> {
    let mut cells = parts(row, "<td");
    let number = cells.next()?;
    let number = match between(number, " id=\"", "\"") {
        // `l6`, from 8.7 on `L6`, or on a page of all `index.calc.c.0a6e9e8f.html|l6`.
        Some(id) => id.rsplit(['l', 'L']).next()?,
        None => between(number, "<pre>", "</pre>")?,
    };
    let number = number.parse().ok()?;
    let branches = cells.next()?;
    let hit = cells.find_map(|cell| between(cell, "class=\"", "\"")?.split(' ').find_map(hit))??;
    lines.line(number, hit);
    if let Some((taken, total)) = counts(branches) {
        lines.branches(number, taken, total);
    }
    Some(())
}

/// What a class says about a line; an excluded one has no coverage.
fn hit(class: &str) -> Option<Option<Hit>> {
    match class {
        "coveredLine" => Some(Some(Hit::Yes)),
        "partialCoveredLine" => Some(Some(Hit::Partly)),
        "uncoveredLine" => Some(Some(Hit::No)),
        "excludedLine" => Some(None),
        _ => None,
    }
}

/// Taken and all branches: `<summary>1/2</summary>`, before 5.0 a mark for each.
fn counts(branches: &str) -> Option<(u64, u64)> {
    if let Some(counts) = after(branches, "<summary").and_then(|summary| between(summary, ">", "<")) {
        let (taken, total) = counts.split_once('/')?;
        return Some((taken.trim().parse().ok()?, total.trim().parse().ok()?));
    }
    let [taken, missed] = BRANCHES.map(|mark| branches.matches(mark).count() as u64);
    (taken + missed > 0).then_some((taken, taken + missed))
}

const VERSION: &str = "gcovr/summary_format_version";
const KINDS: [(&str, [&str; 3]); 3] = [
    ("lines", ["line_percent", "line_covered", "line_total"]),
    ("branches", ["branch_percent", "branch_covered", "branch_total"]),
    ("functions", ["function_percent", "function_covered", "function_total"]),
];

pub fn summary_json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    let paths: Vec<_> = KINDS.iter().flat_map(|(_, paths)| *paths).chain([VERSION]).collect();
    let values = json::read(input, &paths)?;
    // gcovr writes one digit, as in the HTML.
    let measure = |(metric, [shown, covered, total]): (_, [&str; 3])| {
        Measure::shown(metric, Percent::from_float(values.float(shown)?, 1)?, Some(values.counts(covered, total)?))
    };
    Ok(values.text(VERSION).map(|_| KINDS.into_iter().filter_map(measure).collect()))
}
