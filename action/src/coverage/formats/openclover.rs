//! OpenClover: `index.html` only leads to `dashboard.html`, whose first bar is the total of statements, branches and
//! methods together, which OpenClover calls elements. For lines, see `clover`.
//!
//! ```html
//! Code coverage <small> 8 classes, 22 / 36 elements </small> …
//! <div class="barGraphValue"><span class="sortValue">0.61</span>61.1%</div>
//! ```

use super::{Found, Measure, Page};
use crate::coverage::syntax::html::{after, between, counts, has, percent, split};

pub fn page(page: &Page) -> Option<Found> {
    if !has(page.html, "<body onload=\"location.href='") || !has(page.html, "img/clover.ico") {
        return None;
    }
    let dashboard = (page.read_sibling)("dashboard.html")?;
    let (head, bar) = split(&dashboard, "class=\"barGraphValue\">")?;
    let shown = percent(between(bar, "</span>", "</div>")?)?;
    let elements = head.rsplit("<small").next().and_then(|small| between(small, ",", "elements"));
    // In languages that group digits with a comma, another one can stand before.
    let counted = elements.map(|text| after(text, "classes,").unwrap_or(text)).and_then(counts);
    Some(Measure::shown("elements", shown, counted).into_iter().collect())
}
