//! Writes the lines of a report in a format that other tools read.

mod cobertura;
mod lcov;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::absolute;

use super::lines::Lines;
use crate::base::pattern::split_list;

type Writer = fn(&Lines, &mut dyn Write) -> io::Result<()>;

const WRITERS: &[(&str, Writer)] = &[("lcov", lcov::write), ("cobertura", cobertura::write)];

/// A file to write, and its format.
#[derive(Clone, Debug)]
pub struct Export {
    pub format: &'static str,
    pub path: String,
    write: Writer,
}

impl Export {
    /// `FORMAT:FILE`, several by commas or line breaks.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let exports: Vec<Self> = split_list(text).map(Self::parse).collect::<Result<_, _>>()?;
        let mut paths = HashSet::new();
        match exports.iter().find(|export| !paths.insert(absolute(&export.path).ok())) {
            Some(twice) => Err(format!("names the file `{}` twice: give each format a file of its own", twice.path)),
            None => Ok(exports),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once(':').unwrap_or((text, ""));
        let writer = WRITERS.iter().find(|(format, _)| *format == name.trim());
        let (format, write) = writer.ok_or_else(|| {
            let known: Vec<&str> = WRITERS.iter().map(|(format, _)| *format).collect();
            format!("must be FORMAT:FILE with one of the formats {}, not `{text}`", known.join(", "))
        })?;
        let path = path.trim().to_owned();
        if path.is_empty() {
            return Err(format!("has no file for {format}: write {format}:FILE"));
        }
        Ok(Self { format, path, write: *write })
    }

    pub fn write(&self, lines: &Lines, to: &mut dyn Write) -> io::Result<()> {
        (self.write)(lines, to)
    }
}
