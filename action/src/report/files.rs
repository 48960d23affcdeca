//! A report as a sorted list of files, wherever they are stored.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::zipped::Zipped;
use crate::base::text::{bytes, count};

/// The server rejects reports with more files.
pub const MAX_FILES: usize = 100_000;

/// Bytes; larger files need ZIP64 entries.
pub const MAX_FILE: u64 = u32::MAX as u64;

/// Bytes of all names: the packed report's directory may have 16 MiB, with `RECORD` bytes and a name per file.
pub const MAX_DIRECTORY: usize = 16 << 20;
pub const RECORD: usize = 46;

/// Uncompressed bytes of all files: the covered server's default limit.
pub const MAX_UNPACKED: u64 = 8 << 30;

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

/// Where a file's bytes are stored.
#[derive(Debug)]
pub enum Content {
    /// With symbolic links resolved.
    File(PathBuf),
    Zip(Zipped),
    /// A page or another file of Covered's own.
    Generated(Vec<u8>),
}

impl Report {
    /// Total size of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Number and total size, as in `3 files, 14.6 kB`.
    pub fn count_and_size(&self) -> String {
        format!("{}, {}", count(self.files.len(), "file"), bytes(self.bytes()))
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        let at = self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok()?;
        self.files.get(at)
    }

    /// Adds a file, or replaces the one of the same name.
    pub fn add(&mut self, entry: Entry) {
        match self.files.binary_search_by(|file| file.name.cmp(&entry.name)) {
            Ok(at) => self.files[at] = entry,
            Err(at) => self.files.insert(at, entry),
        }
    }

    /// Removes a folder, and a file of its name. Returns the names of the removed files.
    pub fn remove(&mut self, folder: &str) -> Vec<String> {
        let is_in = |name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let removed = self.files.extract_if(.., |file| is_in(&file.name));
        removed.map(|file| file.name).collect()
    }

    /// Whether the server accepts no further file.
    pub fn is_full(&self) -> bool {
        self.files.len() >= MAX_FILES
    }

    /// The page to open: `index.html`, else the only `index.html` one folder below (as in `lcov-report/`).
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
    /// A page or another file of Covered's own.
    pub fn generated(name: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self { name: name.to_owned(), size: content.len() as u64, content: Content::Generated(content) }
    }

    /// Reads the file from its start. In a zip, fails if the data does not match the directory.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        match &self.content {
            Content::File(path) => Ok(Box::new(File::open(path)?)),
            Content::Zip(zipped) => Ok(Box::new(zipped.open(self.size))),
            Content::Generated(bytes) => Ok(Box::new(bytes.as_slice())),
        }
    }
}
