//! Opens the files of a report as text: within limits, and in any encoding that tools write.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{MAIN_SEPARATOR, Path};

use anyhow::{Context, Result, ensure};

use super::formats::{FORMATS, Format};
use super::syntax::encoding::decoded;
use super::syntax::json::top_keys;
use crate::base::deadline::Deadline;
use crate::report::Report;

/// Bytes to read of a page. The largest known index has 2.8 MB, but some tools put all sources on one page.
pub const MAX_PAGE: u64 = 64 << 20;

/// Bytes of the start of a page, which names the source file.
const HEAD: u64 = 6 << 10;

/// Where to look up a file name.
#[derive(Clone, Copy)]
pub enum FileSource<'a> {
    Inside(&'a Report),
    /// The working directory.
    Outside,
}

impl<'a> FileSource<'a> {
    /// Where the user's file is: in the working directory, or else in the report.
    pub fn of(report: &'a Report, name: &str) -> Self {
        let is_inside = report.get(name).is_some() && !Path::new(name).is_file();
        if is_inside { Self::Inside(report) } else { Self::Outside }
    }

    fn open(self, name: &str) -> Result<Box<dyn Read + 'a>> {
        match self {
            Self::Inside(report) => Ok(report.get(name).context("it does not exist")?.open()?),
            Self::Outside => Ok(Box::new(File::open(name)?)),
        }
    }

    /// The text of a page. Bytes that are not text are replaced.
    pub fn text(self, name: &str) -> Result<String> {
        Ok(self.text_if(name, |_| true)?.unwrap_or_default())
    }

    /// Like `text`, but reads only the start of a page that is not needed.
    pub fn text_if(self, name: &str, is_needed: impl FnOnce(&str) -> bool) -> Result<Option<String>> {
        let mut bytes = Vec::with_capacity(HEAD as usize);
        let mut input = decoded(BufReader::new(self.open(name)?))?.take(HEAD);
        input.read_to_end(&mut bytes)?;
        if !is_needed(bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())) {
            return Ok(None);
        }
        input.set_limit(MAX_PAGE - bytes.len() as u64);
        input.read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes);
        Ok(Some(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())))
    }

    /// Calls `read` with a file, of which at most `left` bytes are read.
    pub fn read<T>(
        self,
        name: &str,
        left: &mut u64,
        deadline: Deadline,
        read: impl FnOnce(&mut dyn BufRead) -> Result<T>,
    ) -> Result<T> {
        let input = deadline.read(self.open(name).context("it cannot be opened")?);
        let mut input = decoded(BufReader::with_capacity(BUFFER, input))?.take(*left);
        let found = read(&mut input);
        *left = input.limit();
        ensure!(*left > 0, "it exceeds the size limit");
        found
    }
}

/// The keys at the top of JSON files. A large file is parsed once for all formats that it does not have.
#[derive(Default)]
pub struct TopKeys(HashMap<String, Option<Vec<&'static str>>>);

impl TopKeys {
    /// Whether a file may have a format.
    pub fn fit(
        &mut self,
        format: &Format,
        name: &str,
        from: FileSource,
        left: &mut u64,
        deadline: Deadline,
    ) -> Result<bool> {
        if !format.is_json() {
            return Ok(true);
        }
        if !self.0.contains_key(name) {
            let known: Vec<_> = FORMATS.iter().flat_map(|format| format.keys).copied().collect();
            let keys = from.read(name, left, deadline, |input| top_keys(input, &known))?;
            self.0.insert(name.to_owned(), keys);
        }
        let is_known = |keys: &Vec<_>| format.keys.is_empty() || keys.iter().any(|key| format.keys.contains(key));
        Ok(self.0[name].as_ref().is_some_and(is_known))
    }
}

/// Bytes to read at once.
const BUFFER: usize = 64 << 10;

/// The path of another file in the same folder.
pub fn sibling(name: &str, other: &str) -> String {
    let folder = name.rfind(['/', MAIN_SEPARATOR]).map_or("", |end| &name[..=end]);
    format!("{folder}{other}")
}
