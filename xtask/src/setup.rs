//! `cargo xtask setup`: installs the lab into the target folder, from lists with pinned versions in `xtask/lab`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use xtask::lab::node::{chromium, which};
use xtask::lab::parts::{LCOV, Part, SHELLS};
use xtask::lab::paths;
pub use xtask::lab::paths::program;

use crate::cargo;

pub fn run() -> anyhow::Result<ExitCode> {
    lab()?;
    Ok(ExitCode::SUCCESS)
}

/// Installs every missing part. If that fails, it prints a warning; in CI it returns an error.
pub fn lab() -> anyhow::Result<()> {
    fs::create_dir_all(paths::lab())?;
    for part in Part::ALL {
        let outcome = match part {
            Part::Python => python(),
            Part::Node => node(),
            Part::Chromium => require_programs(chromium().is_some(), "chromium", &["chromium"]),
            Part::Openssl => require_programs(part.is_installed(), "openssl", &["openssl"]),
            Part::Shells => require_programs(part.is_installed(), &SHELLS.join(", "), &SHELLS),
            Part::Lcov => require_programs(part.is_installed(), &LCOV.join(", "), &["lcov", "gcc"]),
            Part::Deploy => require_programs(
                part.is_installed(),
                "nginx, systemd-analyze and openssl",
                &["nginx-light", "systemd", "openssl"],
            ),
        };
        let Err(error) = outcome else { continue };
        if std::env::var_os("CI").is_some() {
            return Err(error.context("CI needs the whole lab"));
        }
        eprintln!("warning: {error:#}\nwarning: tests that need {part:?} will be SKIPPED");
    }
    Ok(())
}

fn python() -> anyhow::Result<()> {
    let is_installed = which("python3").is_some_and(|python| {
        // On Debian, venv is a separate package: without it, `-m venv` exists and fails.
        let mut command = Command::new(python);
        let output = command.args(["-c", "import ensurepip"]).output();
        output.is_ok_and(|output| output.status.success())
    });
    require_programs(is_installed, "python3 with venv", &["python3", "python3-venv"])?;
    let lists = ["xtask/lab/requirements.txt", "xtask/sample/requirements.txt"];
    venv(&paths::lab().join("venv"), &lists, &[])?;
    for version in paths::ORIGINALS {
        let own = format!("xtask/lab/original-{version}.txt");
        venv(&paths::original(version), &["xtask/lab/original.txt", &own], &[])?;
    }
    Ok(())
}

/// Creates a Python environment from the lists; creates it again if they changed.
pub fn venv(folder: &Path, lists: &[&str], options: &[&str]) -> anyhow::Result<()> {
    let lists: Vec<PathBuf> = lists.iter().map(|list| paths::root().join(list)).collect();
    install_if_changed(folder, &lists, || {
        cargo::run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(program(folder, "python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(options);
        for list in &lists {
            pip.arg("-r").arg(list);
        }
        cargo::run(&mut pip)
    })
}

fn node() -> anyhow::Result<()> {
    let is_installed = which("node").is_some() && which("npm").is_some();
    require_programs(is_installed, "node and npm", &["nodejs", "npm"])?;
    let folder = paths::lab().join("npm");
    let lists = ["package.json", "package-lock.json"].map(paths::script);
    install_if_changed(&folder, &lists, || {
        for list in &lists {
            fs::copy(list, folder.join(list.file_name().unwrap_or_default()))?;
        }
        let mut npm = Command::new("npm");
        // None of these packages needs its install scripts.
        npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        npm.env("npm_config_loglevel", "error");
        cargo::run(&mut npm)
    })
}

/// Fills `folder` with `install`, unless it was installed from the same lists before.
fn install_if_changed(
    folder: &Path,
    lists: &[PathBuf],
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut expected = String::new();
    for list in lists {
        expected += &fs::read_to_string(list).with_context(|| list.display().to_string())?;
    }
    let stamp = folder.join(".installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == expected) {
        return Ok(());
    }
    println!("installing {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    install()?;
    Ok(fs::write(stamp, expected)?)
}

/// Installs missing system programs with apt; returns an error with their names if that is not possible.
fn require_programs(is_installed: bool, what: &str, packages: &[&str]) -> anyhow::Result<()> {
    if is_installed {
        return Ok(());
    }
    if which("apt-get").is_none() || !is_root() {
        bail!("{what} not found: install it (on Debian: apt-get install {})", packages.join(" "));
    }
    println!("installing {} with apt-get", packages.join(", "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        cargo::run(command.args(arguments))
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

/// Installs the tools that only the benchmarks need.
pub fn bench() -> anyhow::Result<()> {
    let tools = [
        ("nginx", "nginx-light"),
        ("wrk", "wrk"),
        ("h2load", "nghttp2-client"),
        ("zip", "zip"),
        ("valgrind", "valgrind"),
    ];
    for (program, package) in tools {
        require_programs(which(program).is_some(), program, &[package])?;
    }
    Ok(())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
