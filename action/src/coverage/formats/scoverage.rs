//! Scoverage: `index.html` only frames `overview.html`, which has the total; and `scoverage.xml`.

use std::io::BufRead;
use std::ops::ControlFlow::Break;

use anyhow::Result;

use super::{Found, Lines, Measure, Page};
use crate::coverage::syntax::html::{between, count, has, labelled, texts};
use crate::coverage::syntax::xml;

pub fn page(page: &Page) -> Option<Found> {
    if !has(page.html, "Scoverage Code Coverage") || !has(page.html, "src=\"overview.html\"") {
        return None;
    }
    let overview = (page.read_sibling)("overview.html")?;
    let texts: Vec<String> = texts(between(&overview, "<div class=\"stats\">", "</table>")?)
        .into_iter()
        // The number and the percent sign are on separate lines.
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let number = |label: &str| count(texts.get(texts.iter().position(|text| text == label)? + 1)?);
    let measure = |label, metric, invoked, total| {
        let shown = labelled(&texts, label, metric)?.percent;
        Measure::shown(metric, shown, number(invoked).zip(number(total)))
    };
    let all = [
        measure("Statement coverage:", "statements", "Invoked statements:", "Total statements:"),
        measure("Branch coverage:", "branches", "Invoked branches:", "Total branches:"),
    ];
    Some(all.into_iter().flatten().collect())
}

pub fn xml(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    let mut found = None;
    xml::walk(input, |_, root| {
        if root.is("scoverage") {
            let counts = root.counts("statements-invoked", "statement-count");
            found = Some(counts.and_then(|counts| Measure::counted("statements", counts, 2)).into_iter().collect());
        }
        Break(())
    })?;
    Ok(found)
}
