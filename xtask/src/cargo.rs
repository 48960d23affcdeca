//! cargo, called from within cargo.

use std::process::{Command, Stdio};

use crate::lab::paths;
use anyhow::{Context, bail};

/// `cargo …` at the repository's top.
pub fn command(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::root()).args(arguments);
    command.stdin(Stdio::null());
    // What cargo told this program of its own package. Build scripts look at it: told another thing than by a cargo
    // that was called by hand, they and all that stands on them would be built anew, each time.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(own)) {
        command.env_remove(name);
    }
    command
}

/// Builds `covered` and `covered-server`, and with them this program's own package: built alone, they would share
/// less with the tests and be compiled twice.
pub fn build_programs() -> anyhow::Result<()> {
    done(&mut command(&["build", "--workspace", "--bins"]))
}

/// Runs a command and makes its failure an error.
pub fn done(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status();
    let status = status.with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        bail!("{name} {} failed", arguments.join(" "));
    }
    Ok(())
}
