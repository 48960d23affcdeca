//! cargo-tarpaulin: its page, which a script draws from data in the page, and its JSON report.
//!
//! ```json
//! {"files": [{"path": ["/", "src", "lib.rs"], "traces": [{"line": 1, "stats": {"Line": 3}, …}],
//!             "covered": 5, "coverable": 9}]}
//! ```

use std::fmt;
use std::io::BufRead;

use anyhow::Result;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::after;
use crate::coverage::syntax::json::{self, List};

const COUNTS: [&str; 2] = ["files/*/covered", "files/*/coverable"];

/// The page's script shows two digits.
fn found(counts: (u64, u64)) -> Measures {
    Measure::counted("lines", counts, 2).into_iter().collect()
}

fn data<'a>(page: &'a Page) -> Option<&'a str> {
    after(after(page.html, "<div id=\"root\"></div>")?, "var data = ")
}

pub fn page(page: &Page) -> Option<Measures> {
    json::read_text(data(page)?, &COUNTS)?.counts(COUNTS[0], COUNTS[1]).map(found)
}

/// All source files are in the page's data.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    data(page).is_some_and(|data| matches!(files(&mut data.as_bytes(), lines), Ok(Some(_))))
}

pub fn json(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let counts =
        if lines.is_on() { files(input, lines)? } else { json::read(input, &COUNTS)?.counts(COUNTS[0], COUNTS[1]) };
    Ok(counts.map(found))
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct File {
    path: Parts,
    traces: List<Trace>,
    covered: Option<u64>,
    coverable: Option<u64>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Trace {
    line: u64,
    stats: Stats,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Stats {
    #[serde(rename = "Line")]
    hits: Option<u64>,
}

/// The sums of all files.
fn files(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<(u64, u64)>> {
    let mut sums = None::<(u64, u64)>;
    let mut each = |_: &str, file: File| {
        let (Some(covered), Some(coverable)) = (file.covered, file.coverable) else { return };
        let sum = sums.unwrap_or_default();
        sums = Some((sum.0.saturating_add(covered), sum.1.saturating_add(coverable)));
        if lines.file(&file.path.0) {
            for Trace { line, stats } in file.traces.0 {
                stats.hits.into_iter().for_each(|hits| lines.line(line, Hit::of(hits)));
            }
            lines.shown(covered, coverable);
        }
    };
    json::read_entries(input, &[], "files", &mut each)?;
    Ok(sums)
}

/// A path, which is written as the list of its parts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts(String);

/// Bytes of a path: longer than any that is kept.
const MAX_PATH: usize = 8 << 10;

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the parts of a path")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Parts, A::Error> {
        let mut path = String::new();
        while let Some(part) = list.next_element::<String>()? {
            let is_root = matches!(part.as_str(), "/" | "\\");
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            if path.len() < MAX_PATH {
                path.push_str(if is_root && path.ends_with('/') {
                    ""
                } else if is_root {
                    "/"
                } else {
                    &part
                });
            }
        }
        Ok(Parts(path))
    }

    /// Another tool's file may have a text here.
    fn visit_str<E: Error>(self, _: &str) -> Result<Parts, E> {
        Ok(Parts::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Parts, E> {
        Ok(Parts::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_are_joined() {
        let path = |json: &str| serde_json::from_str::<Parts>(json).unwrap().0;
        assert_eq!(path(r#"["/", "src", "lib.rs"]"#), "/src/lib.rs");
        assert_eq!(path(r#"["src", "lib.rs"]"#), "src/lib.rs");
        assert_eq!(path(r#"["C:", "\\", "src", "lib.rs"]"#), "C:/src/lib.rs");
        assert_eq!([path("[]"), path("\"src/lib.rs\""), path("null")], [""; 3]);
    }
}
