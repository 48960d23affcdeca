//! Clover's XML, as PHPUnit, istanbul and OpenClover write it: the metrics of the whole project.
//!
//! PHPUnit and istanbul count lines in `statements`, so the number has both names. As `statements`, it is not compared
//! with other tools' statements.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;

use super::{Found, Lines, Measure};
use crate::coverage::syntax::xml::{self, Element};

pub fn xml(input: &mut dyn BufRead, _: &mut Lines) -> Result<Option<Found>> {
    let (mut found, mut is_clover, mut in_project) = (None, false, false);
    xml::walk(input, |depth, element| {
        match depth {
            0 => is_clover = element.is("coverage") && element.text("line-rate").is_none(),
            1 => in_project = element.is("project"),
            2 if in_project && element.is("metrics") => found = Some(metrics(element)),
            _ => {}
        }
        if is_clover && found.is_none() { Continue(()) } else { Break(()) }
    })?;
    Ok(found)
}

fn metrics(element: &Element) -> Found {
    let measure = |metric, name| Measure::counted(metric, element.counts(&format!("covered{name}"), name)?, 2);
    let all = [
        measure("lines", "statements"),
        measure("branches", "conditionals"),
        measure("functions", "methods"),
        measure("statements", "statements").map(Measure::only_on_request),
    ];
    all.into_iter().flatten().collect()
}
