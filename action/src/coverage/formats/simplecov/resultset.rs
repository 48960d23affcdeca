//! `.resultset.json`: the results of all test commands, which SimpleCov merges by line.
//!
//! ```json
//! {"RSpec": {"coverage": {"/src/calc.rb": {"lines": [1, null, 0],
//!                                          "branches": {"[:if, 0, 2, 2, 4, 5]": {"[:then, 1, 3, 4, 3, 13]": 1}}}},
//!            "timestamp": 1795897531}}
//! ```
//!
//! Before 0.18, a file is the list of its lines. Comments such as `:nocov:` are not applied yet: where there are any,
//! these lines do not add up to the page's total.

mod branches;

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use branches::{Branch, Branches};

use super::{Lines, Measures, add};
use crate::coverage::syntax::json::{self, Hits, List};

/// Bytes of all lines and branches in memory.
const MAX_BYTES: usize = 64 << 20;
const TIMESTAMP: &str = "?/timestamp";

/// The kinds of entries that a line has in all commands.
const HIT: u8 = 1;
const MISSED: u8 = 2;
const NEVER: u8 = 4;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts {
    lines: List<Hits>,
    branches: Branches,
}

/// A file in one command.
struct File(Parts);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = File;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lines of a file")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<File, A::Error> {
        let lines = List::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(File(Parts { lines, ..Parts::default() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<File, A::Error> {
        Parts::deserialize(MapAccessDeserializer::new(map)).map(File)
    }

    /// Another tool's file may have a number or a text here.
    fn visit_unit<E: Error>(self) -> Result<File, E> {
        Ok(File(Parts::default()))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<File, E> {
        self.visit_unit()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<File, E> {
        self.visit_unit()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<File, E> {
        self.visit_unit()
    }
}

/// A file in all commands.
#[derive(Default)]
struct Merged {
    is_known: bool,
    marks: Vec<u8>,
    /// By the hash of their names: the line, and whether the branch is taken.
    branches: HashMap<u64, (u64, bool)>,
}

impl Merged {
    fn add(&mut self, file: Parts) {
        let hits = file.lines.0;
        let length = self.marks.len().max(hits.len());
        // A line that one command lists and another does not.
        let padding = if self.is_known { NEVER } else { 0 };
        self.marks.resize(length, padding);
        for (at, mark) in self.marks.iter_mut().enumerate() {
            *mark |= match hits.get(at).and_then(|hits| hits.0) {
                Some(true) => HIT,
                Some(false) => MISSED,
                None => NEVER,
            };
        }
        self.is_known = true;
        for Branch { name, line, is_taken } in file.branches.0 {
            self.branches.entry(name).or_insert((line, false)).1 |= is_taken;
        }
    }

    fn bytes(&self) -> usize {
        self.marks.len() + self.branches.len() * size_of::<(u64, (u64, bool))>()
    }

    /// Up to 0.22, a line that one command does not count and another does not hit is not counted.
    fn add_to(self, lines: &mut Lines, is_old: bool) {
        let is_counted = |mark: u8| mark & HIT != 0 || mark & MISSED != 0 && !(is_old && mark & NEVER != 0);
        let marks = (1..).zip(self.marks).filter(|(_, mark)| is_counted(*mark));
        add(lines, marks.map(|(number, mark)| (number, mark & HIT != 0)), self.branches.into_values().collect());
    }
}

/// Only the lines: no total is shown.
pub fn read(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    if !lines.is_on() {
        return Ok(None);
    }
    let (mut files, mut bytes) = (HashMap::<String, Merged>::new(), 0);
    let mut each = |path: &str, File(file): File| {
        if bytes <= MAX_BYTES && lines.file(path) {
            let merged = files.entry(path.to_owned()).or_default();
            let before = merged.bytes();
            merged.add(file);
            bytes += merged.bytes() - before;
        }
    };
    let values = json::read_entries(input, &[TIMESTAMP], "?/coverage", &mut each)?;
    ensure!(bytes <= MAX_BYTES, "its lines need more than {} MB", MAX_BYTES >> 20);
    if values.float(TIMESTAMP).is_none() {
        return Ok(None);
    }
    // Since 1.0, the timestamp has fractions.
    let is_old = values.count(TIMESTAMP).is_some();
    for (path, merged) in files {
        lines.file(&path);
        merged.add_to(lines, is_old);
    }
    Ok(Some(Vec::new()))
}
