//! kcov: its pages, which scripts draw from `index.js` and others in the same folder, and its `coverage.json`.
//!
//! ```js
//! var header = { "command" : "…", "date" : "…", "instrumented" : 29, "covered" : 24,};
//! ```
//!
//! The index counts the lines of every program that ran, so those of a file that two programs use count twice.

use std::collections::HashMap;
use std::io::BufRead;

use anyhow::Result;

use percent_encoding::percent_decode_str;

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, has, split};
use crate::coverage::syntax::json;

pub fn page(page: &Page) -> Option<Measures> {
    let (_, script) = script(page)?;
    // Uses the last header: file names come before it, and the header itself contains a command.
    let (_, header) = script.rsplit_once("var header = {")?;
    let number = |name: &str| {
        let (_, value) = header.rsplit_once(&format!("\"{name}\" : "))?;
        count(value.split(',').next()?)
    };
    // The page's script shows one digit.
    Some(Measure::counted("lines", (number("covered")?, number("instrumented")?), 1).into_iter().collect())
}

/// The data of an index, and how the names of such files end: up to version 34 in `json`.
fn script(page: &Page) -> Option<(&'static str, String)> {
    let end = ["js", "json"].into_iter().find(|end| has(page.html, &format!("src=\"index.{end}\"")))?;
    let script = (page.read_sibling)(&format!("index.{end}"))?;
    has(page.html, "id=\"header-percent-covered\"").then_some((end, script))
}

/// The index of one program, whose folder has the source files. Or the index of all: the programs are in folders below.
///
/// ```js
/// var data = {files:[
/// {"link":"calc.101ff891/index.html","title":"calc","summary_name":"calc","covered_class":"linePartCov",…},
/// {"link":"calc.c.14b6d61d.html","title":"calc.c","summary_name":"[...]/src/calc.c","covered_class":"linePartCov",…},
/// ], merged_files:[…]};
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some((end, script)) = script(page) else { return false };
    let (mut names, mut sums) = (Names::default(), Vec::new());
    let mut add = |link: &str, name: &str| add_file(page, &format!("{}{end}", link.strip_suffix("html")?), name, lines);
    for (link, name) in entries(&script) {
        let Some((folder, "index.html")) = link.rsplit_once('/') else {
            add(&link, name);
            continue;
        };
        let program = (page.read_sibling)(&format!("{folder}/index.{end}")).unwrap_or_default();
        for (link, name) in entries(&program) {
            sums.extend(add(&format!("{folder}/{link}"), name));
            names.add(&link, name);
        }
    }
    let merged = script.lines().find(|line| line.starts_with(MERGED)).and_then(entry);
    if let Some((folder, "index.html")) = merged.as_ref().and_then(|(link, _)| link.rsplit_once('/')) {
        let program = (page.read_sibling)(&format!("{folder}/index.{end}")).unwrap_or_default();
        entries(&program).for_each(|(link, name)| names.add(&link, name));
    }
    sums.into_iter().for_each(|(covered, total)| lines.count(covered, total));
    names.problem.into_iter().for_each(|problem| lines.fail(problem));
    true
}

/// The names of source files by their links, and the other way round. A link has a hash of the whole path. The name
/// lacks the part that all paths of the same program have, so it can be another one in another program.
#[derive(Default)]
struct Names {
    names: HashMap<String, String>,
    links: HashMap<String, String>,
    problem: Option<&'static str>,
}

/// Source files of all programs.
const MAX_FILES: usize = 100_000;

impl Names {
    fn add(&mut self, link: &str, name: &str) {
        let same_name = self.names.entry(link.to_owned()).or_insert_with(|| name.to_owned()) == name;
        let same_link = self.links.entry(name.to_owned()).or_insert_with(|| link.to_owned()) == link;
        if !same_name || !same_link {
            self.problem =
                Some("its programs have different names for one source file, or one name for different files");
        } else if self.names.len() > MAX_FILES {
            let problem = Some("its programs have more than 100,000 source files");
            *self = Self { problem, ..Self::default() };
        }
    }
}

/// Where the list of the programs ends.
const MERGED: &str = "], merged_files:[";

/// The links and names of an index, each on its own line.
fn entries(script: &str) -> impl Iterator<Item = (String, &str)> {
    script.lines().take_while(|line| !line.starts_with(MERGED)).filter_map(entry)
}

fn entry(line: &str) -> Option<(String, &str)> {
    let link = between(line, "{\"link\":\"", "\",\"title\":\"")?;
    let name = between(line, "\",\"summary_name\":\"", "\",\"covered_class\":\"")?;
    Some((percent_decode_str(link).decode_utf8_lossy().into_owned(), name))
}

/// Adds a source file's lines. Their data lies beside the page. Returns their counts.
///
/// ```js
/// {"lineNum":"    6","line":"  if (n < 0) {","class":"linePartCov","hits":"1","order":"7","possible_hits":"2",},
/// ```
fn add_file(page: &Page, file: &str, name: &str, lines: &mut Lines) -> Option<(u64, u64)> {
    let data = (page.read_sibling)(file)?;
    // The part that all paths have is left out.
    lines.file(name.strip_prefix("[...]/").unwrap_or(name));
    let mut sum = (0, 0);
    for line in data.lines() {
        // A quote in the source text has a backslash before it.
        let class = after(line, "\",\"class\":\"").and_then(|rest| split(rest, "\"")).map(|(class, _)| class);
        let hit = match class {
            Some("lineCov") => Hit::Yes,
            Some("linePartCov") => Hit::Partly,
            Some("lineNoCov") => Hit::No,
            _ => continue,
        };
        let number = between(line, "{\"lineNum\":\"", "\"").and_then(|number| number.trim().parse().ok());
        if let Some(number) = number {
            lines.line(number, hit);
            sum = (sum.0 + u64::from(hit != Hit::No), sum.1 + 1);
        }
    }
    Some(sum)
}

pub fn json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    let [shown, covered, total] = ["percent_covered", "covered_lines", "total_lines"];
    let values = json::read(input, &[shown, covered, total])?;
    let (Some(shown), Some(counts)) = (values.text(shown), values.counts(covered, total)) else { return Ok(None) };
    let lines = Percent::parse(shown).and_then(|shown| Measure::shown("lines", shown, Some(counts)));
    Ok(Some(lines.into_iter().collect()))
}
