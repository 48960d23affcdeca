//! Other tools read the exported lines, and show the same as the report.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use xtask::lab::covered::clean;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::{self, Finished};
use xtask::lab::report;

/// The sample's source files, and the exports of its report: 38 of 43 lines are hit.
fn exported() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    report::small(&folder.path().join("report"), "88.37");
    for name in ["temperature.py", "test_temperature.py"] {
        fs::copy(paths::root().join("xtask/sample").join(name), folder.path().join(name)).unwrap();
    }
    let mut covered = clean(&paths::binary("covered"));
    covered.current_dir(&folder).args(["report", "--dry-run", "--export", "lcov:out/lcov.info, cobertura:out/c.xml"]);
    let finished = process::run(&mut covered).unwrap().succeeded();
    assert!(finished.stdout.contains("Wrote 43 lines of 2 files to out/lcov.info (lcov)"), "{}", finished.text());
    folder
}

#[track_caller]
fn run_in(folder: &Path, command: &mut Command, arguments: &[&str]) -> Finished {
    process::run(command.current_dir(folder).args(arguments)).unwrap().succeeded()
}

#[test]
fn genhtml_shows_the_reports_total() {
    if skip_without(&[Part::Lcov]) {
        return;
    }
    let folder = exported();
    let finished = run_in(folder.path(), &mut Command::new("genhtml"), &["-o", "pages", "out/lcov.info"]);
    assert!(finished.text().contains("88.4% (38 of 43 lines)"), "{}", finished.text());
}

#[test]
fn pycobertura_shows_the_reports_untested_lines() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let folder = exported();
    let finished = run_in(folder.path(), &mut Command::new(paths::python("pycobertura")), &["show", "out/c.xml"]);
    for row in ["temperature.py 26 4 84.62% 21-23, 30", "test_temperature.py 17 1 94.12% 25", "TOTAL 43 5 88.37%"] {
        let is_there = finished.stdout.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == row);
        assert!(is_there, "no {row} in\n{}", finished.stdout);
    }
}

#[test]
fn diff_cover_finds_the_untested_lines_of_a_change() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let folder = exported();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]);
        run_in(folder.path(), &mut command, arguments);
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "base"]);
    git(&["checkout", "--quiet", "-b", "change"]);
    git(&["add", "temperature.py"]);
    git(&["commit", "--quiet", "--message", "change"]);
    for export in ["out/lcov.info", "out/c.xml"] {
        let mut diff_cover = Command::new(paths::python("diff-cover"));
        let finished = run_in(folder.path(), &mut diff_cover, &[export, "--compare-branch", "main"]);
        assert!(finished.text().contains("Missing lines 21-23,30"), "{export}: {}", finished.text());
    }
}
