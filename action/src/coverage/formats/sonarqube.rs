//! SonarQube's generic coverage in XML, as JMockit and ReportGenerator write it. It shows no total: that of its lines is
//! counted.
//!
//! ```xml
//! <coverage version="1"><file path="src/calc/Calc.java">
//! <lineToCover lineNumber="6" covered="true" branchesToCover="8" coveredBranches="7"/>
//! ```

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::xml::{self, Element};

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut is_coverage, mut counts) = (false, (0u64, 0u64));
    xml::walk(input, |depth, element| {
        if depth == 0 {
            is_coverage = element.is("coverage") && element.text("version").is_some_and(|version| version == "1");
        } else if depth == 1 && element.is("file") {
            lines.file(&element.unescaped("path").unwrap_or_default());
        } else if depth == 1 {
            is_coverage = false;
        } else if let Some(is_covered) = add(element, lines) {
            counts = (counts.0 + u64::from(is_covered), counts.1 + 1);
        }
        if is_coverage { Continue(()) } else { Break(()) }
    })?;
    Ok(is_coverage.then(|| Measure::counted("lines", counts, 2).into_iter().collect()))
}

fn add(element: &Element, lines: &mut Lines) -> Option<bool> {
    let number = element.number("lineNumber").filter(|_| element.is("lineToCover"))?;
    let is_covered = element.text("covered")? == "true";
    let branches = element.counts("coveredBranches", "branchesToCover");
    let is_partly = branches.is_some_and(|(taken, total)| taken < total);
    lines.line(number, if is_covered && is_partly { Hit::Partly } else { Hit::when(is_covered) });
    if let Some((taken, total)) = branches {
        lines.branches(number, taken, total);
    }
    Some(is_covered)
}
