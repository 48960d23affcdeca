//! Codecov's own JSON, which Monocart and other tools write: the count of each line, or its share as a text. Codecov
//! counts a line that is hit partly as not covered, so it is not hit here.
//!
//! ```json
//! {"coverage": {"src/a.js": {"1": 2, "4": 0, "5": "1/2"}}}
//! ```

use std::fmt;
use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::after;
use crate::coverage::syntax::json;

/// Lines of one source file.
const MAX_LINES: usize = 4 << 20;

pub fn json(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    json::if_head(input, is_codecov, |input| {
        let mut sum = (0u64, 0u64);
        let mut add = |path: &str, counts: LineCounts| {
            let (hit, total) = counts.sums();
            sum = (sum.0 + hit, sum.1 + total);
            if lines.file(path) {
                counts.add_to(lines);
            }
        };
        json::read_entries(input, &[], "coverage", &mut add)?;
        Ok(Measure::counted("lines", sum, 2).into_iter().collect())
    })
}

/// Whether the first key is `coverage`, and its first value is a map of lines.
fn is_codecov(head: &str) -> bool {
    let lines = || {
        let files = skip(skip(skip(head, '{')?.strip_prefix("\"coverage\"")?, ':')?, '{')?;
        skip(skip(after(files.strip_prefix('"')?, "\"")?, ':')?, '{')
    };
    let is_line = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_digit());
    lines().is_some_and(|lines| lines.starts_with('}') || lines.strip_prefix('"').is_some_and(is_line))
}

/// The text after a mark, without space around it.
fn skip(text: &str, mark: char) -> Option<&str> {
    text.trim_ascii_start().strip_prefix(mark).map(str::trim_ascii_start)
}

/// The lines of a source file, each once.
#[derive(Default)]
pub struct LineCounts(Vec<(u64, bool)>);

impl LineCounts {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hit lines, and all.
    fn sums(&self) -> (u64, u64) {
        (self.0.iter().filter(|(_, is_hit)| *is_hit).count() as u64, self.0.len() as u64)
    }

    pub fn add_to(self, lines: &mut Lines) {
        self.0.into_iter().for_each(|(number, is_hit)| lines.line(number, Hit::when(is_hit)));
    }
}

impl<'de> Deserialize<'de> for LineCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = LineCounts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of lines")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LineCounts, A::Error> {
        let mut lines = Vec::new();
        while let Some((number, LineCount(is_hit))) = map.next_entry()? {
            if lines.len() == MAX_LINES {
                return Err(A::Error::custom(format!("a source file has more than {MAX_LINES} lines")));
            }
            lines.extend(is_hit.map(|is_hit| (number, is_hit)));
        }
        // The last of several values of one line counts, as in JavaScript.
        lines.reverse();
        lines.sort_by_key(|(number, _)| *number);
        lines.dedup_by_key(|(number, _)| *number);
        Ok(LineCounts(lines))
    }
}

/// `2`, `"1/2"` or `true`; `null` for a line that cannot be covered.
struct LineCount(Option<bool>);

impl<'de> Deserialize<'de> for LineCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = LineCount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<LineCount, E> {
        Ok(LineCount(Some(count > 0)))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<LineCount, E> {
        Ok(LineCount(Some(false)))
    }

    fn visit_bool<E: Error>(self, is_hit: bool) -> Result<LineCount, E> {
        Ok(LineCount(Some(is_hit)))
    }

    fn visit_unit<E: Error>(self) -> Result<LineCount, E> {
        Ok(LineCount(None))
    }

    fn visit_str<E: Error>(self, share: &str) -> Result<LineCount, E> {
        let share = share.split_once('/').and_then(|(hit, all)| Some((hit.parse::<u64>().ok()?, all.parse().ok()?)));
        let (hit, all) = share.ok_or_else(|| E::custom("a line's count is neither a number nor a share"))?;
        Ok(LineCount(Some(hit >= all && hit > 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<(Measures, Vec<(u32, Hit)>)> {
        let mut lines = Lines::all();
        let found = super::json(&mut json.as_bytes(), &mut lines).unwrap()?;
        lines.finish().unwrap();
        Some((found, lines.get("a").map(|file| file.bits.iter().collect()).unwrap_or_default()))
    }

    #[test]
    fn a_line_is_hit_if_its_share_is_whole() {
        let json = r#"{"coverage": {"b": {}, "a": {"1": 3, "2": 0, "3": "1/2", "4": "2/2", "5": null, "6": true, "7": -1,
            "9": 0, "8": "0/0", "9": 1}}, "messages": {"a": {"1": "x"}}}"#;
        let (found, lines) = read(json).unwrap();
        let hit = |line| (line, Hit::Yes);
        let not = |line| (line, Hit::No);
        assert_eq!(lines, [hit(1), not(2), not(3), hit(4), hit(6), not(7), not(8), hit(9)]);
        assert_eq!(found, [Measure::counted("lines", (4, 8), 2).unwrap()]);
        assert_eq!(read(r#"{"coverage":{"a":{}}}"#), Some((Vec::new(), Vec::new())));
    }

    #[test]
    fn json_of_another_kind_is_left_to_other_formats() {
        for other in ["{}", r#"{"coverage": 50}"#, r#"{"coverage": {"a": [1]}}"#, r#"{"coverage": {"a": {"x": 1}}}"#] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
