//! OCaml's bisect_ppx, 2.0 and newer: the headline of `index.html`, and the pages of source files.
//!
//! ```html
//! <h1>Coverage report</h1> <h2>33.33%</h2> …
//! <span class="percentage">33% <span class="stats">(2 / 6)</span></span> <a href="test.ml.html">…
//! ```
//!
//! The tool counts points in expressions, not lines.

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{between, counts, has, parts, percent, split, texts, unescaped};

pub fn page(page: &Page) -> Option<Measures> {
    let (head, files) = split(page.html, "<div id=\"files\">")?;
    let headline = between(head, "<div id=\"header\">", "</div>").filter(|_| has(head, "href=\"coverage.css\""))?;
    let shown = percent(texts(between(headline, "<h2>", "</h2>").map(|text| format!("<>{text}"))?.as_str()).first()?)?;
    let counts = files.split("<span class=\"stats\">").skip(1).filter_map(file).fold((0, 0), add);
    Some(Measure::shown("expressions", shown, Some(counts)).into_iter().collect())
}

fn add(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    (one.0.saturating_add(other.0), one.1.saturating_add(other.1))
}

/// With `--tree`, folders have counts as well, but no link.
fn file(html: &str) -> Option<(u64, u64)> {
    let (shown, rest) = html.split_once("</span>")?;
    let rest = rest.trim_start().strip_prefix("</span>")?.trim_start();
    counts(shown).filter(|_| rest.starts_with("<a "))
}

/// A source file's page: one span per line of the file, in order.
///
/// ```html
/// <meta name="description" content="33.33% coverage in src/test.ml"> …
/// <div id="lines-layer"> <pre>
/// <a id="L1"></a><span class="some-visited"> </span>
/// <a id="L2"></a><span > </span>
/// ```
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let description = between(page.html, "<meta name=\"description\" content=\"", "\">");
    let path = description.and_then(|text| text.split_once(" coverage in "));
    let layer = between(page.html, "<div id=\"lines-layer\">", "</div>");
    let (Some((shown, path)), Some(layer)) = (path, layer) else { return false };
    if percent(shown).is_none() {
        return false;
    }
    if lines.file(&unescaped(path)) {
        for (span, number) in parts(layer, "<span ").zip(1..) {
            match span.strip_prefix("class=\"").and_then(|class| class.split('"').next()) {
                Some("visited") => lines.line(number, Hit::Yes),
                Some("some-visited") => lines.line(number, Hit::Partly),
                Some("unvisited") => lines.line(number, Hit::No),
                _ => {}
            }
        }
    }
    true
}
