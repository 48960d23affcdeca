//! Measures uploads compared with the Python original on the same S3, and packing compared with zip and tar.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::lab::covered::{API_KEY, Server, clean};
use xtask::lab::fault::Fault;
use xtask::lab::github::Github;
use xtask::lab::process::run;
use xtask::lab::proxy::Proxy;
use xtask::lab::s3::MiniStack;
use xtask::lab::{paths, report};

use super::programs::{COMMIT, Load, REPOSITORY, built, pinned, release, upload};
use super::table::{Goal, Row, median};

/// The delay of every request to a distant server.
const DELAY: Duration = Duration::from_millis(40);
pub const ORIGINAL: &str = "Python CLI 0.1.1";

pub fn run_all(load: &Load, rows: &mut Vec<Row>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let s3 = MiniStack::start();
    let far = Proxy::start(&s3.url());
    far.fail(|_| Some(Fault::Delay(DELAY)));
    for (is_far, endpoint, goals) in [(false, s3.url(), [20.0, 15.0]), (true, far.url(), [8.0, 10.0])] {
        let mut settings = s3.settings(&endpoint);
        settings.push(("AWS_UPLOAD_ROLE_ARN".to_owned(), s3.upload_role.clone()));
        let server = Server::with(clean(&release("covered-server")), &settings)?;
        let front = Proxy::start(&server.url);
        front.fail(|_| Some(Fault::Delay(DELAY)));
        let api = if is_far { front.url() } else { server.url.clone() };
        for (count, goal) in [75, 3600].into_iter().zip(goals) {
            let report = folder.join(count.to_string());
            report::large(&report, count);
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..load.rounds {
                let github = DistantGithub::start(is_far);
                let environment = [
                    ("COVERED_GH_TOKEN", "a-token"),
                    ("GITHUB_API_URL", &github.url),
                    ("GITHUB_SERVER_URL", &github.url),
                ];
                let started = Instant::now();
                upload(&report, &api, &environment)?;
                ours.push(started.elapsed().as_secs_f64());
                theirs.push(original(&report, &api, &endpoint, &github)?);
            }
            let peer = Some((ORIGINAL, median(theirs)));
            let name = format!("upload of {count} files{}", if is_far { ", 40 ms away" } else { "" });
            rows.push(Row { name, unit: "s", ours: median(ours), peer, goal: Goal::AtLeast(goal) });
        }
    }
    packing(load, folder, rows)
}

/// A GitHub stub, optionally with the delay of a distant server.
pub struct DistantGithub {
    url: String,
    _github: Github,
    _proxy: Proxy,
}

impl DistantGithub {
    pub fn start(is_far: bool) -> DistantGithub {
        let github = Github::start();
        github.add_repository(REPOSITORY, "main");
        github.push(REPOSITORY, "main", COMMIT);
        let proxy = Proxy::start(&github.url());
        proxy.fail(|_| Some(Fault::Delay(DELAY)));
        let url = if is_far { proxy.url() } else { github.url() };
        DistantGithub { url, _github: github, _proxy: proxy }
    }
}

/// Runs the original's command; returns its duration in seconds.
pub fn original(report: &Path, api: &str, s3: &str, github: &DistantGithub) -> Result<f64> {
    let (owner, name) = REPOSITORY.split_once('/').context("owner/name")?;
    let mut command = clean(&paths::program(&paths::original("0.1.1"), "python"));
    command.arg(paths::script("original.py")).arg(report).arg("--purge-cache");
    command.env("GITHUB_STUB", &github.url).env("AWS_ENDPOINT_URL", s3);
    command.env("COVERED_API_URL", api).env("COVERED_API_KEY", API_KEY).env("COVERED_GH_TOKEN", "a-token");
    command.env("COVERED_REPO_OWNER", owner).env("COVERED_REPO_NAME", name).env("COVERED_COMMIT_SHA", COMMIT);
    command.env("COVERED_COVERAGE_THRESHOLD", "80");
    let started = Instant::now();
    let uploaded = run(&mut command)?;
    ensure!(uploaded.ok, "the Python original failed: {}", uploaded.text());
    Ok(started.elapsed().as_secs_f64())
}

/// Measures packing 540 MB in 3,300 files, each program on one core.
fn packing(load: &Load, folder: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let report = folder.join("pages");
    report::pages(&report, 540, 3300);
    let sides: [(&str, Command); 3] = [
        ("Covered", {
            let mut command = pinned("0", &built("action", "covered"));
            command.arg(&report).arg("--dry-run");
            command
        }),
        ("zip -6", {
            let mut command = pinned("0", "zip".as_ref());
            command.args(["-6", "-q", "-r", "-"]).arg(".").current_dir(&report);
            command
        }),
        ("tar and gzip", {
            let mut command = pinned("0", "sh".as_ref());
            command.args(["-c", "tar -c . | gzip -6"]).current_dir(&report);
            command
        }),
    ];
    let mut samples: [Vec<f64>; 3] = Default::default();
    let mut sides = sides;
    for _ in 0..load.rounds {
        for ((name, command), samples) in sides.iter_mut().zip(&mut samples) {
            let out = fs::File::create(folder.join("packed"))?;
            let started = Instant::now();
            let status = command.stdout(out).stderr(Stdio::null()).status()?;
            ensure!(status.success(), "{name} failed");
            samples.push(started.elapsed().as_secs_f64());
        }
    }
    let [ours, zip, tar] = samples.map(median);
    for (peer, theirs) in [("zip -6", zip), ("tar and gzip", tar)] {
        let name = "packing of 540 MB, 3,300 files, on one core".to_owned();
        rows.push(Row { name, unit: "s", ours, peer: Some((peer, theirs)), goal: Goal::AtLeast(1.0) });
    }
    Ok(())
}
