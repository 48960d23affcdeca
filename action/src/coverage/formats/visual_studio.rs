//! The XML of Visual Studio's code coverage and of dotnet-coverage: the counts of the modules, and the ranges of their
//! functions. A module's source files follow its functions.
//!
//! ```xml
//! <module blocks_covered="4" blocks_not_covered="2" lines_covered="3" lines_partially_covered="1" lines_not_covered="1">
//! <function><range source_id="0" start_line="7" end_line="8" covered="partial"/></function>
//! <source_file id="0" path="C:\app\Calc.cs"/>
//! ```
//!
//! A line is covered only if all of its ranges in a function are. A line of two functions is counted twice.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::{Result, ensure};

use super::{Found, Lines, Measure};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::xml::{self, Element};

/// Lines of all ranges: a range can have any number.
const MAX_LINES: u64 = 100_000_000;
/// Lines of one function.
const MAX_FUNCTION: usize = 250_000;
/// Digits of the percentage.
const DIGITS: usize = 2;

#[derive(Default)]
struct Modules {
    lines: Option<(u64, u64)>,
    blocks: Option<(u64, u64)>,
    /// The lines of the module's source files, by their IDs.
    module: Lines<'static>,
    /// The lines of the function: the ID of their file, and whether ranges were hit and missed.
    function: BTreeMap<(u64, u64), (bool, bool)>,
    ranges: u64,
}

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Found>> {
    let (mut modules, mut is_results, mut failed) = (Modules::default(), false, Ok(()));
    xml::walk(input, |depth, element| {
        is_results |= depth == 0 && element.is("results");
        if element.is("module") {
            modules.start(element);
        } else if lines.is_on() {
            failed = modules.add(element, lines);
        }
        if is_results && failed.is_ok() { Continue(()) } else { Break(()) }
    })?;
    failed?;
    modules.end_function(lines);
    Ok(is_results.then(|| modules.found()))
}

impl Modules {
    fn start(&mut self, element: &Element) {
        let count = |name| element.number(name);
        let lines = || Some((count("lines_covered")?, count("lines_partially_covered")?, count("lines_not_covered")?));
        if let Some((covered, partly, missed)) = lines() {
            add(&mut self.lines, (covered, covered.saturating_add(partly).saturating_add(missed)));
        }
        if let Some((covered, missed)) = element.counts("blocks_covered", "blocks_not_covered") {
            add(&mut self.blocks, (covered, covered.saturating_add(missed)));
        }
    }

    fn add(&mut self, element: &Element, lines: &mut Lines) -> Result<()> {
        if element.is("functions") {
            self.module = Lines::all();
        } else if element.is("function") {
            self.end_function(lines);
        } else if element.is("range") {
            self.range(element)?;
        } else if element.is("source_files") {
            self.end_function(lines);
            self.module.finish()?;
        } else if element.is("source_file") {
            self.source_file(element, lines);
        }
        Ok(())
    }

    fn range(&mut self, element: &Element) -> Result<()> {
        let Some((start, end)) = element.counts("start_line", "end_line") else { return Ok(()) };
        self.ranges = self.ranges.saturating_add(end.saturating_sub(start)).saturating_add(1);
        ensure!(self.ranges <= MAX_LINES, "its ranges have more than {MAX_LINES} lines");
        let file = element.number("source_id").unwrap_or_default();
        let covered = element.text("covered").unwrap_or_default();
        for line in start..=end {
            let (is_hit, is_missed) = self.function.entry((file, line)).or_default();
            *is_hit |= covered != "no";
            *is_missed |= covered != "yes";
            ensure!(self.function.len() <= MAX_FUNCTION, "a function has more than {MAX_FUNCTION} lines");
        }
        Ok(())
    }

    fn end_function(&mut self, lines: &mut Lines) {
        let mut counts = (0, 0);
        for ((file, line), (is_hit, is_missed)) in std::mem::take(&mut self.function) {
            counts = (counts.0 + u64::from(!is_missed), counts.1 + 1);
            self.module.file(&file.to_string());
            self.module.line(line, if is_hit && is_missed { Hit::Partly } else { Hit::when(is_hit) });
        }
        if counts.1 > 0 {
            lines.count(counts.0, counts.1);
        }
    }

    fn source_file(&mut self, element: &Element, lines: &mut Lines) {
        let path = element.unescaped("path").unwrap_or_default();
        let Some(file) = element.text("id").and_then(|id| self.module.get(&id)) else { return };
        if lines.file(&path) {
            file.bits.iter().for_each(|(line, hit)| lines.line(line.into(), hit));
        }
    }

    fn found(&self) -> Found {
        let counted = |metric, counts: Option<(u64, u64)>| Measure::counted(metric, counts?, DIGITS);
        [counted("lines", self.lines), counted("blocks", self.blocks)].into_iter().flatten().collect()
    }
}

fn add(sum: &mut Option<(u64, u64)>, (covered, total): (u64, u64)) {
    let (one, other) = sum.unwrap_or_default();
    *sum = Some((one.saturating_add(covered), other.saturating_add(total)));
}
