//! SimpleCov: what its page shows for all files, `.last_run.json`, and from 1.0 on `coverage.json`.
//!
//! ```html
//! <div class="file_list_container" id="AllFiles"> … <span class="covered_percent"><span class="green">89.26%</span> …
//! <div class="t-line-summary"> <b>717</b> relevant lines, <span class="green"><b>640</b> lines covered</span> …
//! ```
//!
//! Each group has such a part too, after that of all files. From 1.0 on the page is drawn by script, from
//! `window.SIMPLECOV_DATA = {"total":{…},…}` in it or in `coverage_data.js` in the same folder.

use std::io::BufRead;

use anyhow::Result;

use super::{Counts, Found, Lines, Measure, Page, Percent};
use crate::coverage::syntax::html::{after, between, count, has, percent, split, texts};
use crate::coverage::syntax::json::{self, Values};

pub fn page(page: &Page) -> Option<Found> {
    if has(page.html, "src=\"coverage_data.js\"") {
        return data(&(page.read_sibling)("coverage_data.js")?);
    }
    data(page.html).or_else(|| table(page.html))
}

fn table(html: &str) -> Option<Found> {
    let files = after(html, "<div class=\"file_list_container\" id=\"AllFiles\">")?;
    let head = split(files, "<table").map_or(files, |(head, _)| head);
    // Up to 0.5 the percentage has no class of its own.
    let line = after(head, "class=\"covered_percent\"").unwrap_or(head);
    let shown = texts(&format!("<{line}")).iter().find_map(|text| percent(text))?;
    let lines = Measure::shown("lines", shown, summary(head, "relevant lines"));
    let branches = between(head, "class=\"t-branch-summary\"", "</div>").and_then(|part| {
        let part = format!("<{part}");
        let shown = texts(&part).iter().find_map(|text| percent(text))?;
        Measure::shown("branches", shown, summary(&part, "total branches"))
    });
    Some(lines.into_iter().chain(branches).collect())
}

/// `<b>717</b> relevant lines, <span><b>640</b> lines covered</span>`.
fn summary(html: &str, what: &str) -> Option<(u64, u64)> {
    let texts = texts(html);
    let at = texts.iter().position(|text| text.starts_with(what))?;
    // Up to 0.5 counts are written as `12.0`.
    let whole = |text: &String| count(text.strip_suffix(".0").unwrap_or(text));
    Some((whole(texts.get(at + 1)?)?, whole(texts.get(at.checked_sub(1)?)?)?))
}

fn data(text: &str) -> Option<Found> {
    let json = after(text, "window.SIMPLECOV_DATA = ").filter(|json| json.starts_with('{'))?;
    report(&json::read_text(json, &PATHS)?)
}

pub fn json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    Ok(report(&json::read(input, &PATHS)?))
}

const VERSION: &str = "meta/simplecov_version";
const KINDS: [(&str, [&str; 2]); 3] = [
    ("lines", ["total/lines/covered", "total/lines/total"]),
    ("branches", ["total/branches/covered", "total/branches/total"]),
    ("functions", ["total/methods/covered", "total/methods/total"]),
];
const PATHS: [&str; 7] = {
    let [(_, lines), (_, branches), (_, methods)] = KINDS;
    [VERSION, lines[0], lines[1], branches[0], branches[1], methods[0], methods[1]]
};

/// The page's script truncates to two digits.
fn report(values: &Values) -> Option<Found> {
    values.text(VERSION)?;
    let measure = |(metric, [covered, total]): (_, [&str; 2])| {
        let (covered, total) = values.counts(covered, total)?;
        Measure::shown(metric, Counts::new(covered, total)?.truncated(2), Some((covered, total)))
    };
    Some(KINDS.into_iter().filter_map(measure).collect())
}

pub fn last_run(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    // `covered_percent` before 0.19.
    let [line, old, branch] = ["result/line", "result/covered_percent", "result/branch"];
    let values = json::read(input, &[line, old, branch])?;
    let Some(lines) = values.float(line).or_else(|| values.float(old)) else { return Ok(None) };
    let measure = |metric, share: Option<f64>| Measure::shown(metric, Percent::from_float(share?, 2)?, None);
    Ok(Some([measure("lines", Some(lines)), measure("branches", values.float(branch))].into_iter().flatten().collect()))
}
