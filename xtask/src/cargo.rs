//! Runs cargo from a program that cargo started.

use std::process::{Command, Stdio};

use crate::lab::paths;
use anyhow::{Context, bail};

/// `cargo …` in the repository's root folder.
pub fn command(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::root()).args(arguments);
    command.stdin(Stdio::null());
    // Remove cargo's variables about this package. Build scripts read them: with other values than in a cargo that was
    // started by hand, they and everything that depends on them would be rebuilt each time.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(own)) {
        command.env_remove(name);
    }
    command
}

/// Builds the workspace's programs, including this one: a build of only two would use other features than the tests, and
/// compile shared packages twice.
pub fn build_programs() -> anyhow::Result<()> {
    run(&mut command(&["build", "--workspace", "--bins"]))
}

/// Runs a command; returns an error if it fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status();
    let status = status.with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        bail!("{name} {} failed", arguments.join(" "));
    }
    Ok(())
}
