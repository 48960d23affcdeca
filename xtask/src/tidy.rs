//! `cargo xtask tidy`: checks the project's conventions, and reports every violation.

mod help;
mod inputs;
mod layers;

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use xtask::lab::paths;
use xtask::lab::process;

use crate::cargo;

/// The allowed names in the repository's root folder, besides those that start with a dot.
const TOP: &[&str] = &["Cargo.toml", "Cargo.lock", "action", "action.yml", "server", "xtask", "README.md", "LICENSE"];

/// Markers of unfinished work, which belongs in an issue. Split, so that this file does not contain them.
const MARKERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ig", "nore"),
];

/// The maximum number of lines of a source file without its tests.
const MAX_LINES: usize = 400;

pub fn run() -> anyhow::Result<ExitCode> {
    cargo::build_programs()?;
    let files = files()?;
    let (mut violations, mut sources) = (Vec::new(), Vec::new());
    for file in &files {
        violations.extend(top_level(file));
        if let Some(text) = source(file)? {
            violations.extend(check_source(file, &text));
            sources.push(layers::Source::new(file, &text));
        }
    }
    violations.extend(layers::check(&sources));
    let readmes = [("covered", "action/README.md"), ("covered-server", "server/README.md")];
    for (program, readme) in readmes {
        match read(readme) {
            Ok(text) => violations.extend(help::check(&help_of(program)?, program, readme, &text)),
            Err(_) => violations.push(format!("{readme} is missing: it must document {program}")),
        }
    }
    if files.iter().any(|file| file == "action.yml") {
        let readers = ["action/src/inputs/flags.rs", "action/src/inputs/source.rs", "action/run.sh"];
        let readers: String = readers.iter().filter_map(|file| read(file).ok()).collect();
        let (action, readme) = (read("action.yml")?, read("action/README.md").unwrap_or_default());
        violations.extend(inputs::check(&action, &readme, &readers));
        violations.extend(inputs::check_defaults(&action, &readme, &help_of("covered")?));
    }
    violations.iter().for_each(|violation| eprintln!("{violation}"));
    if violations.is_empty() {
        println!("{} files are tidy", files.len());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Every file of the project: tracked by git, or new and not ignored.
fn files() -> anyhow::Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(paths::root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = process::run(&mut git)?;
    ensure!(listed.ok, "git cannot list the files: {}", listed.stderr);
    let names = listed.stdout.split('\0').filter(|name| !name.is_empty());
    Ok(names.filter(|name| paths::root().join(name).exists()).map(ToOwned::to_owned).collect())
}

fn read(file: &str) -> anyhow::Result<String> {
    fs::read_to_string(paths::root().join(file)).with_context(|| format!("cannot read {file}"))
}

fn top_level(file: &str) -> Option<String> {
    let top = file.split('/').next().unwrap_or(file);
    let known = top.starts_with('.') || TOP.contains(&top);
    (!known).then(|| format!("{file}: {top} is not allowed in the root folder; move it into a crate"))
}

/// The text of a hand-written file; the sample's report is generated.
fn source(file: &str) -> anyhow::Result<Option<String>> {
    let written = [".rs", ".py", ".cjs", ".sh", ".yml", ".toml"].iter().any(|end| file.ends_with(end));
    let ours = written || file == ".ci/run";
    ours.then(|| read(file)).transpose()
}

fn check_source(file: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(mark) = MARKERS.iter().find(|mark| line.contains(**mark)) {
            violations.push(format!("{file}:{}: {mark}: finish it, or open an issue", number + 1));
        }
    }
    if !(file.ends_with(".rs") && file.contains("/src/")) {
        return violations;
    }
    if !text.starts_with("//!") {
        violations.push(format!("{file}: does not start with a //! line: describe what it contains"));
    }
    let is_tests = file.ends_with("tests.rs") || file.contains("/tests/");
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    if lines > MAX_LINES && !is_tests {
        violations.push(format!("{file}: {lines} lines before its tests: split it (at most {MAX_LINES})"));
    }
    violations
}

fn help_of(program: &str) -> anyhow::Result<String> {
    let help = process::run(Command::new(paths::binary(program)).arg("--help"))?;
    ensure!(help.ok, "{program} --help failed: {}", help.text());
    Ok(help.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_files_are_checked_for_conventions() {
        assert_eq!(check_source("a/src/x.rs", "//! Owns x.\nfn x() {}\n"), [""; 0]);
        let late = format!("fn x() {{}} // {}\n", MARKERS[0]);
        assert_eq!(check_source("a/src/x.rs", &late).len(), 2);
        let long = "//! Long.\n".to_owned() + &"x\n".repeat(MAX_LINES);
        assert_eq!(check_source("a/src/x.rs", &long).len(), 1);
        let tested = "//! Tested.\n#[cfg(test)]\n".to_owned() + &"x\n".repeat(MAX_LINES);
        assert_eq!(check_source("a/src/x.rs", &tested), [""; 0]);
    }

    #[test]
    fn unknown_top_level_entries_are_rejected() {
        assert!(top_level(".github/workflows/ci.yml").is_none());
        assert!(top_level("server/README.md").is_none());
        assert!(top_level("docs/index.md").is_some());
    }
}
