//! Writes the lines of a report in a format that other tools read.

mod cobertura;
mod lcov;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{PathBuf, absolute};

use super::lines::Lines;

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
    /// `FORMAT:FILE`, several by commas.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let exports: Vec<Self> = parts.map(Self::parse).collect::<Result<_, _>>()?;
        // `./a` is `a`.
        let file = |export: &Self| absolute(&export.path).unwrap_or_else(|_| PathBuf::from(&export.path));
        let mut paths: Vec<_> = exports.iter().map(|export| (file(export), export.path.as_str())).collect();
        paths.sort_unstable();
        match paths.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!("names the file `{}` twice: give each format a file of its own", pair[1].1)),
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
