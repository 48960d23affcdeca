//! Haskell's hpc: the row of the total in `hpc_index.html`, and in two more pages with another order.
//!
//! ```html
//! <th align=left>&nbsp;&nbsp;Program Coverage Total</tt></th>
//! <td align="right">66%</td><td>2/3</td> … <td align="right">84%</td><td>16/19</td> …
//! ```

use super::{Measure, Measures, Page};
use crate::coverage::syntax::html::{after, between, counts, has, percent, split, texts};

/// Top level definitions, alternatives and expressions.
const COLUMNS: usize = 3;

pub fn page(page: &Page) -> Option<Measures> {
    let table = after(page.html, "<a href=\"hpc_index.html\">module</a>")?;
    let (heads, _) = split(table, "</tr>").filter(|(heads, _)| has(heads, "hpc_index_exp.html"))?;
    let heads = texts(&format!("<th>{heads}"));
    if heads != ["Top Level Definitions", "Alternatives", "Expressions"] {
        return None;
    }
    let row = texts(&format!("<th>{}", between(table, "Program Coverage Total", "</body>")?));
    let cells: Vec<&[String]> = row.chunks_exact(2).take(COLUMNS).collect();
    let measure = |at: usize, metric| {
        let [shown, share] = cells.get(at)? else { return None };
        Measure::shown(metric, percent(shown)?, Some(counts(share)?))
    };
    Some([measure(2, "expressions"), measure(0, "functions")].into_iter().flatten().collect())
}
