//! Cobertura's XML, which many tools write: the attributes of its root.

use std::io::BufRead;
use std::ops::ControlFlow::Break;

use anyhow::Result;

use super::{Found, Measure, Percent};
use crate::coverage::syntax::xml::{self, Element};

pub fn xml(input: &mut dyn BufRead) -> Result<Option<Found>> {
    let mut found = None;
    xml::walk(input, |_, root| {
        if root.is("coverage") && root.text("line-rate").is_some() {
            let lines = measure(root, "lines", "line-rate", "lines");
            // Without branches, tools write a rate of 0 or 1.
            let branches = measure(root, "branches", "branch-rate", "branches");
            found = Some(lines.into_iter().chain(branches).collect());
        }
        Break(())
    })?;
    Ok(found)
}

/// Prefers the counts, because the rate is rounded; by coverage.py to four digits.
fn measure(root: &Element, metric: &'static str, rate: &str, counted: &str) -> Option<Measure> {
    match root.counts(&format!("{counted}-covered"), &format!("{counted}-valid")) {
        Some(counts) => Measure::counted(metric, counts, 2),
        None if metric == "branches" => None,
        None => Measure::shown(metric, Percent::from_rate(&root.text(rate)?, 2)?, None),
    }
}
