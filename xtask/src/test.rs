//! `cargo xtask test`: installs the lab, runs all tests of the workspace, and prints their number.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};

use anyhow::Context;
use xtask::lab::parts;

use crate::{cargo, setup};

pub fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    setup::lab()?;
    cargo::build_programs()?;
    let _ = fs::remove_file(parts::skipped());

    let mut command = cargo::command(&["test", "--workspace", "--no-fail-fast"]);
    command.args(["--features", "xtask/e2e"]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            count.add(&line);
        }
    }
    let ok = child.wait()?.success();

    let skipped = fs::read_to_string(parts::skipped()).unwrap_or_default();
    for line in skipped.lines() {
        println!("SKIPPED {line}");
        // cargo counts a test that returns early as passed.
        count.passed = count.passed.saturating_sub(1);
        count.skipped += 1;
    }
    println!("\n{}", count.text());
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Debug, Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    /// Adds `test result: ok. 5 passed; 0 failed; 1 ignored; …`
    fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = counts.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        let number = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at.checked_sub(1)?)?.parse().ok()
        };
        self.passed += number("passed").unwrap_or(0);
        self.failed += number("failed").unwrap_or(0);
        self.skipped += number("ignored").unwrap_or(0);
    }

    fn text(&self) -> String {
        let counts = format!("{} passed, {} failed", self.passed, self.failed);
        match self.skipped {
            0 => counts,
            skipped => format!("{counts}, {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn counts_of_all_test_programs_are_summed() {
        let mut count = Count::default();
        count.add("running 3 tests");
        count.add("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.03s");
        assert_eq!(count.text(), "3 passed, 0 failed");
        count.add("test result: FAILED. 14 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out");
        assert_eq!(count.text(), "17 passed, 2 failed, 1 skipped");
    }
}
