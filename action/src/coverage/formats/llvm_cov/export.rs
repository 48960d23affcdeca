//! `llvm-cov export`: the totals, and the lines of each source file, as `llvm-cov show` draws them from its segments.
//!
//! ```json
//! {"type": "llvm.coverage.json.export", "data": [{"totals": {"lines": {"count": 17, "covered": 13}},
//!   "files": [{"filename": "/src/calc.c", "segments": [[2, 27, 2, true, true, false], [10, 2, 0, false, false, false]],
//!              "branches": [[3, 9, 3, 14, 1, 1, 0, 0, 4]]}]}]}
//! ```

use std::fmt;
use std::io::BufRead;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::json::{self, List};

const TYPE: &str = "type";
const TOTALS: [(&str, [&str; 2]); 4] = [
    ("lines", ["data/*/totals/lines/covered", "data/*/totals/lines/count"]),
    ("branches", ["data/*/totals/branches/covered", "data/*/totals/branches/count"]),
    ("functions", ["data/*/totals/functions/covered", "data/*/totals/functions/count"]),
    ("regions", ["data/*/totals/regions/covered", "data/*/totals/regions/count"]),
];
/// Lines of all source files: a region can have any number.
const MAX_LINES: u64 = 100_000_000;

pub fn read(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let paths: Vec<_> = TOTALS.iter().flat_map(|(_, paths)| *paths).chain([TYPE]).collect();
    let values = if lines.is_on() {
        let mut left = MAX_LINES;
        let mut add = |_: &str, file: File| {
            if lines.file(&file.filename) {
                file.add_to(lines, &mut left);
            }
        };
        let values = json::read_entries(input, &paths, "data/*/files", &mut add)?;
        ensure!(left > 0, "its regions have more than {MAX_LINES} lines");
        values
    } else {
        json::read(input, &paths)?
    };
    let is_export = values.text(TYPE) == Some("llvm.coverage.json.export");
    let measure =
        |(metric, [covered, count]): (_, [&str; 2])| Measure::counted(metric, values.counts(covered, count)?, 2);
    Ok(is_export.then(|| TOTALS.into_iter().filter_map(measure).collect()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    filename: String,
    segments: List<Segment>,
    branches: List<Branch>,
}

/// Where the count changes: at the start or end of a region.
#[derive(Clone, Copy, Deserialize)]
#[serde(from = "Numbers<6>")]
struct Segment {
    line: u32,
    is_hit: bool,
    has_count: bool,
    is_start: bool,
    /// Between two statements.
    is_gap: bool,
}

impl From<Numbers<6>> for Segment {
    fn from(Numbers([line, _, count, has_count, is_start, is_gap]): Numbers<6>) -> Self {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Self { line, is_hit: count > 0, has_count: has_count > 0, is_start: is_start > 0, is_gap: is_gap > 0 }
    }
}

/// A condition, and whether it was true and false.
#[derive(Clone, Copy, Deserialize)]
#[serde(from = "Numbers<6>")]
struct Branch {
    line: u32,
    column: u32,
    outcomes: [bool; 2],
}

impl From<Numbers<6>> for Branch {
    fn from(Numbers([line, column, .., when_true, when_false]): Numbers<6>) -> Self {
        let [line, column] = [line, column].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Self { line, column, outcomes: [when_true, when_false].map(|count| count > 0) }
    }
}

impl File {
    /// Adds at most `left` lines.
    fn add_to(mut self, lines: &mut Lines, left: &mut u64) {
        let (mut before, mut end) = (None, 0);
        for here in self.segments.0.chunk_by(|one, other| one.line == other.line) {
            let line = here[0].line;
            if let Some(hit) = hit(before, &[]) {
                let between = u64::from(end) + 1..line.into();
                *left = left.saturating_sub(between.end.saturating_sub(between.start));
                if *left > 0 {
                    between.for_each(|line| lines.line(line, hit));
                }
            }
            if let Some(hit) = hit(before, here) {
                lines.line(line.into(), hit);
            }
            (before, end) = (here.last(), line);
        }
        self.branches.0.sort_unstable_by_key(|branch| (branch.line, branch.column));
        self.branches
            .0
            .chunk_by(|one, other| one.line == other.line)
            .for_each(|branches| add_branches(branches, lines));
    }
}

/// Adds the conditions of one line. That of a template is repeated for each instance.
fn add_branches(branches: &[Branch], lines: &mut Lines) {
    let conditions = || branches.chunk_by(|one, other| one.column == other.column);
    let was = |condition: &[Branch], at: usize| u64::from(condition.iter().any(|branch| branch.outcomes[at]));
    let taken = conditions().map(|condition| was(condition, 0) + was(condition, 1)).sum();
    lines.branches(branches[0].line.into(), taken, 2 * conditions().count() as u64);
}

/// What llvm's `LineCoverageStats` says about a line: the last segment before it, and those on it. `None` if it has no
/// code. llvm 14 leaves out a line with nothing but the start of a gap.
fn hit(before: Option<&Segment>, here: &[Segment]) -> Option<Hit> {
    let is_start = |segment: &&Segment| segment.is_start && segment.has_count;
    let is_skipped = here.first().is_some_and(|first| first.is_start && !first.has_count);
    let goes_on = before.is_some_and(|segment| segment.has_count) && !is_skipped;
    let is_mapped = goes_on || here.iter().any(|segment| is_start(&segment));
    let starts = here.iter().filter(is_start).filter(|segment| !segment.is_gap);
    let is_hit = before.into_iter().chain(starts).any(|segment| segment.is_hit);
    is_mapped.then_some(if is_hit { Hit::Yes } else { Hit::No })
}

/// The first numbers of a list, in which a boolean is 0 or 1. Missing ones are 0.
struct Numbers<const N: usize>([u64; N]);

impl<'de, const N: usize> Deserialize<'de> for Numbers<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NumbersVisitor)
    }
}

struct NumbersVisitor<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for NumbersVisitor<N> {
    type Value = Numbers<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers and booleans")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers<N>, A::Error> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            let Some(Item(value)) = list.next_element()? else { break };
            *number = value;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Numbers(numbers))
    }
}

/// A number or a boolean. Unlike an untagged enum, it keeps nothing of a list in their place.
struct Item(u64);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl Visitor<'_> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a boolean")
    }

    fn visit_bool<E: Error>(self, is_true: bool) -> Result<Item, E> {
        Ok(Item(is_true.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Item, E> {
        Ok(Item(number))
    }
}
