//! SimpleCov: what its page shows for all files, `.last_run.json`, `coverage.json` and `.resultset.json`.
//!
//! ```html
//! <div class="file_list_container" id="AllFiles"> … <span class="covered_percent"><span class="green">89.26%</span> …
//! <div class="t-line-summary"> <b>717</b> relevant lines, <span class="green"><b>640</b> lines covered</span> …
//! ```
//!
//! Each group has such a part too, after that of all files. From 1.0 on the page is drawn by script, from
//! `window.SIMPLECOV_DATA = {"total":{…},…}` in it or in `coverage_data.js` in the same folder.

mod coverage_json;
mod resultset;

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::Result;

use super::{Counts, Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, has, parts, percent, split, texts, unescaped};
use crate::coverage::syntax::json;
pub use coverage_json::read as json;
pub use resultset::read as resultset;

pub fn page(page: &Page) -> Option<Measures> {
    data(page).and_then(|data| coverage_json::totals(&data)).or_else(|| table(page.html))
}

fn table(html: &str) -> Option<Measures> {
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

/// The data of the page, if a script draws it.
fn data<'a>(page: &'a Page) -> Option<Cow<'a, str>> {
    const START: &str = "window.SIMPLECOV_DATA = ";
    let is_outside = has(page.html, "src=\"coverage_data.js\"");
    let text = if is_outside { Cow::Owned((page.read_sibling)("coverage_data.js")?) } else { Cow::Borrowed(page.html) };
    let is_data = |json: &&str| json.starts_with('{');
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(after(text, START).filter(is_data)?),
        Cow::Owned(text) => Cow::Owned(after(&text, START).filter(is_data)?.to_owned()),
    })
}

/// All source files are on the page, or in its data.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    if data(page).is_some_and(|data| matches!(coverage_json::read(&mut data.as_bytes(), lines), Ok(Some(_)))) {
        return true;
    }
    let Some(sources) = after(page.html, "<div class=\"source_files\">") else { return false };
    parts(sources, "<div class=\"source_table\"").for_each(|source| source_table(source, lines));
    true
}

/// ```html
/// <h3>calc.rb</h3> … <b>6</b> relevant lines. <span class="green"><b>4</b> lines covered</span> …
/// <li class="missed-branch" data-hits="1" data-linenumber="2">
/// ```
fn source_table(html: &str, lines: &mut Lines) {
    let Some((head, source)) = split(html, "<pre>") else { return };
    let path = between(head, "<h3>", "</h3>").unwrap_or_default();
    if lines.file(&unescaped(path.trim())) {
        parts(source, "<li ").filter_map(item).for_each(|(number, hit)| lines.line(number, hit));
        if let Some((covered, total)) = summary(head, "relevant lines") {
            lines.shown(covered, total);
        }
    }
}

/// A skipped line may have hits. A line with a missed branch may have none, or be one that cannot be covered.
fn item(html: &str) -> Option<(u64, Hit)> {
    let tag = html.split_once('>')?.0;
    let class = between(tag, "class=\"", "\"").filter(|class| *class != "skipped")?;
    let hits = between(tag, "data-hits=\"", "\"")?.parse().ok()?;
    let hit = if hits > 0 && class == "missed-branch" { Hit::Partly } else { Hit::of(hits) };
    Some((between(tag, "data-linenumber=\"", "\"")?.parse().ok()?, hit))
}

/// Adds the lines of a file. Of its branches, each is a line and whether the branch is taken: a hit line is hit partly
/// if one is not.
fn add(lines: &mut Lines, marks: impl Iterator<Item = (u64, bool)>, mut branches: Vec<(u64, bool)>) {
    branches.sort_unstable();
    let mut partly = Vec::new();
    for branches in branches.chunk_by(|one, other| one.0 == other.0) {
        let (line, taken) = (branches[0].0, branches.iter().filter(|(_, is_taken)| *is_taken).count());
        lines.branches(line, taken as u64, branches.len() as u64);
        if taken < branches.len() {
            partly.push(line);
        }
    }
    for (line, is_hit) in marks {
        let is_partly = is_hit && partly.binary_search(&line).is_ok();
        lines.line(line, if is_partly { Hit::Partly } else { Hit::when(is_hit) });
    }
}

pub fn last_run(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    // `covered_percent` before 0.19.
    let [line, old, branch] = ["result/line", "result/covered_percent", "result/branch"];
    let values = json::read(input, &[line, old, branch])?;
    let Some(lines) = values.float(line).or_else(|| values.float(old)) else { return Ok(None) };
    let measure = |metric, share: Option<f64>| Measure::shown(metric, Percent::from_float(share?, 2)?, None);
    Ok(Some([measure("lines", Some(lines)), measure("branches", values.float(branch))].into_iter().flatten().collect()))
}
