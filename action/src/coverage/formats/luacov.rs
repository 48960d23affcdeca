//! LuaCov: `luacov.report.out`, a text with all source files and a summary.
//!
//! ```text
//! ==============================================================================
//! test.lua
//! ==============================================================================
//!  1 if 10 > 100 then
//! *0    local msg = "I don't think this line will execute."
//!    else
//! ```
//!
//! The numbers of all files end at one column. A line without a number has more spaces than these before its text.

use std::io::{BufRead, Read};

use anyhow::{Result, bail, ensure};

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::percent;

/// Bytes to read of one line.
const MAX_LINE: u64 = 64 << 10;
/// Lines with a number.
const MAX_MARKS: usize = 8 << 20;
/// Source files, and bytes of their paths.
const MAX_FILES: usize = 1 << 20;
const MAX_PATHS: usize = 32 << 20;
/// The line above and below a title.
const RULE: &str = "==============================================================================";

pub fn report(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut text, mut sources) = (String::new(), Sources::default());
    if !next(input, &mut text)? || text != RULE {
        return Ok(None);
    }
    loop {
        ensure!(next(input, &mut text)?, "the file is truncated: it has no summary");
        let title = std::mem::take(&mut text);
        if !next(input, &mut text)? || text != RULE {
            return Ok(None);
        }
        if title == "Summary" {
            break;
        }
        sources.start(title)?;
        let mut number = 0;
        while next(input, &mut text)? && text != RULE {
            number += 1;
            if lines.is_on() {
                sources.add(number, &text)?;
            }
        }
    }
    sources.add_to(lines);
    summary(input, &mut text, lines).map(Some)
}

/// Reads a line, without its end. Only the start of a long one is kept.
fn next(input: &mut dyn BufRead, line: &mut String) -> Result<bool> {
    let mut bytes = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.len() as u64 == MAX_LINE && !bytes.ends_with(b"\n") {
        input.skip_until(b'\n')?;
    }
    let has_line = !bytes.is_empty();
    *line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
    Ok(has_line)
}

/// A line with a number: its file, its own number, and whether it ran.
type Mark = (u32, u32, bool);

#[derive(Default)]
struct Sources {
    paths: Vec<String>,
    bytes: usize,
    marks: Vec<Mark>,
    /// Where the numbers end.
    column: Option<usize>,
}

impl Sources {
    fn start(&mut self, path: String) -> Result<()> {
        self.bytes += path.len();
        ensure!(self.bytes <= MAX_PATHS && self.paths.len() < MAX_FILES, "it has too many source files");
        self.paths.push(path);
        Ok(())
    }

    /// What seems to end at a later column is source text; what seemed so before an earlier one was.
    fn add(&mut self, number: u32, text: &str) -> Result<()> {
        let Some((column, is_hit)) = mark(text).filter(|(column, _)| self.column.is_none_or(|known| *column <= known))
        else {
            return Ok(());
        };
        if self.column.replace(column) != Some(column) {
            self.marks.clear();
        }
        self.marks.push((self.paths.len() as u32 - 1, number, is_hit));
        ensure!(self.marks.len() <= MAX_MARKS, "it has more than {MAX_MARKS} lines with a number");
        Ok(())
    }

    fn add_to(&self, lines: &mut Lines) {
        for marks in self.marks.chunk_by(|one, other| one.0 == other.0) {
            lines.file(&self.paths[marks[0].0 as usize]);
            marks.iter().for_each(|(_, number, is_hit)| lines.line((*number).into(), Hit::when(*is_hit)));
        }
    }
}

/// The column where the number at the start ends, and whether the line ran: ` 12 text` or `**0 text`.
fn mark(text: &str) -> Option<(usize, bool)> {
    let number = text.trim_start_matches(' ').split(' ').next()?;
    let column = text.len() - text.trim_start_matches(' ').len() + number.len();
    let digits = number.trim_start_matches('*');
    let is_missed = digits == "0" && number.len() > 1 && text.starts_with('*');
    let is_hit = number == digits && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_text = text.as_bytes().get(column) == Some(&b' ');
    (has_text && (is_missed || is_hit && text.starts_with(' '))).then_some((column, is_hit))
}

/// The table at the end: a heading, the files, and the total, with lines between them.
fn summary(input: &mut dyn BufRead, text: &mut String, lines: &mut Lines) -> Result<Measures> {
    let mut dashes = 0;
    while next(input, text)? {
        if !text.is_empty() && text.bytes().all(|byte| byte == b'-') {
            dashes += 1;
        } else if let (1.., Some((path, shown, (covered, total)))) = (dashes, row(text)) {
            if dashes == 1 {
                lines.file(path);
                lines.shown(covered, total);
            } else {
                return Ok(Measure::shown("lines", shown, Some((covered, total))).into_iter().collect());
            }
        }
    }
    bail!("the file is truncated: its summary has no total")
}

/// `test.lua 2    1      66.67%`.
fn row(text: &str) -> Option<(&str, super::Percent, (u64, u64))> {
    let last = |text: &'_ str| text.trim_end().rsplit_once(' ').map(|(rest, last)| (rest.len(), last.to_owned()));
    let (end, shown) = last(text)?;
    let (end, missed) = last(&text[..end])?;
    let (end, hits) = last(&text[..end])?;
    let (hits, missed): (u64, u64) = (hits.parse().ok()?, missed.parse().ok()?);
    Some((text[..end].trim_end(), percent(&shown)?, (hits, hits.checked_add(missed)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_the_text_is_no_count() {
        assert_eq!(mark(" 1 text"), Some((2, true)));
        assert_eq!(mark("  12 text"), Some((4, true)));
        assert_eq!(mark("**0 text"), Some((3, false)));
        assert_eq!(mark(" 1 "), Some((2, true)));
        for text in ["", " ", "1 text", " x", " 1", "0 text", "*1 text", " *0 text", "* text", " 1x text"] {
            assert_eq!(mark(text), None, "{text}");
        }
    }

    #[test]
    fn a_row_has_the_lines_that_ran_and_all() {
        let (path, shown, counts) = row("my test.lua 2    1      66.67%").unwrap();
        assert_eq!((path, shown.to_string().as_str(), counts), ("my test.lua", "66.67", (2, 3)));
        assert!(row("File     Hits Missed Coverage").is_none() && row("").is_none() && row("2 1 66.67%").is_none());
    }
}
