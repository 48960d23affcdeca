//! Finds the total: in the report's index page, then in machine-readable files, or in the file of `--totals`.

use std::path::Path;

use anyhow::Result;

use super::files::{FileSource, TopKeys, sibling};
use super::formats::{FORMATS, Format, Page, Read};
use super::lines::Lines;
use super::measure::{Measure, Measures, choose};
use super::totals::Totals;
use crate::base::deadline::Deadline;
use crate::report::{Entry, Report};

/// Bytes of machine-readable files to read in one run: a report may come from a fork.
pub const MAX_READ: u64 = 1 << 30;
/// The same limit if a page has the total, and other files only confirm it.
const MAX_COMPARED: u64 = 64 << 20;
/// Pages or files to try without an index.
pub const MAX_CANDIDATES: usize = 50;

/// Number of files in the log.
const MAX_LISTED: usize = 10;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    #[default]
    Auto,
    File {
        path: String,
        format: Option<&'static str>,
        /// Whether it is only looked up in the report, not in the working directory.
        is_inside: bool,
    },
}

impl Choice {
    /// `auto`, `FILE` or `FILE:FORMAT`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        // `C:` is a drive, not a file.
        let Some((path, name)) = text.rsplit_once(':').filter(|(path, name)| path.len() > 1 && is_word(name)) else {
            return Ok(Self::File { path: text.to_owned(), format: None, is_inside: false });
        };
        let format = FORMATS.iter().find(|format| format.name == name).map(|format| format.name);
        let known = || FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
        let format = format.ok_or_else(|| format!("has the unknown format {name:?}: use one of {}", known()))?;
        Ok(Self::File { path: path.to_owned(), format: Some(format), is_inside: false })
    }
}

impl Choice {
    /// `off` is none.
    pub fn parse_or_off(text: &str) -> Result<Option<Self>, String> {
        if text == "off" { Ok(None) } else { Self::parse(text).map(Some) }
    }

    /// The same file in each of several reports.
    pub fn inside(&self) -> Self {
        match self {
            Self::Auto => Self::Auto,
            Self::File { path, format, .. } => Self::File { path: path.clone(), format: *format, is_inside: true },
        }
    }

    /// The chosen file, if it does not exist.
    pub fn missing(&self, report: &Report) -> Option<&str> {
        let Self::File { path, is_inside, .. } = self else { return None };
        let there = (!is_inside && Path::new(path).is_file()) || report.get(path).is_some();
        (!there).then_some(path)
    }
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct Search {
    pub totals: Option<Totals>,
    /// Disagreements, and files that cannot be read.
    pub notes: Vec<String>,
    /// The files that were read.
    pub searched: Vec<String>,
    deadline: Deadline,
}

struct Candidate {
    format: &'static Format,
    source: String,
    found: Measures,
}

/// Searches for the total of a report, or in the chosen file, until the deadline.
pub fn search(report: &Report, choice: &Choice, metric: Option<&str>, deadline: Deadline) -> Search {
    let mut search = Search { deadline, ..Search::default() };
    let candidates = match choice {
        Choice::Auto => search.auto(report, metric),
        Choice::File { path, format, is_inside } => {
            let from = if *is_inside { FileSource::Inside(report) } else { FileSource::of(report, path) };
            search.file(path, *format, from).into_iter().collect()
        }
    };
    search.pick(&candidates, metric);
    search
}

impl Search {
    /// The files that were read, as a sentence.
    pub fn searched_files(&self) -> String {
        let more = self.searched.len().saturating_sub(MAX_LISTED);
        let listed: Vec<&str> = self.searched.iter().take(MAX_LISTED).map(String::as_str).collect();
        match (listed.is_empty(), more) {
            (true, _) => "no file: no name matches a known report index or totals file".to_owned(),
            (_, 0) => listed.join(", "),
            _ => format!("{} and {more} more", listed.join(", ")),
        }
    }

    fn auto(&mut self, report: &Report, metric: Option<&str>) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for page in pages(report) {
            let formats = FORMATS.iter().filter(|format| matches!(format.read, Read::Page(..)));
            candidates.extend(self.ask(formats, &page.name, FileSource::Inside(report), &mut 0));
        }
        let has_total = candidates.iter().any(|candidate| choose(&candidate.found, metric).is_some());
        let mut left = if has_total { MAX_COMPARED } else { MAX_READ };
        for Entry { name, .. } in report.files.iter().filter(|file| is_near(&file.name)).take(MAX_CANDIDATES) {
            let formats = files().filter(|format| format.reads(name));
            candidates.extend(self.ask(formats, name, FileSource::Inside(report), &mut left));
        }
        candidates
    }

    /// Reads the chosen file.
    fn file(&mut self, name: &str, format: Option<&str>, from: FileSource) -> Option<Candidate> {
        self.ask(formats_of(name, format), name, from, &mut { MAX_READ })
    }

    /// Tries each format until one recognizes the file.
    fn ask(
        &mut self,
        formats: impl Iterator<Item = &'static Format>,
        name: &str,
        from: FileSource,
        left: &mut u64,
    ) -> Option<Candidate> {
        self.deadline.check().ok()?;
        self.searched.push(name.to_owned());
        let (mut html, mut keys) = (None, TopKeys::default());
        for format in formats {
            let read_sibling = |other: &str| from.text(&sibling(name, other)).ok();
            let found = match format.read {
                Read::Page(read, _) => {
                    read_page(from, name, &mut html).map(|html| read(&Page { html, read_sibling: &read_sibling }))
                }
                Read::File(_, read) => match keys.fit(format, name, from, left, self.deadline) {
                    Ok(true) => from.read(name, left, self.deadline, |input| read(input, &mut Lines::off())),
                    Ok(false) => continue,
                    Err(error) => Err(error),
                },
            };
            match found {
                Ok(Some(found)) => return Some(Candidate { format, source: name.to_owned(), found }),
                Ok(None) => {}
                Err(error) => {
                    self.notes.push(format!("cannot read {name} as {}: {error:#}", format.name));
                    // Other formats would fail in the same way.
                    return None;
                }
            }
        }
        None
    }

    /// Uses the total of the best candidate. Notes each candidate that disagrees; if one of the same rank does, the
    /// total is unknown.
    fn pick(&mut self, candidates: &[Candidate], metric: Option<&str>) {
        let candidates: Vec<_> = candidates.iter().filter(|candidate| candidate.is_measured(candidates)).collect();
        let candidates = &candidates[..];
        let Some((best, measure)) = best(candidates, metric) else { return };
        let disagreeing: Vec<_> = candidates
            .iter()
            .filter_map(|candidate| Some((*candidate, candidate.counterpart(best, measure, metric)?)))
            .filter(|(_, other)| !other.agrees(measure))
            .collect();
        for (candidate, other) in &disagreeing {
            self.notes.push(format!("{}, and {}", candidate.says(other), best.says(measure)));
        }
        if disagreeing.iter().any(|(candidate, _)| candidate.rank() == best.rank()) {
            self.notes.push("cannot tell which file holds the report's total: set --totals FILE".to_owned());
        } else {
            self.totals = Some(best.totals(measure));
        }
    }
}

/// The first candidate with a total and the best rank.
fn best<'a>(candidates: &[&'a Candidate], metric: Option<&str>) -> Option<(&'a Candidate, &'a Measure)> {
    let with_total = candidates.iter().filter_map(|candidate| Some((*candidate, choose(&candidate.found, metric)?)));
    with_total.min_by_key(|(candidate, _)| candidate.rank())
}

impl Candidate {
    /// SimpleCov writes 100.0 without counts if nothing was measured; its page, or its other file, then has no total.
    fn is_measured(&self, all: &[Self]) -> bool {
        let is_empty_sibling = |other: &Self| {
            other.format.tool == self.format.tool && other.format.name != self.format.name && other.found.is_empty()
        };
        self.found.iter().any(|measure| measure.counts.is_some()) || !all.iter().any(is_empty_sibling)
    }

    /// The best rank is 0. All pages have the same rank: each is the index of its own report.
    fn rank(&self) -> usize {
        let same = |other: &Format| match self.format.read {
            Read::Page(..) => matches!(other.read, Read::Page(..)),
            Read::File(..) => other.name == self.format.name,
        };
        FORMATS.iter().position(same).unwrap_or(FORMATS.len())
    }

    /// The measure to compare with the total of `best`: the same metric, else the total of a candidate of the same
    /// rank.
    fn counterpart(&self, best: &Self, total: &Measure, metric: Option<&str>) -> Option<&Measure> {
        let same = self.found.iter().find(|other| other.metric == total.metric && !other.on_request);
        same.or_else(|| choose(&self.found, metric).filter(|_| self.rank() == best.rank()))
    }

    fn says(&self, measure: &Measure) -> String {
        format!("{} ({}) says {}% of {}", self.source, self.format.tool, measure.percent, measure.metric)
    }

    fn totals(&self, measure: &Measure) -> Totals {
        let counts = |metric| self.found.iter().find(|measure| measure.metric == metric)?.counts;
        Totals {
            percent: measure.percent.clone(),
            counts: measure.counts,
            metric: measure.metric,
            tool: self.format.tool,
            source: self.source.clone(),
            lines: counts("lines"),
            branches: counts("branches"),
        }
    }
}

/// The formats to try on a chosen file: the named one, else those that its name allows, else all.
pub fn formats_of(name: &str, format: Option<&str>) -> impl Iterator<Item = &'static Format> {
    let by_name = FORMATS.iter().any(|format| format.reads(name));
    FORMATS.iter().filter(move |known| match format {
        Some(format) => known.name == format,
        None => known.reads(name) || !by_name,
    })
}

fn files() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().filter(|format| matches!(format.read, Read::File(..)))
}

/// Whether this is a machine-readable file in the report's folder or directly below.
pub fn is_near(name: &str) -> bool {
    name.matches('/').count() < 2 && files().any(|format| format.reads(name))
}

/// The report's index; without one, the pages that may be an index, as some tools let users choose its name.
pub fn pages(report: &Report) -> Vec<&Entry> {
    let is_page = |file: &&Entry| {
        let below = file.name.strip_suffix("/index.html").is_some_and(|folder| !folder.contains('/'));
        below || !file.name.contains('/') && FORMATS[0].reads(&file.name)
    };
    match report.index() {
        Some(index) => report.get(index).into_iter().collect(),
        None => {
            // An index has a shorter name than other pages: `coverage.html`, `coverage.main.c.6e96f37f.html`. That of VCS
            // has not: `dashboard.html`, `mod7.html`.
            let mut pages: Vec<_> = report.files.iter().filter(is_page).collect();
            pages.sort_by_key(|file| (file.name != "dashboard.html", file.name.len()));
            pages.truncate(MAX_CANDIDATES);
            pages
        }
    }
}

/// Reads a page once for all formats.
fn read_page<'a>(from: FileSource, name: &str, html: &'a mut Option<String>) -> Result<&'a str> {
    if html.is_none() {
        *html = Some(from.text(name)?);
    }
    Ok(html.as_deref().unwrap_or_default())
}
