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
use std::io::{BufRead, Read};

use anyhow::{Result, ensure};

use crate::coverage::lines::{Hit, Lines};
use crate::coverage::measure::{Found, Measure};

/// Bytes of one line.
const MAX_LINE: u64 = 64 << 10;
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

pub fn tracefile(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Found>> {
    // All lines are needed for the total, also if the caller needs fewer.
    let mut all = Lines::all();
    let (hasher, mut files) = (RandomState::new(), HashSet::new());
    let (mut sums, mut record) = (Sums::default(), None::<Record>);
    let mut line = Vec::new();
    while next(input, &mut line)? {
        let text = line.trim_ascii();
        if record.is_none() && sums.records == 0 && !is_start(text) {
            return Ok(None);
        }
        if let Some(path) = text.strip_prefix(b"SF:") {
            ensure!(record.is_none(), "a record has no end_of_record: the file is damaged");
            let path = String::from_utf8_lossy(path);
            sums.has_repeated_file |= !files.insert(hasher.hash_one(&*path));
            all.file(&path);
            record = Some(Record::default());
        } else if text == b"end_of_record" {
            record.take().unwrap_or_default().end(&mut all, &mut sums);
        } else if let Some(record) = &mut record {
            record.add(text);
            ensure!(record.size() <= MAX_RECORD, "a record has more than {MAX_RECORD} lines");
        }
    }
    ensure!(record.is_none(), "the file is truncated: its last record has no end_of_record");
    all.finish()?;
    let found = (sums.records > 0).then(|| sums.found(&all));
    lines.merge(all);
    Ok(found)
}

fn next(input: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<bool> {
    line.clear();
    Ok(input.take(MAX_LINE).read_until(b'\n', line)? > 0)
}

fn is_start(text: &[u8]) -> bool {
    text.is_empty() || [&b"#"[..], b"TN:", b"SF:"].iter().any(|start| text.starts_with(start))
}

impl Record {
    fn size(&self) -> usize {
        self.lines.len().max(self.branches.len())
    }

    fn add(&mut self, text: &[u8]) {
        let Some(colon) = memchr::memchr(b':', text) else { return };
        let (name, value) = (&text[..colon], &text[colon + 1..]);
        match name {
            b"DA" => self.lines.extend(line(value)),
            b"BRDA" => self.branches.extend(branch(value)),
            b"LF" => self.line_sum.1 = number(value).0,
            b"LH" => self.line_sum.0 = number(value).0,
            b"BRF" => self.branch_sum.1 = number(value).0,
            b"BRH" => self.branch_sum.0 = number(value).0,
            b"FNF" => self.function_sum.1 = number(value).0,
            b"FNH" => self.function_sum.0 = number(value).0,
            _ => {}
        }
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
    fn found(&self, lines: &Lines) -> Found {
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
    let is_zero = hits.first() == Some(&b'0') && hits.get(1).is_none_or(|next| *next == b',');
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
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    (text[..length].iter().fold(0, add), &text[length..])
}
