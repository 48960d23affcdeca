//! Erlang's cover: the pages of modules, which rebar3 and `mix test --cover` write, and the index of rebar3. Without
//! rebar3, no total is shown.
//!
//! ```html
//! <h1>aggregate summary</h1> … <tr><td><strong>Total</strong></td><td>83%</td></tr> …
//! <p>File generated from <code>/src/lib/calc.ex</code> by <a href="http://erlang.org/doc/man/cover.html">cover</a> …
//! <tr class="hit">
//! <td class="line" id="L3"><a href="#L3">3</a></td>
//! ```

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, has, parts, percent, split, unescaped};

pub fn page(page: &Page) -> Option<Measures> {
    path(page.html).map(|_| Vec::new()).or_else(|| summary(page.html))
}

/// The first table is that of all tests; each kind of tests has one below.
fn summary(html: &str) -> Option<Measures> {
    let is_index = has(html, "<title>Coverage Summary</title>") && has(html, "<th>coverage %</th>");
    let table = between(html, "<h1>aggregate summary</h1>", "</table>").filter(|_| is_index)?;
    let shown = percent(between(table, "<td><strong>Total</strong></td><td>", "</td>")?)?;
    // It is 100 without any module.
    let has_module = has(table, "<td><a href=");
    Some(Measure::shown("lines", shown, None).filter(|_| has_module).into_iter().collect())
}

fn path(html: &str) -> Option<&str> {
    between(html, "<p>File generated from <code>", "</code> by <a href=\"http://erlang.org/doc/man/cover.html\">cover<")
}

/// A module's page has the whole source file, and the counts of this module.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let (Some(path), Some(table)) = (path(page.html), after(page.html, "<tbody>")) else { return false };
    if lines.file(&unescaped(path)) {
        parts(table, "<tr class=\"").filter_map(line).for_each(|(number, hit)| lines.line(number, hit));
    }
    true
}

fn line(row: &str) -> Option<(u64, Hit)> {
    let (class, rest) = row.split_once("\">")?;
    let hit = match class {
        "hit" => Hit::Yes,
        "miss" => Hit::No,
        _ => return None,
    };
    let number = split(rest.trim_start().strip_prefix("<td class=\"line\" id=\"L")?, "\"")?.0;
    Some((number.parse().ok()?, hit))
}
