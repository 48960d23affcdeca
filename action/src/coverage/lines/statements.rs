//! Lines of tools that count statements, of which a line can have several.

use super::{Hit, Lines};

/// The lines that have an invoked statement, and those that have another one.
pub struct Statements {
    invoked: Lines<'static>,
    missed: Lines<'static>,
}

impl Default for Statements {
    fn default() -> Self {
        Self { invoked: Lines::all(), missed: Lines::all() }
    }
}

impl Statements {
    /// Each line is missed until the end, so that `lines` notes what exceeds its limits.
    pub fn add(&mut self, line: u64, is_invoked: bool, path: &str, lines: &mut Lines) {
        if lines.file(path) {
            lines.line(line, Hit::No);
            let own = if is_invoked { &mut self.invoked } else { &mut self.missed };
            own.file(path);
            own.line(line, Hit::No);
        }
    }

    /// A line with both kinds of statements is hit partly.
    pub fn end(self, lines: &mut Lines) {
        for file in self.invoked.files() {
            let missed = self.missed.get(&file.path);
            lines.file(&file.path);
            for (line, _) in file.bits.iter() {
                let is_partly = missed.is_some_and(|missed| missed.bits.get(line).is_some());
                lines.line(line.into(), if is_partly { Hit::Partly } else { Hit::Yes });
            }
        }
    }
}
