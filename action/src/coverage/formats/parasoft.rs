//! The `coverage.xml` of Parasoft C/C++test, Jtest and dotTEST: for each file, the lines with code, and those that each
//! test ran. It shows no total: that of its lines is counted, as Parasoft's plugin for Jenkins does.
//!
//! ```xml
//! <Coverage ver="2" toolDispName="C/C++test"><Locations><Loc locRef="1" uri="/app/src/calc.c"/></Locations>
//! <CoverageData type="LC"><CvgData locRef="1"><Static><StatCvg elems="7 8 9"/></Static>
//! <Dynamic><DynCvg><CtxCvg testRefs="1" elemRefs="7 8"/></DynCvg></Dynamic></CvgData></CoverageData>
//! ```

use std::collections::HashMap;
use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::{Result, ensure};

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::xml::{self, Element};

/// Bytes of all paths and their references.
const MAX_PATHS: usize = 32 << 20;

pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut is_coverage, mut source, mut failed) = (false, Source::default(), Ok(()));
    let mut all = Lines::all();
    xml::walk(input, |depth, element| {
        if depth == 0 {
            is_coverage = element.is("Coverage") && element.text("toolVer").is_some();
        } else {
            failed = source.add(element, &mut all);
        }
        if is_coverage && failed.is_ok() { Continue(()) } else { Break(()) }
    })?;
    failed?;
    if !is_coverage {
        return Ok(None);
    }
    all.finish()?;
    let found = Measure::counted("lines", all.sums(), 2).into_iter().collect();
    if lines.is_on() {
        lines.merge(all);
    }
    Ok(Some(found))
}

#[derive(Default)]
struct Source {
    /// Paths by their `locRef`.
    paths: HashMap<String, String>,
    bytes: usize,
    /// The path of the file that is read.
    path: String,
    /// Whether the kind of coverage is another than that of lines.
    is_other: bool,
}

impl Source {
    fn add(&mut self, element: &Element, lines: &mut Lines) -> Result<()> {
        match element.name() {
            "Loc" => {
                let path = element.unescaped("uri").unwrap_or_default();
                let location = element.text("locRef").unwrap_or_default();
                self.bytes += path.len() + location.len() + 2 * size_of::<String>();
                ensure!(self.bytes <= MAX_PATHS, "its paths have more than {} MB", MAX_PATHS >> 20);
                self.paths.insert(location, path);
            }
            "CoverageData" => self.is_other = element.text("type").is_some_and(|kind| kind != "LC"),
            "CvgData" => {
                let path = element.text("locRef").and_then(|location| self.paths.get(&location));
                self.path = path.filter(|_| !self.is_other).cloned().unwrap_or_default();
                lines.file(&self.path);
            }
            "StatCvg" => numbers(element, "elems").for_each(|number| lines.line(number, Hit::No)),
            "CtxCvg" => {
                // One look-up for all numbers: a path can be long, and the numbers many.
                let Some(file) = lines.get(&self.path) else { return Ok(()) };
                let has_code = |number: &u64| u32::try_from(*number).is_ok_and(|line| file.bits.get(line).is_some());
                let hit: Vec<u64> = numbers(element, "elemRefs").filter(has_code).collect();
                hit.into_iter().for_each(|number| lines.line(number, Hit::Yes));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The numbers in an attribute, with spaces between.
fn numbers(element: &Element, attribute: &str) -> impl Iterator<Item = u64> {
    let text = element.text(attribute).unwrap_or_default();
    let numbers: Vec<u64> = text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
    numbers.into_iter()
}
