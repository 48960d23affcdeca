//! The number that a report shows: one file per family of formats, and the table of them.

mod coverage_py;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Serialize, Serializer};

/// Bytes of an index page that are looked at: the largest seen has 2.8 MB.
const MAX_PAGE: u64 = 16 << 20;

/// A total, as the tool itself shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Totals {
    pub percent: Percent,
    /// What the number counts, such as `lines`.
    pub of: &'static str,
    pub tool: &'static str,
    /// The file that says so, relative to the report's folder.
    pub source: String,
}

/// What a format finds in an index page: the percent and what it counts.
type Found = (Percent, &'static str);

struct Format {
    tool: &'static str,
    total: fn(&str) -> Option<Found>,
}

/// The formats, in the order in which they are asked.
const FORMATS: &[Format] = &[Format { tool: "coverage.py", total: coverage_py::total }];

/// The total that `page`, the report's index page below `root`, shows.
pub fn find(root: &Path, page: &str) -> Result<Option<Totals>> {
    let mut bytes = Vec::new();
    File::open(root.join(page))
        .and_then(|file| file.take(MAX_PAGE).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read `{page}`"))?;
    Ok(find_in(&String::from_utf8_lossy(&bytes), page))
}

fn find_in(html: &str, page: &str) -> Option<Totals> {
    FORMATS.iter().find_map(|format| {
        let (percent, of) = (format.total)(html)?;
        Some(Totals { percent, of, tool: format.tool, source: page.to_owned() })
    })
}

/// Digits after the decimal point that are compared: 100 at this scale still fits.
const SCALE_DIGITS: usize = 12;

/// A number from 0 to 100, kept in the digits in which it was written, compared exactly.
#[derive(Clone, PartialEq, Eq)]
pub struct Percent {
    text: String,
    scaled: u64,
}

impl Percent {
    /// Plain decimal digits from 0 to 100, such as `87.42`; no sign, no exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 3 || fraction.len() > SCALE_DIGITS {
            return None;
        }
        let scaled: u64 = format!("{whole}{fraction:0<SCALE_DIGITS$}").parse().ok()?;
        (scaled <= 100 * 10u64.pow(SCALE_DIGITS as u32)).then(|| Self { text: text.to_owned(), scaled })
    }

    /// Whether this is at least `threshold`, to the last digit.
    pub fn reaches(&self, threshold: &Self) -> bool {
        self.scaled >= threshold.scaled
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.text)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.scaled as f64 / 10f64.powi(SCALE_DIGITS as i32))
    }
}

/// The state of the commit status and of the badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Success,
    Failure,
}

impl State {
    /// Failure below the threshold; a report without a total fails nothing.
    pub fn of(totals: Option<&Totals>, threshold: &Percent) -> Self {
        match totals {
            Some(totals) if !totals.percent.reaches(threshold) => Self::Failure,
            _ => Self::Success,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(text: &str) -> Percent {
        Percent::parse(text).unwrap()
    }

    #[test]
    fn a_percent_keeps_its_digits() {
        for text in ["0", "0.00", "7", "87.42", "99.995", "100", "100.00"] {
            assert_eq!(percent(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_percent_is_refused() {
        for text in [
            "",
            ".",
            "5.",
            ".5",
            "-1",
            "+1",
            "100.01",
            "101",
            "1000",
            "1e999",
            "1e1",
            "NaN",
            "inf",
            "87,42",
            "8 7",
            "0.1234567890123",
            "٣",
        ] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn percents_are_compared_to_the_last_digit() {
        assert!(percent("87.42").reaches(&percent("87.42")));
        assert!(percent("90").reaches(&percent("90.000")));
        assert!(!percent("99.996").reaches(&percent("100")));
        assert!(!percent("0.1").reaches(&percent("0.100000000001")));
    }

    #[test]
    fn a_percent_is_a_number_in_json() {
        let json = |text| serde_json::to_string(&percent(text)).unwrap();
        assert_eq!(json("87.42"), "87.42");
        assert_eq!(json("100.00"), "100.0");
        assert_eq!(json("99.996"), "99.996");
    }

    #[test]
    fn a_report_without_a_total_fails_nothing() {
        assert_eq!(State::of(None, &percent("100")), State::Success);
    }
}
