//! The time and memory that patch coverage adds to reading a large report: `cargo bench -p covered --bench patch`.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use covered::base::deadline::Deadline;
use covered::coverage::patch::{ChangedFile, Links, PageLink, ReportPages, Selection};
use covered::coverage::{Choice, LineSearch, Percent, search};
use covered::report;

/// Source files of the report, and lines of each.
const FILES: usize = 3_600;
const LINES: usize = 700;
/// Files that the pull request changes, hunks of each, and lines that a hunk adds.
const CHANGED: usize = 200;
const HUNKS: usize = 8;
const ADDED: usize = 6;
const TIME_GOAL: Duration = Duration::from_millis(50);
const MEMORY_GOAL: u64 = 20_000_000;
const ROUNDS: usize = 9;
/// The start of a line in a page.
const LINE: &str = "<p class=\"pln\"><span class=\"n\">";
/// Reads the report that follows, with or without the patch, and prints the peak memory.
const MEMORY_OF: &str = "--memory-of";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [flag, report, is_patch] if flag == MEMORY_OF => print_memory(Path::new(report), is_patch == "true"),
        // `cargo test --all-targets` runs this too, without the flag.
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        _ => Ok(()),
    }
}

fn measure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let lcov = folder.path().join("lcov");
    fs::create_dir(&lcov)?;
    fs::write(lcov.join("lcov.info"), tracefile())?;
    let pages = folder.path().join("htmlcov");
    write_pages(&pages)?;
    compare("LCOV", &lcov)?;
    compare("HTML pages", &pages)
}

fn compare(name: &str, folder: &Path) -> Result<()> {
    let (mut reading, mut own) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let times = with_patch(folder)?;
        reading.push(times.0);
        own.push(times.1);
    }
    reading.sort_unstable();
    own.sort_unstable();
    let (reading, own) = (reading[ROUNDS / 2], own[ROUNDS / 2]);
    let (with, without) = (memory(folder, true)?, memory(folder, false)?);
    let added = with.saturating_sub(without);
    println!(
        "{name} of {FILES} files, {CHANGED} changed: {own:.2?} (goal: {TIME_GOAL:?}) besides {reading:.2?} to read the \
         lines, and {:.1} MB (goal: {} MB) more than {:.1} MB for the total alone",
        added as f64 / 1e6,
        MEMORY_GOAL / 1_000_000,
        without as f64 / 1e6
    );
    ensure!(own < TIME_GOAL && added < MEMORY_GOAL, "the goal is missed");
    Ok(())
}

/// Returns the time to read the lines, and that of the patch itself.
fn with_patch(folder: &Path) -> Result<(Duration, Duration)> {
    let report = report::walk(folder)?;
    let search = search(&report, &Choice::Auto, None, Deadline::NEVER);
    let totals = search.totals.as_ref().context("no total was found")?;
    let changes: Vec<ChangedFile> = (0..CHANGED).map(changed_file).collect();
    let start = Instant::now();
    let selection = Selection::new(&changes);
    let needs = |path: &str| selection.needs(path);
    let before = Instant::now();
    let search = LineSearch {
        report: &report,
        choice: &Choice::Auto,
        totals: Some(totals),
        filter: Some(&needs),
        deadline: Deadline::NEVER,
    };
    let found = search.run(&mut Vec::new()).context("no lines were found")?;
    let reading = before.elapsed();
    let patch = selection.patch(&found.lines);
    let pages = ReportPages::new(&report, 1);
    let link =
        |page: &str| PageLink { label: "in the report".to_owned(), page: page.to_owned(), line_anchor: Some("t") };
    let links = Links {
        repository: "https://github.com/octo/app",
        pull_request: 17,
        name: None,
        total: None,
        head: "c0ffee",
        report_pages: &|path| pages.find(path).map(link).into_iter().collect(),
        index: "index.html",
    };
    let page = patch.page(&links, &Percent::parse("0").context("no threshold")?);
    let own = start.elapsed() - reading;
    let lines = patch.counts().map_or(0, |counts| counts.total);
    ensure!(patch.files.len() == CHANGED && lines > 1_000 && page.len() > 100_000, "{patch}: {} bytes", page.len());
    Ok((reading, own))
}

/// The peak memory of another process.
fn memory(folder: &Path, with_patch: bool) -> Result<u64> {
    let output = Command::new(env::current_exe()?).arg(MEMORY_OF).arg(folder).arg(with_patch.to_string()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn print_memory(folder: &Path, is_patch: bool) -> Result<()> {
    if is_patch {
        with_patch(folder)?;
    } else {
        let report = report::walk(folder)?;
        search(&report, &Choice::Auto, None, Deadline::NEVER).totals.context("no total was found")?;
    }
    let status = fs::read_to_string("/proc/self/status").context("only Linux reports the memory")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no peak")?;
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{}", kilobytes * 1024);
    Ok(())
}

fn path(file: usize) -> String {
    format!("src/part_{}/module_{file}.py", file % 40)
}

/// Every hunk replaces a line by several.
fn changed_file(number: usize) -> ChangedFile {
    let file = number * (FILES / CHANGED);
    let mut diff = String::new();
    for hunk in 0..HUNKS {
        let old = 10 + hunk * 50;
        let new = old + hunk * (ADDED - 1);
        let _ = writeln!(diff, "@@ -{old},7 +{new},{} @@ def function_{hunk}():", ADDED + 6);
        (0..3).for_each(|line| _ = writeln!(diff, "     value_{line} = compute(price, {line})"));
        let _ = writeln!(diff, "-    old_{hunk} = compute(price, {file})");
        (0..ADDED).for_each(|line| _ = writeln!(diff, "+    new_{line} = compute(price, {file}, {hunk})"));
        (3..6).for_each(|line| _ = writeln!(diff, "     value_{line} = compute(price, {line})"));
    }
    ChangedFile { path: path(file), commit: "9f8c2b1a0d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70".to_owned(), diff: Ok(diff) }
}

fn tracefile() -> String {
    let mut text = String::new();
    for file in 0..FILES {
        let _ = writeln!(text, "SF:/home/runner/work/app/app/{}", path(file));
        (1..=LINES).for_each(|line| _ = writeln!(text, "DA:{line},{}", line % 3));
        text += "end_of_record\n";
    }
    text
}

/// A report of coverage.py, with pages of its size.
fn write_pages(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    fs::write(folder.join("index.html"), include_str!("../tests/fixtures/coverage_py/index.html"))?;
    let page = include_str!("../tests/fixtures/coverage_py/sample_py.html");
    // Without the counts of the fixture's own lines.
    let page = page.replace("button_toggle_", "button_");
    let (from, end) = (page.find(LINE).context("no line")?, page.rfind("</p>").context("no line")? + 4);
    let mut lines = String::new();
    for line in 1..=LINES {
        let class = ["mis show_mis", "run", "pln"][line % 3];
        let _ = writeln!(
            lines,
            "    <p class=\"{class}\"><span class=\"n\"><a id=\"t{line}\" href=\"#t{line}\">{line}</a></span><span \
             class=\"t\">    <span class=\"nam\">value</span> <span class=\"op\">=</span> <span \
             class=\"nam\">compute</span><span class=\"op\">(</span><span class=\"num\">{line}</span><span \
             class=\"op\">)</span>&nbsp;</span><span class=\"r\"></span></p>"
        );
    }
    for file in 0..FILES {
        let head = page[..from].replace("sample.py", &path(file));
        let name = format!("z_{:x}_module_{file}_py.html", file % 40);
        fs::write(folder.join(name), [&head, &lines, &page[end..]].concat())?;
    }
    Ok(())
}
