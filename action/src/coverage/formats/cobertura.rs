//! Cobertura's XML, which many tools write: the attributes of its root, and the lines of its classes.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Found, Lines, Measure, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::counts;
use crate::coverage::syntax::xml::{self, Element};

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Found>> {
    let (mut found, mut methods) = (None, None);
    xml::walk(input, |depth, element| {
        if depth == 0 && element.is("coverage") && element.text("line-rate").is_some() {
            found = Some(totals(element));
        }
        // Lines of methods are repeated in the class, and some tools list there where a method is declared.
        methods = methods.filter(|methods| depth > *methods);
        if element.is("methods") {
            methods = methods.or(Some(depth));
        } else if methods.is_none() {
            add(element, lines);
        }
        if found.is_some() && lines.is_on() { Continue(()) } else { Break(()) }
    })?;
    Ok(found)
}

fn totals(root: &Element) -> Found {
    let lines = measure(root, "lines", "line-rate", "lines");
    // Without branches, tools write a rate of 0 or 1.
    let branches = measure(root, "branches", "branch-rate", "branches");
    lines.into_iter().chain(branches).collect()
}

fn add(element: &Element, lines: &mut Lines) {
    if element.is("class") {
        lines.file(&element.unescaped("filename").unwrap_or_default());
    } else if let (true, Some(number)) = (element.is("line"), element.number("number")) {
        let hits = element.number("hits").unwrap_or_default();
        let branches = element.text("condition-coverage").as_deref().and_then(conditions);
        let is_partly = branches.is_some_and(|(taken, total)| taken < total);
        lines.line(number, if hits > 0 && is_partly { Hit::Partly } else { Hit::of(hits) });
        if let Some((taken, total)) = branches {
            lines.branches(number, taken, total);
        }
    }
}

/// `50% (1/2)`.
fn conditions(text: &str) -> Option<(u64, u64)> {
    counts(text.split_once('(')?.1.strip_suffix(')')?)
}

/// Prefers the counts, because the rate is rounded; by coverage.py to four digits.
fn measure(root: &Element, metric: &'static str, rate: &str, counted: &str) -> Option<Measure> {
    match root.counts(&format!("{counted}-covered"), &format!("{counted}-valid")) {
        Some(counts) => Measure::counted(metric, counts, 2),
        None if metric == "branches" => None,
        None => Measure::shown(metric, Percent::from_rate(&root.text(rate)?, 2)?, None),
    }
}
