//! The pages of a merged report: its total, its parts, and its files in three orders, each a page of its own with links to
//! the others.

use std::cmp::Reverse;

use maud::{Markup, html};

use crate::base::text::{count, short_sha, visible};
use crate::coverage::page::{Room, document, encoded};
use crate::coverage::percent::Counts;

/// Bytes of the files on a page: 20,000 of usual length fit.
const MAX_BYTES: usize = 2_800_000;

/// The merged report, as its pages show it.
pub struct Index<'a> {
    /// The report's name, if it has one.
    pub name: Option<&'a str>,
    /// The tested commit, and its address on GitHub.
    pub commit: Option<(&'a str, String)>,
    pub total: Total<'a>,
    /// The expected reports that are missing in the total.
    pub missing: &'a [String],
    pub parts: Vec<PartRow<'a>>,
    /// In any order.
    pub files: Vec<FileRow<'a>>,
    /// The result of the changed lines, and the name of their page in the report.
    pub patch: Option<(&'a str, &'a str)>,
}

pub enum Total<'a> {
    Lines(Counts),
    /// Why there is none.
    None(&'a str),
}

/// One of the merged reports.
pub struct PartRow<'a> {
    pub name: &'a str,
    /// The page to open, relative to the merged report.
    pub page: Option<&'a str>,
    /// Its own total, as in `87% of lines`.
    pub total: Option<&'a str>,
    pub lines: Option<Counts>,
    /// What it lacks.
    pub note: Option<&'a str>,
}

/// A source file.
pub struct FileRow<'a> {
    pub path: &'a str,
    pub counts: Counts,
    /// Its page in a part, relative to the merged report.
    pub page: Option<&'a str>,
}

/// How the files of a page are sorted.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Those with the most missed lines first.
    Missed,
    Path,
    /// Those with the lowest percentage first.
    Percent,
}

impl Order {
    const ALL: [Self; 3] = [Self::Missed, Self::Path, Self::Percent];

    /// The page's name in the report.
    fn page(self) -> &'static str {
        match self {
            Self::Missed => "index.html",
            Self::Path => "_covered/by-path.html",
            Self::Percent => "_covered/by-percent.html",
        }
    }

    /// From this page to the report's root.
    fn root(self) -> &'static str {
        if self == Self::Missed { "" } else { "../" }
    }

    fn sort(self, files: &mut [FileRow]) {
        match self {
            Self::Missed => files.sort_by_key(|file| (Reverse(missed(file)), file.path)),
            Self::Path => files.sort_by_key(|file| file.path),
            Self::Percent => files.sort_by(|one, other| {
                let products = |one: Counts, other: Counts| u128::from(one.covered) * u128::from(other.total);
                let percent = products(one.counts, other.counts).cmp(&products(other.counts, one.counts));
                percent.then(other.counts.total.cmp(&one.counts.total)).then(one.path.cmp(other.path))
            }),
        }
    }
}

impl Index<'_> {
    /// The names of the pages in the report, and their texts. The first is the index.
    pub fn pages(mut self) -> Vec<(&'static str, String)> {
        let orders = if self.files.is_empty() { &Order::ALL[..1] } else { &Order::ALL };
        let pages = orders.iter().map(|order| {
            order.sort(&mut self.files);
            (order.page(), self.page(*order))
        });
        pages.collect()
    }

    fn page(&self, order: Order) -> String {
        let title = self.name.map_or_else(|| "Coverage".to_owned(), |name| format!("Coverage: {}", visible(name)));
        let mut room = Room::new(MAX_BYTES);
        let main = html! {
            h1 { (title) }
            @if let Some((commit, url)) = &self.commit { p.links { "commit " a href=(url) { code { (short_sha(commit)) } } } }
            @match self.total {
                Total::Lines(counts) => {
                    p.number { (counts.shown()) "%" }
                    p {
                        (counts) " lines are covered"
                        @if let [first, more @ ..] = self.missing {
                            ", without " (visible(first)) @if !more.is_empty() { " and " (more.len()) " more" }
                        }
                        "."
                    }
                }
                Total::None(why) => { p.number { "No merged total" } p { (visible(why)) } }
            }
            @if let Some((result, page)) = self.patch {
                p { "Changed lines: " a href=(format!("{}{page}", order.root())) { (visible(result)) } }
            }
            h2 { (count(self.parts.len(), "report")) }
            (self.part_table(order, &mut room))
            @if !self.files.is_empty() {
                h2 { (count(self.files.len(), "file")) }
                (self.file_table(order, &mut room))
            }
        };
        document(&title, STYLE, &main, &html! {})
    }

    fn part_table(&self, order: Order, room: &mut Room) -> Markup {
        let row = |part: &PartRow| {
            html! {
                tr {
                    td { (link(order, part.page, &visible(part.name))) }
                    td {
                        @match (part.total, part.note) {
                            (Some(total), None) => (visible(total)),
                            (Some(total), Some(note)) => { (visible(total)) br; (visible(note)) },
                            (None, Some(note)) => (visible(note)),
                            (None, None) => "none found",
                        }
                    }
                    td { @if let Some(lines) = part.lines { (lines) } @else { "–" } }
                }
            }
        };
        html! {
            table.files {
                thead { tr { th scope="col" { "Report" } th scope="col" { "Total" } th scope="col" { "Lines" } } }
                tbody { @for part in &self.parts { (room.fit(row(part))) } }
            }
        }
    }

    fn file_table(&self, order: Order, room: &mut Room) -> Markup {
        let row = |file: &FileRow| {
            html! {
                tr {
                    td { (link(order, file.page, &visible(file.path))) }
                    td { (missed(file)) }
                    td { (file.counts) }
                    td { (file.counts.shown()) "%" }
                }
            }
        };
        let heading = |own: Order, text: &str| {
            let is_own = own == order;
            let (sort, arrow) = if own == Order::Missed { ("descending", "↓") } else { ("ascending", "↑") };
            html! {
                th scope="col" aria-sort=[is_own.then_some(sort)] {
                    @if is_own { (text) " " (arrow) } @else { a href=(format!("{}{}", order.root(), own.page())) { (text) } }
                }
            }
        };
        let mut shown = 0;
        html! {
            table.files.list {
                thead { tr { (heading(Order::Path, "File")) (heading(Order::Missed, "Missed")) th scope="col" { "Covered" } (heading(Order::Percent, "Percent")) } }
                tbody {
                    @for file in &self.files {
                        @if !room.is_full() { (room.fit(row(file))) @if !room.is_full() { ({ shown += 1; "" }) } }
                    }
                }
            }
            @if shown < self.files.len() { p { "and " (count(self.files.len() - shown, "more file")) } }
        }
    }
}

fn missed(file: &FileRow) -> u64 {
    file.counts.total - file.counts.covered
}

/// A text that links to a page of the report, if there is one.
fn link(order: Order, page: Option<&str>, text: &str) -> Markup {
    html! {
        @if let Some(page) = page { a href=(format!("{}{}", order.root(), encoded(page))) { (text) } } @else { (text) }
    }
}

const STYLE: &str = "
.list td:first-child { font: 13px/1.5 ui-monospace, monospace; }
.list td + td { white-space: nowrap; }
";
