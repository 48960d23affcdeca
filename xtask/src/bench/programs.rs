//! How the parts run programs: built ones, on one core, in turns.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::lab::covered::{API_KEY, clean};
use xtask::lab::paths;
use xtask::lab::process::run;

/// The repository and the commit of everything that is uploaded.
pub const REPOSITORY: &str = "octo/app";
pub const COMMIT: &str = "9f8c2b1a0d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70";

/// How long to measure each side.
pub struct Load {
    /// Turns of each side.
    pub rounds: usize,
    /// Duration of a turn under load.
    pub seconds: u32,
}

/// The path of a program that was built with this profile.
pub fn built(profile: &str, name: &str) -> PathBuf {
    paths::target().join(profile).join(name)
}

pub fn release(name: &str) -> PathBuf {
    built("release", name)
}

/// Runs `program` on one core, in a clean environment.
pub fn pinned(core: &str, program: &Path) -> Command {
    let mut command = clean(Path::new("taskset"));
    command.args(["-c".as_ref(), OsStr::new(core), program.as_os_str()]);
    command
}

/// Uploads a report with `covered`; returns the path of its site.
pub fn upload(report: &Path, api: &str, environment: &[(&str, &str)]) -> Result<String> {
    let mut command = clean(&built("action", "covered"));
    command.arg(report).args(["--api-url", api, "--purge-cache", "--commit-sha", COMMIT]);
    command.env("COVERED_API_KEY", API_KEY).env("GITHUB_REPOSITORY", REPOSITORY).envs(environment.iter().copied());
    let uploaded = run(&mut command)?;
    ensure!(uploaded.ok, "the report was not uploaded: {}", uploaded.text());
    let site = uploaded.stdout.lines().find_map(|line| line.strip_prefix("Created site ")?.split(' ').next());
    Ok(format!("/coverage/{}/", site.context("the uploader's log contains no site ID")?))
}
