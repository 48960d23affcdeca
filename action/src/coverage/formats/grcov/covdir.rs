//! grcov's `covdir`: a tree of folders and files, with the counts of each.
//!
//! ```json
//! {"name": "", "coveragePercent": 75.0, "linesCovered": 9, "linesTotal": 12, "children": {"lib": {"children": {
//!   "calc.c": {"name": "calc.c", "coverage": [-1, 2, 0], "linesCovered": 9, "linesTotal": 12}}}}}
//! ```

use std::fmt;
use std::io::BufRead;

use anyhow::Result;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{Hit, Lines, Measure, Measures};
use crate::coverage::percent::Percent;
use crate::coverage::syntax::json::{self, List};

/// Bytes of a path.
const MAX_PATH: usize = 4096;

pub fn read(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let totals = json::read_as(input, Node { path: String::new(), lines })?;
    let Some(counts) = totals.covered.zip(totals.total) else { return Ok(None) };
    let shown = totals.percent.and_then(|percent| Percent::parse(&percent.to_string()));
    Ok(Some(shown.and_then(|shown| Measure::shown("lines", shown, Some(counts))).into_iter().collect()))
}

/// Reads a folder or file with this path.
struct Node<'a, 'l> {
    path: String,
    lines: &'a mut Lines<'l>,
}

/// The counts of a folder or file.
#[derive(Default)]
struct Totals {
    percent: Option<serde_json::Number>,
    covered: Option<u64>,
    total: Option<u64>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Totals;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Totals, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Totals;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a folder or file of covdir")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Totals, A::Error> {
        let (mut totals, mut is_kept) = (Totals::default(), false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "children" if self.lines.is_on() => {
                    map.next_value_seed(Children { path: &self.path, lines: self.lines })?;
                }
                "coverage" if self.lines.is_on() => {
                    let hits: List<f64> = map.next_value()?;
                    is_kept = self.lines.file(&self.path);
                    // Lines that cannot be covered are -1.
                    let with_code = (1..).zip(hits.0).filter(|(_, hits)| *hits >= 0.0);
                    with_code.for_each(|(number, hits)| self.lines.line(number, Hit::when(hits > 0.0)));
                }
                "coveragePercent" => totals.percent = Some(map.next_value()?),
                "linesCovered" => totals.covered = Some(map.next_value()?),
                "linesTotal" => totals.total = Some(map.next_value()?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        if let (true, Some(covered), Some(total)) = (is_kept, totals.covered, totals.total) {
            self.lines.shown(covered, total);
        }
        Ok(totals)
    }
}

/// Reads what is in a folder.
struct Children<'a, 'l> {
    path: &'a str,
    lines: &'a mut Lines<'l>,
}

impl<'de> DeserializeSeed<'de> for Children<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Children<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the files of a folder")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let is_first = self.path.is_empty();
            let path = if is_first { name } else { format!("{}/{name}", self.path) };
            // Each level of folders keeps its path.
            if path.len() > MAX_PATH {
                return Err(A::Error::custom(format!("it has a path of more than {MAX_PATH} bytes")));
            }
            map.next_value_seed(Node { path, lines: &mut *self.lines })?;
        }
        Ok(())
    }
}
