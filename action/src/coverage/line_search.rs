//! Finds the lines of a report: in the machine-readable file that belongs to it, else in its HTML pages, or in the file
//! of `--lines`. Nothing is derived from lines that do not add up to what the report shows.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use super::files::{FileSource, MAX_PAGE, TopKeys, sibling};
use super::formats::{FORMATS, Format, Page, Read, SourcePages, llvm_cov};
use super::lines::{Filter, Lines};
use super::measure::Measures;
use super::percent::Counts;
use super::search::{Choice, MAX_CANDIDATES, MAX_READ, formats_of, is_near, pages};
use super::totals::Totals;
use crate::base::deadline::Deadline;
use crate::base::text::count;
use crate::report::{Entry, Report};

/// Threads that read pages. Each keeps one page in memory.
const MAX_THREADS: usize = 4;

/// What to read: everything that a search for lines depends on.
#[derive(Clone, Copy)]
pub struct LineSearch<'a> {
    pub report: &'a Report,
    pub choice: &'a Choice,
    pub totals: Option<&'a Totals>,
    /// The paths that the caller needs; without a filter, all.
    pub filter: Option<Filter<'a>>,
    pub deadline: Deadline,
}

/// The lines of a report, and where they come from.
pub struct FoundLines<'a> {
    pub lines: Lines<'a>,
    pub tool: &'static str,
    /// The file with the lines, or the index of the pages, relative to the report's folder.
    pub source: String,
    pub is_pages: bool,
    pub proof: Proof,
}

/// Whether lines add up to the counts that the report shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    AddsUp,
    /// The report shows no counts of lines.
    NotShown,
    /// The report counts the lines of each function.
    OfFunctions,
    /// The counts of the report, or of one source file, are others.
    Differs {
        of: String,
        shown: (u64, u64),
        read: (u64, u64),
    },
}

impl Proof {
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::Differs { .. })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddsUp => f.write_str("they add up to the report's counts"),
            Self::NotShown => f.write_str("the report shows no line counts to compare them with"),
            Self::OfFunctions => {
                f.write_str("the report counts the lines of each function, so they cannot be compared")
            }
            Self::Differs { of, shown, read } => write!(
                f,
                "they do not add up: {} of {} in {of}, but the report shows {} of {}",
                read.0, read.1, shown.0, shown.1
            ),
        }
    }
}

impl fmt::Display for FoundLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (covered, total) = self.lines.sums();
        let files = self.lines.files().count();
        let pages = if self.is_pages { " and its pages" } else { "" };
        let (total, files) = (count(total as usize, "line"), count(files, "file"));
        if self.lines.are_all_rejected() {
            return write!(f, "no lines of changed files ({}, {}{pages})", self.tool, self.source);
        }
        write!(f, "{total} in {files} ({}, {}{pages}): {covered} hit", self.tool, self.source)?;
        write!(f, "; {}", self.proof)
    }
}

impl<'a> LineSearch<'a> {
    /// The lines, if there are any: those that add up, else the first. There are none in them if the filter accepts no file
    /// of the report. Notes say which files cannot be read, and which contradict each other in a report without a total.
    pub fn run(&self, notes: &mut Vec<String>) -> Option<FoundLines<'a>> {
        match self.choice {
            Choice::Auto => self.auto(notes),
            Choice::File { path, format, is_inside } => self.chosen(path, *format, *is_inside, notes),
        }
    }

    fn auto(&self, notes: &mut Vec<String>) -> Option<FoundLines<'a>> {
        let (mut best, mut damaged) = (Best::default(), Vec::new());
        let (mut keys, mut left) = (TopKeys::default(), MAX_READ);
        for (format, entry) in self.candidates() {
            // Other formats would fail on a damaged file in the same way.
            if damaged.contains(&&entry.name) {
                continue;
            }
            let found = self.file(format, &entry.name, FileSource::Inside(self.report), &mut keys, &mut left);
            if found.is_err() {
                damaged.push(&entry.name);
            }
            best.add(found, &entry.name, notes);
            if self.is_decided(&best) {
                return best.lines;
            }
        }
        for index in pages(self.report) {
            best.add(self.pages_of(index, None), &index.name, notes);
            if self.is_decided(&best) {
                return best.lines;
            }
        }
        best.into_lines(notes)
    }

    /// Only a folder whose total is unknown may have several reports: their lines are compared.
    fn is_decided(&self, best: &Best) -> bool {
        self.totals.is_some() && best.is_usable()
    }

    /// The machine-readable files, those of the formats with the most details first.
    fn candidates(&self) -> impl Iterator<Item = (&'static Format, &'a Entry)> {
        let near: Vec<_> = self.report.files.iter().filter(|entry| is_near(&entry.name)).collect();
        let files = FORMATS.iter().filter(|format| matches!(format.read, Read::File(..)));
        files.flat_map(move |format| {
            let named = near.iter().filter(|entry| format.reads(&entry.name)).take(MAX_CANDIDATES);
            named.map(|entry| (format, *entry)).collect::<Vec<_>>()
        })
    }

    fn chosen(
        &self,
        name: &str,
        format: Option<&str>,
        is_inside: bool,
        notes: &mut Vec<String>,
    ) -> Option<FoundLines<'a>> {
        let from = if is_inside { FileSource::Inside(self.report) } else { FileSource::of(self.report, name) };
        let mut keys = TopKeys::default();
        let mut as_file = || {
            let formats = formats_of(name, format);
            formats
                .map(|format| self.file(format, name, from, &mut keys, &mut { MAX_READ }))
                .find(|found| !matches!(found, Ok(None)))
        };
        let found = match self.report.get(name).filter(|_| FORMATS[0].reads(name)) {
            Some(index) => self.pages_of(index, format),
            None => as_file().unwrap_or(Ok(None)),
        };
        found.unwrap_or_else(|error| {
            let is_told = format.is_some() || FORMATS.iter().any(|format| format.reads(name));
            let hint = if is_told { "" } else { "; its name does not tell the format: set --lines FILE:FORMAT" };
            notes.push(cannot_read(name, &error) + hint);
            None
        })
    }

    /// The lines of a machine-readable file, if it has this format and any lines.
    fn file(
        &self,
        format: &'static Format,
        name: &str,
        from: FileSource,
        keys: &mut TopKeys,
        left: &mut u64,
    ) -> Result<Option<FoundLines<'a>>> {
        let Read::File(_, read) = format.read else { return Ok(None) };
        if !keys.fit(format, name, from, left, self.deadline)? {
            return Ok(None);
        }
        let mut lines = Lines::only(self.filter);
        let Some(found) = from.read(name, left, self.deadline, |input| read(input, &mut lines))? else {
            return Ok(None);
        };
        lines.finish()?;
        Ok((!lines.is_empty()).then(|| self.found(lines, format, name.to_owned(), false, &found)))
    }

    /// The lines of all pages of the report with this index, in any format or in the named one.
    fn pages_of(&self, index: &Entry, format: Option<&str>) -> Result<Option<FoundLines<'a>>> {
        let from = FileSource::Inside(self.report);
        let html = from.text(&index.name)?;
        let read_sibling = |other: &str| self.sibling(index, other);
        let page = Page { html: &html, read_sibling: &read_sibling };
        let mut formats = FORMATS.iter().filter(|known| format.is_none_or(|format| known.name == format));
        let recognized = formats.find_map(|format| match format.read {
            Read::Page(read, Some(source)) => Some((format, read(&page)?, source)),
            _ => None,
        });
        let Some((format, found, source)) = recognized else { return Ok(None) };
        drop(html);
        let lines = self.read_pages(index, source)?;
        Ok((!lines.is_empty()).then(|| self.found(lines, format, index.name.clone(), true, &found)))
    }

    /// Reads the pages in the index's folder and below, in several threads.
    fn read_pages(&self, index: &Entry, source: SourcePages) -> Result<Lines<'a>> {
        let folder = sibling(&index.name, "");
        let is_page = |entry: &&Entry| entry.name.starts_with(&folder) && FORMATS[0].reads(&entry.name);
        let pages: Vec<&Entry> = self.report.files.iter().filter(is_page).collect();
        let next = AtomicUsize::new(0);
        let work = || -> Result<Lines<'a>> {
            let mut lines = Lines::only(self.filter);
            while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.deadline.check()?;
                self.read_page(page, source, &mut lines)?;
            }
            Ok(lines)
        };
        let count = thread::available_parallelism().map_or(1, |cores| cores.get()).min(MAX_THREADS).min(pages.len());
        let mut all = Lines::only(self.filter);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                let Ok(lines) = worker.join() else { bail!("a thread that read pages ended early") };
                all.merge(lines?);
            }
            Ok(())
        })?;
        all.finish()?;
        Ok(all)
    }

    fn read_page(&self, page: &Entry, source: SourcePages, lines: &mut Lines) -> Result<()> {
        let from = FileSource::Inside(self.report);
        ensure!(page.size <= MAX_PAGE, "{} has more than {} MB", page.name, MAX_PAGE >> 20);
        let html = from.text_if(&page.name, |head| self.needs_page(head, source, lines));
        if let Some(html) = html.with_context(|| format!("cannot read {}", page.name))? {
            let read_sibling = |other: &str| self.sibling(page, other);
            (source.read)(&Page { html: &html, read_sibling: &read_sibling }, lines);
        }
        Ok(self.deadline.check()?)
    }

    /// Whether the rest of a page is needed. If its start names a source file that the filter rejects, `lines` notes that.
    fn needs_page(&self, head: &str, source: SourcePages, lines: &mut Lines) -> bool {
        if self.filter.is_none() || !source.has_path_first {
            return true;
        }
        let mut found = Lines::only(self.filter);
        (source.read)(&Page { html: head, read_sibling: &|_| None }, &mut found);
        let is_rejected = found.are_all_rejected();
        if is_rejected {
            lines.merge(found);
        }
        !is_rejected
    }

    /// The text of another file in a page's folder. A page can name millions of them, so there is none after the
    /// deadline.
    fn sibling(&self, page: &Entry, other: &str) -> Option<String> {
        self.deadline.check().ok()?;
        FileSource::Inside(self.report).text(&sibling(&page.name, other)).ok()
    }

    fn found(
        &self,
        lines: Lines<'a>,
        format: &'static Format,
        source: String,
        is_pages: bool,
        found: &Measures,
    ) -> FoundLines<'a> {
        let proof = match self.proof(&lines, &source, found) {
            Proof::Differs { .. } if self.counts_functions(format) => Proof::OfFunctions,
            Proof::Differs { shown, .. } if lines.may_be_part_of(shown) => Proof::OfFunctions,
            proof => proof,
        };
        FoundLines { lines, tool: format.tool, source, is_pages, proof }
    }

    fn counts_functions(&self, format: &Format) -> bool {
        let tool = self.totals.map_or(format.tool, |totals| totals.tool);
        [tool, format.tool].contains(&llvm_cov::TOOL)
    }

    /// Compares the lines with the counts of each source file, of their own file, and of the report.
    fn proof(&self, lines: &Lines, source: &str, found: &Measures) -> Proof {
        if let Some(file) = lines.files().find(|file| !file.adds_up()) {
            let shown = file.shown.unwrap_or_default();
            return Proof::Differs { of: file.path.clone(), shown, read: file.bits.sums() };
        }
        if self.filter.is_some() {
            return if lines.files().all(|file| file.shown.is_some()) { Proof::AddsUp } else { Proof::NotShown };
        }
        let own = found.iter().find(|measure| measure.metric == "lines").and_then(|measure| measure.counts);
        let total = self.totals.and_then(|totals| totals.lines);
        let read = lines.sums();
        // Tools count each line once, or once for each of its classes, methods or statements.
        let ways = [read, lines.counted()];
        let pair = |counts: Counts| (counts.covered, counts.total);
        let shown: Vec<_> = [own, total].into_iter().flatten().map(pair).collect();
        match shown.iter().find(|shown| !ways.contains(shown)) {
            Some(shown) => Proof::Differs { of: source.to_owned(), shown: *shown, read },
            None if shown.is_empty() && !lines.files().all(|file| file.shown.is_some()) => Proof::NotShown,
            None => Proof::AddsUp,
        }
    }
}

/// The lines that add up, else the first.
#[derive(Default)]
struct Best<'a> {
    lines: Option<FoundLines<'a>>,
    /// The first without any line that the caller needs: another file may have some.
    rejected: Option<FoundLines<'a>>,
    /// The source of other lines that add up as well: that of another report in the same folder.
    rival: Option<String>,
}

impl<'a> Best<'a> {
    fn add(&mut self, found: Result<Option<FoundLines<'a>>>, name: &str, notes: &mut Vec<String>) {
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => return notes.push(cannot_read(name, &error)),
        };
        if found.lines.are_all_rejected() {
            self.rejected.get_or_insert(found);
            return;
        }
        let is_usable = found.proof.is_usable();
        match &self.lines {
            Some(lines) if lines.proof.is_usable() => {
                let differs = is_usable && found.lines.sums() != lines.lines.sums();
                self.rival = self.rival.take().or(differs.then_some(found.source));
            }
            Some(_) if !is_usable => {}
            _ => self.lines = Some(found),
        }
    }

    fn is_usable(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.proof.is_usable())
    }

    fn into_lines(self, notes: &mut Vec<String>) -> Option<FoundLines<'a>> {
        let lines = self.lines.or(self.rejected)?;
        let Some(rival) = self.rival else { return Some(lines) };
        notes.push(format!("{} and {rival} have different lines: set --lines FILE", lines.source));
        None
    }
}

fn cannot_read(name: &str, error: &anyhow::Error) -> String {
    format!("cannot read the lines of {name}: {error:#}")
}
