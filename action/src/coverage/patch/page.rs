//! The page of changed lines in the report: each hunk, with its lines covered, missed or partly covered.

use std::borrow::Cow;

use maud::{Markup, PreEscaped, html};

use super::{Patch, PatchFile, Unknown};
use crate::base::text::{count, short_sha, visible};
use crate::coverage::diff::{Change, DiffLine, Hunk};
use crate::coverage::lines::Hit;
use crate::coverage::page::{Room, document, encoded};
use crate::coverage::percent::Percent;

/// The page's name in the report.
pub const PATH: &str = "_covered/patch.html";

/// Bytes of all files on the page: about 20,000 lines. A fork chooses how long a path is, and each line's link has it.
const MAX_BYTES: usize = 5 << 20;
/// Characters of a line.
const MAX_LINE: usize = 1_000;
/// Linked ranges of a file in the overview.
const SHOWN_RANGES: usize = 12;
/// Named files without known lines.
const MAX_UNKNOWN: usize = 1_000;

/// What the page links to and states besides the patch.
pub struct Links<'a> {
    /// The repository's address on GitHub, without a slash at the end.
    pub repository: &'a str,
    pub pull_request: u64,
    /// The report's name, if it has one.
    pub name: Option<&'a str>,
    /// The report's total.
    pub total: Option<&'a Percent>,
    /// The head of the pull request. Another commit with line numbers is its merge.
    pub head: &'a str,
    /// The pages of a source file in the report, by its path there.
    pub report_pages: &'a dyn Fn(&str) -> Vec<PageLink>,
    /// The report's index, relative to the report.
    pub index: &'a str,
}

/// The page of a source file in the report.
pub struct PageLink {
    /// Such as `in the report`.
    pub label: String,
    /// Relative to the report.
    pub page: String,
    /// How the fragment of a line on this page starts, as in `t` of `#t12`.
    pub line_anchor: Option<&'static str>,
}

impl Links<'_> {
    /// The tested head, and the total.
    fn origin(&self) -> Markup {
        let commit = format!("{}/commit/{}", self.repository, self.head);
        html! {
            p.links {
                "commit " a href=(commit) { code { (short_sha(self.head)) } }
                @if let Some(total) = self.total { " · total " (total) "%" }
            }
        }
    }

    /// A file on GitHub, with some of its lines.
    pub fn lines(&self, file: &PatchFile, (first, last): (u32, u32)) -> String {
        let end = if first == last { String::new() } else { format!("-L{last}") };
        format!("{}#L{first}{end}", self.file(file))
    }

    /// The labels and addresses of a file's pages in the report, at a line.
    fn in_report(&self, file: &PatchFile, line: u32) -> Vec<(String, String)> {
        let address = |link: PageLink| {
            let anchor = link.line_anchor.map_or_else(String::new, |start| format!("#{start}{line}"));
            (link.label, format!("../{}{anchor}", encoded(&link.page)))
        };
        (self.report_pages)(file.report_path).into_iter().map(address).collect()
    }

    fn file(&self, file: &PatchFile) -> String {
        format!("{}/blob/{}/{}", self.repository, file.commit, encoded(file.path))
    }
}

impl Patch<'_> {
    /// `threshold`: 0 if the patch needs no percentage.
    pub fn page(&self, links: &Links, threshold: &Percent) -> String {
        let name = links.name.map_or_else(String::new, |name| format!(": {}", visible(name)));
        let title = format!("Changed lines of #{}{name}", links.pull_request);
        let mut files: Vec<_> = self.files.iter().filter(|file| !file.lines.is_empty()).collect();
        files.sort_by_key(|file| (file.covered() as i64 - file.lines.len() as i64, file.path));
        let mut room = Room::new(MAX_BYTES);
        let main = html! {
            h1 { "Changed lines of " a href=(format!("{}/pull/{}", links.repository, links.pull_request)) { "#" (links.pull_request) } (name) }
            (links.origin())
            (self.summary(threshold))
            @if !files.is_empty() { (overview(&files, &mut room)) }
            @for (at, file) in files.iter().enumerate() { (section(at, file, links, &mut room)) }
            (self.unknown_files(&mut room))
            @if room.is_full() { p { "The page ends here: there are more changes than it has room for." } }
        };
        let footer = html! { a href=(format!("../{}", encoded(links.index))) { "The whole report" } " · " };
        document(&title, STYLE, &main, &footer)
    }

    fn summary(&self, threshold: &Percent) -> Markup {
        let partly = self.partly();
        let counts = self.counts().zip(self.percent());
        html! {
            @if let Some((counts, percent)) = &counts {
                p.number { (percent) "%" }
                p {
                    (counts) @if counts.total == 1 { " changed line is" } @else { " changed lines are" } " covered"
                    @if partly > 0 { ", " (partly) " of them only partly: some of their branches were not taken" }
                    "."
                }
            } @else if self.unknown.is_empty() {
                p.number { "No coverable lines changed" }
            } @else {
                p.number { "Unknown" }
                p { "The report does not say whether the changed lines below are covered." }
            }
            @if let Some(requirement) = self.requirement(threshold) { p { (requirement) } }
            @if self.moved > 0 {
                p { (self.moved) @if self.moved == 1 { " line was" } @else { " lines were" } " only moved within this pull request, and not counted." }
            }
            @if !self.unknown.is_empty() && counts.is_some() {
                p { a href="#files-not-counted" { (count(self.unknown.len(), "changed file")) " not counted" } }
            }
            @if counts.is_some() {
                p.legend {
                    "✓ covered · ◐ not all branches taken · ✗ not covered · " span.shaded { "shaded" } ": changed, cannot be covered"
                    @if self.moved > 0 { " or only moved" }
                    " · " span.pale { "pale" } ": not changed"
                }
            }
        }
    }

    fn unknown_files(&self, room: &mut Room) -> Markup {
        let item = |(path, why): &(&str, Unknown)| html! { li { code { (visible(path)) } ": " (why.reason()) " (" (why.advice()) ")" } };
        html! {
            @if !self.unknown.is_empty() {
                h2 id="files-not-counted" { "Not counted" }
                ul {
                    @for file in self.unknown.iter().take(MAX_UNKNOWN) { (room.fit(item(file))) }
                    @if self.unknown.len() > MAX_UNKNOWN { li { "and " (self.unknown.len() - MAX_UNKNOWN) " more" } }
                }
            }
        }
    }
}

/// All files with their counts, those with the most missed lines first.
fn overview(files: &[&PatchFile], room: &mut Room) -> Markup {
    let row = |(at, file): (usize, &&PatchFile)| {
        html! {
            tr {
                td { a href=(format!("#f{at}")) { code { (visible(file.path)) } } }
                td { (file.covered()) " of " (file.lines.len()) }
                td { (gaps(at, file)) }
            }
        }
    };
    html! {
        table.files {
            thead { tr { th { "File" } th { "Covered" } th { "Missed lines" } } }
            tbody { @for file in files.iter().enumerate() { (room.fit(row(file))) } }
        }
    }
}

/// The missed and the partly covered ranges of a file, as in `3, 7–9, partly: 12`.
fn gaps(at: usize, file: &PatchFile) -> Markup {
    let [missed, partly] = [Hit::No, Hit::Partly].map(|hit| file.ranges(hit));
    html! {
        (linked(at, &missed))
        @if !missed.is_empty() && !partly.is_empty() { ", " }
        @if !partly.is_empty() { "partly: " (linked(at, &partly)) }
    }
}

/// Ranges with links to their places on the page; of many, the first.
fn linked(at: usize, ranges: &[(u32, u32)]) -> Markup {
    html! {
        @for (nth, range) in ranges.iter().take(SHOWN_RANGES).enumerate() {
            @if nth > 0 { ", " }
            a href=(format_args!("#f{at}L{}", range.0)) { (shown_range(*range)) }
        }
        @if ranges.len() > SHOWN_RANGES { ", …" }
    }
}

fn shown_range((first, last): (u32, u32)) -> String {
    if first == last { first.to_string() } else { format!("{first}–{last}") }
}

/// A file on the page.
struct Section<'a> {
    at: usize,
    file: &'a PatchFile<'a>,
    links: &'a Links<'a>,
    on_github: String,
    /// The first lines of the ranges that the overview links to.
    targets: Vec<u32>,
}

fn section(at: usize, file: &PatchFile, links: &Links, room: &mut Room) -> Markup {
    let [missed, partly] = [Hit::No, Hit::Partly].map(|hit| file.ranges(hit));
    let first =
        missed.first().or(partly.first()).map(|range| range.0).or(file.lines.first().map(|line| line.0)).unwrap_or(1);
    let shown = missed.iter().take(SHOWN_RANGES).chain(partly.iter().take(SHOWN_RANGES));
    let targets = shown.map(|range| range.0).collect();
    let section = Section { at, file, links, on_github: links.file(file), targets };
    let head = html! {
        h2 { code { (visible(file.path)) } }
        p.links {
            (file.covered()) " of " (file.lines.len()) " covered"
            @for (label, page) in links.in_report(file, first) { " · " a href=(page) { (visible(&label)) } }
            " · " a href=(section.on_github) { "on GitHub" }
        }
        @if file.commit != links.head {
            p.links { "The line numbers are those of the merge commit, and may differ from “Files changed”." }
        }
    };
    let head = room.fit(head);
    html! {
        @if !room.is_full() {
            section id=(format_args!("f{at}")) {
                (head)
                .code { table { @for hunk in &file.hunks { (section.hunk(hunk, room)) } } }
            }
        }
    }
}

impl Section<'_> {
    fn hunk(&self, hunk: &Hunk, room: &mut Room) -> Markup {
        // Removed lines were not tested.
        let lines: Vec<&DiffLine> = hunk.lines.iter().filter(|line| !line.is_removed()).collect();
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return PreEscaped(String::new()) };
        let range = (number(first), number(last));
        let heading = || {
            html! {
                tr.heading {
                    td { @if range.0 > 1 { "⋯" } }
                    td {}
                    td { a href=(self.links.lines(self.file, range)) { @if range.0 == range.1 { "Line " } @else { "Lines " } (shown_range(range)) } " " (shown(hunk.heading)) }
                }
            }
        };
        html! {
            @if !room.is_full() {
                tbody {
                    (room.fit(heading()))
                    @for line in lines { @if !room.is_full() { (room.fit(self.row(line))) } }
                }
            }
        }
    }

    fn row(&self, line: &DiffLine) -> Markup {
        let number = number(line);
        let at = self.file.lines.binary_search_by_key(&number, |(line, _)| *line);
        let (class, mark, meaning) = match at.ok().filter(|_| line.added().is_some()).map(|at| self.file.lines[at].1) {
            Some(Hit::Yes) => ("hit", "✓", "covered"),
            Some(Hit::Partly) => ("partly", "◐", "partly covered"),
            Some(Hit::No) => ("missed", "✗", "not covered"),
            None if line.added().is_some() => ("added", "", ""),
            None => ("kept", "", ""),
        };
        let target = self.targets.contains(&number).then(|| format!("f{}L{number}", self.at));
        html! {
            tr class=(class) id=[target] {
                td { a href=(format_args!("{}#L{number}", self.on_github)) { (number) } }
                td title=[Some(meaning).filter(|meaning| !meaning.is_empty())] { (mark) }
                td { (shown(line.text)) }
            }
        }
    }
}

fn number(line: &DiffLine) -> u32 {
    match line.change {
        Change::Kept { new, .. } | Change::Added { new } => new,
        Change::Removed { old } => old,
    }
}

/// A line of source code, without what would hide or reorder its text.
fn shown(text: &str) -> Cow<'_, str> {
    // Nearly all lines are so.
    if text.len() <= MAX_LINE && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.into();
    }
    let mut shown: String = text.chars().take(MAX_LINE).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    visible(&shown.replace('\t', "    ")).into()
}

const STYLE: &str = "
.legend { font-size: .875rem; margin-top: .5rem; }
.legend .shaded { background: var(--shade); padding: 0 .25rem; }
.legend .pale { opacity: .6; }
h2 code { font-size: 15px; font-weight: 600; }
.code { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
.code table { border-collapse: collapse; min-width: 100%; }
.code td { padding: 0 .6rem; white-space: pre; tab-size: 4; unicode-bidi: isolate; }
.code td:last-child { width: 100%; }
.code td:first-child { text-align: right; user-select: none; position: sticky; left: 0; background: Canvas; }
.code td:first-child a { color: inherit; opacity: .65; text-decoration: none; }
.code td:nth-child(2) { padding: 0; width: 1.2em; text-align: center; user-select: none; }
.heading td { background: var(--soft); font-style: italic; opacity: .75; }
tr:target td { box-shadow: inset 0 2px, inset 0 -2px; }
.kept td:last-child { opacity: .6; }
.added td { background: var(--shade); }
.hit td { background: var(--green); }
.missed td { background: var(--red); }
.partly td { background: var(--amber); }
";
