//! `cargo xtask demo`: everything on this machine, from a coverage run to the badge.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use lexopt::prelude::*;
use serde_json::json;
use xtask::lab::covered::{API_KEY, Server, covered};
use xtask::lab::github::{ChangedFile, Github, PullRequest};
use xtask::lab::node::take_screenshots;
use xtask::lab::{http, paths, process};

use crate::{cargo, setup};

const REPOSITORY: &str = "octo/sample";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The head of a pull request that adds the sample's source file.
const HEAD: &str = "89abcdef0123456789abcdef0123456789abcdef";
/// The default address; if it is in use, the demo takes any free port.
const DEFAULT_LISTEN: &str = "127.0.0.1:8000";

const HELP: &str = "\
usage: cargo xtask demo [--once | --screenshots] [--listen ADDRESS:PORT] [--folder FOLDER] [--no-build]

Builds both programs, starts a server, uploads a report, and keeps the server running until you press Ctrl-C.

  --once                 checks badge, redirect and report, then exits
  --screenshots          the same, and takes the README's pictures (.github/images) in Chromium
  --listen ADDRESS:PORT  the server's address; default: 127.0.0.1:8000, or any free port if that one is in use
  --folder FOLDER        folder of the report and the server's data; default: demo in cargo's target folder
  --no-build             runs the programs of the last build
";

struct Options {
    once: bool,
    screenshots: bool,
    no_build: bool,
    listen: Option<String>,
    folder: PathBuf,
}

pub fn run(arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let Some(options) = options(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let _lock = lock(&options.folder)?;
    if !options.no_build {
        println!("Building covered and covered-server");
        cargo::build_programs()?;
    }
    let report = report(&options.folder)?;
    let github = github();
    let wait_for_signal = signals()?;
    let mut server = start(&github, &options)?;
    let badge = format!("{}/badge/{REPOSITORY}.svg", server.url);
    let link = format!("{}/badge/redirect/{REPOSITORY}/", server.url);
    github.set_readme(REPOSITORY, &[&badge]);

    println!("\nA stub replaces GitHub: nothing leaves this machine. The uploader's log:\n");
    let mut upload = covered(&report, &server.url, &github.url(), REPOSITORY, COMMIT);
    cargo::run(upload.args(["--coverage-threshold", "80", "--purge-cache"]))?;
    println!("\nThe same for a pull request:\n");
    let page = upload_pull_request(&github, &server, &report, &options.folder)?;
    if options.once || options.screenshots {
        check(&report, &badge, &link, &page)?;
        println!("\nBadge, redirect, report and changed lines are correct");
        if options.screenshots {
            screenshots(&github, &badge, &link)?;
        }
    } else {
        show(&server, &badge, &link, &page);
        wait_for_signal();
    }
    server.process.terminate();
    server.process.wait_for_exit()?;
    Ok(ExitCode::SUCCESS)
}

/// Uploads the report for a pull request. Returns the page of its changed lines.
fn upload_pull_request(github: &Github, server: &Server, report: &Path, folder: &Path) -> anyhow::Result<String> {
    let source = fs::read_to_string(paths::root().join("xtask/sample/temperature.py"))?;
    let added: Vec<String> = source.lines().map(|line| format!("+{line}")).collect();
    let diff = format!("@@ -0,0 +1,{} @@\n{}", added.len(), added.join("\n"));
    let pull_request = PullRequest {
        head_sha: HEAD.to_owned(),
        head_repository: Some((1, REPOSITORY.to_owned())),
        base_sha: COMMIT.to_owned(),
        merge_base_sha: COMMIT.to_owned(),
        files: vec![ChangedFile::added("temperature.py", &diff)],
        ..PullRequest::default()
    };
    let branch = format!("refs/heads/{}", pull_request.head_ref);
    github.add_pull_request(REPOSITORY, pull_request);
    let repository = json!({"id": 1, "full_name": REPOSITORY, "default_branch": "main", "owner": {"login": "octo"}});
    let event = folder.join("event.json");
    fs::write(&event, json!({"ref": branch, "repository": repository}).to_string())?;
    let mut upload = covered(report, &server.url, &github.url(), REPOSITORY, HEAD);
    upload.env("GITHUB_EVENT_NAME", "push").env("GITHUB_EVENT_PATH", event);
    cargo::run(upload.args(["--coverage-threshold", "80"]))?;
    let status = github.statuses(REPOSITORY, HEAD).into_iter().find(|status| status.context == "covered/patch");
    Ok(status.context("the upload posted no status of the changed lines")?.target_url)
}

/// Takes the README's pictures: the badge, the status that the upload posted, and the report.
fn screenshots(github: &Github, badge: &str, link: &str) -> anyhow::Result<()> {
    setup::lab()?;
    let status = github.statuses(REPOSITORY, COMMIT).pop().context("the upload posted no status")?;
    let folder = paths::root().join(".github/images");
    fs::create_dir_all(&folder)?;
    take_screenshots(&json!({
        "badge": badge,
        "report": link,
        "status": {"context": status.context, "state": status.state, "description": status.description},
        "folder": folder,
    }))?;
    println!("Saved badge.png, status.png and report.png to {}", folder.display());
    Ok(())
}

/// Prints the links, and what to try next.
fn show(server: &Server, badge: &str, link: &str, page: &str) {
    println!("\n  the badge          {badge}\n  the report         {link}");
    println!("  the changed lines  {page}\n  the server         {}/\n", server.url);
    println!("In a README:\n\n  [![Coverage]({badge})]({link})\n");
    println!("To upload a report of your own:\n");
    println!("  COVERED_API_KEY={API_KEY} {} htmlcov \\", paths::binary("covered").display());
    println!("    --api-url {} --repo-owner octo --repo-name mine \\", server.url);
    println!("    --commit-sha {COMMIT} --coverage-threshold 0 --purge-cache\n");
    println!("Press Ctrl-C to stop the server. Its log:\n");
    server.process.show();
}

fn options(arguments: Vec<OsString>) -> anyhow::Result<Option<Options>> {
    let folder = paths::target().join("demo");
    let mut options = Options { once: false, screenshots: false, no_build: false, listen: None, folder };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("once") => options.once = true,
            Long("screenshots") => options.screenshots = true,
            Long("no-build") => options.no_build = true,
            Long("listen") => options.listen = Some(parser.value()?.string()?),
            Long("folder") => options.folder = parser.value()?.into(),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

/// Locks the folder for this demo while the returned file is open.
fn lock(folder: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(folder)?;
    let file = File::create(folder.join("lock"))?;
    let in_use = || format!("another demo runs in {}: stop it, or set another folder with --folder", folder.display());
    file.try_lock().with_context(in_use)?;
    Ok(file)
}

/// Measures the sample with coverage.py; without Python, uses the report in the repository.
fn report(folder: &Path) -> anyhow::Result<PathBuf> {
    let included = paths::root().join("xtask/sample/report");
    match measure(folder) {
        Ok(report) => {
            println!("Measured xtask/sample with coverage.py");
            Ok(report)
        }
        Err(error) => {
            println!("Cannot run coverage.py ({error:#}): using its report in xtask/sample/report");
            Ok(included)
        }
    }
}

fn measure(folder: &Path) -> anyhow::Result<PathBuf> {
    let (venv, work) = (folder.join("venv"), folder.join("sample"));
    // Without a network, pip would retry for half a minute.
    setup::venv(&venv, &["xtask/sample/requirements.txt"], &["--retries", "1", "--timeout", "20"])?;
    fs::create_dir_all(&work)?;
    for file in ["temperature.py", "test_temperature.py"] {
        fs::copy(paths::root().join("xtask/sample").join(file), work.join(file))?;
    }
    let report = work.join("htmlcov");
    for arguments in [["run", "--source=.", "-m", "unittest", "--quiet"].as_slice(), &["html", "--quiet"]] {
        let program = setup::program(&venv, "coverage");
        let finished = process::run(Command::new(program).current_dir(&work).args(arguments))?;
        ensure!(finished.ok, "coverage failed: {}", finished.text());
    }
    Ok(report)
}

fn github() -> Github {
    let github = Github::start();
    github.add_repository(REPOSITORY, "main");
    github.push(REPOSITORY, "main", COMMIT);
    github
}

fn start(github: &Github, options: &Options) -> anyhow::Result<Server> {
    let data = options.folder.join("data");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    // The server creates the folder with its own permissions.
    let default_listen = || TcpListener::bind(DEFAULT_LISTEN).map_or("127.0.0.1:0", |_| DEFAULT_LISTEN).to_owned();
    Server::try_start(&[
        ("LISTEN", options.listen.clone().unwrap_or_else(default_listen)),
        ("STORAGE_URL", format!("file://{}", std::path::absolute(&data)?.display())),
        ("GITHUB_API_URL", github.url()),
        ("GITHUB_TOKEN", "a-token".to_owned()),
    ])
}

/// Catches SIGINT and SIGTERM from now on, so that the server can be stopped first. The returned function waits for one.
fn signals() -> anyhow::Result<impl FnOnce()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let context = runtime.enter();
    #[cfg(unix)]
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    #[cfg(windows)]
    let (mut interrupt, mut terminate) = (tokio::signal::windows::ctrl_c()?, tokio::signal::windows::ctrl_close()?);
    drop(context);
    Ok(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
    })
}

/// Verifies that the badge shows the report's total, links to the report, and that the report is complete. `changed_lines`:
/// their page.
fn check(report: &Path, badge: &str, link: &str, changed_lines: &str) -> anyhow::Result<()> {
    let index = fs::read(report.join("index.html"))?;
    let html = String::from_utf8_lossy(&index);
    let number = html.split("<span class=\"pc_cov\">").nth(1).and_then(|rest| rest.split('<').next());
    let number = number.context("the report's index shows no total")?;

    let svg = http::get(badge)?;
    ensure!(svg.status == 200, "{badge} returned {}", svg.status);
    let title = format!("coverage: {number}");
    ensure!(svg.text().contains(&title), "{badge} does not show {title:?}: {}", svg.text());

    let redirect = http::get(link)?;
    ensure!(redirect.status == 307, "{link} returned {}", redirect.status);
    let page = redirect.location(link).with_context(|| format!("{link} has no location"))?;
    let served = http::get(&page)?;
    ensure!(served.status == 200, "{page} returned {}", served.status);
    ensure!(served.body == index, "{page} is not the uploaded index");

    let changed = http::get(changed_lines)?;
    ensure!(changed.status == 200, "{changed_lines} returned {}", changed.status);
    ensure!(changed.text().contains("changed lines are covered"), "{changed_lines} shows no changed lines");
    Ok(())
}
