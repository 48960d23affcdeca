//! Clover's XML, as PHPUnit, istanbul and OpenClover write it: the metrics of all projects, and the lines of their files.
//!
//! PHPUnit and istanbul count lines in `statements`, so the number has both names. As `statements`, it is not compared
//! with other tools' statements.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Found, Lines, Measure};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::xml::{self, Element};

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Found>> {
    let (mut sums, mut is_clover, mut in_project) = (None, false, false);
    xml::walk(input, |depth, element| {
        match depth {
            0 => is_clover = element.is("coverage") && element.text("line-rate").is_none(),
            1 => in_project = element.is("project"),
            // A file can have several projects.
            2 if in_project && element.is("metrics") => add_metrics(sums.get_or_insert_default(), element),
            _ if in_project && lines.is_on() => add_line(element, lines),
            _ => {}
        }
        if is_clover { Continue(()) } else { Break(()) }
    })?;
    Ok(sums.map(|sums| found(&sums)))
}

/// The metrics, and the names of their counts.
const KINDS: [(&str, &str, &str); 3] = [
    ("lines", "coveredstatements", "statements"),
    ("branches", "coveredconditionals", "conditionals"),
    ("functions", "coveredmethods", "methods"),
];

type Sums = [(u64, u64); KINDS.len()];

fn add_metrics(sums: &mut Sums, element: &Element) {
    for ((covered_sum, total_sum), (_, covered, total)) in sums.iter_mut().zip(KINDS) {
        if let Some((covered, total)) = element.counts(covered, total) {
            *covered_sum = covered_sum.saturating_add(covered);
            *total_sum = total_sum.saturating_add(total);
        }
    }
}

fn found(sums: &Sums) -> Found {
    let measures = sums.iter().zip(KINDS).filter_map(|(sum, (metric, ..))| Measure::counted(metric, *sum, 2));
    let statements = Measure::counted("statements", sums[0], 2).map(Measure::only_on_request);
    measures.chain(statements).collect()
}

fn add_line(element: &Element, lines: &mut Lines) {
    if element.is("file") {
        let path = element.unescaped("path").or_else(|| element.unescaped("name"));
        lines.file(&path.unwrap_or_default());
    } else if element.is("line") && element.text("type").is_none_or(|kind| kind != "method") {
        let (Some(number), Some(hits)) = (element.number("num"), element.number("count")) else { return };
        // istanbul counts here the branches that were taken, and those that were not.
        let branches = element.number("truecount").zip(element.number("falsecount"));
        let is_partly = branches.is_some_and(|(_, missed)| missed > 0);
        lines.line(number, if hits > 0 && is_partly { Hit::Partly } else { Hit::of(hits) });
        if let Some((taken, missed)) = branches {
            lines.branches(number, taken, taken.saturating_add(missed));
        }
    }
}
