//! llvm-cov: the last row of `index.html`, and `llvm-cov export`.
//!
//! ```html
//! <td><pre>Totals</pre></td><td class='column-entry-red'><pre>  16.01% (530/3311)</pre></td>…
//! ```

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::html::{after, between, counts, percent, split, texts};
use super::{Found, Measure, Page, json};

const KINDS: [(&str, &str); 4] = [
    ("Line Coverage", "lines"),
    ("Branch Coverage", "branches"),
    ("Function Coverage", "functions"),
    ("Region Coverage", "regions"),
];

pub fn page(page: &Page) -> Option<Found> {
    let table = after(after(page.html, "<h2>Coverage Report</h2>")?, "<table>")?;
    let columns = texts(split(table, "</tr>")?.0);
    let totals = texts(&format!("<td>{}", between(table, "<pre>Totals</pre>", "</tr>")?));
    let column = |name: &str, of| {
        // The row's own name stands in the first column.
        let at = columns.iter().position(|column| column == name)?.checked_sub(1)?;
        let (shown, share) = totals.get(at)?.split_once(' ')?;
        Measure::shown(of, percent(shown)?, counts(share))
    };
    Some(KINDS.into_iter().filter_map(|(name, of)| column(name, of)).collect())
}

#[derive(Deserialize)]
struct Export {
    data: Vec<Data>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Data {
    totals: Sums,
}

#[derive(Deserialize)]
struct Sums {
    lines: Sum,
    regions: Option<Sum>,
    branches: Option<Sum>,
    functions: Sum,
}

#[derive(Deserialize)]
struct Sum {
    count: u64,
    covered: u64,
}

pub fn export(input: &mut dyn BufRead) -> Result<Option<Found>> {
    let export: Option<Export> = json::read(input)?;
    let Some(Export { data, kind }) = export else { return Ok(None) };
    let [Data { totals }] = &data[..] else { return Ok(None) };
    if kind != "llvm.coverage.json.export" {
        return Ok(None);
    }
    let kinds = [
        ("lines", Some(&totals.lines)),
        ("branches", totals.branches.as_ref()),
        ("functions", Some(&totals.functions)),
        ("regions", totals.regions.as_ref()),
    ];
    let measure = |(of, sum): (_, Option<&Sum>)| Measure::counted(of, (sum?.covered, sum?.count), 2);
    Ok(Some(kinds.into_iter().filter_map(measure).collect()))
}
