//! cargo-tarpaulin: its page, which a script draws from data in the page, and its JSON report.

use std::io::BufRead;

use anyhow::Result;

use super::{Found, Lines, Measure, Page};
use crate::coverage::syntax::html::after;
use crate::coverage::syntax::json::{self, Values};

const COUNTS: [&str; 2] = ["files/*/covered", "files/*/coverable"];

/// The page's script shows two digits.
fn found(values: &Values) -> Option<Found> {
    Some(Measure::counted("lines", values.counts(COUNTS[0], COUNTS[1])?, 2).into_iter().collect())
}

pub fn page(page: &Page) -> Option<Found> {
    let data = after(after(page.html, "<div id=\"root\"></div>")?, "var data = ")?;
    found(&json::read_text(data, &COUNTS)?)
}

pub fn json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    Ok(found(&json::read(input, &COUNTS)?))
}
