//! Synopsys VCS: the total in `dashboard.html` of its tool urg, and the pages of modules.
//!
//! ```html
//! <title>Unified Coverage Report :: Dashboard</title> …
//! <b>Total Coverage Summary</b>&nbsp;<br clear=all> <table align=left> <tr class="sortablehead">
//! <td>SCORE</td><td>LINE</td><td>FSM</td></tr><tr> <td class="s8 cl rt"> 82.27</td> …
//! ```

use super::{Lines, Measure, Measures, Page, Percent};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, counts, has, split, unescaped};

/// The column, and its metric. The score is the mean of all columns.
const KINDS: [(&str, &str); 3] = [("SCORE", "score"), ("LINE", "lines"), ("BRANCH", "branches")];
/// Columns to read.
const MAX_CELLS: usize = 20;

pub fn page(page: &Page) -> Option<Measures> {
    let body = after(page.html, "<title>Unified Coverage Report :: Dashboard</title>")?;
    let table = between(after(body, "<b>Total Coverage Summary</b>")?, "<table", "</table>")?;
    let (heads, row) = split(table, "</tr>")?;
    let heads: Vec<&str> = cells(heads).collect();
    let row: Vec<&str> = cells(row).collect();
    // A cell is empty if there is nothing of its kind. With `-show ratios`, counts of statements follow.
    let measure = |(name, metric): (&str, _)| {
        let cell = row.get(heads.iter().position(|head| *head == name)?)?;
        Measure::shown(metric, Percent::parse(cell.split_whitespace().next()?)?, None)
    };
    Some(KINDS.into_iter().filter_map(measure).collect())
}

fn cells(row: &str) -> impl Iterator<Item = &str> {
    let text = |cell| split(cell, ">").map_or("", |(_, text)| text.split('<').next().unwrap_or_default().trim());
    row.split("<td").skip(1).take(MAX_CELLS).map(text)
}

/// A module's page. For the module, and for its instances if there are several, it has the source text with the
/// statements that ran and all of each line:
///
/// ```html
/// Line Coverage for Module : <a href="mod1.html" >sign</a><br clear=all> … <pre class="code"><br clear=all>
/// 73         1/1              clock = 0;
/// 74         <font color = "red">0/1     ==>  $display(&quot;never&quot;);</font>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some(body) = after(page.html, "<title>Unified Coverage Report :: Module") else { return false };
    let Some(files) = between(body, "Source File(s) : </span>", "<span class=repname>") else { return false };
    // Line numbers of a module in several files are ambiguous.
    let mut links = files.split("<a href=").skip(1);
    let (Some(link), None) = (links.next(), links.next()) else { return true };
    let path = between(link, ">", "</a>").unwrap_or_default();
    if lines.file(&unescaped(path)) {
        let sections = body.split("\nLine Coverage for ").skip(1);
        for section in sections.filter(|section| has(section.lines().next().unwrap_or_default(), " : <a ")) {
            let source = between(section, "<pre class=\"code\">", "</pre>").unwrap_or_default();
            source.lines().filter_map(line).for_each(|(number, hit)| lines.line(number, hit));
        }
    }
    true
}

/// Bytes of the column with line numbers. The source text starts at a later column than the counts.
const NUMBERS: usize = 11;

fn line(text: &str) -> Option<(u64, Hit)> {
    let (number, rest) = text.split_at_checked(NUMBERS)?;
    let number = number.trim_end().parse().ok()?;
    let rest = rest.strip_prefix("<font color = \"red\">").unwrap_or(rest);
    let (covered, total) = counts(rest.split(' ').next()?)?;
    let hit = if covered > 0 && covered < total { Hit::Partly } else { Hit::of(covered) };
    (total > 0).then_some((number, hit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_in_their_column() {
        assert_eq!(line("73         1/1              clock = 0;"), Some((73, Hit::Yes)));
        assert_eq!(line("74         <font color = \"red\">0/1     ==>  f;</font>"), Some((74, Hit::No)));
        assert_eq!(line("99999      <font color = \"red\">1/2     ==>  f;</font>"), Some((99999, Hit::Partly)));
        for text in ["", "73", "73                      1/2", "           1/1", "73         0/0 ", "73         ä/1"] {
            assert_eq!(line(text), None, "{text}");
        }
    }
}
