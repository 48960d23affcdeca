//! The number that a report shows: one file per family of formats, and the table of them.

mod clover;
mod cobertura;
mod coverage_py;
mod devel_cover;
mod diff_cover;
mod gcovr;
mod go;
mod grcov;
mod hpc;
mod html;
mod istanbul;
mod jacoco;
mod json;
mod kcov;
mod lcov;
mod llvm_cov;
mod measure;
mod opencppcoverage;
mod percent;
mod phpunit;
mod reportgenerator;
mod scoverage;
mod search;
mod simplecov;
mod tarpaulin;
mod xml;

use std::fmt;
use std::io::BufRead;

use anyhow::Result;
use serde::Serialize;

pub use measure::METRICS;
use measure::{Found, Measure};
pub use percent::{Counts, Percent};
pub use search::{Choice, Search, search};

/// Digits after the point of the most precise number, where the log or the status tells it.
const EXACT_DIGITS: usize = 4;

/// A total, as the tool itself shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Totals {
    pub percent: Percent,
    /// What the percent was rounded from, where the report tells.
    pub counts: Option<Counts>,
    /// What the number counts, such as `lines`.
    pub of: &'static str,
    pub tool: &'static str,
    /// The file that says so, relative to the report's folder.
    pub source: String,
    pub lines: Option<Counts>,
    pub branches: Option<Counts>,
}

impl Totals {
    /// The most precise number, where it is not the one that is shown.
    pub fn exact(&self) -> Option<String> {
        let counts = self.counts.filter(|counts| !counts.are(&self.percent))?;
        Some(counts.exact(EXACT_DIGITS))
    }

    /// Whether the most precise number that is known is at least `threshold`.
    pub fn reaches(&self, threshold: &Percent) -> bool {
        self.counts.map_or_else(|| self.percent.reaches(threshold), |counts| counts.reaches(threshold))
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}% of {} ({}, {})", self.percent, self.of, self.tool, self.source)?;
        if let Some(counts) = self.counts {
            write!(f, ": {counts}")?;
        }
        self.exact().map_or(Ok(()), |exact| write!(f, ", {exact}%"))
    }
}

/// A page of HTML, and the files in its folder, by name.
struct Page<'a> {
    html: &'a str,
    beside: &'a dyn Fn(&str) -> Option<String>,
}

struct Format {
    /// The name in `--totals FILE:FORMAT`.
    name: &'static str,
    tool: &'static str,
    read: Read,
}

/// `None`: the page is not this tool's, or no index. An empty list: it is, and shows no total.
type PageReader = fn(&Page) -> Option<Found>;
/// The same, and an error where it breaks off or is damaged.
type FileReader = fn(&mut dyn BufRead) -> Result<Option<Found>>;
/// How the names of files end that may be of a format.
type Ends = &'static [&'static str];

enum Read {
    Page(PageReader),
    File(Ends, FileReader),
}

const fn page(name: &'static str, tool: &'static str, read: PageReader) -> Format {
    Format { name, tool, read: Read::Page(read) }
}

const fn file(name: &'static str, tool: &'static str, ends: Ends, read: FileReader) -> Format {
    Format { name, tool, read: Read::File(ends, read) }
}

/// Formats that are read in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Pages,
    Json,
    Xml,
    Lines,
}

impl Format {
    fn family(&self) -> Family {
        match self.read {
            Read::Page(_) => Family::Pages,
            Read::File(JSON, _) => Family::Json,
            Read::File(XML, _) => Family::Xml,
            Read::File(..) => Family::Lines,
        }
    }

    /// What this format finds in bytes that lie in no folder; beside a page lies the page.
    fn probe(&self, bytes: &[u8]) -> Option<Found> {
        match self.read {
            Read::Page(read) => {
                let html = String::from_utf8_lossy(bytes);
                read(&Page { html: &html, beside: &|_: &str| Some(html.to_string()) })
            }
            Read::File(_, read) => read(&mut { bytes }).ok()?,
        }
    }
}

/// Gives any bytes to every format of a family, for fuzz targets: whatever is found is plain digits, from 0 to 100.
pub fn check(family: Family, bytes: &[u8]) {
    for format in FORMATS.iter().filter(|format| format.family() == family) {
        for measure in format.probe(bytes).unwrap_or_default() {
            let text = measure.percent.to_string();
            assert_eq!(Percent::parse(&text).as_ref(), Some(&measure.percent), "{} found {measure:?}", format.name);
        }
    }
}

/// The tools whose totals are found, in words.
pub fn known() -> String {
    let mut tools: Vec<&str> = FORMATS.iter().map(|format| format.tool).collect();
    tools.sort_unstable();
    tools.dedup();
    tools.join(", ")
}

const JSON: Ends = &[".json"];
const XML: Ends = &[".xml"];
const TRACE: Ends = &[".info", ".lcov"];
const PROFILE: Ends = &[".out", ".txt", ".cov", ".coverprofile"];

/// The formats, in the order in which they are asked: pages first, then what a tool writes for itself alone, last what
/// many tools write.
const FORMATS: &[Format] = &[
    page("coverage.py", "coverage.py", coverage_py::page),
    page("diff-cover", "diff-cover", diff_cover::page),
    page("istanbul", "istanbul", istanbul::page),
    page("html-spa", "istanbul", istanbul::spa),
    page("genhtml", "lcov", lcov::page),
    page("gcovr", "gcovr", gcovr::page),
    page("llvm-cov", "llvm-cov", llvm_cov::page),
    page("jacoco", "JaCoCo", jacoco::page),
    page("simplecov", "SimpleCov", simplecov::page),
    page("phpunit", "PHPUnit", phpunit::page),
    page("kcov", "kcov", kcov::page),
    page("tarpaulin", "cargo-tarpaulin", tarpaulin::page),
    page("opencppcoverage", "OpenCppCoverage", opencppcoverage::page),
    page("scoverage", "Scoverage", scoverage::page),
    page("reportgenerator", "ReportGenerator", reportgenerator::page),
    page("grcov", "grcov", grcov::page),
    page("devel-cover", "Devel::Cover", devel_cover::page),
    page("hpc", "hpc", hpc::page),
    file("coverage.py-json", "coverage.py", JSON, coverage_py::json),
    file("istanbul-summary", "istanbul", JSON, istanbul::summary),
    file("llvm-cov-export", "llvm-cov", JSON, llvm_cov::export),
    file("simplecov-last-run", "SimpleCov", JSON, simplecov::last_run),
    file("simplecov-json", "SimpleCov", JSON, simplecov::json),
    file("tarpaulin-json", "cargo-tarpaulin", JSON, tarpaulin::json),
    file("gcovr-summary", "gcovr", JSON, gcovr::summary),
    file("covdir", "grcov", JSON, grcov::covdir),
    file("kcov-json", "kcov", JSON, kcov::json),
    file("coverprofile", "go tool cover", PROFILE, go::profile),
    file("jacoco-xml", "JaCoCo", XML, jacoco::xml),
    file("scoverage-xml", "Scoverage", XML, scoverage::xml),
    file("cobertura", "Cobertura", XML, cobertura::xml),
    file("clover", "Clover", XML, clover::xml),
    file("lcov", "lcov", TRACE, lcov::tracefile),
];

/// The state of the commit status and of the badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Success,
    Failure,
}

impl State {
    /// Failure below the threshold, and without a total where there is a threshold: a gate that nothing can be compared
    /// with must not let everything through.
    pub fn of(totals: Option<&Totals>, threshold: &Percent) -> Self {
        let reaches = totals.map_or(threshold.is_zero(), |totals| totals.reaches(threshold));
        if reaches { Self::Success } else { Self::Failure }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

#[cfg(test)]
mod tests;
