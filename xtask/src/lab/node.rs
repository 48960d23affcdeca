//! The tools that run on node: Chromium with playwright, prism, and the check with GitHub's GraphQL schema.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::paths;
use super::process::{Finished, Process, free_port, run};

/// `node SCRIPT …` with the lab's npm packages.
fn node(script: &Path) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", paths::node_modules()).arg(script);
    command
}

/// The system's Chromium or Chrome.
pub fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let found = names.iter().find_map(|name| which(name));
    let mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
    found.or_else(|| Some(PathBuf::from(mac)).filter(|path| path.exists()))
}

/// A program on the search path.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).map(|folder| folder.join(&file)).find(|program| program.is_file())
}

/// The results of a browser session.
#[derive(Debug)]
pub struct Session {
    /// One result per step.
    pub results: Vec<Value>,
    /// Errors in the console, and failed requests.
    pub problems: Vec<Value>,
}

/// A step in the browser.
pub enum Step<'a> {
    /// The result is the status code.
    Open(&'a str),
    /// The result is the new URL.
    Click(&'a str),
    /// The result is the value of the expression.
    Evaluate(&'a str),
    /// Saves a picture in the lab's artifacts.
    Screenshot(&'a str),
    /// Changes the size of the window.
    Size(u32, u32),
    /// `light` or `dark`.
    Colors(&'a str),
    /// The result is a list of what axe finds wrong.
    Axe,
}

/// Opens a new browser and runs the steps.
#[track_caller]
pub fn browse(steps: &[Step]) -> Session {
    let steps: Vec<Value> = steps
        .iter()
        .map(|step| match step {
            Step::Open(url) => json!({"open": url}),
            Step::Click(selector) => json!({"click": selector}),
            Step::Evaluate(expression) => json!({"evaluate": expression}),
            Step::Screenshot(name) => json!({"screenshot": paths::artifact(name)}),
            Step::Size(width, height) => json!({"size": {"width": width, "height": height}}),
            Step::Colors(scheme) => json!({"colors": scheme}),
            Step::Axe => json!({"axe": true}),
        })
        .collect();
    let mut command = node(&paths::script("browser.cjs"));
    command.arg(chromium().unwrap());
    command.arg(Value::from(steps).to_string());
    let finished = run(&mut command).unwrap().succeeded();
    let seen: Value = serde_json::from_str(&finished.stdout).unwrap();
    let list = |key: &str| seen[key].as_array().unwrap().clone();
    Session { results: list("results"), problems: list("problems") }
}

/// Uses reports, and opens hostile pages: see `reports.cjs`.
#[track_caller]
pub fn browse_reports(task: &Value) -> Value {
    let mut command = node(&paths::script("reports.cjs"));
    command.arg(chromium().unwrap()).arg(task.to_string());
    serde_json::from_str(&run(&mut command).unwrap().succeeded().stdout).unwrap()
}

/// Takes the README's pictures: see `screenshots.cjs`.
pub fn take_screenshots(task: &Value) -> anyhow::Result<()> {
    let chromium = chromium().context("no Chromium found: run cargo xtask setup")?;
    let finished = run(node(&paths::script("screenshots.cjs")).arg(chromium).arg(task.to_string()))?;
    ensure!(finished.ok, "cannot take the screenshots: {}", finished.text());
    Ok(())
}

/// prism in front of a GitHub stub: a request or response that violates GitHub's OpenAPI document becomes an error.
#[derive(Debug)]
pub struct Prism {
    pub url: String,
    pub process: Process,
    _folder: TempDir,
}

impl Prism {
    pub fn start(upstream: &str) -> Prism {
        let cut = run(&mut node(&paths::script("openapi-cut.cjs"))).unwrap().succeeded();
        // Prism restarts when its document changes, so two of them cannot share one.
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("github-openapi.json");
        std::fs::write(&document, cut.stdout).unwrap();
        let url = format!("http://127.0.0.1:{}", free_port());
        let mut command = node(&paths::node_modules().join("@stoplight/prism-cli/dist/index.js"));
        command.args(["proxy", "--errors", "-h", "127.0.0.1", "-p"]);
        command.arg(url.rsplit(':').next().unwrap());
        command.arg(document).arg(upstream);
        let process = Process::spawn(&mut command).unwrap();
        let ready = |line: &str| line.contains("Prism is listening").then_some(());
        process.wait_for_line(ready).unwrap();
        Prism { url, process, _folder: folder }
    }
}

/// Validates a GraphQL request and its response with GitHub's published schema.
pub fn check_graphql(request: &Value, response: &Value) -> Finished {
    let all = json!({
        "query": request["query"],
        "variables": request["variables"],
        "response": response,
    });
    let mut command = node(&paths::script("graphql-check.cjs"));
    run(command.arg(all.to_string())).unwrap()
}
