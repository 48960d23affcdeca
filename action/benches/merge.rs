//! The time and memory that merging adds to reading the single reports: `cargo bench -p covered --bench merge`.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use covered::base::deadline::Deadline;
use covered::coverage::merge::{FileRow, Index, Keeper, Merge, Total};
use covered::coverage::{Choice, Counts, LineSearch, search};
use covered::report;

/// Reports, source files of each, and lines of each file.
const REPORTS: usize = 20;
const FILES: usize = 3_600;
const LINES: usize = 300;
/// Of the time to read the reports.
const TIME_GOAL: f64 = 0.5;
const MEMORY_GOAL: u64 = 64_000_000;
const ROUNDS: usize = 5;
/// Merges the reports below the folder that follows, and prints the peak memory.
const MEMORY_OF: &str = "--memory-of";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [flag, folder] if flag == MEMORY_OF => print_memory(Path::new(folder)),
        // `cargo test --all-targets` runs this too, without the flag.
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        _ => Ok(()),
    }
}

fn measure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for number in 0..REPORTS {
        let own = folder.path().join(number.to_string());
        fs::create_dir(&own)?;
        fs::write(own.join("lcov.info"), tracefile(number))?;
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(merge(folder.path())?);
    }
    times.sort_by_key(|(_, own)| *own);
    let (reading, own) = times[ROUNDS / 2];
    let output = Command::new(env::current_exe()?).arg(MEMORY_OF).arg(folder.path()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let peak: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    println!(
        "{REPORTS} reports of {FILES} files: {own:.2?} to merge them (goal: {TIME_GOAL} of the time to read them) besides \
         {reading:.2?} to read them, and {:.1} MB in all (goal: {} MB)",
        peak as f64 / 1e6,
        MEMORY_GOAL / 1_000_000,
    );
    ensure!(own.as_secs_f64() < reading.as_secs_f64() * TIME_GOAL && peak < MEMORY_GOAL, "the goal is missed");
    Ok(())
}

/// Returns the time to read the reports, and that of merging them and writing the pages.
fn merge(folder: &Path) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    let mut reading = Duration::ZERO;
    let tree: Vec<String> = (0..FILES).map(path).collect();
    let mut merge = Merge::new(Some(&tree), Some(Keeper::default()));
    for number in 0..REPORTS {
        let before = Instant::now();
        let report = report::walk(&folder.join(number.to_string()))?;
        let totals = search(&report, &Choice::Auto, None, Deadline::NEVER).totals;
        let search = LineSearch {
            report: &report,
            choice: &Choice::Auto,
            totals: totals.as_ref(),
            filter: None,
            deadline: Deadline::NEVER,
        };
        let found = search.run(&mut Vec::new()).context("no lines were found")?;
        reading += before.elapsed();
        let apart = merge.add(&number.to_string(), "c0ffee", &found.lines);
        ensure!(apart == 0, "{apart} files were not found");
    }
    let merged = merge.finish()?;
    let kept = merged.keeper.context("no keeper")?.finish()?;
    let counts = merged.lines.counts().context("no lines")?;
    let files = merged.lines.files().filter_map(|file| {
        let (covered, total) = file.bits.sums();
        Some(FileRow { path: &file.path, counts: Counts::new(covered, total)?, page: None })
    });
    let (files, total) = (files.collect(), Total::Lines(counts));
    let index = Index { name: None, commit: None, total, missing: &[], parts: Vec::new(), files, patch: None };
    let pages = index.pages();
    let is_whole = counts.total == (FILES * LINES) as u64 && pages.len() == 3 && !kept.is_empty();
    ensure!(is_whole, "{counts}, {} pages", pages.len());
    Ok((reading, start.elapsed() - reading))
}

fn print_memory(folder: &Path) -> Result<()> {
    merge(folder)?;
    let status = fs::read_to_string("/proc/self/status").context("only Linux reports the memory")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no peak")?;
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{}", kilobytes * 1024);
    Ok(())
}

fn path(file: usize) -> String {
    format!("src/part_{}/module_{file}.py", file % 40)
}

/// Each report is of another runner, and hits other lines.
fn tracefile(number: usize) -> String {
    let mut text = String::new();
    for file in 0..FILES {
        let _ = writeln!(text, "SF:/home/runner/work/app_{number}/app_{number}/{}", path(file));
        (1..=LINES).for_each(|line| _ = writeln!(text, "DA:{line},{}", u8::from((line + file) % REPORTS == number)));
        text += "end_of_record\n";
    }
    text
}
