//! dotCover's XML and JSON, which count statements. Only the XML of the type `DetailedXML` has their lines.
//!
//! ```xml
//! <Root CoveredStatements="163" TotalStatements="234" CoveragePercent="70" ReportType="DetailedXml" DotCoverVersion="2023.3">
//! <File Index="1" Name="C:\app\Calc.cs"/>
//! <Statement FileIndex="1" Line="7" Column="9" EndLine="8" EndColumn="31" Covered="True"/>
//! ```

use std::collections::HashMap;
use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::{Result, ensure};

use super::{Lines, Measure, Measures, Percent};
use crate::coverage::lines::Statements;
use crate::coverage::syntax::json;
use crate::coverage::syntax::xml::{self, Element};

/// Lines of all statements: one can have any number.
const MAX_LINES: u64 = 20_000_000;
/// Source files, and bytes of a path.
const MAX_FILES: usize = 100_000;
const MAX_PATH: usize = 4096;

pub fn json(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Measures>> {
    let values = json::read(input, &["DotCoverVersion", "CoveragePercent", "CoveredStatements", "TotalStatements"])?;
    let is_report = values.text("DotCoverVersion").is_some();
    let shown = values.percent("CoveragePercent");
    Ok(is_report.then(|| found(shown, values.counts("CoveredStatements", "TotalStatements"))))
}

fn found(shown: Option<Percent>, counts: Option<(u64, u64)>) -> Measures {
    shown.and_then(|shown| Measure::shown("statements", shown, counts)).into_iter().collect()
}

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut total, mut source, mut failed) = (None, Source::default(), Ok(()));
    xml::walk(input, |depth, element| {
        if depth == 0 && element.is("Root") && element.text("DotCoverVersion").is_some() {
            let shown = element.text("CoveragePercent").as_deref().and_then(Percent::parse);
            total = Some(found(shown, element.counts("CoveredStatements", "TotalStatements")));
        } else if lines.is_on() {
            failed = source.add(element, lines);
        }
        if total.is_some() && lines.is_on() && failed.is_ok() { Continue(()) } else { Break(()) }
    })?;
    failed?;
    source.statements.end(lines);
    Ok(total)
}

#[derive(Default)]
struct Source {
    paths: HashMap<u64, String>,
    statements: Statements,
    lines: u64,
}

impl Source {
    fn add(&mut self, element: &Element, lines: &mut Lines) -> Result<()> {
        if let (true, Some(index)) = (element.is("File"), element.number("Index")) {
            let path = element.unescaped("Name").unwrap_or_default();
            ensure!(path.len() <= MAX_PATH, "it has a path of more than {MAX_PATH} bytes");
            self.paths.insert(index, path);
            ensure!(self.paths.len() <= MAX_FILES, "it has more than {MAX_FILES} files");
        } else if element.is("Statement") {
            self.statement(element, lines)?;
        }
        Ok(())
    }

    fn statement(&mut self, element: &Element, lines: &mut Lines) -> Result<()> {
        let path = element.number("FileIndex").and_then(|index| self.paths.get(&index));
        let (Some(path), Some((start, end))) = (path, element.counts("Line", "EndLine")) else { return Ok(()) };
        self.lines = self.lines.saturating_add(end.saturating_sub(start)).saturating_add(1);
        ensure!(self.lines <= MAX_LINES, "its statements have more than {MAX_LINES} lines");
        let is_covered = element.text("Covered").is_some_and(|covered| covered == "True");
        (start..=end).for_each(|line| self.statements.add(line, is_covered, path, lines));
        Ok(())
    }
}
