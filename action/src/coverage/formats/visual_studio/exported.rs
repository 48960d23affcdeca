//! The older XML, which Visual Studio exports to `.coveragexml`: each value is an element, and the source files follow
//! all modules. A range's coverage is 0 if it is covered, 1 if it is covered partly, and 2 if it is not covered.
//!
//! ```xml
//! <Module><LinesCovered>3</LinesCovered> … <NamespaceTable><Class><Method>
//! <Lines><LnStart>7</LnStart><LnEnd>8</LnEnd><Coverage>0</Coverage><SourceFileID>1</SourceFileID></Lines>
//! <SourceFileNames><SourceFileID>1</SourceFileID><SourceFileName>C:\app\Calc.cs</SourceFileName></SourceFileNames>
//! ```

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Modules, add};
use crate::coverage::formats::{Lines, Measures};
use crate::coverage::syntax::html::unescaped;
use crate::coverage::syntax::xml::{self, Element, Node};

/// The depth of the values of modules and of source files.
const VALUE: usize = 2;
/// Bytes of a value.
const MAX_TEXT: usize = 4096;

#[derive(Default)]
struct Exported {
    is_export: bool,
    modules: Modules,
    /// The element that is open: its depth, its name, and its text.
    depth: usize,
    name: String,
    text: String,
    /// Of the current module: lines covered, covered partly and not covered; blocks covered and not covered.
    counts: [u64; 5],
    range: Range,
    file: String,
}

#[derive(Default)]
struct Range {
    file: u64,
    start: Option<u64>,
    end: u64,
    coverage: u64,
}

pub fn exported(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut export, mut failed) = (Exported::default(), Ok(()));
    xml::walk_nodes(input, |depth, node| {
        match node {
            Node::Element(element) => failed = export.element(depth, element, lines),
            Node::Text(text) if depth == export.depth + 1 && export.text.len() < MAX_TEXT => export.text.push_str(text),
            Node::Text(_) => {}
        }
        if export.is_export && failed.is_ok() { Continue(()) } else { Break(()) }
    })?;
    failed?;
    export.end_value(lines);
    export.end_module();
    export.modules.files.finish()?;
    Ok(export.is_export.then(|| export.modules.found()))
}

impl Exported {
    fn element(&mut self, depth: usize, element: &Element, lines: &mut Lines) -> Result<()> {
        self.is_export |= depth == 0 && element.is("CoverageDSPriv");
        self.end_value(lines);
        (self.depth, self.name) = (depth, element.name().to_owned());
        if lines.is_on() && matches!(element.name(), "Lines" | "Method" | "Module" | "SourceFileNames") {
            self.end_range()?;
            if !element.is("Lines") {
                self.modules.end_function(lines);
            }
        }
        if element.is("Module") {
            self.end_module();
        }
        Ok(())
    }

    /// Uses the value of the element that was open.
    fn end_value(&mut self, lines: &mut Lines) {
        let text = std::mem::take(&mut self.text);
        let number = || text.trim().parse().unwrap_or_default();
        match (self.depth == VALUE, self.name.as_str()) {
            (true, "LinesCovered") => self.counts[0] = number(),
            (true, "LinesPartiallyCovered") => self.counts[1] = number(),
            (true, "LinesNotCovered") => self.counts[2] = number(),
            (true, "BlocksCovered") => self.counts[3] = number(),
            (true, "BlocksNotCovered") => self.counts[4] = number(),
            (true, "SourceFileID") => self.file = text.trim().to_owned(),
            (true, "SourceFileName") => self.modules.source_file(&self.file, &unescaped(text.trim()), lines),
            (false, "LnStart") => self.range.start = Some(number()),
            (false, "LnEnd") => self.range.end = number(),
            (false, "Coverage") => self.range.coverage = number(),
            (false, "SourceFileID") => self.range.file = number(),
            _ => {}
        }
    }

    fn end_range(&mut self) -> Result<()> {
        let Range { file, start, end, coverage } = std::mem::take(&mut self.range);
        let Some(start) = start else { return Ok(()) };
        self.modules.range(file, (start, end), coverage < 2, coverage > 0)
    }

    fn end_module(&mut self) {
        let [covered, partly, missed, blocks, missed_blocks] = std::mem::take(&mut self.counts);
        add(&mut self.modules.lines, covered, partly.saturating_add(missed));
        add(&mut self.modules.blocks, blocks, missed_blocks);
    }
}
