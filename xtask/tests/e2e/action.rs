//! `uses: org/covered@v1` in a workflow on a runner (act).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use xtask::lab::covered::{API_KEY, clean};
use xtask::lab::github::{Fault, Status};
use xtask::lab::http;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::{Finished, run};
use xtask::lab::report;

use crate::{REPOSITORY, World, setting};

/// The commit of a pull request's branch; the runner checks out another one.
pub const TESTED: &str = "2222222222222222222222222222222222222222";

/// A step with the action, and a step that saves its outputs.
const STEP: &str = r#"
      - id: ID
        uses: org/covered@v1
        with:
          path: ID
          api-url: ${{ env.COVERED_SERVER }}
          api-key: ${{ secrets.COVERED_API_KEY }}
          binary: ${{ env.COVERED_BINARY }}
WITH
      - if: always()
        env: {OUTPUTS: '${{ toJSON(steps.ID.outputs) }}'}
        run: printf '%s' "$OUTPUTS" > "$SAVED/ID.json"
"#;

const JOB: &str = r#"
on: [push, pull_request, workflow_run]
permissions: {contents: read, statuses: write}
jobs:
  coverage:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - run: cp -R "$REPORTS/." .
"#;

/// A workflow on a runner; by default a push to the default branch whose one report shows 87.5%.
pub struct Workflow<'a> {
    pub world: &'a World,
    pub event: &'static str,
    pub payload: Value,
    /// The name of each report (also of its folder and step), and the further inputs of its step.
    pub steps: Vec<(&'static str, &'static str)>,
    pub percent: &'static str,
    pub key: &'static str,
    pub server: String,
}

/// The results of a workflow.
pub struct JobResult {
    pub job: Finished,
    outputs: BTreeMap<String, BTreeMap<String, String>>,
}

impl Workflow<'_> {
    pub fn push(world: &World) -> Workflow<'_> {
        let payload = json!({"ref": "refs/heads/main", "repository": repository()});
        let server = world.server.url.clone();
        Workflow { world, event: "push", payload, steps: vec![("htmlcov", "")], percent: "87.5", key: API_KEY, server }
    }

    /// A pull request from a branch `main`, in this repository or in a fork.
    fn pull_request<'a>(world: &'a World, from: &str) -> Workflow<'a> {
        let payload = json!({"repository": repository(), "pull_request": {
            "head": {"sha": TESTED, "ref": "main", "repo": {"full_name": from, "fork": from != REPOSITORY}},
            "base": {"ref": "main", "repo": repository()}}});
        Workflow { event: "pull_request", payload, ..Workflow::push(world) }
    }

    /// The second workflow, after the tests of a fork's pull request.
    fn after_a_fork(world: &World) -> Workflow<'_> {
        let payload = json!({"action": "completed", "repository": repository(), "workflow_run": {
            "id": 7, "event": "pull_request", "conclusion": "success", "head_sha": TESTED, "head_branch": "main",
            "head_repository": {"full_name": "stranger/app", "fork": true}, "repository": repository()}});
        Workflow { event: "workflow_run", payload, ..Workflow::push(world) }
    }

    fn with(mut self, inputs: &'static str) -> Self {
        self.steps = vec![("htmlcov", inputs)];
        self
    }

    fn run(&self) -> JobResult {
        self.commit();
        self.execute()
    }

    /// Writes the workflow and what it uses, and commits it to the default branch. Returns the commit.
    pub fn commit(&self) -> String {
        let folder = self.world.folder.path();
        let (workspace, reports) = (folder.join("workspace"), folder.join("reports"));
        let mut workflow = JOB.to_owned();
        for (name, inputs) in &self.steps {
            report::small(&reports.join(name), self.percent);
            let inputs: String = inputs.lines().map(|line| format!("          {}\n", line.trim())).collect();
            workflow += &STEP.replace("ID", name).replace("WITH\n", &inputs);
        }
        write(&workspace.join(".github/workflows/coverage.yml"), workflow.as_bytes());
        write(&folder.join("event.json"), self.payload.to_string().as_bytes());
        copy_action(&folder.join("action"));
        commit(&workspace);
        let head = head(self.world);
        self.world.github.push(REPOSITORY, "main", &head);
        head
    }

    /// Runs what was committed.
    pub fn execute(&self) -> JobResult {
        let folder = self.world.folder.path();
        let (workspace, action, saved) = (folder.join("workspace"), folder.join("action"), folder.join("saved"));
        std::fs::create_dir_all(&saved).unwrap();
        let job = run(&mut self.command(&workspace, &action, &saved)).unwrap();
        let outputs = self.steps.iter().map(|(name, _)| {
            let json = std::fs::read(saved.join(format!("{name}.json"))).unwrap_or_default();
            let outputs = serde_json::from_slice(&json);
            ((*name).to_owned(), outputs.unwrap_or_else(|error| panic!("{error}: {}", job.text())))
        });
        JobResult { outputs: outputs.collect(), job }
    }

    fn command(&self, workspace: &Path, action: &Path, saved: &Path) -> Command {
        let mut command = act(self.world, workspace, action, self.event);
        command.args(["-s", &format!("COVERED_API_KEY={}", self.key)]);
        for (name, value) in [
            ("COVERED_SERVER", &self.server),
            ("COVERED_BINARY", &paths::binary("covered").display().to_string()),
            ("SAVED", &saved.display().to_string()),
            ("REPORTS", &self.world.folder.path().join("reports").display().to_string()),
        ] {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command
    }
}

/// The runner, for the event in `event.json`, with the world's GitHub and the action in a folder.
pub fn act(world: &World, workspace: &Path, action: &Path, event: &str) -> Command {
    let folder = world.folder.path();
    let mut command = clean(&paths::python("act"));
    command.current_dir(workspace).env("HOME", folder).arg(event);
    command.arg("-e").arg(folder.join("event.json"));
    command.args(["-P", "ubuntu-latest=-self-hosted", "--no-cache-server", "-s", "GITHUB_TOKEN=a-token"]);
    command.arg("--local-repository").arg(format!("org/covered@v1={}", action.display()));
    let github = world.github.url();
    for (name, value) in
        [("GITHUB_REPOSITORY", REPOSITORY), ("GITHUB_API_URL", &github), ("GITHUB_SERVER_URL", &github)]
    {
        command.arg("--env").arg(format!("{name}={value}"));
    }
    command
}

impl JobResult {
    /// Expects that the job succeeds.
    #[track_caller]
    pub fn succeeded(self) -> JobResult {
        JobResult { job: self.job.succeeded(), ..self }
    }

    /// Expects that the job fails.
    #[track_caller]
    pub fn red(self) -> JobResult {
        JobResult { job: self.job.failed(), ..self }
    }

    /// Log and summary, which the runner prints both.
    pub fn log(&self) -> String {
        self.job.text()
    }

    #[track_caller]
    pub fn log_contains(&self, expected: &[&str]) {
        let log = self.log();
        for text in expected {
            assert!(log.contains(text), "{text:?} is not in\n{log}");
        }
        assert!(!log.contains(API_KEY) && !log.contains("a-token"), "a secret is in the log:\n{log}");
    }

    pub fn output(&self, name: &str) -> &str {
        self.outputs["htmlcov"].get(name).map_or("", String::as_str)
    }
}

pub fn repository() -> Value {
    let (owner, _) = REPOSITORY.split_once('/').unwrap();
    json!({"id": 1, "full_name": REPOSITORY, "default_branch": "main", "owner": {"login": owner}})
}

/// The action as a runner downloads it, without its sources.
pub fn copy_action(to: &Path) {
    let root = paths::root();
    let entries = std::fs::read_dir(root.join("action")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = entries.filter(|path| path.is_file()).chain([root.join("action.yml")]).collect();
    for file in files {
        write(&to.join(file.strip_prefix(root).unwrap()), &std::fs::read(&file).unwrap());
    }
}

/// The commit that the runner checked out.
pub fn head(world: &World) -> String {
    let folder = world.folder.path().join("workspace");
    let head = run(Command::new("git").current_dir(folder).args(["rev-parse", "HEAD"])).unwrap();
    head.succeeded().stdout.trim().to_owned()
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Commits the workspace: the runner reads the branch and the commit of a push from git.
pub fn commit(folder: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(folder).args(["-c", "user.name=octo", "-c", "user.email=octo@example.com"]);
        run(command.args(arguments)).unwrap().succeeded()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all", "--force"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "A workflow"]);
}

/// A world for a runner; `None` if no runner is installed and the test is skipped.
pub fn world() -> Option<World> {
    (!skip_without(&[Part::Python])).then(|| World::new(&setting("STORAGE_URL", "memory://")))
}

#[track_caller]
fn only_status(world: &World, sha: &str, result: &JobResult) -> Status {
    let statuses = world.github.statuses(REPOSITORY, sha);
    let [status] = statuses.as_slice() else { panic!("expected one status: {statuses:?}\n{}", result.log()) };
    status.clone()
}

#[test]
fn a_push_to_the_default_branch_posts_the_status_and_updates_the_badge() {
    let Some(world) = world() else { return };
    let badge = format!("{}/badge/{REPOSITORY}.svg", world.server.url);
    world.github.set_readme(REPOSITORY, &[&badge]);
    let result = Workflow::push(&world).run().succeeded();
    let status = only_status(&world, &head(&world), &result);
    // The action's default threshold is 0, so every total is a success.
    assert_eq!((status.context.as_str(), status.state.as_str()), ("covered", "success"));
    assert_eq!(status.description, "87.5%");
    assert!(world.badge().text().contains("coverage: 87%"), "{}", result.log());
    assert_eq!(world.github.purged(), std::slice::from_ref(&badge));
    let report = format!("{}{}", world.server.url, world.report_path());
    assert_eq!(status.target_url, report);
    let site = report.trim_end_matches('/').rsplit('/').next().unwrap();
    for (name, expected) in [
        ("coverage", "87.5"),
        ("state", "success"),
        ("delta", ""),
        ("report-url", &report),
        ("badge-url", &badge),
        ("site-id", site),
        ("uploaded", "true"),
    ] {
        assert_eq!(result.output(name), expected, "{name}: {}", result.log());
    }
    result.log_contains(&["Found 87.5%", "Packed ", "Updated the badge", "### Coverage", "**87.5%**"]);

    // The next push is compared with this one.
    let next = Workflow { percent: "88", ..Workflow::push(&world) }.run().succeeded();
    assert_eq!(only_status(&world, &head(&world), &next).description, "88% (+0.5%)");
    assert_eq!(next.output("delta"), "+0.5%");
    next.log_contains(&["+0.5%"]);
}

#[test]
fn a_pull_request_gets_a_status_without_a_badge_update() {
    let Some(world) = world() else { return };
    world.github.push(REPOSITORY, "feature", TESTED);
    let result = Workflow::pull_request(&world, REPOSITORY).run().succeeded();
    assert_eq!(only_status(&world, TESTED, &result).description, "87.5%");
    assert_eq!(world.github.statuses(REPOSITORY, &head(&world)), [], "{}", result.log());
    result.log_contains(&["Badge not updated"]);
    assert!(world.badge().text().contains("coverage: ??"));
}

#[test]
fn a_workflow_run_for_a_fork_posts_a_status_without_a_badge_update() {
    let Some(world) = world() else { return };
    world.github.push(REPOSITORY, "pull", TESTED);
    let result = Workflow::after_a_fork(&world).run().succeeded();
    assert_eq!(only_status(&world, TESTED, &result).state, "success");
    assert_eq!(world.github.statuses(REPOSITORY, &head(&world)), [], "{}", result.log());
    result.log_contains(&["Badge not updated"]);
    assert_eq!(result.output("uploaded"), "true");
    assert!(world.badge().text().contains("coverage: ??"));
}

#[test]
fn a_run_of_a_fork_without_secrets_explains_what_to_do() {
    let Some(world) = world() else { return };
    let fork = || Workflow { key: "", ..Workflow::pull_request(&world, "stranger/app") };
    let result = fork().run().succeeded();
    result.log_contains(&["pull requests from forks", "workflow_run"]);
    assert_eq!(result.output("uploaded"), "false");
    fork().with("fail-on-error: true").run().red().log_contains(&["workflow_run"]);
    assert!(world.github.requests().iter().all(|request| request.method != "POST"));
}

#[test]
fn a_missed_threshold_fails_the_job_only_with_fail_under() {
    let Some(world) = world() else { return };
    let result = Workflow::push(&world).with("coverage-threshold: 90").run().succeeded();
    let status = only_status(&world, &head(&world), &result);
    assert_eq!(status.state, "failure");
    assert_eq!(status.description, "87.5%, below the threshold of 90%");
    assert_eq!((result.output("state"), result.output("coverage")), ("failure", "87.5"));
    result.log_contains(&["90%, missed"]);

    let result = Workflow::push(&world).with("coverage-threshold: 90\nfail-under: true").run().red();
    assert_eq!(only_status(&world, &head(&world), &result).state, "failure");
    assert_eq!(result.output("uploaded"), "true");
    result.log_contains(&["87.5%", "90%"]);
}

#[test]
fn an_unreachable_server_fails_the_job_only_with_fail_on_error() {
    let Some(world) = world() else { return };
    let down = || Workflow { server: "http://127.0.0.1:9".to_owned(), ..Workflow::push(&world) };
    let result = down().with("timeout: 5").run().succeeded();
    result.log_contains(&["::warning::", "refused the connection", "not uploaded"]);
    assert_eq!((result.output("uploaded"), result.output("coverage")), ("false", "87.5"));
    assert_eq!(world.github.statuses(REPOSITORY, &head(&world)), []);
    down().with("timeout: 5\nfail-on-error: true").run().red().log_contains(&["::error::", "refused the connection"]);
    // The outage does not hide a missed threshold.
    down().with("timeout: 5\ncoverage-threshold: 90\nfail-under: true").run().red().log_contains(&["87.5%", "90%"]);
}

#[test]
fn errors_for_a_wrong_key_name_the_secret() {
    let Some(world) = world() else { return };
    let wrong = || Workflow { key: "another-key", ..Workflow::push(&world) };
    let result = wrong().run().succeeded();
    result.log_contains(&["::error::", "check api-key and the secret it comes from", "not uploaded"]);
    assert_eq!(result.output("uploaded"), "false");
    assert_eq!(world.github.statuses(REPOSITORY, &head(&world)), []);
    wrong().with("fail-on-error: true").run().red().log_contains(&["check api-key"]);
}

#[test]
fn errors_name_the_missing_permission() {
    let Some(world) = world() else { return };
    let refusal = json!({"message": "Resource not accessible by integration", "status": "403"}).to_string();
    world.github.set_fault(Fault::Status { code: 403, headers: Vec::new(), body: refusal });
    let result = Workflow::push(&world).run().succeeded();
    result.log_contains(&["::error::", "statuses: write"]);
    assert_eq!((result.output("uploaded"), result.output("coverage")), ("true", "87.5"));
    let report = http::get(result.output("report-url")).unwrap();
    assert_eq!(report.status, 200);
    Workflow::push(&world).with("fail-on-error: true").run().red().log_contains(&["statuses: write"]);
}

#[test]
fn named_reports_have_separate_statuses_and_badges() {
    let Some(world) = world() else { return };
    let steps = vec![("backend", "name: backend"), ("frontend", "name: frontend")];
    let result = Workflow { steps, ..Workflow::push(&world) }.run().succeeded();
    let statuses = world.github.statuses(REPOSITORY, &head(&world));
    let contexts: Vec<&str> = statuses.iter().map(|status| status.context.as_str()).collect();
    assert_eq!(contexts, ["covered/backend", "covered/frontend"], "{}", result.log());
    for (name, status) in ["backend", "frontend"].into_iter().zip(&statuses) {
        assert_eq!(result.outputs[name]["report-url"], status.target_url);
        let badge = http::get(&result.outputs[name]["badge-url"]).unwrap();
        assert!(badge.text().contains("coverage: 87%"), "{}", badge.text());
        result.log_contains(&[&format!("### Coverage: {name}")]);
    }
    assert_ne!(statuses[0].target_url, statuses[1].target_url);
    assert!(world.badge().text().contains("coverage: ??"), "no report without a name was uploaded");
}

#[test]
fn a_dry_run_sends_nothing_and_logs_what_it_would_send() {
    let Some(world) = world() else { return };
    let result = Workflow::push(&world).with("dry-run: true").run().succeeded();
    result.log_contains(&[
        "Dry run: nothing is sent",
        "Would upload",
        "Would post the status",
        "Would update the badge",
    ]);
    assert_eq!(
        (result.output("uploaded"), result.output("coverage"), result.output("state")),
        ("false", "87.5", "success")
    );
    assert_eq!(world.github.statuses(REPOSITORY, &head(&world)), []);
    assert_eq!(world.github.requests().len(), 0);
}
