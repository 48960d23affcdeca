//! Counts the instructions of hot code with callgrind: other load on the machine does not affect them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::cargo;
use xtask::lab::process::run;

use super::programs::Load;
use super::table::{Goal, Row};

/// Package, case of its bench `hot`, number of repetitions, and the maximum number of instructions of one: a tenth more
/// than was measured. The start of the program varies by some 100,000 instructions, so short cases are repeated often.
const CASES: &[(&str, &str, u32, f64)] = &[
    ("covered-server", "path to route", 100_000, 430.0),
    ("covered-server", "value to SVG, remembered", 50_000, 550.0),
    ("covered-server", "value to SVG, drawn", 200, 220_000.0),
    ("covered-server", "entry to response, gzipped", 10_000, 10_700.0),
    ("covered-server", "entry to response, not gzipped", 10_000, 13_500.0),
    ("covered-server", "entry to response, not modified", 10_000, 8_800.0),
    ("covered", "total of an index of 2.8 MB", 3, 3.1e6),
    ("covered", "packing of 75 files", 3, 140e6),
];

pub fn run_all(_: &Load, rows: &mut Vec<Row>) -> Result<()> {
    for package in ["covered-server", "covered"] {
        let program = program(package)?;
        for (_, case, times, goal) in CASES.iter().filter(|(of, ..)| *of == package) {
            let each = (instructions(&program, case, *times)? - instructions(&program, case, 0)?) / f64::from(*times);
            rows.push(Row::without_peer(case, "instructions", each, Goal::AtMost(*goal)));
        }
    }
    Ok(())
}

/// Builds the bench `hot` of a package; returns its path.
fn program(package: &str) -> Result<PathBuf> {
    let mut command = cargo::command(&["bench", "--quiet", "-p", package, "--bench", "hot", "--no-run"]);
    let built = run(command.arg("--message-format=json"))?;
    ensure!(built.ok, "cannot build the bench of {package}: {}", built.text());
    let messages = built.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages.filter(|message| message["target"]["name"] == "hot");
    let program = programs.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    program.with_context(|| format!("cargo listed no bench executable of {package}"))
}

fn instructions(program: &Path, case: &str, times: u32) -> Result<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let counted = run(command.args(["--count", case, &times.to_string()]))?;
    ensure!(counted.ok, "{case}: {}", counted.text());
    let collected = counted.stderr.split("Collected :").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(collected.with_context(|| format!("callgrind printed no count: {}", counted.text()))?.parse()?)
}
