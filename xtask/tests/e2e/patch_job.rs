//! Runs `covered` in a job of a pull request, and checks what it posts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use xtask::lab::covered::{API_KEY, clean};
use xtask::lab::github::{ChangedFile, Comparison, PullRequest, Status};
use xtask::lab::http::{self, Reply};
use xtask::lab::paths;
use xtask::lab::process::{Finished, run};
use xtask::lab::report;

use crate::action::{TESTED as HEAD, repository, write};
use crate::{NEXT_SHA, REPOSITORY, SHA as BASE, World, setting};

/// The merge of head and base, which GitHub makes for the tests.
pub const MERGE: &str = "3333333333333333333333333333333333333333";
/// Where the branch started, if the base branch has moved on.
pub const FORK_POINT: &str = NEXT_SHA;
pub const NUMBER: u64 = 17;
/// The sample's source file. Its lines 21 to 23 and 30 are not covered.
pub const SOURCE: &str = "temperature.py";
/// The total of the sample's report.
pub const TOTAL: &str = "88.37";
/// The result of [`changed`].
pub const FORTY: &str = "40% of 5 changed lines";

pub fn world() -> World {
    World::new(&setting("STORAGE_URL", "memory://"))
}

pub fn source() -> String {
    std::fs::read_to_string(paths::root().join("xtask/sample").join(SOURCE)).unwrap()
}

/// A diff that adds these lines of a file, with one line around them.
pub fn adding(source: &str, first: usize, last: usize) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let added: Vec<String> = lines[first - 1..last].iter().map(|line| format!("+{line}\n")).collect();
    let (before, after) = (lines[first - 2], lines.get(last).map_or(String::new(), |line| format!(" {line}\n")));
    let old = 1 + after.lines().count();
    let (start, new) = (first - 1, old + added.len());
    // The last line may be empty, apart from the space in front of it.
    let hunk = format!("@@ -{start},{old} +{start},{new} @@\n {before}\n{}{after}", added.concat());
    hunk.strip_suffix('\n').unwrap().to_owned()
}

/// The source file with lines 19 to 23 added: two are covered.
pub fn changed() -> ChangedFile {
    ChangedFile::modified(SOURCE, &adding(&source(), 19, 23))
}

/// An open pull request from a branch of this repository, whose base branch has not moved on.
pub fn pull_request(files: Vec<ChangedFile>) -> PullRequest {
    PullRequest {
        number: NUMBER,
        head_sha: HEAD.to_owned(),
        head_repository: Some((1, REPOSITORY.to_owned())),
        base_sha: BASE.to_owned(),
        merge_base_sha: BASE.to_owned(),
        merge_commit_sha: Some(MERGE.to_owned()),
        files,
        ..PullRequest::default()
    }
}

/// Says that the base branch changed these files since the pull request started.
pub fn move_base(world: &World, files: Vec<ChangedFile>) {
    world.github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.merge_base_sha = FORK_POINT.to_owned());
    let commits = vec![BASE.to_owned()];
    world.github.set_compare(REPOSITORY, HEAD, BASE, Comparison { merge_base_sha: FORK_POINT.into(), commits, files });
}

/// A run of `covered` in a job, with the sample's report.
pub struct Job<'a> {
    pub world: &'a World,
    pub event: &'static str,
    pub payload: Value,
    /// The content of `.git/HEAD`.
    pub checked_out: Option<&'static str>,
    pub arguments: Vec<&'static str>,
    /// Whether the report is in a folder.
    pub folder: bool,
    pub server: String,
    pub variables: Vec<(&'static str, String)>,
}

impl<'a> Job<'a> {
    /// A `pull_request` event.
    pub fn new(world: &'a World) -> Job<'a> {
        let payload = json!({"number": NUMBER, "repository": repository(), "pull_request": {
            "number": NUMBER, "head": {"sha": HEAD, "ref": "change", "repo": {"full_name": REPOSITORY}}}});
        let server = world.server.url.clone();
        let (checked_out, arguments, variables) = (Some(MERGE), Vec::new(), Vec::new());
        Job { world, event: "pull_request", payload, checked_out, arguments, folder: true, server, variables }
    }

    /// A `workflow_run` event after the tests of a branch `change`, in this repository or in a fork.
    pub fn after(world: &'a World, event: &str, (id, owner): (u64, &str)) -> Job<'a> {
        let head = json!({"id": id, "full_name": format!("{owner}/app"), "owner": {"login": owner}});
        let payload = json!({"action": "completed", "repository": repository(), "workflow_run": {
            "id": 7, "event": event, "conclusion": "success", "head_sha": HEAD, "head_branch": "change",
            "head_repository": head, "repository": repository()}});
        Job { event: "workflow_run", payload, ..Job::new(world) }
    }

    pub fn with(self, arguments: &[&'static str]) -> Self {
        Job { arguments: arguments.to_vec(), ..self }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.world.folder.path().join(name)
    }

    /// Writes the report, unless the test did.
    fn prepare(&self) {
        if !self.file("htmlcov").exists() {
            report::small(&self.file("htmlcov"), TOTAL);
        }
        write(&self.file("event.json"), self.payload.to_string().as_bytes());
        if let Some(head) = self.checked_out {
            write(&self.file("workspace/.git/HEAD"), format!("{head}\n").as_bytes());
        }
        for name in ["output", "summary"] {
            write(&self.file(name), b"");
        }
    }

    pub fn run(&self) -> Posted<'a> {
        self.prepare();
        let mut command = clean(&paths::binary("covered"));
        command.args(self.folder.then(|| self.file("htmlcov"))).args([
            "--api-url",
            &self.server,
            "--coverage-threshold",
            "80",
        ]);
        command.args(&self.arguments);
        command.env("COVERED_API_KEY", API_KEY).env("COVERED_GH_TOKEN", "a-token");
        let github = self.world.github.url();
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_API_URL", &github),
            ("GITHUB_SERVER_URL", &github),
            ("GITHUB_REPOSITORY", REPOSITORY),
            ("GITHUB_EVENT_NAME", self.event),
            ("GITHUB_SHA", MERGE),
            ("RUNNER_DEBUG", "1"),
        ] {
            command.env(name, value);
        }
        for (name, file) in [
            ("GITHUB_EVENT_PATH", "event.json"),
            ("GITHUB_WORKSPACE", "workspace"),
            ("GITHUB_OUTPUT", "output"),
            ("GITHUB_STEP_SUMMARY", "summary"),
        ] {
            command.env(name, self.file(file));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let before = self.world.github.requests().len();
        let finished = run(&mut command).unwrap();
        let statuses = self.world.github.statuses(REPOSITORY, HEAD);
        let text = |name: &str| std::fs::read_to_string(self.file(name)).unwrap();
        let outputs = text("output");
        let outputs = outputs.lines().filter_map(|line| line.split_once('='));
        let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Posted { world: self.world, finished, statuses, outputs, summary: text("summary"), before }
    }
}

/// The results of a job.
pub struct Posted<'a> {
    pub world: &'a World,
    pub finished: Finished,
    /// All statuses of the head.
    pub statuses: Vec<Status>,
    pub outputs: BTreeMap<String, String>,
    summary: String,
    /// The number of requests to GitHub before the job.
    before: usize,
}

impl Posted<'_> {
    /// The last status of this context.
    pub fn status(&self, context: &str) -> Option<&Status> {
        self.statuses.iter().rfind(|status| status.context == context)
    }

    #[track_caller]
    pub fn patch(&self) -> &Status {
        self.status("covered/patch").unwrap_or_else(|| panic!("no patch status: {}", self.finished.text()))
    }

    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    #[track_caller]
    pub fn log_contains(&self, expected: &[&str]) {
        let log = self.finished.text();
        for text in expected {
            assert!(log.contains(text), "{text:?} is not in\n{log}");
        }
    }

    /// Expects the report and its total as without a pull request, and that the job succeeds.
    #[track_caller]
    pub fn total_as_ever(&self) {
        let log = self.finished.text();
        assert!(self.finished.ok, "{log}");
        let status = self.status("covered").unwrap_or_else(|| panic!("no status: {log}"));
        assert_eq!((status.state.as_str(), status.description.as_str()), ("success", "88.37%"), "{log}");
        assert_eq!(status.target_url, self.output("report-url"));
        assert_eq!((self.output("coverage"), self.output("uploaded")), (TOTAL, "true"), "{log}");
        assert!(self.summary.contains("| Total | **88.37%** of lines (coverage.py) |"), "{}", self.summary);
        let index = http::get(&status.target_url).unwrap();
        assert!(index.status == 200 && index.text().contains("88.37%"), "{}", index.text());
        for line in log.lines().filter(|line| !line.contains("::add-mask::")) {
            assert!(!line.contains("a-token") && !line.contains(API_KEY), "a secret is in the log: {line}");
        }
    }

    /// Expects a number for the changed lines: its status, the outputs, the log, the summary and the page.
    #[track_caller]
    pub fn shows(&self, state: &str, text: &str, [percent, lines, missed]: [&str; 3]) -> Rows {
        let (patch, log) = (self.patch(), self.finished.text());
        assert_eq!((patch.state.as_str(), patch.description.as_str()), (state, text), "{log}");
        let outputs = ["patch-coverage", "patch-lines", "patch-missed"].map(|name| self.output(name));
        assert_eq!(outputs, [percent, lines, missed], "{log}");
        assert_eq!((self.output("patch-state"), self.output("patch-url")), (state, patch.target_url.as_str()), "{log}");
        self.log_contains(&[
            &format!("Pull request #{NUMBER}: {text}"),
            &format!("Posted the status `covered/patch`: {state}, {text}"),
        ]);
        let page = self.page();
        assert_eq!(page.status, 200, "{}", page.text());
        assert_eq!(patch.target_url, format!("{}_covered/patch.html", self.output("report-url")));
        let row = self.summary.lines().find(|line| line.starts_with("| Changed lines | "));
        let row = row.unwrap_or_else(|| panic!("{}", self.summary));
        let threshold = self.summary.split("| Threshold of the changed lines | ").nth(1);
        let is_failure = threshold.is_some_and(|row| !row.lines().next().unwrap().ends_with(": reached. |"));
        assert_eq!(is_failure, state == "failure", "{}", self.summary);
        assert!(self.summary.contains("| Threshold of the total | 80% |\n"), "{}", self.summary);
        assert!(row.contains(&format!("[see the lines](<{}>) ([#{NUMBER}](<", patch.target_url)), "{row}");
        assert!(row.contains(&format!("/octo/app/pull/{NUMBER}>))")), "{row}");
        Rows(page.text())
    }

    /// Expects no number for this reason, and everything else as ever.
    #[track_caller]
    pub fn has_no_patch(&self, reason: &str) {
        let (log, reason) = (self.finished.text(), format!("no patch coverage: {reason}"));
        assert!(log.contains(&reason) || log.contains(&reason.replacen('n', "N", 1)), "{reason:?} is not in\n{log}");
        self.shows_only_the_total();
    }

    /// Expects the total as ever, and nothing about changed lines.
    #[track_caller]
    pub fn shows_only_the_total(&self) {
        self.total_as_ever();
        let log = self.finished.text();
        assert_eq!(self.status("covered/patch"), None, "{log}");
        for name in ["patch-coverage", "patch-lines", "patch-missed", "patch-state", "patch-url"] {
            assert_eq!(self.output(name), "", "{name}: {log}");
        }
        assert!(!log.contains("::error::"), "{log}");
        assert!(!self.summary.contains("Changed lines"), "{}", self.summary);
        assert_eq!(self.page().status, 404, "{}", self.page().text());
    }

    #[track_caller]
    pub fn summary_contains(&self, text: &str) {
        assert!(self.summary.contains(text), "{text:?} is not in\n{}", self.summary);
    }

    pub fn page(&self) -> Reply {
        http::get(&format!("{}_covered/patch.html", self.output("report-url"))).unwrap()
    }

    /// The requests to GitHub's REST API besides those for statuses, below the repository.
    pub fn requests(&self) -> Vec<String> {
        let all = self.world.github.requests();
        let paths = all[self.before..].iter().filter(|request| request.method == "GET").map(|request| &request.path);
        paths.filter_map(|path| path.strip_prefix("/repos/octo/app/")).map(ToOwned::to_owned).collect()
    }
}

/// A page of changed lines.
pub struct Rows(pub String);

impl Rows {
    /// The numbers of the lines with this class.
    pub fn of(&self, class: &str) -> Vec<u32> {
        let rows = self.0.split("<tr class=\"").skip(1).filter(|row| row.starts_with(&format!("{class}\"")));
        rows.map(|row| row.split("#L").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[track_caller]
    pub fn contains(&self, expected: &[&str]) {
        expected.iter().for_each(|text| assert!(self.0.contains(text), "{text:?} is not in\n{}", self.0));
    }
}
