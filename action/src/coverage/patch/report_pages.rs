//! Finds the page of a source file in an HTML report. Tools name a page after the file or its whole path, with other
//! separators and more around it.

use std::cell::Cell;
use std::cmp::{Ordering, Reverse};

use memchr::memmem::Finder;

use super::page;
use crate::report::Report;

/// Bytes of names that are compared for all files together. Beyond that, files have no page.
const MAX_COMPARED: usize = 1 << 30;

/// The pages of a report.
pub struct ReportPages<'a> {
    pages: Vec<ReportPage<'a>>,
    /// Letters and digits of their names without the folders, in lower case, each on a line: one search finds all.
    names: String,
    left: Cell<usize>,
}

struct ReportPage<'a> {
    name: &'a str,
    /// Letters and digits of its name with the folders, in lower case.
    plain: String,
    /// Where it ends in the names of all.
    end: usize,
}

impl<'a> ReportPages<'a> {
    /// `reports`: how many there are, which share the time for comparisons.
    pub fn new(report: &'a Report, reports: usize) -> Self {
        let names = report.files.iter().map(|file| file.name.as_str());
        let mut own_names = String::new();
        let pages = names.filter(|name| name.ends_with(".html") && *name != page::PATH).map(|name| {
            let (folder, own) = name.rsplit_once('/').unwrap_or(("", name));
            let (folder, own) = (plain(folder), plain(own));
            own_names.extend([&own, "\n"]);
            ReportPage { name, plain: folder + &own, end: own_names.len() }
        });
        Self { pages: pages.collect(), names: own_names, left: Cell::new(MAX_COMPARED / reports.max(1)) }
    }

    fn take(&self, bytes: usize) -> Option<()> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or_default());
        left.map(drop)
    }

    /// The page whose name contains the most of this path; none, if several do.
    pub fn find(&self, path: &str) -> Option<&'a str> {
        let parts: Vec<String> = path.rsplit(['/', '\\']).map(plain).filter(|part| !part.is_empty()).collect();
        self.take(self.names.len())?;
        let mut best = None;
        let mut is_tie = false;
        let mut searched = 0;
        for at in Finder::new(parts.first()?).find_iter(self.names.as_bytes()) {
            // A name can have several matches.
            if at < searched {
                continue;
            }
            let page = self.pages.get(self.pages.partition_point(|page| page.end <= at))?;
            searched = page.end;
            let rank = (self.equal_parts(&parts, page)?, Reverse(page.plain.len()));
            match best.map(|(other, _)| rank.cmp(&other)) {
                Some(Ordering::Less) => {}
                Some(Ordering::Equal) => is_tie = true,
                _ => (best, is_tie) = (Some((rank, page.name)), false),
            }
        }
        best.filter(|_| !is_tie).map(|(_, name)| name)
    }

    /// How many parts of a path, from its end, a page's name has in one piece.
    fn equal_parts(&self, parts: &[String], page: &ReportPage) -> Option<usize> {
        let mut end = String::new();
        for (equal, part) in parts.iter().enumerate() {
            end.insert_str(0, part);
            self.take(end.len() + page.plain.len())?;
            if !page.plain.contains(&end) {
                return Some(equal);
            }
        }
        Some(parts.len())
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Content, Entry};

    #[test]
    fn the_page_has_the_most_of_the_path_in_its_name() {
        let names = ["index.html", "z_1_rate_py.html", "src/app/rate.c.gcov.html", "lib/rate.c.gcov.html", "rate.c"];
        let entry = |name: &str| Entry { name: name.to_owned(), size: 0, content: Content::Generated(Vec::new()) };
        let report = Report { files: names.map(entry).into() };
        let pages = ReportPages::new(&report, 1);
        assert_eq!(pages.find("/w/src/app/rate.py"), Some("z_1_rate_py.html"));
        assert_eq!(pages.find("src/app/rate.c"), Some("src/app/rate.c.gcov.html"));
        assert_eq!(pages.find(r"C:\w\lib\rate.c"), Some("lib/rate.c.gcov.html"));
        assert_eq!((pages.find("rates.c"), pages.find("")), (None, None));
    }

    #[test]
    fn long_names_that_are_all_alike_are_compared_only_so_far() {
        let path = format!("{}rate.py", "a/".repeat(2_000));
        let names = (0..100).map(|number| format!("{path}{number}.html")).chain(["other.html".to_owned()]);
        let entry = |name: String| Entry { name, size: 0, content: Content::Generated(Vec::new()) };
        let report = Report { files: names.map(entry).collect() };
        let pages = ReportPages::new(&report, 1);
        pages.left.set(4 << 20);
        assert_eq!(pages.find("other"), Some("other.html"));
        assert_eq!((pages.find(&path), pages.find("other")), (None, None));
    }

    #[test]
    fn two_equal_names_are_none() {
        let entry = |name: &str| Entry { name: name.to_owned(), size: 0, content: Content::Generated(Vec::new()) };
        let report = Report { files: ["a/rate.c.html", "b/rate.c.html"].map(entry).into() };
        assert_eq!(ReportPages::new(&report, 1).find("rate.c"), None);
        assert_eq!(ReportPages::new(&report, 1).find("b/rate.c"), Some("b/rate.c.html"));
    }
}
