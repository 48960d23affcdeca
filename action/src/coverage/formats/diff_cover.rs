//! diff-cover: the list at the head of its page counts the changed lines.
//!
//! ```html
//! <h1>Diff Coverage</h1> … <ul>
//!     <li><b>Total</b>: 5 lines</li>
//!     <li><b>Missing</b>: 1 line</li>
//!     <li><b>Coverage</b>: 80%</li>
//! </ul>
//! ```

use super::{Measure, Measures, Page};
use crate::coverage::syntax::html::{between, count, percent, split};

pub fn page(page: &Page) -> Option<Measures> {
    let list = between(split(page.html, "<h1>Diff Coverage</h1>")?.1, "<ul>", "</ul>")?;
    let item = |name: &str| between(list, &format!("<b>{name}</b>:"), "</li>").map(str::trim);
    let number = |name: &str| count(item(name)?.split(' ').next()?);
    let counts = number("Total").zip(number("Missing"));
    let shown = percent(item("Coverage")?)?;
    let counts = counts.map(|(total, missing)| (total.saturating_sub(missing), total));
    let changed = Measure::shown("changed lines", shown, counts)?;
    let lines = Measure::shown("lines", changed.percent.clone(), counts)?.only_on_request();
    Some(vec![changed, lines])
}
