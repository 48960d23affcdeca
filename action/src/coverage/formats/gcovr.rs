//! gcovr, 5 and newer, in every theme: the summary at the head of the index, and `--json-summary`.
//!
//! The themes differ in tags, not in texts: `Lines:` `361` `1979` `18.2%` up to 7, `Lines:` `71.4%` `5 / 0 / 7` (with
//! excluded lines between) in 8, `Lines:` `361 / 1989` `18.1%` in GitHub's theme. A file's page has such a summary too,
//! but no list of files; where everything is on one page the first summary is the total.

use std::io::BufRead;

use anyhow::Result;

use super::{Found, Lines, Measure, Page, Percent};
use crate::coverage::syntax::html::{after, has, labelled, split, texts};
use crate::coverage::syntax::json;

pub fn page(page: &Page) -> Option<Found> {
    let body = after(page.html, "<body")?;
    let (title, rest) = split(body, "</h1>")?;
    let summary = split(rest, "=\"summary\"").filter(|_| has(title, "<h1>"))?.1;
    let (summary, files) = split(summary, "<hr")?;
    let is_index = ["file-list\"", "filelist\"", "\"filelist "].iter().any(|mark| has(files, mark));
    let texts = texts(&format!("<{summary}"));
    if !is_index || !has(files, "gcovr.com") || texts.iter().any(|text| text == "File:") {
        return None;
    }
    let kinds = [("Lines:", "lines"), ("Branches:", "branches"), ("Functions:", "functions")];
    Some(kinds.into_iter().filter_map(|(label, metric)| labelled(&texts, label, metric)).collect())
}

const VERSION: &str = "gcovr/summary_format_version";
const KINDS: [(&str, [&str; 3]); 3] = [
    ("lines", ["line_percent", "line_covered", "line_total"]),
    ("branches", ["branch_percent", "branch_covered", "branch_total"]),
    ("functions", ["function_percent", "function_covered", "function_total"]),
];

pub fn summary(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    let paths: Vec<_> = KINDS.iter().flat_map(|(_, paths)| *paths).chain([VERSION]).collect();
    let values = json::read(input, &paths)?;
    // gcovr writes one digit, as in the HTML.
    let measure = |(metric, [shown, covered, total]): (_, [&str; 3])| {
        Measure::shown(metric, Percent::from_float(values.float(shown)?, 1)?, Some(values.counts(covered, total)?))
    };
    Ok(values.text(VERSION).map(|_| KINDS.into_iter().filter_map(measure).collect()))
}
