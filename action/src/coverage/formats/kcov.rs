//! kcov: its page, which a script draws from `index.js` in the same folder, and its `coverage.json`.
//!
//! ```js
//! var header = { "command" : "…", "date" : "…", "instrumented" : 29, "covered" : 24,};
//! ```

use std::io::BufRead;

use anyhow::Result;

use super::{Found, Lines, Measure, Page, Percent};
use crate::coverage::syntax::html::{count, has};
use crate::coverage::syntax::json;

pub fn page(page: &Page) -> Option<Found> {
    let data = ["index.js", "index.json"].into_iter().find(|name| has(page.html, &format!("src=\"{name}\"")))?;
    let script = (page.read_sibling)(data).filter(|_| has(page.html, "id=\"header-percent-covered\""))?;
    // Uses the last header: file names come before it, and the header itself contains a command.
    let (_, header) = script.rsplit_once("var header = {")?;
    let number = |name: &str| {
        let (_, value) = header.rsplit_once(&format!("\"{name}\" : "))?;
        count(value.split(',').next()?)
    };
    // The page's script shows one digit.
    Some(Measure::counted("lines", (number("covered")?, number("instrumented")?), 1).into_iter().collect())
}

pub fn json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    let [shown, covered, total] = ["percent_covered", "covered_lines", "total_lines"];
    let values = json::read(input, &[shown, covered, total])?;
    let (Some(shown), Some(counts)) = (values.text(shown), values.counts(covered, total)) else { return Ok(None) };
    let lines = Percent::parse(shown).and_then(|shown| Measure::shown("lines", shown, Some(counts)));
    Ok(Some(lines.into_iter().collect()))
}
