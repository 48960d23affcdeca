//! The report formats: one file per tool, and the table of them.

mod bisect_ppx;
mod clover;
mod cobertura;
mod codecov;
mod coverage_py;
mod coveralls;
mod covr;
mod deno;
mod devel_cover;
mod diff_cover;
mod dotcover;
mod emma;
mod erlang_cover;
mod excoveralls;
mod gcovr;
mod go;
mod grcov;
mod hpc;
mod intellij;
mod istanbul;
mod jacoco;
mod jmockit;
mod kcov;
mod lcov;
pub mod llvm_cov;
mod luacov;
mod mocha;
mod monocart;
mod openclover;
mod opencppcoverage;
mod parasoft;
mod phpunit;
mod questa;
mod rcov;
mod reportgenerator;
mod scoverage;
mod simplecov;
mod slather;
mod sonarqube;
mod tarpaulin;
mod urg;
mod visual_studio;
mod xcode;

use std::io::BufRead;

use anyhow::Result;

use super::lines::Lines;
use super::measure::{Measure, Measures};
use super::percent::{Counts, Percent};

/// An HTML page, and a function that reads a file of its folder by name.
pub struct Page<'a> {
    pub html: &'a str,
    pub read_sibling: &'a dyn Fn(&str) -> Option<String>,
}

pub struct Format {
    /// The name in `--totals FILE:FORMAT`.
    pub name: &'static str,
    pub tool: &'static str,
    pub read: Read,
    /// How the fragment of a line on its pages starts, as in `t` of `#t12`, if it is the same in all versions that have any.
    line_anchor: Option<&'static str>,
    /// Keys at the top of a JSON file, of which this format has one. Without any, the reader looks at the file's start.
    pub keys: Keys,
}

/// `None`: not this tool's page, or not an index. An empty list: an index without a total.
pub type PageReader = fn(&Page) -> Option<Measures>;
/// Reads the lines of the source files on a page. Returns whether it is such a page of this tool.
pub type SourcePageReader = fn(&Page, &mut Lines) -> bool;
/// Like `PageReader`, with an error if the file is truncated or damaged. Also reads the lines, if `Lines` is on.
pub type FileReader = fn(&mut dyn BufRead, &mut Lines) -> Result<Option<Measures>>;
/// File name endings of a format.
pub type Suffixes = &'static [&'static str];
pub type Keys = &'static [&'static str];

pub enum Read {
    Page(PageReader, Option<SourcePages>),
    File(Suffixes, FileReader),
}

/// The pages of a tool's source files.
#[derive(Clone, Copy)]
pub struct SourcePages {
    pub read: SourcePageReader,
    /// Whether each is about one source file and names it before its lines. Then the reader finds the same path on the
    /// start of a page as on the whole page, or none.
    pub has_path_first: bool,
}

impl Format {
    pub fn is_json(&self) -> bool {
        matches!(self.read, Read::File(JSON, _))
    }

    const fn with_anchors(self, start: &'static str) -> Self {
        Self { line_anchor: Some(start), ..self }
    }

    /// Whether a file with this name may have this format.
    pub fn reads(&self, name: &str) -> bool {
        let ends_with = |end: &str| {
            let start = name.len().checked_sub(end.len());
            start.is_some_and(|start| name.as_bytes()[start..].eq_ignore_ascii_case(end.as_bytes()))
        };
        match self.read {
            Read::Page(..) => ends_with(".html") || ends_with(".htm"),
            Read::File(ends, _) => ends.iter().any(|end| ends_with(end)),
        }
    }
}

const fn page(name: &'static str, tool: &'static str, read: PageReader) -> Format {
    Format { name, tool, read: Read::Page(read, None), line_anchor: None, keys: &[] }
}

/// A page format, and the pages of its source files, or the index itself if it contains them.
const fn pages(name: &'static str, tool: &'static str, read: PageReader, lines: SourcePageReader) -> Format {
    Format {
        name,
        tool,
        read: Read::Page(read, Some(SourcePages { read: lines, has_path_first: false })),
        line_anchor: None,
        keys: &[],
    }
}

/// Like `pages`, with one source file on each page, named before its lines.
const fn pages_of_one(name: &'static str, tool: &'static str, read: PageReader, lines: SourcePageReader) -> Format {
    Format {
        name,
        tool,
        read: Read::Page(read, Some(SourcePages { read: lines, has_path_first: true })),
        line_anchor: None,
        keys: &[],
    }
}

const fn file(name: &'static str, tool: &'static str, ends: Suffixes, read: FileReader) -> Format {
    Format { name, tool, read: Read::File(ends, read), line_anchor: None, keys: &[] }
}

const fn json(name: &'static str, tool: &'static str, keys: Keys, read: FileReader) -> Format {
    Format { name, tool, read: Read::File(JSON, read), line_anchor: None, keys }
}

/// How the fragment of a line on the pages of this tool starts, if that is known.
pub fn line_anchor(tool: &str) -> Option<&'static str> {
    FORMATS.iter().filter(|format| format.tool == tool).find_map(|format| format.line_anchor)
}

/// The supported tools, as a sentence.
pub fn supported_tools() -> String {
    let mut tools: Vec<&str> = FORMATS.iter().map(|format| format.tool).collect();
    tools.sort_unstable();
    tools.dedup();
    tools.join(", ")
}

pub const JSON: Suffixes = &[".json"];
pub const XML: Suffixes = &[".xml", ".coveragexml"];
const TRACE: Suffixes = &[".info", ".lcov"];
const PROFILE: Suffixes = &[".out", ".txt", ".cov", ".coverprofile"];

/// The formats in the order of the search: pages, then files of a single tool, then files of many tools.
pub const FORMATS: &[Format] = &[
    pages_of_one("coverage.py", "coverage.py", coverage_py::page, coverage_py::source_page).with_anchors("t"),
    page("diff-cover", "diff-cover", diff_cover::page),
    pages_of_one("istanbul", "istanbul", istanbul::page, istanbul::source_page).with_anchors("L"),
    pages("html-spa", "istanbul", istanbul::spa, istanbul::source_page),
    pages("monocart", "Monocart", monocart::page, monocart::source_page),
    pages("deno", "Deno", deno::page, deno::source_page).with_anchors("L"),
    pages_of_one("genhtml", "lcov", lcov::page, lcov::source_page),
    pages("gcovr", "gcovr", gcovr::page, gcovr::source_page),
    pages("llvm-cov", llvm_cov::TOOL, llvm_cov::page, llvm_cov::source_page).with_anchors("L"),
    pages_of_one("jacoco", "JaCoCo", jacoco::page, jacoco::source_page).with_anchors("L"),
    pages("simplecov", "SimpleCov", simplecov::page, simplecov::source_page),
    pages("phpunit", "PHPUnit", phpunit::page, phpunit::source_page).with_anchors(""),
    pages("kcov", "kcov", kcov::page, kcov::source_page),
    pages("tarpaulin", "cargo-tarpaulin", tarpaulin::page, tarpaulin::source_page),
    pages("opencppcoverage", "OpenCppCoverage", opencppcoverage::page, opencppcoverage::source_page),
    pages("scoverage", "Scoverage", scoverage::page, scoverage::source_page),
    pages("reportgenerator", "ReportGenerator", reportgenerator::page, reportgenerator::source_page),
    pages_of_one("grcov", "grcov", grcov::page, grcov::source_page),
    pages("devel-cover", "Devel::Cover", devel_cover::page, devel_cover::source_page),
    pages("go-html", "go tool cover", go::page, go::source_page),
    page("hpc", "hpc", hpc::page),
    pages("cobertura-html", "Cobertura", cobertura::page, cobertura::source_page),
    pages("openclover", "OpenClover", openclover::page, openclover::source_page).with_anchors("l"),
    pages("emma", "EMMA", emma::page, emma::source_page),
    pages("jmockit", "JMockit", jmockit::page, jmockit::source_page),
    page("intellij", "IntelliJ or Kover", intellij::page),
    pages("html-cov", "mocha", mocha::html_cov, mocha::html_cov_lines),
    pages("lab", "lab", mocha::lab, mocha::lab_lines),
    pages_of_one("slather", "Slather", slather::page, slather::source_page),
    page("xcov", "xcov", xcode::xcov),
    pages("excoveralls", "ExCoveralls", excoveralls::page, excoveralls::source_page),
    pages_of_one("erlang-cover", "Erlang cover", erlang_cover::page, erlang_cover::source_page).with_anchors("L"),
    pages("bisect-ppx", "bisect_ppx", bisect_ppx::page, bisect_ppx::source_page).with_anchors("L"),
    pages("covr", "covr", covr::page, covr::source_page),
    page("questa", "Questa", questa::page),
    pages_of_one("rcov", "RCov", rcov::page, rcov::source_page),
    pages("urg", "VCS urg", urg::page, urg::source_page),
    json("coverage.py-json", "coverage.py", &["totals"], coverage_py::json),
    json("istanbul-summary", "istanbul", &["total"], istanbul::summary),
    json("coverage-final", "istanbul", &[], istanbul::coverage_final),
    json("monocart-json", "Monocart", &[], monocart::json),
    json("llvm-cov-export", llvm_cov::TOOL, &["data"], llvm_cov::export),
    json("simplecov-last-run", "SimpleCov", &["result"], simplecov::last_run),
    json("simplecov-json", "SimpleCov", &["meta"], simplecov::json),
    json("simplecov-resultset", "SimpleCov", &[], simplecov::resultset),
    json("tarpaulin-json", "cargo-tarpaulin", &["files"], tarpaulin::json),
    json("gcovr-summary", "gcovr", &["gcovr/summary_format_version"], gcovr::summary_json),
    json("gcovr-json", "gcovr", &["gcovr/format_version"], gcovr::json),
    json("reportgenerator-json", "ReportGenerator", &["summary"], reportgenerator::json),
    json("dotcover-json", "dotCover", &["DotCoverVersion"], dotcover::json),
    json("covdir", "grcov", &["linesTotal"], grcov::covdir),
    json("kcov-json", "kcov", &["total_lines"], kcov::json),
    json("slather-json", "Slather", &[], slather::json),
    json("xcov-json", "xcov", &["coverage"], xcode::xcov_json),
    json("xccov", "Xcode", &["coveredLines"], xcode::xccov),
    json("xccov-archive", "Xcode", &[], xcode::archive),
    file("coverprofile", "go tool cover", PROFILE, go::profile),
    file("emma-xml", "EMMA", XML, emma::xml),
    file("luacov", "LuaCov", PROFILE, luacov::report),
    file("jacoco-xml", "JaCoCo", XML, jacoco::xml),
    file("scoverage-xml", "Scoverage", XML, scoverage::xml),
    file("reportgenerator-xml", "ReportGenerator", XML, reportgenerator::xml),
    file("visual-studio", "Visual Studio", XML, visual_studio::xml),
    file("visual-studio-export", "Visual Studio", XML, visual_studio::exported),
    file("dotcover-xml", "dotCover", XML, dotcover::xml),
    file("parasoft", "Parasoft", XML, parasoft::xml),
    file("sonarqube", "SonarQube", XML, sonarqube::xml),
    json("codecov-json", "Codecov JSON", &[], codecov::json),
    file("cobertura", "Cobertura", XML, cobertura::xml),
    file("clover", "Clover", XML, clover::xml),
    json("coveralls", "Coveralls", &["source_files"], coveralls::json),
    file("lcov", "lcov", TRACE, lcov::tracefile),
];
