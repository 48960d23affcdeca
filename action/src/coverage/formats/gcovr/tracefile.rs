//! `gcovr --json`: the lines of each source file. It has no counts: they are those of its lines,
//! of which a C++ template has one for each function.
//!
//! ```json
//! {"gcovr/format_version": "0.14", "files": [{"file": "src/calc.c", "lines": [
//!   {"line_number": 6, "count": 1, "branches": [{"count": 0}, {"count": 1, "gcovr/excluded": true}]},
//!   {"line_number": 8, "count": 0, "branches": [], "gcovr/excluded": true}]}]}
//! ```

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::{Hit, Lines, Measure, Measures};
use crate::coverage::syntax::json::{self, Hits, List};

const VERSION: &str = "gcovr/format_version";

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    file: String,
    lines: List<Line>,
}

/// A line of a file; in C++, of each function made from a template.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    line_number: u32,
    count: Hits,
    branches: List<Branch>,
    #[serde(rename = "gcovr/excluded")]
    is_excluded: bool,
    /// Before 6.0.
    #[serde(rename = "gcovr/noncode")]
    is_no_code: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Branch {
    count: Hits,
    #[serde(rename = "gcovr/excluded")]
    is_excluded: bool,
}

pub fn read(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let mut all = Lines::all();
    let mut add = |_: &str, file: File| {
        all.file(&file.file);
        file.lines.0.into_iter().for_each(|line| line.add_to(&mut all));
    };
    let values = json::read_entries(input, &[VERSION], "files", &mut add)?;
    if values.text(VERSION).is_none() && values.float(VERSION).is_none() {
        return Ok(None);
    }
    all.finish()?;
    let found = Measure::counted("lines", all.counted(), 1).into_iter().collect();
    if lines.is_on() {
        lines.merge(all);
    }
    Ok(Some(found))
}

impl Line {
    fn add_to(self, lines: &mut Lines) {
        let Some(is_hit) = self.count.0.filter(|_| !self.is_excluded && !self.is_no_code) else { return };
        lines.line(self.line_number.into(), Hit::when(is_hit));
        lines.count(is_hit.into(), 1);
        let branches =
            || self.branches.0.iter().filter(|branch| !branch.is_excluded).filter_map(|branch| branch.count.0);
        if branches().next().is_some() {
            let taken = branches().filter(|is_taken| *is_taken).count() as u64;
            lines.branches(self.line_number.into(), taken, branches().count() as u64);
        }
    }
}
