//! OpenCppCoverage: the first row of `index.html`, which is drawn by script from numbers in the page.
//!
//! ```text
//! .set('tooltips', ['cover 120 lines (75%)', 'uncover 40 lines (25%)'])
//! ```
//!
//! A module's page looks the same, but lies in a folder below: its style sheet is elsewhere.

use super::html::{after, between, count, has, percent, split};
use super::{Found, Measure, Page};

pub fn page(page: &Page) -> Option<Found> {
    let is_index = has(page.html, "href=\"third-party/") && has(page.html, "OpenCppCoverage (Version:");
    let pie = split(after(page.html, "new RGraph.Pie(").filter(|_| is_index)?, ".draw()")?.0;
    let lines = |word: &str| count(between(pie, &format!("'{word} "), " lines (")?);
    let shown = percent(between(after(pie, "'cover ")?, " lines (", ")")?)?;
    let counts = lines("cover").zip(lines("uncover")).map(|(hit, missed)| (hit, hit.saturating_add(missed)));
    Some(Measure::shown("lines", shown, counts).into_iter().collect())
}
