//! The XML of Visual Studio's code coverage and of dotnet-coverage: the counts of the modules, and the ranges of their
//! functions. A module's source files follow its functions. The older XML is in `exported`.
//!
//! ```xml
//! <module blocks_covered="4" blocks_not_covered="2" lines_covered="3" lines_partially_covered="1" lines_not_covered="1">
//! <function><range source_id="0" start_line="7" end_line="8" covered="partial"/></function>
//! <source_file id="0" path="C:\app\Calc.cs"/>
//! ```
//!
//! A line is covered only if all of its ranges in a function are. A line of two functions is counted twice.

mod exported;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::{Result, ensure};

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::xml::{self, Element};
pub use exported::exported;

/// Lines of all ranges: a range can have any number.
const MAX_LINES: u64 = 100_000_000;
/// Lines of one function.
const MAX_FUNCTION: usize = 250_000;
/// Digits of the percentage.
const DIGITS: usize = 2;

struct Modules {
    lines: Option<(u64, u64)>,
    blocks: Option<(u64, u64)>,
    /// The lines of the source files, by their IDs, which each module has for itself.
    files: Lines<'static>,
    /// The lines of the function: the ID of their file, and whether ranges were hit and missed.
    function: BTreeMap<(u64, u64), (bool, bool)>,
    ranges: u64,
}

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
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

impl Default for Modules {
    fn default() -> Self {
        let (function, ranges) = (BTreeMap::new(), 0);
        Self { lines: None, blocks: None, files: Lines::all(), function, ranges }
    }
}

impl Modules {
    fn start(&mut self, element: &Element) {
        let partly = element.number("lines_partially_covered").unwrap_or_default();
        if let Some((covered, missed)) = element.counts("lines_covered", "lines_not_covered") {
            add(&mut self.lines, covered, missed.saturating_add(partly));
        }
        if let Some((covered, missed)) = element.counts("blocks_covered", "blocks_not_covered") {
            add(&mut self.blocks, covered, missed);
        }
    }

    fn add(&mut self, element: &Element, lines: &mut Lines) -> Result<()> {
        if element.is("functions") {
            self.files = Lines::all();
        } else if element.is("function") {
            self.end_function(lines);
        } else if element.is("range") {
            let file = element.number("source_id").unwrap_or_default();
            let covered = element.text("covered").unwrap_or_default();
            if let Some((start, end)) = element.counts("start_line", "end_line") {
                self.range(file, (start, end), covered != "no", covered != "yes")?;
            }
        } else if element.is("source_files") {
            self.end_function(lines);
            self.files.finish()?;
        } else if element.is("source_file") {
            let path = element.unescaped("path").unwrap_or_default();
            self.source_file(&element.text("id").unwrap_or_default(), &path, lines);
        }
        Ok(())
    }

    fn range(&mut self, file: u64, (start, end): (u64, u64), is_hit: bool, is_missed: bool) -> Result<()> {
        self.ranges = self.ranges.saturating_add(end.saturating_sub(start)).saturating_add(1);
        ensure!(self.ranges <= MAX_LINES, "its ranges have more than {MAX_LINES} lines");
        for line in start..=end {
            let (has_hit, has_missed) = self.function.entry((file, line)).or_default();
            *has_hit |= is_hit;
            *has_missed |= is_missed;
            ensure!(self.function.len() <= MAX_FUNCTION, "a function has more than {MAX_FUNCTION} lines");
        }
        Ok(())
    }

    fn end_function(&mut self, lines: &mut Lines) {
        let mut counts = (0, 0);
        for ((file, line), (is_hit, is_missed)) in std::mem::take(&mut self.function) {
            counts = (counts.0 + u64::from(!is_missed), counts.1 + 1);
            self.files.file(&file.to_string());
            self.files.line(line, if is_hit && is_missed { Hit::Partly } else { Hit::when(is_hit) });
        }
        if counts.1 > 0 {
            lines.count(counts.0, counts.1);
        }
    }

    fn source_file(&self, id: &str, path: &str, lines: &mut Lines) {
        let Some(file) = self.files.get(id) else { return };
        if lines.file(path) {
            file.bits.iter().for_each(|(line, hit)| lines.line(line.into(), hit));
        }
    }

    fn found(&self) -> Measures {
        let counted = |metric, counts: Option<(u64, u64)>| Measure::counted(metric, counts?, DIGITS);
        [counted("lines", self.lines), counted("blocks", self.blocks)].into_iter().flatten().collect()
    }
}

fn add(sum: &mut Option<(u64, u64)>, covered: u64, missed: u64) {
    let (one, other) = sum.unwrap_or_default();
    *sum = Some((one.saturating_add(covered), other.saturating_add(covered).saturating_add(missed)));
}
