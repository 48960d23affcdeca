//! mocha's `html-cov`, and lab's page, which has the same parts: the total and all source files on one page.
//!
//! ```html
//! <div id="coverage"><h1 id="overview">Coverage</h1> …
//! <div class="percentage">53%</div><div class="sloc">13</div><div class="hits">7</div><div class="misses">6</div>
//! <h2 id="lib/calc.js">lib/calc.js</h2> … <tr class="hit"><td class="line">2</td><td class="hits">3</td> …
//! ```

use memchr::memmem;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, percent, split, unescaped};

const FILE: &str = "<h2 id=\"";

/// Before 3.0, with the reporter `html-cov`.
pub fn html_cov(page: &Page) -> Option<Measures> {
    total(after(report(page.html)?, "<h1 id=\"overview\">Coverage</h1>")?)
}

pub fn lab(page: &Page) -> Option<Measures> {
    total(after(report(page.html)?, "<h1>Code Coverage Report</h1>")?)
}

fn report(html: &str) -> Option<&str> {
    after(html, "<div id=\"coverage\">")
}

/// Nothing was measured if a number is missing.
fn total(report: &str) -> Option<Measures> {
    let (head, _) = split(report, "<div id=\"files\">")?;
    let shown = || Measure::shown("lines", percent(between(head, "class=\"percentage\">", "<")?)?, Some(stats(head)?));
    Some(shown().into_iter().collect())
}

/// Hit and all lines.
fn stats(head: &str) -> Option<(u64, u64)> {
    let number = |class: &str| count(between(head, &format!("class=\"{class}\">"), "<")?);
    Some((number("hits")?, number("sloc")?))
}

pub fn html_cov_lines(page: &Page, lines: &mut Lines) -> bool {
    let is_page = html_cov(page).is_some();
    if is_page {
        add_files(page.html, lines, |rows, _| rows);
    }
    is_page
}

pub fn lab_lines(page: &Page, lines: &mut Lines) -> bool {
    let is_page = lab(page).is_some();
    if is_page {
        add_files(page.html, lines, counted);
    }
    is_page
}

/// lab marks all lines as hit that it does not miss. It does not count empty lines; newer versions count no comments.
fn counted<'a>(mut rows: Vec<Row<'a>>, shown: Option<u64>) -> Vec<Row<'a>> {
    rows.retain(|row| row.hit == Hit::No || !row.source.trim().is_empty());
    if shown != Some(rows.len() as u64) {
        let mut comments = Comments::default();
        rows.retain(|row| comments.is_code(row.source) || row.hit == Hit::No);
    }
    rows
}

/// A line of a source file.
struct Row<'a> {
    number: u64,
    hit: Hit,
    source: &'a str,
}

impl<'a> Row<'a> {
    /// The text after `<tr`.
    fn of(row: &'a str) -> Option<Self> {
        let (tag, cells) = row.split_once('>')?;
        let cell = |class: &str| Some(after(cells, class)?.split_once('>')?.1);
        let source = cell("<td class=\"source\"")?;
        let number = count(cell("<td class=\"line\"")?.split('<').next()?)?;
        Some(Self { number, hit: hit(tag)?, source: split(source, "</td>")?.0 })
    }
}

/// Adds all files: of their rows those that `counted` keeps, with the number of lines that the page shows.
fn add_files<'a>(html: &'a str, lines: &mut Lines, counted: impl Fn(Vec<Row<'a>>, Option<u64>) -> Vec<Row<'a>>) {
    let files = report(html).and_then(|report| after(report, "<div id=\"files\">")).unwrap_or_default();
    let files = split(files, "<div id=\"linting\"").map_or(files, |(files, _)| files);
    let starts: Vec<usize> = memmem::find_iter(files.as_bytes(), FILE).collect();
    let ends = starts.iter().skip(1).copied().chain([files.len()]);
    for (start, end) in starts.iter().zip(ends) {
        let file = files.get(start + FILE.len()..end).unwrap_or_default();
        let Some((name, rest)) = file.split_once('"') else { continue };
        if !lines.file(&unescaped(name)) {
            continue;
        }
        let mut rows = rest.split("<tr");
        let shown = rows.next().and_then(stats);
        let rows = counted(rows.filter_map(Row::of).collect(), shown.map(|(_, total)| total));
        rows.iter().for_each(|row| lines.line(row.number, row.hit));
        if let Some((hits, total)) = shown {
            lines.shown(hits, total);
        }
    }
}

/// lab counts a line with conditions that were not both true and false (`chunks`) as missed.
fn hit(tag: &str) -> Option<Hit> {
    match between(tag, "class=\"", "\"")? {
        "hit" => Some(Hit::Yes),
        "miss" | "chunks" => Some(Hit::No),
        _ => None,
    }
}

/// Finds the lines of JavaScript that are not only a comment.
#[derive(Default)]
struct Comments {
    is_open: bool,
}

impl Comments {
    fn is_code(&mut self, line: &str) -> bool {
        let mut rest = line.trim();
        loop {
            if self.is_open {
                let Some((_, after)) = rest.split_once("*/") else { return false };
                (rest, self.is_open) = (after.trim_start(), false);
            }
            match rest.strip_prefix("/*") {
                Some(comment) => (rest, self.is_open) = (comment, true),
                None => break,
            }
        }
        // A quote after it shows a text, such as a path with `/*`.
        let opens =
            rest.rsplit_once("/*").is_some_and(|(_, end)| !end.contains(['\'', '"', '`', '&']) && !end.contains("*/"));
        let is_code = !rest.is_empty() && !rest.starts_with("//");
        self.is_open = is_code && opens;
        is_code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_only_comments_are_no_code() {
        let source = [
            ("", false),
            ("a();", true),
            ("  // b", false),
            ("/* c */", false),
            ("/* d */ e();", true),
            ("f(); /* g", true),
            ("h", false),
            ("i */ j();", true),
            ("k('src/**/*.js');", true),
            ("/*", false),
            ("*/ // l", false),
            ("m();", true),
        ];
        let mut comments = Comments::default();
        assert_eq!(source.map(|(line, _)| (line, comments.is_code(line))), source);
    }
}
