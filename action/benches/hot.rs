//! Measures finding the total in a large index, a plain scan of its bytes for comparison, and packing a report:
//! `cargo bench -p covered --bench hot`. With `--count CASE TIMES` it runs one case that many times, for
//! `cargo xtask bench counts`.

#[path = "../../xtask/src/bench/cases.rs"]
mod cases;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cases::Case;
use covered::archive;
use covered::base::deadline::Deadline;
use covered::coverage::{Choice, search};
use covered::report::{Report, walk};
use memchr::memmem;

/// Bytes of the largest known index.
const INDEX: usize = 2_800_000;
/// Pages of a report, and the bytes of one.
const PAGES: usize = 75;
const PAGE: usize = 25_000;

fn main() -> Result<()> {
    cases::run(cases)
}

fn cases(folder: &Path) -> Result<Vec<Case>> {
    let index = folder.join("index.html");
    fs::write(&index, large_index()?)?;
    let (scanned, pages, temp) = (index.clone(), report(folder)?, folder.to_owned());
    Ok(vec![
        ("total of an index of 2.8 MB", Box::new(move || find(&index))),
        (
            "scan of an index of 2.8 MB",
            Box::new(move || {
                ensure!(memmem::find(&fs::read(&scanned)?, b"no page holds this").is_none());
                Ok(())
            }),
        ),
        (
            "packing of 75 files",
            Box::new(move || {
                black_box(archive::pack(&pages, &temp, Deadline::NEVER, &|_| ())?);
                Ok(())
            }),
        ),
    ])
}

fn find(index: &Path) -> Result<()> {
    let path = index.to_str().context("its path is not UTF-8")?.to_owned();
    let choice = Choice::File { path, format: None, is_inside: false };
    let found = search(&Report::default(), &choice, None, Deadline::NEVER);
    ensure!(black_box(found).totals.is_some(), "no total was found");
    Ok(())
}

/// coverage.py's index, with enough rows for the size of the largest index seen.
fn large_index() -> Result<String> {
    let page = include_str!("../tests/fixtures/totals/coverage.py-7.17-branch/index.html");
    let from = page.find("<tr class=\"region\">").context("the index has no row")?;
    let to = from + page[from..].find("</tr>").context("the row has no end")? + "</tr>".len();
    let rows = page[from..to].repeat((INDEX - page.len()) / (to - from));
    Ok([&page[..from], &rows, &page[from..]].concat())
}

/// Pages with many similar lines.
fn report(folder: &Path) -> Result<Report> {
    let pages: PathBuf = folder.join("pages");
    fs::create_dir(&pages)?;
    for page in 0..PAGES {
        let mut html = String::new();
        while html.len() < PAGE {
            let line = html.len();
            html += &format!(
                "<p class=\"run\"><a href=\"#t{line}\">{line}</a> <span>value_{line:x} = f_{page}()</span></p>\n"
            );
        }
        fs::write(pages.join(format!("page_{page}.html")), html)?;
    }
    walk(&pages)
}
