//! The time and memory that the lines of large reports need, beside a plain search of the same bytes: `cargo bench -p
//! covered --bench lines`.

use std::env;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use covered::base::deadline::Deadline;
use covered::coverage::{Choice, LineSearch};
use covered::report::{self, Report};

/// Bytes of a file.
const FILE: usize = 100_000_000;
/// Lines of one source file in it.
const LINES: usize = 1000;
/// An HTML report of 540 MB.
const PAGES: usize = 3300;
const PAGE: usize = 164_000;
/// Bytes of memory that reading one takes at most.
const MEMORY_GOAL: u64 = 64_000_000;
const ROUNDS: usize = 5;
/// Reads the folder that follows, and prints the peak memory.
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
    for (name, text) in [("lcov.info", lcov()), ("cobertura.xml", cobertura())] {
        let path = folder.path().join(name);
        fs::write(&path, &text)?;
        file(&path, text.as_bytes())?;
    }
    let pages = folder.path().join("htmlcov");
    write_pages(&pages)?;
    report_of_pages(&pages)
}

/// Compares with a search for the ends of the lines in the same bytes.
fn file(path: &Path, bytes: &[u8]) -> Result<()> {
    let (name, report) = (path.to_str().context("its path is no text")?, Report::default());
    let choice = Choice::File { path: name.to_owned(), format: None, is_inside: false };
    let search = || Ok(memchr::memchr_iter(b'\n', black_box(bytes)).map(black_box).sum::<usize>() as u64);
    let (read, search) = in_turns(|| count(&report, &choice), search)?;
    let speed = |time: Duration| bytes.len() as f64 / 1e6 / time.as_secs_f64();
    let name = path.file_name().unwrap_or_default().display();
    println!(
        "{name}: {:.0} MB/s, memchr {:.0} MB/s: {:.2} x (goal: 0.33)",
        speed(read),
        speed(search),
        search.as_secs_f64() / read.as_secs_f64()
    );
    Ok(())
}

/// Compares with reading all bytes.
fn report_of_pages(folder: &Path) -> Result<()> {
    let report = report::walk(folder)?;
    let plain = || {
        let sizes =
            report.files.iter().map(|entry| anyhow::Ok(black_box(fs::read(folder.join(&entry.name))?).len() as u64));
        sizes.sum()
    };
    let (read, plain) = in_turns(|| count(&report, &Choice::Auto), plain)?;
    let output = Command::new(env::current_exe()?).arg(MEMORY_OF).arg(folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let memory: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    println!(
        "{PAGES} pages: {read:.2?}, reading them {plain:.2?}: {:.2} x (goal: 2), {:.1} MB of memory at most",
        read.as_secs_f64() / plain.as_secs_f64(),
        memory as f64 / 1e6
    );
    ensure!(memory < MEMORY_GOAL, "the goal is {} MB", MEMORY_GOAL / 1_000_000);
    Ok(())
}

/// The medians of both.
fn in_turns(one: impl Fn() -> Result<u64>, other: impl Fn() -> Result<u64>) -> Result<(Duration, Duration)> {
    let time = |work: &dyn Fn() -> Result<u64>| {
        let start = Instant::now();
        ensure!(work()? > 0, "nothing was found");
        Ok(start.elapsed())
    };
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ones.push(time(&one)?);
        others.push(time(&other)?);
    }
    ones.sort_unstable();
    others.sort_unstable();
    Ok((ones[ROUNDS / 2], others[ROUNDS / 2]))
}

fn count(report: &Report, choice: &Choice) -> Result<u64> {
    let search = LineSearch { report, choice, totals: None, filter: None, deadline: Deadline::NEVER };
    let mut notes = Vec::new();
    let found = search.run(&mut notes).with_context(|| format!("no lines were found: {notes:?}"))?;
    Ok(found.lines.sums().1)
}

fn print_memory(folder: &Path) -> Result<()> {
    ensure!(count(&report::walk(folder)?, &Choice::Auto)? > 0, "no lines were found");
    let status = fs::read_to_string("/proc/self/status").context("only Linux reports the memory")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no peak")?;
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{}", kilobytes * 1024);
    Ok(())
}

fn lcov() -> String {
    let mut text = String::with_capacity(FILE + (64 << 10));
    for file in 0.. {
        if text.len() >= FILE {
            break;
        }
        let _ = writeln!(text, "SF:src/module_{file}.c");
        (1..=LINES).for_each(|line| _ = writeln!(text, "DA:{line},{}", line % 3));
        text += "end_of_record\n";
    }
    text
}

fn cobertura() -> String {
    let mut text = String::with_capacity(FILE + (64 << 10));
    text += "<coverage line-rate=\"0.5\"><packages><package><classes>\n";
    for file in 0.. {
        if text.len() >= FILE {
            break;
        }
        let _ = writeln!(text, "<class name=\"m{file}\" filename=\"src/module_{file}.c\"><methods/><lines>");
        (1..=LINES).for_each(|line| _ = writeln!(text, "\t\t\t\t\t\t<line number=\"{line}\" hits=\"{}\"/>", line % 3));
        text += "</lines></class>\n";
    }
    text + "</classes></package></packages></coverage>\n"
}

/// A report of coverage.py, whose pages are of one size.
fn write_pages(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    fs::write(folder.join("index.html"), include_str!("../tests/fixtures/coverage_py/index.html"))?;
    let page = include_str!("../tests/fixtures/coverage_py/sample_py.html");
    let (from, end) = (page.find("<p class=").context("no line")?, page.rfind("</p>").context("no line")? + 4);
    let lines = (PAGE - page.len()) / (end - from) + 1;
    let page = [&page[..from], &page[from..end].repeat(lines), &page[end..]].concat();
    for number in 0..PAGES {
        fs::write(folder.join(format!("m{number}.html")), page.replace("sample.py", &format!("m{number}.py")))?;
    }
    Ok(())
}
