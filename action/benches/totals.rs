//! What memory large XML files take: `cargo bench -p covered --bench totals`.

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use covered::base::deadline::Deadline;
use covered::coverage::{Choice, search};
use covered::report::Report;

/// Bytes of an XML file, and what is asked of one.
const XML: usize = 500_000_000;
const XML_GOAL: u64 = 20_000_000;
/// Reads the file that follows, and tells the memory that it took.
const MEMORY_OF: &str = "--memory-of";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [flag, file] if flag == MEMORY_OF => tell_memory(Path::new(file)),
        // `cargo test --all-targets` runs this too, without the flag.
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        _ => Ok(()),
    }
}

fn measure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let class = include_str!("../tests/fixtures/totals/coverage.py-7.13-branch/coverage.xml");
    let cobertura = folder.path().join("cobertura.xml");
    repeat(&cobertura, class, "<class ", "</class>", XML)?;
    memory(&cobertura)?;
    // Its totals stand at the end: all of it is read.
    let package = include_str!("../tests/fixtures/totals/jacoco-0.8.6/jacoco.xml");
    let jacoco = folder.path().join("jacoco.xml");
    repeat(&jacoco, package, "<package ", "</package>", XML)?;
    memory(&jacoco)
}

fn memory(path: &Path) -> Result<()> {
    let start = Instant::now();
    let told = Command::new(env::current_exe()?).arg(MEMORY_OF).arg(path).output()?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let bytes: u64 = String::from_utf8(told.stdout)?.trim().parse()?;
    let name = path.file_name().unwrap_or_default().display();
    let size = mega(fs::metadata(path)?.len() as usize);
    println!("{name} of {size:.0} MB: {:.2?}, {:.1} MB of memory at most", start.elapsed(), mega(bytes as usize));
    ensure!(bytes < XML_GOAL, "the goal is {:.0} MB", mega(XML_GOAL as usize));
    Ok(())
}

fn tell_memory(file: &Path) -> Result<()> {
    ensure!(find(file)?, "no total was found");
    let status = fs::read_to_string("/proc/self/status").context("only Linux tells the memory")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak is told")?;
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{}", kilobytes * 1024);
    Ok(())
}

fn find(path: &Path) -> Result<bool> {
    let name = path.to_str().context("its path is no text")?;
    let choice = Choice::File { path: name.to_owned(), format: None };
    Ok(search(&Report::default(), &choice, None, Deadline::NEVER).totals.is_some())
}

/// Writes a report in which the part from `start` to `end` stands as often as `size` bytes take.
fn repeat(path: &Path, report: &str, start: &str, end: &str, size: usize) -> Result<()> {
    let from = report.find(start).context("the report has no such part")?;
    let to = from + report[from..].find(end).context("the part has no end")? + end.len();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&report.as_bytes()[..from])?;
    for _ in 0..(size - report.len()) / (to - from) {
        file.write_all(&report.as_bytes()[from..to])?;
    }
    file.write_all(&report.as_bytes()[from..])?;
    Ok(file.flush()?)
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
