//! Clover's XML, as PHPUnit, istanbul and OpenClover write it: the metrics of all projects, and the lines of their files.
//!
//! PHPUnit and istanbul count lines in `statements`, so the number has both names. As `statements`, it is not compared
//! with other tools' statements.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::xml::{self, Element};

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut sums, mut is_clover, mut in_project) = (None, false, false);
    let (mut line, mut has_methods) = (Line::default(), false);
    xml::walk(input, |depth, element| {
        match depth {
            0 => {
                is_clover = element.is("coverage") && element.text("line-rate").is_none();
                // PHPUnit's methods are no lines; OpenClover shows them as such, but does not count them as statements.
                has_methods = element.text("clover").is_some();
            }
            1 => in_project = element.is("project"),
            // A file can have several projects.
            2 if in_project && element.is("metrics") => add_metrics(sums.get_or_insert_default(), element),
            _ if in_project && lines.is_on() => line.add(element, has_methods, lines),
            _ => {}
        }
        if is_clover { Continue(()) } else { Break(()) }
    })?;
    line.end(lines);
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

fn found(sums: &Sums) -> Measures {
    let measures = sums.iter().zip(KINDS).filter_map(|(sum, (metric, ..))| Measure::counted(metric, *sum, 2));
    let statements = Measure::counted("statements", sums[0], 2).map(Measure::only_on_request);
    measures.chain(statements).collect()
}

/// The entries of one line, which follow each other: statements, and in OpenClover also conditions.
#[derive(Default)]
struct Line {
    number: u64,
    is_hit: bool,
    is_missed: bool,
    taken: u64,
    branches: u64,
}

impl Line {
    fn add(&mut self, element: &Element, has_methods: bool, lines: &mut Lines) {
        if element.is("file") {
            self.end(lines);
            let path = element.unescaped("path").or_else(|| element.unescaped("name"));
            lines.file(&path.unwrap_or_default());
        } else if let (true, Some(number)) = (element.is("line"), element.number("num")) {
            let is_method = element.text("type").is_some_and(|kind| kind == "method");
            if is_method && !has_methods {
                return;
            }
            if number != self.number {
                self.end(lines);
                self.number = number;
            }
            self.entry(element, is_method, lines);
        }
    }

    fn entry(&mut self, element: &Element, is_method: bool, lines: &mut Lines) {
        let sides = element.number("truecount").zip(element.number("falsecount"));
        match (element.number("count"), sides) {
            (Some(hits), branches) => {
                // OpenClover counts each statement of a line.
                if !is_method {
                    lines.count(u64::from(hits > 0), 1);
                }
                self.is_hit |= hits > 0;
                // istanbul counts here the branches that were taken, and those that were not.
                let (taken, missed) = branches.unwrap_or_default();
                self.is_missed |= hits == 0 || missed > 0;
                self.add_branches(taken, taken.saturating_add(missed));
            }
            // How often OpenClover's condition was true, and false.
            (None, Some((yes, no))) => {
                let taken = u64::from(yes > 0) + u64::from(no > 0);
                self.is_hit |= taken > 0;
                self.is_missed |= taken < 2;
                self.add_branches(taken, 2);
            }
            (None, None) => {}
        }
    }

    fn add_branches(&mut self, taken: u64, branches: u64) {
        (self.taken, self.branches) = (self.taken.saturating_add(taken), self.branches.saturating_add(branches));
    }

    fn end(&mut self, lines: &mut Lines) {
        let Self { number, is_hit, is_missed, taken, branches } = std::mem::take(self);
        if is_hit || is_missed {
            lines.line(number, if is_hit && is_missed { Hit::Partly } else { Hit::when(is_hit) });
        }
        if branches > 0 {
            lines.branches(number, taken, branches);
        }
    }
}
