//! istanbul, which nyc, c8, jest and vitest report with: the head of `index.html`, the data in the page of `html-spa`,
//! and `coverage-summary.json`.
//!
//! ```html
//! <span class="strong">99.87% </span>
//! <span class="quiet">Lines</span>
//! <span class='fraction'>1655/1657</span>
//! ```
//!
//! A folder's or file's page has the same head; its title names that instead of `All files`.

use std::io::BufRead;

use anyhow::Result;
use serde::{Deserialize, Deserializer};

use super::html::{after, between, counts, percent, split, texts};
use super::{Found, Measure, Page, Percent, json};

pub fn page(page: &Page) -> Option<Found> {
    let (head, body) = split(page.html, "<body>")?;
    if between(head, "<title>", "</title>")?.trim() != "Code coverage report for All files" {
        return None;
    }
    let texts = texts(split(body, "status-line").unwrap_or((body, "")).0);
    let named = |name: &str, of| {
        let at = texts.iter().position(|text| text == name)?;
        let shown = percent(texts.get(at.checked_sub(1)?)?)?;
        Measure::shown(of, shown, texts.get(at + 1).and_then(|text| counts(text)))
    };
    let kinds =
        [("Lines", "lines"), ("Branches", "branches"), ("Functions", "functions"), ("Statements", "statements")];
    Some(kinds.into_iter().filter_map(|(name, of)| named(name, of)).collect())
}

#[derive(Deserialize)]
struct Summary {
    total: Metrics,
}

#[derive(Deserialize)]
struct Metrics {
    lines: Metric,
    statements: Metric,
    branches: Metric,
    functions: Metric,
}

#[derive(Deserialize)]
struct Metric {
    total: u64,
    covered: u64,
    /// The text `Unknown` where nothing was measured.
    #[serde(deserialize_with = "digits")]
    pct: Option<Percent>,
}

/// The number in its own digits: through a float and back they stay as JavaScript wrote them.
fn digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Percent>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_f64().and_then(|number| Percent::parse(&number.to_string())))
}

impl Metrics {
    fn found(self) -> Found {
        let measure = |of, metric: Metric| Measure::shown(of, metric.pct?, Some((metric.covered, metric.total)));
        let all = [
            measure("lines", self.lines),
            measure("branches", self.branches),
            measure("functions", self.functions),
            measure("statements", self.statements),
        ];
        all.into_iter().flatten().collect()
    }
}

pub fn summary(input: &mut dyn BufRead) -> Result<Option<Found>> {
    Ok(json::read(input)?.map(|summary: Summary| summary.total.found()))
}

#[derive(Deserialize)]
struct Tree {
    metrics: Metrics,
}

/// `window.data = {"file":"","metrics":{…},"children":[…]}`: the page's script draws the root's metrics.
pub fn spa(page: &Page) -> Option<Found> {
    let data = after(after(page.html, "<div id=\"app\" class=\"app\">")?, "window.data = ")?;
    let tree: Tree = serde_json::Deserializer::from_str(data).into_iter().next()?.ok()?;
    Some(tree.metrics.found())
}
