//! `cargo xtask demo`, like a new user runs it, but without the build.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use xtask::lab::node::which;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::{Process, run};

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["demo", "--no-build", "--listen", "127.0.0.1:0", "--folder"]).arg(folder);
    command
}

#[test]
fn demo_prints_its_own_help() {
    let help = run(demo(Path::new("none")).arg("--help")).unwrap().succeeded().stdout;
    assert!(help.starts_with("usage: cargo xtask demo") && !Path::new("none").exists(), "{help}");
}

#[test]
fn demo_once_measures_the_sample_and_checks_badge_and_report() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let text = run(demo(&paths::lab().join("demo")).arg("--once")).unwrap().succeeded().text();
    assert!(text.contains("Measured xtask/sample with coverage.py"), "{text}");
    assert!(text.contains("Badge, redirect, report and changed lines are correct"), "{text}");
}

#[test]
fn demo_without_python_uses_the_included_report_and_runs_until_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(which("kill").unwrap(), programs.join("kill")).unwrap();
    let mut process = Process::spawn(demo(folder.path()).env("PATH", programs)).unwrap();
    process.wait_for_line(|line| line.starts_with("Press Ctrl-C").then_some(())).unwrap();
    let mode = std::fs::metadata(folder.path().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "others must not read the folder: file names contain the keys of reports");
    let second = run(demo(folder.path()).arg("--once")).unwrap();
    assert!(!second.ok && second.text().contains("another demo runs in"), "{}", second.text());
    process.terminate();
    assert!(process.wait_for_exit().unwrap().success());
    let text = process.output();
    assert!(text.contains("using its report in xtask/sample/report"), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("  the changed lines  http") && line.ends_with("/patch.html")),
        "{text}"
    );
    let server = text.lines().find_map(|line| line.trim_start().strip_prefix("the server")).unwrap();
    assert!(xtask::lab::http::get(server.trim()).is_err(), "the server still runs");
}
