//! `cargo xtask bench`: measures Covered and its alternatives in one run; prints medians, ratios and goals.

mod capacity;
mod counts;
mod footprint;
mod programs;
mod reading;
mod serving;
mod table;
mod uploading;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use lexopt::prelude::*;
use xtask::cargo;
use xtask::lab::paths;
use xtask::lab::process;

use crate::setup;
use programs::Load;
use table::Row;

const HELP: &str = "\
usage: cargo xtask bench [PART ...] [--rounds N] [--seconds N] [--keep] [--no-build]

Measures Covered and its alternatives in turns, and prints medians, ratios and goals.

  PART       serving, reading, uploading, footprint, capacity or counts [default: all]
  --rounds   turns of each side [default: 5]
  --seconds  duration of a turn under load [default: 3]
  --no-build runs the programs of the last build
  --keep     writes the table to server/README.md, its headlines to README.md, and all rows to xtask/bench.json, with
             which later runs are compared

Needs an idle machine with nginx, wrk, h2load, zip and valgrind. If run as root on Debian, it installs them with apt.
";

/// The markers around the table of a README.
const BEGIN: &str = "<!-- measured by cargo xtask bench --keep -->";
const END: &str = "<!-- end -->";

type Part = fn(&Load, &mut Vec<Row>) -> Result<()>;
const PARTS: &[(&str, Part)] = &[
    ("serving", serving::run_all),
    ("reading", reading::run_all),
    ("uploading", uploading::run_all),
    ("footprint", footprint::run_all),
    ("capacity", capacity::run_all),
    ("counts", counts::run_all),
];

/// What to measure, and what to do with the results.
struct Options {
    parts: Vec<&'static (&'static str, Part)>,
    load: Load,
    keep: bool,
    no_build: bool,
}

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let Some(options) = options(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    setup::lab()?;
    setup::bench()?;
    if !options.no_build {
        build()?;
    }
    let mut rows = Vec::new();
    for (name, part) in &options.parts {
        println!("measuring {name}");
        part(&options.load, &mut rows)?;
    }
    let last = fs::read(saved_table()).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let text = table::markdown(&rows, last.as_ref());
    println!("\n{text}\non {}", machine());
    if options.keep {
        let json = table::json(&rows, &machine(), &today()?);
        fs::write(saved_table(), format!("{json:#}\n"))?;
        let end = format!("Measured on {}, on {}.\n", today()?, machine());
        let (table, headlines) = (table::markdown(&rows, None), table::headlines(&rows));
        write_table(&paths::root().join("server/README.md"), &format!("{table}\n{end}"))?;
        write_table(&paths::root().join("README.md"), &format!("{headlines}\n{end}"))?;
    }
    Ok(if rows.iter().all(Row::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build() -> Result<()> {
    cargo::run(&mut cargo::command(&["build", "--release", "-p", "covered-server", "--bins", "--examples"]))?;
    // In a separate build, so that shared packages don't get the features that the server enables.
    cargo::run(&mut cargo::command(&["build", "--profile", "action", "-p", "covered"]))
}

fn options(arguments: Vec<OsString>) -> Result<Option<Options>> {
    let mut options = Options { parts: Vec::new(), load: Load { rounds: 5, seconds: 3 }, keep: false, no_build: false };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") => return Ok(None),
            Long("rounds") => options.load.rounds = parser.value()?.parse()?,
            Long("seconds") => options.load.seconds = parser.value()?.parse()?,
            Long("no-build") => options.no_build = true,
            Long("keep") => options.keep = true,
            Value(name) => {
                let name = name.string()?;
                let part = PARTS.iter().find(|(part, _)| *part == name);
                options.parts.push(part.with_context(|| format!("unknown part {name}: see --help"))?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    ensure!(options.load.rounds > 0 && options.load.seconds > 0, "--rounds and --seconds must be at least 1");
    ensure!(!options.keep || options.parts.is_empty(), "--keep needs the whole table: remove the parts");
    if options.parts.is_empty() {
        options.parts = PARTS.iter().collect();
    }
    Ok(Some(options))
}

/// The file with the table of the last run with `--keep`.
fn saved_table() -> PathBuf {
    paths::root().join("xtask/bench.json")
}

/// Replaces the table between the markers of a README.
fn write_table(readme: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(readme)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("{} has no {BEGIN} and {END}", readme.display()))?;
    Ok(fs::write(readme, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?)
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} ({cores} cores)", model.map_or("an unknown processor", |(_, model)| model.trim()))
}

fn today() -> Result<String> {
    let date = process::run(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    Ok(date.stdout.trim().to_owned())
}
