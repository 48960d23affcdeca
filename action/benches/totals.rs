//! The memory that large XML files need: `cargo bench -p covered --bench totals`.

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

/// Bytes of an XML file, and of the memory that one may need.
const XML: usize = 500_000_000;
const XML_GOAL: u64 = 20_000_000;
/// Reads the file that follows, and prints the peak memory.
const MEMORY_OF: &str = "--memory-of";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [flag, file] if flag == MEMORY_OF => print_memory(Path::new(file)),
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
    // Its totals are at the end, so all of it is read.
    let package = include_str!("../tests/fixtures/totals/jacoco-0.8.6/jacoco.xml");
    let jacoco = folder.path().join("jacoco.xml");
    repeat(&jacoco, package, "<package ", "</package>", XML)?;
    memory(&jacoco)
}

fn memory(path: &Path) -> Result<()> {
    let start = Instant::now();
    let output = Command::new(env::current_exe()?).arg(MEMORY_OF).arg(path).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let name = path.file_name().unwrap_or_default().display();
    let size = mega(fs::metadata(path)?.len() as usize);
    println!("{name} of {size:.0} MB: {:.2?}, {:.1} MB of memory at most", start.elapsed(), mega(bytes as usize));
    ensure!(bytes < XML_GOAL, "the goal is {:.0} MB", mega(XML_GOAL as usize));
    Ok(())
}

fn print_memory(file: &Path) -> Result<()> {
    ensure!(find(file)?, "no total was found");
    let status = fs::read_to_string("/proc/self/status").context("only Linux reports the memory")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no peak")?;
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("{}", kilobytes * 1024);
    Ok(())
}

fn find(path: &Path) -> Result<bool> {
    let name = path.to_str().context("its path is no text")?;
    let choice = Choice::File { path: name.to_owned(), format: None, is_inside: false };
    Ok(search(&Report::default(), &choice, None, Deadline::NEVER).totals.is_some())
}

/// Writes a report of `size` bytes, in which the part from `start` to `end` is repeated.
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
