//! `cargo xtask tidy`: the project's conventions, as checks. It names every breach, not only the first.

mod inputs;
mod layers;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use xtask::lab::paths;
use xtask::lab::process;

use crate::cargo;

/// What may stand at the repository's top, besides names that start with a dot.
const TOP: &[&str] = &["Cargo.toml", "Cargo.lock", "action", "action.yml", "server", "xtask", "README.md", "LICENSE"];

/// Work that is put off is an issue, not a mark in the source. In two pieces, so that this file has none itself.
const PUT_OFF: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ig", "nore"),
];

/// Flags that need no describing.
const OF_EVERY_PROGRAM: &[&str] = &["help", "version"];

/// Lines of one source file, without its tests: beyond that, it is two files.
const MAX_LINES: usize = 400;

pub fn run() -> anyhow::Result<ExitCode> {
    cargo::build_programs()?;
    let files = files()?;
    let (mut breaches, mut sources) = (Vec::new(), Vec::new());
    for file in &files {
        breaches.extend(top_level(file));
        if let Some(text) = source(file)? {
            breaches.extend(check_source(file, &text));
            sources.push(layers::Source::new(file, &text));
        }
    }
    breaches.extend(layers::check(&sources));
    let help = [("covered", "action/README.md"), ("covered-server", "server/README.md")];
    for (program, readme) in help {
        match read(readme) {
            Ok(text) => breaches.extend(check_help(&help_of(program)?, program, readme, &text)),
            Err(_) => breaches.push(format!("{readme} is missing: it has to describe {program}")),
        }
    }
    if files.iter().any(|file| file == "action.yml") {
        let readers = ["action/src/inputs/flags.rs", "action/src/inputs/source.rs", "action/run.sh"];
        let readers: String = readers.iter().filter_map(|file| read(file).ok()).collect();
        let (action, readme) = (read("action.yml")?, read("action/README.md").unwrap_or_default());
        breaches.extend(inputs::check(&action, &readme, &readers));
        breaches.extend(inputs::check_defaults(&action, &readme, &help_of("covered")?));
    }
    breaches.iter().for_each(|breach| eprintln!("{breach}"));
    if breaches.is_empty() {
        println!("{} files are tidy", files.len());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Every file of the project: those that git tracks, and new ones that it does not ignore.
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
    (!known).then(|| format!("{file}: {top} is not for the top of the repository; put it into a crate"))
}

/// The text of a file that people here write; the sample's report was made by a tool.
fn source(file: &str) -> anyhow::Result<Option<String>> {
    let written = [".rs", ".py", ".cjs", ".sh", ".yml", ".toml"].iter().any(|end| file.ends_with(end));
    let ours = written || file == ".ci/run";
    ours.then(|| read(file)).transpose()
}

fn check_source(file: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(mark) = PUT_OFF.iter().find(|mark| line.contains(**mark)) {
            breaches.push(format!("{file}:{}: {mark}: do it, or open an issue", number + 1));
        }
    }
    if !(file.ends_with(".rs") && file.contains("/src/")) {
        return breaches;
    }
    if !text.starts_with("//!") {
        breaches.push(format!("{file}: starts without a //! line: say what it owns"));
    }
    let is_tests = file.ends_with("tests.rs") || file.contains("/tests/");
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    if lines > MAX_LINES && !is_tests {
        breaches.push(format!("{file}: {lines} lines before its tests: split it (at most {MAX_LINES})"));
    }
    breaches
}

fn help_of(program: &str) -> anyhow::Result<String> {
    let help = process::run(Command::new(paths::binary(program)).arg("--help"))?;
    ensure!(help.ok, "{program} --help failed: {}", help.text());
    Ok(help.stdout)
}

/// Every flag of the help stands in the README, and every flag that heads a row of a table there is in the help.
/// Either may be written as in the environment.
fn check_help(help: &str, program: &str, readme: &str, text: &str) -> Vec<String> {
    let known = flags(help);
    let documented: BTreeSet<String> = text.split('`').filter_map(setting).collect();
    let missing = known.iter().filter(|flag| !documented.contains(*flag));
    let missing = missing.map(|flag| format!("{readme}: says nothing of `--{flag}` of {program} --help"));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let heads: BTreeSet<String> = rows.filter_map(setting).collect();
    let unknown = heads.iter().filter(|head| !known.contains(*head) && !OF_EVERY_PROGRAM.contains(&head.as_str()));
    let unknown = unknown.map(|flag| format!("{readme}: has `--{flag}`, which {program} --help does not know"));
    missing.chain(unknown).collect()
}

/// The names of all flags in a help text: they start a line.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let names = lines.map(|line| word(line).to_owned());
    names.filter(|name| !OF_EVERY_PROGRAM.contains(&name.as_str())).collect()
}

/// What stands between backticks, if it is a setting: `--storage-url URL` and `STORAGE_URL` alike, as `storage-url`.
fn setting(code: &str) -> Option<String> {
    if let Some(flag) = code.strip_prefix("--") {
        return Some(word(flag).to_owned());
    }
    let name = code.split('=').next()?;
    let variable = name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    variable.then(|| name.to_ascii_lowercase().replace('_', "-"))
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| c != '-' && !c.is_ascii_alphanumeric());
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_file_is_held_to_its_conventions() {
        assert_eq!(check_source("a/src/x.rs", "//! Owns x.\nfn x() {}\n"), [""; 0]);
        let late = format!("fn x() {{}} // {}\n", PUT_OFF[0]);
        assert_eq!(check_source("a/src/x.rs", &late).len(), 2);
        let long = "//! Long.\n".to_owned() + &"x\n".repeat(MAX_LINES);
        assert_eq!(check_source("a/src/x.rs", &long).len(), 1);
        let tested = "//! Tested.\n#[cfg(test)]\n".to_owned() + &"x\n".repeat(MAX_LINES);
        assert_eq!(check_source("a/src/x.rs", &tested), [""; 0]);
    }

    #[test]
    fn the_top_takes_no_strangers() {
        assert!(top_level(".github/workflows/ci.yml").is_none());
        assert!(top_level("server/README.md").is_none());
        assert!(top_level("docs/index.md").is_some());
    }

    #[test]
    fn help_and_readme_name_the_same_flags() {
        let help = "usage: x\n\n  --storage-url URL\n      where\n  --help\n";
        assert_eq!(check_help(help, "x", "R", "Set `STORAGE_URL`.\n"), [""; 0]);
        assert_eq!(
            check_help(help, "x", "R", "| `--storage-url URL` | where |\n| `GET /` | is none |\n| `--gone` | no |\n")
                .len(),
            1
        );
        assert_eq!(check_help(help, "x", "R", "nothing\n").len(), 1);
    }
}
