//! Runs the built programs with real services: uploads, badges and reports, and what happens if a service fails.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod action;
mod annotations;
mod artifact;
mod bindings;
mod browser;
mod browser_policy;
mod check;
mod comment;
mod demo;
mod deploy;
mod exports;
mod faults;
mod files;
mod install;
mod memory;
mod merged;
mod merged_action;
mod merged_page;
mod merges;
mod metrics;
mod original;
mod patch;
mod patch_action;
mod patch_job;
mod patch_limits;
mod patch_no_diff;
mod patch_property;
mod reads;
mod redis;
mod seed;
mod spec;
mod stop;
mod storage;
mod upload;

use std::path::Path;

use tempfile::TempDir;
use xtask::lab::covered::{self, Server};
use xtask::lab::github::Github;
use xtask::lab::http::Reply;
use xtask::lab::process::{self, Finished};
use xtask::lab::report;

const REPOSITORY: &str = "octo/app";
const SHA: &str = "9f8c2b1a0d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70";
const NEXT_SHA: &str = "1111111111111111111111111111111111111111";

type Settings = Vec<(String, String)>;

/// A GitHub stub with one repository, a server that uses it, and a folder for the test.
struct World {
    github: Github,
    server: Server,
    folder: TempDir,
}

impl World {
    fn new(settings: &Settings) -> World {
        let github = Github::start();
        github.add_repository(REPOSITORY, "main");
        github.push(REPOSITORY, "main", SHA);
        let server = server(&github, settings);
        World { github, server, folder: tempfile::tempdir().unwrap() }
    }

    /// Stops the server and starts another one.
    fn restart(&mut self, settings: &Settings) {
        self.server = server(&self.github, settings);
    }

    /// Uploads a folder for a commit on the default branch.
    #[track_caller]
    fn upload(&self, report: &Path, sha: &str) -> Finished {
        let (server, github) = (&self.server.url, self.github.url());
        let mut command = covered::covered(report, server, &github, REPOSITORY, sha);
        command.args(["--coverage-threshold", "80", "--purge-cache"]);
        process::run(&mut command).unwrap().succeeded()
    }

    /// Uploads a small report that shows this total.
    #[track_caller]
    fn upload_small(&self, percent: &str, sha: &str) -> Finished {
        let report = self.folder.path().join(format!("report-{percent}"));
        report::small(&report, percent);
        self.upload(&report, sha)
    }

    fn badge(&self) -> Reply {
        self.server.get("/badge/octo/app.svg")
    }

    /// The path of the report that the badge links to.
    #[track_caller]
    fn report_path(&self) -> String {
        let reply = self.server.get("/badge/redirect/octo/app/");
        assert_eq!(reply.status, 307, "{}", reply.text());
        let url = reply.location(&self.server.url).unwrap();
        url.strip_prefix(&self.server.url).expect("the redirect stays on this server").to_owned()
    }
}

fn server(github: &Github, settings: &Settings) -> Server {
    let mut all = settings.clone();
    all.extend(setting("GITHUB_API_URL", &github.url()));
    all.extend(setting("GITHUB_TOKEN", "a-token"));
    Server::start(&all)
}

fn setting(name: &str, value: &str) -> Settings {
    vec![(name.to_owned(), value.to_owned())]
}

/// Stores reports in a folder.
fn files_in(folder: &Path) -> Settings {
    setting("STORAGE_URL", &format!("file://{}", folder.display()))
}

/// All files in a folder and its subfolders, as sorted keys.
fn keys_in(folder: &Path) -> Vec<String> {
    let mut keys = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => keys.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    keys.sort();
    keys
}
