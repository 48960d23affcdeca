//! `covered`: uploads a report, posts its total as a commit status, and updates the badge. Each step logs one line.

mod github;
mod http;
mod identity;
mod inputs;
mod log;
mod original;
mod run;
mod server;

use std::process::ExitCode;
use std::time::Instant;

use covered::{archive, base, coverage, report};

use inputs::Command;
use log::actions_log::ActionsLog;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let started = Instant::now();
    // Fails only if a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let env = |name: &str| std::env::var(name).ok();
    let log = ActionsLog::from_env(&env);
    match inputs::parse(std::env::args_os().skip(1), &env) {
        Ok(Command::Help(text)) => log.print(&text),
        Ok(Command::Version) => log.print(concat!("covered ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Nothing(why)) => {
            log.info(&why);
            log.write_outputs(&[("uploaded", "false".to_owned())]);
            log.write_summary(&format!("### Coverage\n\n{}\n", base::text::markdown(&why)));
        }
        Ok(Command::Run(inputs)) => {
            if !run::run(&inputs, &log, started) {
                return ExitCode::from(FAILED);
            }
        }
        Err(problems) => {
            problems.iter().for_each(|problem| log.error(problem));
            log.info("run `covered --help` for all flags and environment variables");
            log.write_outputs(&[("uploaded", "false".to_owned())]);
            return ExitCode::from(USAGE);
        }
    }
    ExitCode::SUCCESS
}
