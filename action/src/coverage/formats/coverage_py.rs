//! coverage.py, 3.4 and newer: the headline of `index.html`, and `coverage json`.
//!
//! ```html
//! <h1>Coverage report:
//!     <span class="pc_cov">87.42%</span>
//! </h1>
//! ```
//!
//! Each file's page has the same span with the file's number, but with other tags before it in the headline. `--title`
//! replaces the words `Coverage report`, escaped: it can contain a percentage, but no tag. The total's row has the
//! counts: `<td data-ratio="514 540">95%</td>`. Before 4.0, attributes have single quotes, the row has no such counts, and
//! paths have no `.py`.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::Result;
use memchr::memmem;
use serde::Deserialize;

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, has, percent, split, texts, unescaped};
use crate::coverage::syntax::json::{self, List};

/// In the foot of each source file's page, since 6.0 also in its head.
const TOOL: &str = ">coverage.py v";
/// In the foot of the pages of a version before 4.0.
const OLD: &str = ">coverage.py v3.";
/// Bytes of the foot of a page.
const FOOT: usize = 1 << 10;
const BOTH: &str = "lines and branches";
/// With branches, since 7.11: lines, branches, and both together.
const COLUMNS: usize = 3;

pub fn page(page: &Page) -> Option<Measures> {
    index(&with_double_quotes(page.html))
}

/// Versions before 4.0 write single quotes in tags, and escape both kinds in texts.
fn with_double_quotes(html: &str) -> Cow<'_, str> {
    if is_old(html) { Cow::Owned(html.replace('\'', "\"")) } else { Cow::Borrowed(html) }
}

/// Looks only at the end: a page can be long.
fn is_old(html: &str) -> bool {
    let foot = &html.as_bytes()[html.len().saturating_sub(FOOT)..];
    memmem::find(foot, OLD.as_bytes()).is_some()
}

fn index(html: &str) -> Option<Measures> {
    let table = between(html, "<table class=\"index\"", "</thead>")?;
    let headline = between(html, "<h1>", "</h1>").filter(|_| has(html, "coverage.py"))?;
    let (title, rest) = split(headline, "<span class=\"pc_cov\">")?;
    let is_index = !title.contains('<') && title.trim_end().ends_with(':');
    let shown = percent(split(rest, "</span>")?.0).filter(|_| is_index)?;
    let branches = table.to_ascii_lowercase().contains(">branches");
    let metric = if branches { BOTH } else { "lines" };
    let row = between(html, "<tr class=\"total\">", "</tr>").unwrap_or_default();
    let cells = shares(row);
    let in_row = cells.last().map(|(total, _)| total.clone()).or_else(|| percent(texts(row).last()?));
    let has_statements = statements(row).is_none_or(|(_, total)| total > 0);
    // A headline that contradicts the table is not the tool's: it is in a comment or in a user's text.
    if in_row.is_some_and(|total| total != shown) || !has_statements {
        return Some(Vec::new());
    }
    let counts = cells.last().map(|(_, counts)| *counts).or_else(|| statements(row).filter(|_| !branches));
    let mut found: Measures = Measure::shown(metric, shown, counts).into_iter().collect();
    if branches && !found.is_empty() {
        let cell = |at: usize, metric| {
            let (shown, counts) = cells.get(at).filter(|_| cells.len() == COLUMNS)?;
            Measure::shown(metric, shown.clone(), Some(*counts))
        };
        let lines = cell(0, "lines").or_else(|| Measure::counted("lines", statements(row)?, 0));
        found.extend([lines, cell(1, "branches")].into_iter().flatten().map(Measure::only_on_request));
    }
    Some(found)
}

/// The cells with a ratio, `<td data-ratio="514 540">95%</td>`.
fn shares(row: &str) -> Vec<(Percent, (u64, u64))> {
    let share = |cell: &str| {
        let (ratio, shown) = cell.split_once("\">")?;
        let (covered, total) = ratio.split_once(' ')?;
        Some((percent(shown.split_once('<')?.0)?, (covered.parse().ok()?, total.parse().ok()?)))
    };
    row.split("data-ratio=\"").skip(1).filter_map(share).take(COLUMNS).collect()
}

/// A source file's page: each line is a paragraph with its classes and, in it or in a link, its number.
///
/// ```html
/// <p class="par run show_par"><span class="n"><a id="t12" href="#t12">12</a></span>…
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let html = &*with_double_quotes(page.html);
    let title = between(html, "<title>", "</title>").and_then(|title| title.trim().strip_prefix("Coverage for "));
    let path = title.and_then(|title| title.rsplit_once(": ")).filter(|(_, shown)| percent(shown).is_some());
    let Some((path, _)) = path.filter(|_| has(html, TOOL)) else { return false };
    let end = if is_old(html) { ".py" } else { "" };
    if lines.file(&format!("{}{end}", unescaped(path))) {
        paragraphs(html).for_each(|(number, hit)| lines.line(number, hit));
        if let (Some(run), Some(missing)) = (button(html, "run"), button(html, "mis")) {
            lines.shown(run, run.saturating_add(missing));
        }
    }
    true
}

fn paragraphs(html: &str) -> impl Iterator<Item = (u64, Hit)> {
    memmem::find_iter(html.as_bytes(), PARAGRAPH).filter_map(|at| paragraph(html.get(at + PARAGRAPH.len()..)?))
}

const PARAGRAPH: &str = "<p ";

fn paragraph(text: &str) -> Option<(u64, Hit)> {
    let (tag, rest) = text.split_once('>')?;
    let id = tag.strip_prefix("id=\"t").or_else(|| rest.strip_prefix("<span class=\"n\"><a id=\"t"))?;
    let number = id.split_once('"')?.0.parse().ok()?;
    let classes = tag.strip_prefix("class=\"").or_else(|| after(tag, " class=\""))?;
    Some((number, kind(classes.split_once('"')?.0)?))
}

/// `run`, `stm run hide_run`, `par run show_par`. `run run2` is a further line of a statement, which is not counted.
fn kind(classes: &str) -> Option<Hit> {
    let (mut found, mut further) = (None, None);
    for class in classes.as_bytes().split(|letter| *letter == b' ') {
        match class {
            b"par" => found = Some(Hit::Partly),
            b"run" => found = found.or(Some(Hit::Yes)),
            b"mis" => found = found.or(Some(Hit::No)),
            b"par2" => further = Some(Hit::Partly),
            b"run2" => further = further.or(Some(Hit::Yes)),
            b"mis2" => further = further.or(Some(Hit::No)),
            b"exc" => return None,
            _ => {}
        }
    }
    found.filter(|_| found != further)
}

/// The number on the button that shows or hides lines of a kind: `<button … class="run …" …>12<span>…`.
fn button(html: &str, kind: &str) -> Option<u64> {
    let rest = after(html, &format!("button_toggle_{kind}\""))?;
    let text = split(rest, ">")?.1;
    count(text.split([' ', '<']).next()?)
}

/// The first numbers of the row: all and missing statements.
fn statements(row: &str) -> Option<(u64, u64)> {
    let numbers: Vec<u64> = texts(row).iter().skip(1).map_while(|text| count(text)).collect();
    let [total, missing, ..] = numbers[..] else { return None };
    Some((total.checked_sub(missing)?, total))
}

const PERCENT: &str = "totals/percent_covered";
/// Since 5.0: as the HTML shows it.
const SHOWN: &str = "totals/percent_covered_display";
const LINES: [&str; 2] = ["totals/covered_lines", "totals/num_statements"];
const BRANCHES: [&str; 2] = ["totals/covered_branches", "totals/num_branches"];

/// The lines of one file. Branches are pairs of the line that jumps, and its target.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    executed_lines: List<u32>,
    missing_lines: List<u32>,
    executed_branches: List<(u32, i64)>,
    missing_branches: List<(u32, i64)>,
}

impl File {
    fn add_to(self, lines: &mut Lines) {
        let missing = self.missing_branches.0;
        let mut from: Vec<_> = missing.iter().map(|(from, _)| (*from, 0)).collect();
        from.extend(self.executed_branches.0.iter().map(|(from, _)| (*from, 1)));
        from.sort_unstable();
        let mut partly = Vec::new();
        for branches in from.chunk_by(|one, other| one.0 == other.0) {
            let (line, taken) = (branches[0].0, branches.iter().map(|(_, taken)| taken).sum());
            lines.branches(line.into(), taken, branches.len() as u64);
            if taken < branches.len() as u64 {
                partly.push(line);
            }
        }
        for line in self.executed_lines.0 {
            lines.line(line.into(), if partly.binary_search(&line).is_ok() { Hit::Partly } else { Hit::Yes });
        }
        self.missing_lines.0.into_iter().for_each(|line| lines.line(line.into(), Hit::No));
    }
}

pub fn json(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let paths = [PERCENT, SHOWN, LINES[0], LINES[1], BRANCHES[0], BRANCHES[1]];
    let values = if lines.is_on() {
        let mut add = |path: &str, file: File| {
            if lines.file(path) {
                file.add_to(lines);
            }
        };
        json::read_entries(input, &paths, "files", &mut add)
    } else {
        json::read(input, &paths)
    }?;
    let (Some(exact), Some(lines)) = (values.float(PERCENT), values.counts(LINES[0], LINES[1])) else {
        return Ok(None);
    };
    let branches = values.counts(BRANCHES[0], BRANCHES[1]).filter(|(_, total)| *total > 0);
    let (covered, total) = branches.unwrap_or_default();
    let all = (lines.0.saturating_add(covered), lines.1.saturating_add(total));
    let shown = values.text(SHOWN).and_then(Percent::parse).or_else(|| Percent::from_float(exact, 2));
    let metric = if branches.is_some() { BOTH } else { "lines" };
    let mut found: Measures = shown.and_then(|shown| Measure::shown(metric, shown, Some(all))).into_iter().collect();
    if let (Some(branches), false) = (branches, found.is_empty()) {
        let parts = [("lines", lines), ("branches", branches)];
        found.extend(
            parts
                .into_iter()
                .filter_map(|(metric, counts)| Some(Measure::counted(metric, counts, 2)?.only_on_request())),
        );
    }
    Ok(Some(found))
}
