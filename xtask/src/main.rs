//! The project's own commands: `cargo xtask COMMAND`.

mod bench;
mod demo;
mod setup;
mod test;
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::prelude::*;
use xtask::{cargo, dist};

const HELP: &str = "\
usage: cargo xtask COMMAND

  demo [--help]
         builds both programs, starts a server, uploads a report, and keeps the server running
  test [ARGUMENTS]
         installs what the end-to-end tests need, and runs all tests; passes the arguments to cargo test
  dist   builds and packs a release for one system; see cargo xtask dist --help
  bench [--help]
         measures both programs, nginx, the Python original and others; needs an idle machine
  setup  installs what the tests and the linters need into target/lab
  tidy   checks the project's conventions
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let mut parser = lexopt::Parser::from_env();
    let command = match parser.next()? {
        Some(Value(command)) => command.string()?,
        None | Some(Long("help") | Short('h')) => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    let rest: Vec<OsString> = parser.raw_args()?.collect();
    match command.as_str() {
        "bench" => bench::run(rest),
        "demo" => demo::run(rest),
        "dist" => dist::run(rest),
        "test" => test::run(&rest),
        "setup" => setup::run(),
        "tidy" => tidy::run(),
        _ => anyhow::bail!("unknown command {command}: see cargo xtask --help"),
    }
}
