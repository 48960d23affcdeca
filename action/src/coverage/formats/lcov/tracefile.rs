//! Tracefiles. `DA` lines are counted, as lcov and genhtml do: `LF` and `LH` can contradict them. Records of one source
//! file add up by line.
//!
//! ```text
//! SF:src/a.c
//! DA:12,4
//! BRDA:12,0,1,-
//! end_of_record
//! ```

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::BufRead;
use std::ops::ControlFlow;

use anyhow::{Result, ensure};

use crate::coverage::lines::{Hit, Lines};
use crate::coverage::measure::{Measure, Measures};
use crate::coverage::syntax::text;

/// Lines, and branches, of one record.
const MAX_RECORD: usize = 1_000_000;

/// Covered and total counts.
type Sum = (u64, u64);

/// One record: a source file, or a part of it.
#[derive(Default)]
struct Record {
    /// Line numbers, and whether they are hit.
    lines: Vec<(u64, bool)>,
    /// Line numbers, and whether a branch is taken.
    branches: Vec<(u64, bool)>,
    line_sum: Sum,
    branch_sum: Sum,
    function_sum: Sum,
}

/// The sums of all records, as the file itself states them.
#[derive(Default)]
struct Sums {
    records: u64,
    /// Of records without lines.
    lines: Sum,
    branches: Sum,
    functions: Sum,
    /// Branches and functions of a file in several records cannot be added.
    has_repeated_file: bool,
}

pub fn tracefile(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let mut reader = TraceReader { lines: Lines::all(), ..TraceReader::default() };
    text::each_line(input, |line| reader.add(line))?;
    ensure!(reader.record.is_none(), "the file is truncated: its last record has no end_of_record");
    reader.lines.finish()?;
    let found = (reader.sums.records > 0).then(|| reader.sums.found(&reader.lines));
    lines.merge(reader.lines);
    Ok(found)
}

#[derive(Default)]
struct TraceReader {
    /// All lines are needed for the total, also if the caller needs fewer.
    lines: Lines<'static>,
    hasher: RandomState,
    /// The hashes of the paths.
    files: HashSet<u64>,
    sums: Sums,
    record: Option<Record>,
}

impl TraceReader {
    fn add(&mut self, text: &[u8]) -> Result<ControlFlow<()>> {
        if let Some(record) = &mut self.record
            && record.add(text)
        {
            ensure!(record.size() <= MAX_RECORD, "a record has more than {MAX_RECORD} lines");
            return Ok(ControlFlow::Continue(()));
        }
        self.add_mark(text.trim_ascii())
    }

    /// Adds a line that starts or ends a record.
    fn add_mark(&mut self, text: &[u8]) -> Result<ControlFlow<()>> {
        if self.record.is_none() && self.sums.records == 0 && !is_start(text) {
            return Ok(ControlFlow::Break(()));
        }
        if let Some(path) = text.strip_prefix(b"SF:") {
            ensure!(self.record.is_none(), "a record has no end_of_record: the file is damaged");
            let path = String::from_utf8_lossy(path);
            self.sums.has_repeated_file |= !self.files.insert(self.hasher.hash_one(&*path));
            self.lines.file(&path);
            self.record = Some(Record::default());
        } else if text == b"end_of_record" {
            self.record.take().unwrap_or_default().end(&mut self.lines, &mut self.sums);
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn is_start(text: &[u8]) -> bool {
    text.is_empty() || [&b"#"[..], b"TN:", b"SF:"].iter().any(|start| text.starts_with(start))
}

impl Record {
    fn size(&self) -> usize {
        self.lines.len().max(self.branches.len())
    }

    /// Returns whether the line is one of a record's body.
    fn add(&mut self, text: &[u8]) -> bool {
        // Most lines are of this kind.
        if let Some(value) = text.strip_prefix(b"DA:") {
            self.lines.extend(line(value));
            return true;
        }
        let text = text.trim_ascii();
        let Some(colon) = memchr::memchr(b':', text) else { return false };
        let (name, value) = (&text[..colon], &text[colon + 1..]);
        match name {
            b"BRDA" => self.branches.extend(branch(value)),
            b"LF" => self.line_sum.1 = number(value).0,
            b"LH" => self.line_sum.0 = number(value).0,
            b"BRF" => self.branch_sum.1 = number(value).0,
            b"BRH" => self.branch_sum.0 = number(value).0,
            b"FNF" => self.function_sum.1 = number(value).0,
            b"FNH" => self.function_sum.0 = number(value).0,
            _ => return false,
        }
        true
    }

    fn end(mut self, lines: &mut Lines, sums: &mut Sums) {
        self.branches.sort_unstable_by_key(|(line, _)| *line);
        let mut partly = Vec::new();
        for branches in self.branches.chunk_by(|one, other| one.0 == other.0) {
            let taken = branches.iter().filter(|(_, is_taken)| *is_taken).count();
            lines.branches(branches[0].0, taken as u64, branches.len() as u64);
            if taken < branches.len() {
                partly.push(branches[0].0);
            }
        }
        for (line, is_hit) in &self.lines {
            let is_partly = *is_hit && partly.binary_search(line).is_ok();
            lines.line(*line, if is_partly { Hit::Partly } else { Hit::when(*is_hit) });
        }
        if self.lines.is_empty() {
            add(&mut sums.lines, self.line_sum);
        }
        add(&mut sums.branches, self.branch_sum);
        add(&mut sums.functions, self.function_sum);
        sums.records += 1;
    }
}

impl Sums {
    fn found(&self, lines: &Lines) -> Measures {
        let mut all = lines.sums();
        add(&mut all, self.lines);
        let parts = [("branches", self.branches), ("functions", self.functions)];
        let parts = parts.into_iter().filter(|_| !self.has_repeated_file);
        [("lines", all)].into_iter().chain(parts).filter_map(|(name, sum)| Measure::counted(name, sum, 2)).collect()
    }
}

fn add(sum: &mut Sum, other: Sum) {
    *sum = (sum.0.saturating_add(other.0), sum.1.saturating_add(other.1));
}

/// `12,4`, or `12,4,CHECKSUM`. A negative count is no hit; some tools write `1e+06`.
fn line(value: &[u8]) -> Option<(u64, bool)> {
    let (number, rest) = number(value);
    let hits = rest.strip_prefix(b",").unwrap_or_default();
    let is_zero = matches!(hits, [b'0'] | [b'0', b',' | b'\r' | b' ', ..]);
    (rest.len() < value.len()).then_some((number, !hits.is_empty() && hits[0] != b'-' && !is_zero))
}

/// `12,BLOCK,BRANCH,TAKEN`; `-` if the line never ran.
fn branch(value: &[u8]) -> Option<(u64, bool)> {
    let (number, rest) = number(value);
    let taken = rest.rsplit(|byte| *byte == b',').next()?;
    (rest.len() < value.len()).then_some((number, !matches!(taken, b"-" | b"0")))
}

/// The digits at the start, and what follows. 0 without digits.
fn number(text: &[u8]) -> (u64, &[u8]) {
    let (mut number, mut rest) = (0u64, text);
    while let [digit @ b'0'..=b'9', others @ ..] = rest {
        number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        rest = others;
    }
    (number, rest)
}
