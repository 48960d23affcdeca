//! The Python original's own workflow with the action instead of its steps, and unchanged variables.

use serde_json::{Value, json};
use xtask::lab::covered::{API_KEY, Server};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::{Finished, run};
use xtask::lab::report;

use crate::action::{TESTED, act, commit, copy_action, repository, write};
use crate::{NEXT_SHA, REPOSITORY, World, setting};

/// The variables that the original's own repository sets.
const WORKFLOW: &str = r#"
on: [workflow_run]
permissions: {contents: read, statuses: write}
jobs:
  coverage:
    runs-on: ubuntu-latest
    steps:
      - run: cp -R "$REPORTS/." .
      - uses: org/covered@v1
        with: {binary: '${{ env.BINARY }}'}
        env:
          COVERED_API_URL: ${{ env.SERVER }}
          COVERED_API_KEY: ${{ secrets.COVERED_API_KEY }}
          COVERED_REPO_OWNER: ${{ github.repository_owner }}
          COVERED_REPO_NAME: ${{ github.event.repository.name }}
          COVERED_COMMIT_SHA: ${{ github.event.workflow_run.head_sha }}
          COVERED_COVERAGE_THRESHOLD: 99
          COVERED_GH_TOKEN: ${{ secrets.OWN_TOKEN }}
          COVERED_PURGE_CACHE: ${{ github.event.workflow_run.head_branch == github.event.repository.default_branch }}
"#;

/// A world whose server has no GitHub token: its badge shows only values that a run sent.
fn world() -> Option<World> {
    if skip_without(&[Part::Python]) {
        return None;
    }
    let mut settings = setting("STORAGE_URL", "memory://");
    let mut world = World::new(&settings);
    settings.extend(setting("GITHUB_API_URL", &world.github.url()));
    settings.extend(setting("GITHUB_TOKEN", ""));
    world.server = Server::start(&settings);
    Some(world)
}

/// Runs the workflow after tests on a branch `main` of `from`, whose report shows `percent`.
fn upload(world: &World, event: &str, from: &str, sha: &str, percent: &str) -> Finished {
    let folder = world.folder.path();
    let (workspace, action, reports) = (folder.join("workspace"), folder.join("action"), folder.join("reports"));
    report::small(&reports.join("htmlcov"), percent);
    write(&workspace.join(".github/workflows/coverage.yml"), WORKFLOW.as_bytes());
    let mut here: Value = repository();
    here["name"] = json!("app");
    let payload = json!({"action": "completed", "repository": here, "workflow_run": {
        "id": 7, "event": event, "conclusion": "success", "head_sha": sha, "head_branch": "main",
        "head_repository": {"full_name": from, "fork": from != REPOSITORY}, "repository": repository()}});
    write(&folder.join("event.json"), payload.to_string().as_bytes());
    copy_action(&action);
    commit(&workspace);
    let mut command = act(world, &workspace, &action, "workflow_run");
    command.args(["-s", &format!("COVERED_API_KEY={API_KEY}"), "-s", "OWN_TOKEN=a-token-of-its-own"]);
    for (name, value) in [
        ("SERVER", world.server.url.clone()),
        ("BINARY", paths::binary("covered").display().to_string()),
        ("REPORTS", reports.display().to_string()),
    ] {
        command.arg("--env").arg(format!("{name}={value}"));
    }
    run(&mut command).unwrap()
}

/// The state and description that the run posted, with the variables' token.
#[track_caller]
fn posted(world: &World, sha: &str, job: &Finished) -> (String, String) {
    let statuses = world.github.statuses(REPOSITORY, sha);
    let [status] = statuses.as_slice() else { panic!("expected one status: {statuses:?}\n{}", job.text()) };
    let path = format!("/repos/{REPOSITORY}/statuses/{sha}");
    let requests = world.github.requests();
    let request = requests.iter().find(|request| request.method == "POST" && request.path == path).unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer a-token-of-its-own"), "{}", job.text());
    (status.state.clone(), status.description.clone())
}

#[test]
fn the_originals_workflow_works_and_forks_do_not_set_the_badge() {
    let Some(world) = world() else { return };
    world.github.push(REPOSITORY, "main", NEXT_SHA);
    let ours = upload(&world, "push", REPOSITORY, NEXT_SHA, "99.5").succeeded();
    assert_eq!(posted(&world, NEXT_SHA, &ours), ("success".to_owned(), "99.5%".to_owned()));
    assert!(ours.text().contains("Updated the badge ("), "{}", ours.text());
    assert!(world.badge().text().contains("coverage: 99%"), "{}", ours.text());
    let report = world.report_path();

    world.github.push(REPOSITORY, "pull", TESTED);
    let fork = upload(&world, "pull_request", "stranger/app", TESTED, "12").succeeded();
    let (state, description) = posted(&world, TESTED, &fork);
    assert_eq!((state.as_str(), description.as_str()), ("failure", "12% (-87.5%), below the threshold of 99%"));
    assert!(fork.text().contains("its value was not set, because this run is not a push"), "{}", fork.text());
    assert!(world.badge().text().contains("coverage: 99%"), "the fork set the badge: {}", fork.text());
    assert_eq!(world.report_path(), report);
}
