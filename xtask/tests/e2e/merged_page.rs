//! The pages of a merged report in a real browser.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use xtask::lab::covered::covered;
use xtask::lab::http;
use xtask::lab::node::{Step, browse};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::{process, report};

use crate::{REPOSITORY, SHA, World, setting};

const ORDERS: [&str; 3] = ["index.html", "_covered/by-path.html", "_covered/by-percent.html"];
/// The texts of the rows of files: path, missed lines, covered lines, percentage.
const ROWS: &str =
    "[...document.querySelectorAll('.list tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))";
const SORTED: &str = "[...document.querySelectorAll('.list th')].map(heading => heading.ariaSort)";
const OVERFLOW: &str = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
const LINKS: &str = "[...document.querySelectorAll('a')].map(link => link.href)";

/// Writes a report with an LCOV file of these source files: path, hit lines, and all.
fn tracefile(folder: &Path, files: &[(&str, usize, usize)]) {
    let mut text = String::new();
    for (path, hit, all) in files {
        let _ = writeln!(text, "TN:\nSF:{path}");
        (1..=*all).for_each(|line| _ = writeln!(text, "DA:{line},{}", u8::from(line <= *hit)));
        text += "end_of_record\n";
        let page = folder.join(format!("{path}.html"));
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(page, "<!DOCTYPE html><title>a page</title>").unwrap();
    }
    fs::write(folder.join("lcov.info"), text).unwrap();
    fs::write(folder.join("index.html"), "<!DOCTYPE html><title>an index</title>").unwrap();
}

/// Uploads the sample's report and two others. Returns the address of the merged one.
fn upload(world: &World, has_lines: bool) -> String {
    let folder = world.folder.path();
    let long = "web/src/a/very/long/path/to/".repeat(4) + "component_with_a_long_name.tsx";
    report::small(&folder.join("backend"), "88.37");
    let files = [("web/src/app.ts", 10, 40), ("web/src/index.ts", 0, 5), (&long, 3, 9), ("web/src/<b>.ts", 7, 7)];
    fs::create_dir(folder.join("web")).unwrap();
    tracefile(&folder.join("web"), &files);
    fs::create_dir(folder.join("e2e")).unwrap();
    tracefile(&folder.join("e2e"), &[("web/src/app.ts", 25, 40)]);
    if !has_lines {
        fs::remove_file(folder.join("e2e/lcov.info")).unwrap();
    }
    let (server, github) = (&world.server.url, world.github.url());
    let mut command = covered(&folder.join("backend"), server, &github, REPOSITORY, SHA);
    command.args([folder.join("web"), folder.join("e2e")]);
    command.args(["--coverage-threshold", "0", "--purge-cache", "--name", "all"]);
    let log = process::run(&mut command).unwrap().succeeded().text();
    let url = log.lines().find_map(|line| line.strip_prefix("Report: ")).unwrap_or_else(|| panic!("{log}"));
    url.to_owned()
}

fn world() -> Option<World> {
    let is_missing = skip_without(&[Part::Node, Part::Chromium]);
    (!is_missing).then(|| World::new(&setting("STORAGE_URL", "memory://")))
}

/// The files in the order of a page: path, missed lines, covered ones, percentage.
fn rows(value: &Value) -> Vec<(String, u64, String, f64)> {
    let text = |row: &Value, at: usize| row[at].as_str().unwrap().to_owned();
    let percent = |row: &Value| text(row, 3).trim_end_matches('%').parse().unwrap();
    let row = |row: &Value| (text(row, 0), text(row, 1).parse().unwrap(), text(row, 2), percent(row));
    value.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn the_files_are_in_three_orders_without_a_script() {
    let Some(world) = world() else { return };
    let url = upload(&world, true);
    let pages = ORDERS.map(|order| format!("{url}{order}"));
    let mut steps = vec![Step::Open(&url), Step::Evaluate("document.scripts.length")];
    for column in [".list th:nth-child(1) a", ".list th:nth-child(4) a", ".list th:nth-child(2) a"] {
        steps.extend([Step::Evaluate(ROWS), Step::Evaluate(SORTED), Step::Click(column)]);
    }
    steps.extend([Step::Click("text=web/src/app.ts"), Step::Open(&url), Step::Click("text=backend")]);
    let seen = browse(&steps);
    assert_eq!((&seen.results[0], &seen.results[1]), (&json!(200), &json!(0)));
    let orders = [2, 5, 8].map(|at| (rows(&seen.results[at]), &seen.results[at + 1], &seen.results[at + 2]));
    let paths = |rows: &[(String, u64, String, f64)]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
    let [worst, by_path, by_percent] = &orders;
    assert!(worst.0.is_sorted_by(|one, other| one.1 >= other.1), "{:?}", worst.0);
    assert!(paths(&by_path.0).is_sorted() && by_path.0.len() == 6, "{:?}", by_path.0);
    assert!(by_percent.0.is_sorted_by(|one, other| one.3 <= other.3), "{:?}", by_percent.0);
    assert_eq!(worst.0[0], ("web/src/app.ts".to_owned(), 15, "25 of 40".to_owned(), 62.5));
    assert!(paths(&worst.0).contains(&"web/src/<b>.ts".to_owned()));
    assert_eq!((worst.1, worst.2), (&json!([null, "descending", null, null]), &json!(pages[1])));
    assert_eq!((by_path.1, by_path.2), (&json!(["ascending", null, null, null]), &json!(pages[2])));
    assert_eq!((by_percent.1, by_percent.2), (&json!([null, null, null, "ascending"]), &json!(pages[0])));
    assert_eq!(seen.results[11], format!("{url}parts/web/web/src/app.ts.html"));
    assert_eq!(seen.results[13], format!("{url}parts/backend/index.html"));
    assert_eq!(seen.problems, [json!(null); 0]);
}

#[test]
fn the_pages_are_readable_in_every_window() {
    let Some(world) = world() else { return };
    let url = upload(&world, true);
    for order in ORDERS {
        let page = format!("{url}{order}");
        let shot =
            |how: &str| format!("merged-{}-{how}.png", order.rsplit('/').next().unwrap().trim_end_matches(".html"));
        let shots = ["light", "dark", "phone", "phone-dark"].map(shot);
        let seen = browse(&[
            Step::Open(&page),
            Step::Evaluate(LINKS),
            Step::Evaluate(OVERFLOW),
            Step::Axe,
            Step::Screenshot(&shots[0]),
            Step::Colors("dark"),
            Step::Axe,
            Step::Screenshot(&shots[1]),
            Step::Size(375, 812),
            Step::Axe,
            Step::Evaluate(OVERFLOW),
            Step::Screenshot(&shots[3]),
            Step::Colors("light"),
            Step::Axe,
            Step::Screenshot(&shots[2]),
        ]);
        for at in [3, 6, 9, 13] {
            assert_eq!(seen.results[at], json!([]), "{order}");
        }
        assert_eq!((&seen.results[2], &seen.results[10]), (&json!(0), &json!(0)), "{order} is too wide");
        assert_eq!(seen.problems, [json!(null); 0]);
        let links = seen.results[1].as_array().unwrap();
        assert!(links.len() > 8, "{links:?}");
        for link in links.iter().map(|link| link.as_str().unwrap()).filter(|link| link.starts_with(&url)) {
            assert_eq!(http::get(link).unwrap().status, 200, "{link}");
        }
    }
}

#[test]
fn a_report_without_lines_is_shown_beside_the_others() {
    let Some(world) = world() else { return };
    let url = upload(&world, false);
    let seen = browse(&[
        Step::Open(&url),
        Step::Axe,
        Step::Evaluate("document.querySelector('main').innerText"),
        Step::Evaluate(ROWS),
        Step::Screenshot("merged-without-lines.png"),
    ]);
    assert_eq!((&seen.results[1], &seen.results[3]), (&json!([]), &json!([])));
    let text = seen.results[2].as_str().unwrap();
    for shown in ["Coverage: all", "No merged total", "no line data in `e2e`", "88.37% of lines (coverage.py)"] {
        assert!(text.contains(shown), "{shown:?} is not in\n{text}");
    }
}
