//! `coverage-final.json`, and `coverage.json` of istanbul 0.x: an entry for each source file. A line can be covered if
//! a statement starts on it, and is hit if one of them is, as in istanbul's `getLineCoverage`.
//!
//! ```json
//! {"/app/a.js": {"path": "/app/a.js", "statementMap": {"0": {"start": {"line": 2, "column": 2}}}, "s": {"0": 1},
//!   "f": {"0": 1}, "branchMap": {"0": {"line": 2, "loc": {"start": {"line": 2}}}}, "b": {"0": [1, 0]}}}
//! ```

use std::fmt;
use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::coverage::lines::{Hit, Lines};
use crate::coverage::measure::{Measure, Measures};
use crate::coverage::percent::{Counts, Percent};
use crate::coverage::syntax::html::{after, has};
use crate::coverage::syntax::json::{self, List};

/// Statements, functions or branches of one source file. A bundle of 10 MB has some hundred thousand.
const MAX_TABLE: usize = 1 << 20;

/// Covered and total counts.
type Sum = (u64, u64);

pub fn coverage_final(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    json::if_head(input, is_coverage, |input| {
        let mut sums = Sums::default();
        let mut add = |path: &str, file: File| {
            lines.file(path);
            file.add_to(lines, &mut sums);
        };
        json::read_entries(input, &[], "", &mut add)?;
        Ok(sums.found())
    })
}

/// Whether the first value of the map is an entry.
fn is_coverage(head: &str) -> bool {
    let entry = || {
        let key = head.trim_ascii_start().strip_prefix('{')?.trim_ascii_start().strip_prefix('"')?;
        after(key, "\"")?.trim_ascii_start().strip_prefix(':')?.trim_ascii_start().strip_prefix('{')
    };
    entry().is_some_and(|entry| has(entry, "\"statementMap\""))
}

#[derive(Default)]
struct Sums {
    lines: Sum,
    branches: Sum,
    functions: Sum,
    statements: Sum,
    /// The numbers are those of generated code: istanbul's reports translate them first.
    is_raw: bool,
    /// istanbul 0.x counts ignored functions and branches as covered, but does not write so in its counts.
    has_ignored: bool,
}

impl Sums {
    fn found(&self) -> Measures {
        let kinds = [
            ("lines", self.lines, true),
            ("branches", self.branches, !self.has_ignored),
            ("functions", self.functions, !self.has_ignored),
            ("statements", self.statements, true),
        ];
        let known = kinds.into_iter().filter(|(.., is_known)| *is_known && !self.is_raw);
        known.filter_map(|(metric, sum, _)| measure(metric, sum)).collect()
    }
}

/// istanbul truncates to two digits, and writes no zeros at the end. Old versions rounded; the file does not say which.
fn measure(metric: &'static str, (covered, total): Sum) -> Option<Measure> {
    let text = Counts::new(covered, total)?.truncated(2).to_string();
    let shown = Percent::parse(text.trim_end_matches('0').trim_end_matches('.'))?;
    Measure::shown(metric, shown, Some((covered, total)))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    statement_map: Table<Statement>,
    fn_map: Table<Statement>,
    branch_map: Table<Branch>,
    s: Table<Count>,
    f: Table<Count>,
    b: Table<Taken>,
    input_source_map: Option<IgnoredAny>,
}

impl File {
    /// Adds the lines of the current file.
    fn add_to(mut self, lines: &mut Lines, sums: &mut Sums) {
        sums.is_raw |= self.input_source_map.is_some();
        sums.has_ignored |= self.fn_map.0.iter().any(|(_, function)| function.skip);
        sums.has_ignored |= self.branch_map.0.iter().any(|(_, branch)| branch.skip);
        let functions = self.f.sorted();
        add(&mut sums.functions, functions.iter().map(|(_, hits)| (u64::from(hits.0), 1)));
        let statements = self.statements();
        add(&mut sums.statements, statements.iter().map(|(_, is_hit)| (u64::from(*is_hit), 1)));
        let branches = self.branches();
        add(&mut sums.branches, self.b.0.iter().map(|(_, taken)| (taken.0.into(), taken.1.into())));
        if sums.is_raw {
            return;
        }
        let mut found: Vec<_> = statements.into_iter().filter_map(|(line, is_hit)| Some((line?, is_hit))).collect();
        found.sort_unstable_by_key(|(line, is_hit)| (*line, !is_hit));
        found.dedup_by_key(|(line, _)| *line);
        add(&mut sums.lines, found.iter().map(|(_, is_hit)| (u64::from(*is_hit), 1)));
        let is_partly = |line: &u64| {
            branches.binary_search_by_key(line, |(line, _)| *line).is_ok_and(|at| {
                let (_, (taken, total)) = branches[at];
                taken < total
            })
        };
        for (line, is_hit) in &found {
            lines.line(*line, if *is_hit && is_partly(line) { Hit::Partly } else { Hit::when(*is_hit) });
        }
        branches.iter().for_each(|(line, (taken, total))| lines.branches(*line, *taken, *total));
    }

    /// The first line of each statement, if known, and whether it ran.
    fn statements(&mut self) -> Vec<(Option<u64>, bool)> {
        let places = self.statement_map.sorted();
        let hits = self.s.sorted();
        let statement = |(key, hits): &(u32, Count)| {
            let place = places.binary_search_by_key(key, |(key, _)| *key).ok().map(|at| places[at].1);
            // An ignored statement counts as covered.
            (place.map(|place| place.line.into()), hits.0 || place.is_some_and(|place| place.skip))
        };
        hits.iter().map(statement).collect()
    }

    /// The lines with branches, in order, with the taken and all branches.
    fn branches(&mut self) -> Vec<(u64, Sum)> {
        let taken = self.b.sorted();
        let sum = |(key, branch): &(u32, Branch)| {
            let at = taken.binary_search_by_key(key, |(key, _)| *key).ok()?;
            Some((branch.line?.into(), (taken[at].1.0.into(), taken[at].1.1.into())))
        };
        let mut sums: Vec<_> = self.branch_map.sorted().iter().filter_map(sum).collect();
        sums.sort_unstable_by_key(|(line, _)| *line);
        sums.dedup_by(|(line, sum), (first, sums)| {
            let is_same = line == first;
            if is_same {
                add(sums, [*sum].into_iter());
            }
            is_same
        });
        sums
    }
}

fn add(sum: &mut Sum, others: impl Iterator<Item = Sum>) {
    for other in others {
        *sum = (sum.0.saturating_add(other.0), sum.1.saturating_add(other.1));
    }
}

/// Where a statement starts, and whether istanbul 0.x ignored it.
#[derive(Clone, Copy, Deserialize)]
#[serde(from = "RawStatement")]
struct Statement {
    line: u32,
    skip: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatement {
    start: Position,
    skip: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Position {
    line: Option<u64>,
}

impl From<RawStatement> for Statement {
    /// The line is 0 if the tool does not know it: it counts all such statements as one line.
    fn from(raw: RawStatement) -> Self {
        Self { line: small(raw.start.line.unwrap_or_default()), skip: raw.skip }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(from = "RawBranch")]
struct Branch {
    line: Option<u32>,
    /// Whether one of its locations is ignored.
    skip: bool,
}

/// Old versions write only the line, new ones also the place.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawBranch {
    line: Option<u64>,
    loc: Option<Statement>,
    locations: List<Statement>,
}

impl From<RawBranch> for Branch {
    fn from(raw: RawBranch) -> Self {
        let line = raw.line.map(small).or(raw.loc.map(|place| place.line));
        Self { line, skip: raw.locations.0.iter().any(|location| location.skip) }
    }
}

/// A number that is too large stays too large for a line.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Whether a count is above 0.
#[derive(Clone, Copy)]
struct Count(bool);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<f64>::deserialize(deserializer)?.is_some_and(|count| count > 0.0)))
    }
}

/// Taken and all branches of one branching point.
#[derive(Clone, Copy)]
struct Taken(u32, u32);

impl<'de> Deserialize<'de> for Taken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TakenVisitor)
    }
}

struct TakenVisitor;

impl<'de> Visitor<'de> for TakenVisitor {
    type Value = Taken;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of counts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Taken, A::Error> {
        let mut taken = Taken(0, 0);
        while let Some(count) = list.next_element::<Count>()? {
            taken = Taken(taken.0.saturating_add(count.0.into()), taken.1.saturating_add(1));
        }
        Ok(taken)
    }
}

/// A map whose keys are numbers.
struct Table<T>(Vec<(u32, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Table<T> {
    /// By key. The last of several values of one key counts, as in JavaScript.
    fn sorted(&mut self) -> &[(u32, T)] {
        self.0.reverse();
        self.0.sort_by_key(|(key, _)| *key);
        self.0.dedup_by_key(|(key, _)| *key);
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(Vec::new()))
    }
}

struct TableVisitor<T>(Vec<(u32, T)>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = Table<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with numbers as keys")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Table<T>, A::Error> {
        while let Some(entry) = map.next_entry()? {
            if self.0.len() == MAX_TABLE {
                return Err(A::Error::custom(format!("a source file has more than {MAX_TABLE} statements")));
            }
            self.0.push(entry);
        }
        Ok(Table(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (Option<Measures>, Vec<(u32, Hit)>) {
        let mut lines = Lines::all();
        let found = coverage_final(&mut json.as_bytes(), &mut lines).unwrap();
        lines.finish().unwrap();
        let read = lines.get("a").map(|file| file.bits.iter().collect());
        (found, read.unwrap_or_default())
    }

    fn texts(found: Option<Measures>) -> Vec<String> {
        let text = |measure: &Measure| format!("{} {} {}", measure.metric, measure.percent, measure.counts.unwrap());
        found.unwrap().iter().map(text).collect()
    }

    #[test]
    fn a_line_is_hit_if_a_statement_on_it_is_and_partly_if_a_branch_is_not() {
        let json = r#"{"a": {"path": "a", "all": false,
            "statementMap": {"0": {"start": {"line": 2}}, "1": {"start": {"line": 2}}, "2": {"start": {"line": 3}},
                "10": {"start": {"line": null}}, "4": {"start": {"line": 5}}},
            "s": {"10": 1, "1": 0, "0": 3, "2": 0, "4": 1.5, "7": 2}, "f": {"0": null, "1": 9},
            "branchMap": {"0": {"line": 2}, "1": {"loc": {"start": {"line": 2}}}, "2": {"line": 5}},
            "b": {"0": [1, 1], "1": [0, 4, 2], "2": [1]}}}"#;
        let (found, lines) = read(json);
        assert_eq!(lines, [(0, Hit::Yes), (2, Hit::Partly), (3, Hit::No), (5, Hit::Yes)]);
        let expected = ["lines 75 3 of 4", "branches 83.33 5 of 6", "functions 50 1 of 2", "statements 66.66 4 of 6"];
        assert_eq!(texts(found), expected);
    }

    #[test]
    fn what_istanbul_0_ignores_is_covered() {
        let json = r#"{"a": {"path": "a", "s": {"1": 0, "2": 0}, "b": {}, "f": {"1": 0}, "fnMap": {"1": {"skip": true}},
            "statementMap": {"1": {"start": {"line": 1}, "skip": true}, "2": {"start": {"line": 2}}}}}"#;
        let (found, lines) = read(json);
        assert_eq!(lines, [(1, Hit::Yes), (2, Hit::No)]);
        assert_eq!(texts(found), ["lines 50 1 of 2", "statements 50 1 of 2"]);
    }

    #[test]
    fn lines_of_generated_code_are_not_used() {
        let json =
            r#"{"a": {"statementMap": {"0": {"start": {"line": 1}}}, "s": {"0": 1}, "inputSourceMap": {"x": 1}}}"#;
        assert_eq!(read(json), (Some(Vec::new()), Vec::new()));
    }

    #[test]
    fn json_of_another_kind_is_left_to_other_formats() {
        let long = format!(r#"{{"a": {{"b": "{}", "statementMap": {{}}}}}}"#, "x".repeat(json::HEAD as usize));
        for other in ["", "[]", "{}", r#"{"statementMap": 1}"#, r#"{"a": ["statementMap"]}"#, &long] {
            assert_eq!(read(other), (None, Vec::new()), "{other:.50}");
        }
    }
}
