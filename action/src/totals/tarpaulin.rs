//! cargo-tarpaulin: its page is drawn by script, from data that stands in it, and so is its JSON.

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::html::after;
use super::{Found, Measure, Page, json};

#[derive(Deserialize)]
struct Report {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    covered: u64,
    coverable: u64,
}

impl Report {
    fn found(&self) -> Found {
        let sum = |number: fn(&File) -> u64| self.files.iter().map(number).fold(0, u64::saturating_add);
        let counts = (sum(|file| file.covered), sum(|file| file.coverable));
        // The page's script shows two digits.
        Measure::counted("lines", counts, 2).into_iter().collect()
    }
}

pub fn page(page: &Page) -> Option<Found> {
    let data = after(after(page.html, "<div id=\"root\"></div>")?, "var data = ")?;
    let report: Report = serde_json::Deserializer::from_str(data).into_iter().next()?.ok()?;
    Some(report.found())
}

pub fn json(input: &mut dyn BufRead) -> Result<Option<Found>> {
    Ok(json::read(input)?.map(|report: Report| report.found()))
}
