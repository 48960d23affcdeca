//! The files of a report, wherever they lie: what looks for the total and what packs them read them from here.

mod external_hosts;
mod folder;
mod zip;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

pub use external_hosts::note as external_hosts;
pub use folder::walk;
pub use zip::{Zipped, unzip};

/// The server refuses reports of more files.
const MAX_FILES: usize = 100_000;

/// Bytes: a zip's plain entries end there.
const MAX_FILE: u64 = u32::MAX as u64;

#[derive(Debug, Default)]
pub struct Report {
    /// Sorted by name.
    pub files: Vec<Entry>,
}

#[derive(Debug)]
pub struct Entry {
    /// Relative to the report, with `/` on every system.
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub content: Content,
}

/// Where a file's bytes are.
#[derive(Debug)]
pub enum Content {
    /// Behind any symbolic link.
    File(PathBuf),
    Zip(Zipped),
}

impl Report {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        let at = self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok()?;
        self.files.get(at)
    }

    /// The page to open: `index.html`, else that of the one folder directly below that has one (`lcov-report/`).
    pub fn index(&self) -> Option<&str> {
        let has_index = |name: &&str| name.split_once('/').map_or(*name, |(_, rest)| rest) == "index.html";
        let indexes: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).filter(has_index).collect();
        match indexes[..] {
            [only] => Some(only),
            _ => indexes.into_iter().find(|name| *name == "index.html"),
        }
    }
}

impl Entry {
    /// The file's bytes, from their start. What is not as a zip says it is ends them with an error.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        match &self.content {
            Content::File(path) => Ok(Box::new(File::open(path)?)),
            Content::Zip(zipped) => Ok(Box::new(zipped.open(self.size))),
        }
    }
}
