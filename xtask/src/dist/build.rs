//! Builds one program for one system, without traces of the machine that builds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::release::ACTION;
use crate::cargo;
use crate::lab::process;

pub struct Build<'a> {
    /// The repository.
    pub source: &'a Path,
    /// Cargo's target folder.
    pub folder: &'a Path,
    pub target: &'a str,
    /// Further flags for rustc.
    pub flags: Vec<String>,
}

impl Build<'_> {
    /// Builds a program; returns its path.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let profile = if name == ACTION { "action" } else { "release" };
        let mut command = self.cargo("build");
        // In a separate build, so that shared packages don't get the features that the other program enables.
        command.args(["--profile", profile, "--package", name, "--bin", name, "--target-dir"]).arg(self.folder);
        command.env("CARGO_ENCODED_RUSTFLAGS", self.flags()?.join("\x1f"));
        // Removes the times from archives of object files on macOS.
        command.env("ZERO_AR_DATE", "1");
        if std::env::var_os("COVERED_COMMIT").is_none()
            && let Some(commit) = commit(self.source)?
        {
            command.env("COVERED_COMMIT", commit);
        }
        cargo::run(&mut command)?;
        Ok(self.folder.join(self.target).join(profile).join(format!("{name}{}", suffix(self.target))))
    }

    /// `cargo COMMAND` on the source, for the target.
    pub fn cargo(&self, name: &str) -> Command {
        let mut command = cargo::command(&[name, "--locked", "--target", self.target]);
        command.current_dir(self.source);
        command
    }

    fn flags(&self) -> anyhow::Result<Vec<String>> {
        let mut flags = self.flags.clone();
        // rustc uses the last matching prefix: the target folder may be inside the source.
        for (folder, name) in [(self.source, "/covered"), (&cargo_home()?, "/cargo"), (self.folder, "/target")] {
            let folder = std::path::absolute(folder)?;
            flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
        }
        if self.target.ends_with("-windows-msvc") {
            // Links the C runtime statically, and writes no time into the header.
            flags.extend(["-Ctarget-feature=+crt-static", "-Clink-arg=/Brepro"].map(ToOwned::to_owned));
        }
        Ok(flags)
    }
}

/// The commit of the source if it is a git checkout; the server shows it in its version.
fn commit(source: &Path) -> anyhow::Result<Option<String>> {
    if !source.join(".git").exists() {
        return Ok(None);
    }
    let mut git = Command::new("git");
    git.current_dir(source).args(["describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]);
    let described = process::run(&mut git)?;
    Ok(described.ok.then(|| described.stdout.trim().to_owned()))
}

/// The folder of the crates' sources, whose paths are in panic messages.
fn cargo_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("cannot find the home folder: set CARGO_HOME")?;
    Ok(home.join(".cargo"))
}

/// The file extension of programs.
pub fn suffix(target: &str) -> &'static str {
    if target.contains("-windows-") { ".exe" } else { "" }
}

/// The target of this system.
pub fn host() -> anyhow::Result<String> {
    let rustc = process::run(Command::new("rustc").arg("-vV"))?;
    let line = rustc.stdout.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("`rustc -vV` prints no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_commit_of_a_checkout_is_marked_dirty_if_changed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(commit(folder.path()).unwrap(), None);
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(&folder).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
            process::run(&mut git).unwrap().succeeded().stdout.trim().to_owned()
        };
        git(&["init", "--quiet"]);
        fs::write(folder.path().join("a"), "1").unwrap();
        git(&["add", "a"]);
        git(&["commit", "--quiet", "--message", "One"]);
        git(&["tag", "--annotate", "--message", "One", "v1"]);
        let head = git(&["rev-parse", "HEAD"]);
        assert_eq!(commit(folder.path()).unwrap(), Some(head.clone()));
        fs::write(folder.path().join("a"), "2").unwrap();
        assert_eq!(commit(folder.path()).unwrap(), Some(format!("{head}-dirty")));
    }
}
