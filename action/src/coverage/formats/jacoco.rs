//! JaCoCo: the row of the total in `index.html`, the pages of source files, and `jacoco.xml`.
//!
//! ```html
//! <tfoot><tr><td>Total</td><td class="bar">5,218 of 10,129</td><td class="ctr2">48%</td>…
//! ```
//!
//! The first percentage counts instructions, the second branches; for lines, only missed and all are shown. A group's,
//! package's or class's page has the same table: there the report's name is a link, but not on the index.

use std::io::BufRead;
use std::ops::ControlFlow::{Break, Continue};

use anyhow::Result;
use memchr::memmem;

use super::{Lines, Measure, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{after, between, count, counts, has, percent, texts, unescaped};
use crate::coverage::syntax::xml::{self, Element};

pub fn page(page: &Page) -> Option<Measures> {
    let breadcrumb = between(page.html, "id=\"breadcrumb\"", "</div>")?;
    let table = after(page.html, "id=\"coveragetable\"").filter(|_| has(breadcrumb, "<span class=\"el_report\">"))?;
    let row = texts(between(table, "<tfoot>", "</tfoot>")?);
    let missed = |(missed, total): (u64, u64)| (total.saturating_sub(missed), total);
    let shown =
        |at: usize, metric| Measure::shown(metric, percent(row.get(at + 1)?)?, Some(missed(counts(row.get(at)?)?)));
    let counted = |at: usize, metric| {
        let counts = missed((count(row.get(at)?)?, count(row.get(at + 1)?)?));
        Measure::counted(metric, counts, 2).map(Measure::only_on_request)
    };
    // Columns: Total; instructions, %; branches, %; then missed and all of complexity, lines, methods and classes.
    let all = [shown(1, "instructions"), shown(3, "branches"), counted(7, "lines"), counted(9, "functions")];
    Some(all.into_iter().flatten().collect())
}

const COUNTERS: [(&str, &str); 4] =
    [("INSTRUCTION", "instructions"), ("LINE", "lines"), ("BRANCH", "branches"), ("METHOD", "functions")];

type Counters = [Option<(u64, u64)>; COUNTERS.len()];

/// A report, group or package: its own counters, and the sums of those below, for one without counters of its own.
struct Container {
    depth: usize,
    own: Counters,
    below: Counters,
}

impl Container {
    fn counters(&self) -> Counters {
        if self.own.iter().any(Option::is_some) { self.own } else { self.below }
    }
}

/// The open containers, the report first.
#[derive(Default)]
struct Containers(Vec<Container>);

impl Containers {
    /// Closes those that ended before an element of this depth. The report stays open.
    fn close(&mut self, depth: usize) {
        while self.0.len() > 1
            && let Some(ended) = self.0.pop_if(|last| last.depth >= depth)
            && let Some(parent) = self.0.last_mut()
        {
            for (sum, counts) in parent.below.iter_mut().zip(ended.counters()) {
                let add = |(covered, total): (u64, u64)| {
                    let (one, other) = sum.unwrap_or_default();
                    (one.saturating_add(covered), other.saturating_add(total))
                };
                *sum = counts.map(add).or(*sum);
            }
        }
    }

    fn add(&mut self, depth: usize, element: &Element) {
        if depth == 0 || element.is("group") || element.is("package") {
            self.0.push(Container { depth, own: Counters::default(), below: Counters::default() });
        } else if let (true, Some(last)) = (element.is("counter"), self.0.last_mut())
            && depth == last.depth + 1
        {
            let kind = element.text("type").unwrap_or_default();
            let at = COUNTERS.iter().position(|(name, _)| *name == kind);
            let counts =
                element.counts("covered", "missed").map(|(covered, missed)| (covered, covered.saturating_add(missed)));
            if let (Some(at), Some(counts)) = (at, counts) {
                last.own[at] = Some(counts);
            }
        }
    }

    fn found(mut self) -> Measures {
        self.close(1);
        let counters = self.0.first().map(Container::counters).unwrap_or_default();
        let measures = counters.into_iter().zip(COUNTERS);
        measures.filter_map(|(counts, (_, metric))| Measure::counted(metric, counts?, 2)).collect()
    }
}

/// The report's own counters follow those of its packages.
pub fn xml(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let (mut containers, mut package, mut is_report) = (Containers::default(), String::new(), false);
    let mut kover = None;
    xml::walk(input, |depth, element| {
        is_report |= depth == 0 && element.is("report");
        containers.close(depth);
        containers.add(depth, element);
        if depth == 0 && element.text("name").is_some_and(|name| name == KOVER) {
            kover = Some(SourceSums::default());
        }
        if lines.is_on() {
            add_line(element, &mut package, lines);
            kover.iter_mut().for_each(|sums| sums.add(depth, element, lines));
        }
        if is_report { Continue(()) } else { Break(()) }
    })?;
    Ok(is_report.then(|| containers.found()))
}

fn add_line(element: &Element, package: &mut String, lines: &mut Lines) {
    if element.is("package") {
        *package = element.unescaped("name").unwrap_or_default();
    } else if element.is("sourcefile") {
        lines.file(&path(package, &element.unescaped("name").unwrap_or_default()));
    } else if let (true, Some(number)) = (element.is("line"), element.number("nr")) {
        let count = |name| element.number(name).unwrap_or_default();
        let (missed, covered, missed_branches, taken) = (count("mi"), count("ci"), count("mb"), count("cb"));
        let is_partly = covered > 0 && (missed > 0 || missed_branches > 0);
        lines.line(number, if is_partly { Hit::Partly } else { Hit::of(covered) });
        if missed_branches > 0 || taken > 0 {
            lines.branches(number, taken, taken.saturating_add(missed_branches));
        }
    }
}

/// The name of the reports of Kover. It counts a line once for each of its classes.
const KOVER: &str = "Intellij Coverage Report";

/// The sums of one source file's lines.
#[derive(Default)]
struct SourceSums {
    /// Of its element; 0 without one, and once they do not add up.
    depth: usize,
    instructions: (u64, u64),
}

impl SourceSums {
    /// Trusts the count of lines if the instructions add up; it follows them.
    fn add(&mut self, depth: usize, element: &Element, lines: &mut Lines) {
        let count = |name| element.number(name).unwrap_or_default();
        if element.is("sourcefile") {
            *self = Self { depth, ..Self::default() };
        } else if element.is("line") {
            let (covered, missed) = (count("ci"), count("mi"));
            let (one, other) = self.instructions;
            self.instructions = (one.saturating_add(covered), other.saturating_add(missed));
        } else if element.is("counter") && self.depth > 0 && depth == self.depth + 1 {
            let (covered, missed) = (count("covered"), count("missed"));
            match element.text("type").as_deref() {
                Some("INSTRUCTION") if self.instructions != (covered, missed) => self.depth = 0,
                Some("LINE") => lines.count(covered, covered.saturating_add(missed)),
                _ => {}
            }
        }
    }
}

fn path(package: &str, file: &str) -> String {
    if package.is_empty() { file.to_owned() } else { format!("{package}/{file}") }
}

/// A source file's page: `<span class="pc bpc" id="L12" title="1 of 2 branches missed.">`.
pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some(breadcrumb) = between(page.html, "id=\"breadcrumb\"", "</div>") else { return false };
    let package = between(breadcrumb, "class=\"el_package\">", "</a>");
    let (Some(package), Some(file)) = (package, between(breadcrumb, "<span class=\"el_source\">", "</span>")) else {
        return false;
    };
    let package = if package == "default" { String::new() } else { unescaped(package).replace('.', "/") };
    if lines.file(&path(&package, &unescaped(file))) {
        spans(page.html).for_each(|(number, hit)| lines.line(number, hit));
    }
    true
}

fn spans(html: &str) -> impl Iterator<Item = (u64, Hit)> {
    memmem::find_iter(html.as_bytes(), "<span class=\"").filter_map(|at| {
        let (class, rest) = html.get(at..)?.strip_prefix("<span class=\"")?.split_once('"')?;
        let hit = match class.split(' ').next()? {
            "fc" => Hit::Yes,
            "pc" => Hit::Partly,
            "nc" => Hit::No,
            _ => return None,
        };
        Some((rest.strip_prefix(" id=\"L")?.split_once('"')?.0.parse().ok()?, hit))
    })
}
