//! One program, built for one system, with nothing in it of the machine that built it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::ACTION;
use crate::cargo::{self, done};
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
    /// Builds a program, and tells where it is.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let profile = if name == ACTION { "action" } else { "release" };
        let mut command = self.cargo("build");
        // By itself: the other program's features would come in.
        command.args(["--profile", profile, "--package", name, "--bin", name, "--target-dir"]).arg(self.folder);
        command.env("CARGO_ENCODED_RUSTFLAGS", self.flags()?.join("\x1f"));
        // Times in the objects that macOS archives.
        command.env("ZERO_AR_DATE", "1");
        if std::env::var_os("COVERED_COMMIT").is_none()
            && let Some(commit) = commit(self.source)?
        {
            command.env("COVERED_COMMIT", commit);
        }
        done(&mut command)?;
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
        // The last one that fits is taken: the target folder may be inside the source.
        for (folder, name) in [(self.source, "/covered"), (&cargo_home()?, "/cargo"), (self.folder, "/target")] {
            let folder = std::path::absolute(folder)?;
            flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
        }
        if self.target.ends_with("-windows-msvc") {
            // No runtime to install first; no time in the header.
            flags.extend(["-Ctarget-feature=+crt-static", "-Clink-arg=/Brepro"].map(ToOwned::to_owned));
        }
        Ok(flags)
    }
}

/// The source's commit, where it is a checkout of git's: what the server tells of itself.
fn commit(source: &Path) -> anyhow::Result<Option<String>> {
    if !source.join(".git").exists() {
        return Ok(None);
    }
    let mut git = Command::new("git");
    git.current_dir(source).args(["describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]);
    let described = process::run(&mut git)?;
    Ok(described.ok.then(|| described.stdout.trim().to_owned()))
}

/// Where cargo keeps the sources of the crates: panic messages name them.
fn cargo_home() -> anyhow::Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("there is no home folder: set CARGO_HOME")?;
    Ok(home.join(".cargo"))
}

/// What the names of programs end in.
pub fn suffix(target: &str) -> &'static str {
    if target.contains("-windows-") { ".exe" } else { "" }
}

/// The system that this runs on.
pub fn host() -> anyhow::Result<String> {
    let rustc = process::run(Command::new("rustc").arg("-vV"))?;
    let line = rustc.stdout.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not tell its host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_commit_is_told_of_a_checkout_and_whether_it_was_changed() {
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
