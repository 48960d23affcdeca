//! `uses: org/covered@v1` in a workflow, on a runner.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use xtask::lab::covered::{API_KEY, clean};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::{Finished, run};
use xtask::lab::report;

use crate::{REPOSITORY, World, setting};

/// The workflow of the README, with a step behind it that shows the outputs.
const WORKFLOW: &str = r#"
on: [push, pull_request]
permissions: {contents: read, statuses: write}
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: cp -R "$REPORT" htmlcov
      - id: covered
        uses: org/covered@v1
        with:
          path: htmlcov
          api-url: ${{ env.COVERED_SERVER }}
          api-key: ${{ secrets.COVERED_API_KEY }}
          binary: ${{ env.COVERED_BINARY }}
      - run: >-
          echo "outputs ${{ steps.covered.outputs.coverage }} ${{ steps.covered.outputs.state }}
          ${{ steps.covered.outputs.uploaded }} ${{ steps.covered.outputs.site-id }}
          ${{ steps.covered.outputs.report-url }} ${{ steps.covered.outputs.badge-url }}"
"#;

/// Runs the workflow for an event, with the action as it stands here.
fn act(world: &World, event: &str, payload: &serde_json::Value, key: &str) -> Finished {
    let folder = world.folder.path();
    let (workspace, action) = (folder.join("workspace"), folder.join("action"));
    write(&workspace.join(".github/workflows/coverage.yml"), WORKFLOW.as_bytes());
    write(&folder.join("event.json"), payload.to_string().as_bytes());
    for file in ["action.yml", "action/run.sh"] {
        write(&action.join(file), &std::fs::read(paths::root().join(file)).unwrap());
    }
    report::small(&folder.join("report"), "87.5");
    let mut command = clean(&paths::python("act"));
    command.current_dir(&workspace).env("HOME", folder).arg(event);
    command.arg("-e").arg(folder.join("event.json"));
    command.args(["-P", "ubuntu-latest=-self-hosted", "--no-cache-server"]);
    command.arg("--local-repository").arg(format!("org/covered@v1={}", action.display()));
    for secret in [format!("COVERED_API_KEY={key}"), "GITHUB_TOKEN=a-token".to_owned()] {
        command.args(["-s", &secret]);
    }
    let github = world.github.url();
    for (name, value) in [
        ("GITHUB_REPOSITORY", REPOSITORY),
        ("GITHUB_API_URL", &github),
        ("GITHUB_SERVER_URL", &github),
        ("COVERED_SERVER", &world.server.url),
        ("COVERED_BINARY", &paths::binary("covered").display().to_string()),
        ("REPORT", &folder.join("report").display().to_string()),
    ] {
        command.arg("--env").arg(format!("{name}={value}"));
    }
    commit(&workspace);
    world.github.push(REPOSITORY, "main", &head(world));
    run(&mut command).unwrap()
}

/// The commit that the runner was on.
fn head(world: &World) -> String {
    let folder = world.folder.path().join("workspace");
    let head = run(Command::new("git").current_dir(folder).args(["rev-parse", "HEAD"])).unwrap();
    head.succeeded().stdout.trim().to_owned()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Commits the workflow: the runner asks git for the branch and for the commit that a push is about.
fn commit(folder: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(folder).args(["-c", "user.name=octo", "-c", "user.email=octo@example.com"]);
        run(command.args(arguments)).unwrap().succeeded()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "A workflow"]);
}

#[test]
fn a_push_to_the_default_branch_posts_the_status_and_refreshes_the_badge() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    let payload = json!({"ref": "refs/heads/main", "repository": {"full_name": REPOSITORY, "default_branch": "main"}});
    let log = act(&world, "push", &payload, API_KEY).succeeded().text();
    let statuses = world.github.statuses(REPOSITORY, &head(&world));
    let [status] = statuses.as_slice() else { panic!("not one status: {statuses:?}\n{log}") };
    // The action's own threshold is 0: the number is posted, and no judgement with it.
    assert_eq!((status.context.as_str(), status.state.as_str()), ("covered", "success"));
    assert!(status.description.starts_with("87.5%"), "{}", status.description);
    assert!(world.badge().text().contains("coverage: 87%"), "{log}");
    let url = format!("{}{}", world.server.url, world.report_path());
    let site = url.trim_end_matches('/').rsplit('/').next().unwrap();
    let badge = format!("{}/badge/{REPOSITORY}.svg", world.server.url);
    let outputs = format!("outputs 87.5 success true {site} {url} {badge}");
    for expected in ["Found 87.5%", "Packed ", "Gave the badge its new value", &outputs] {
        assert!(log.contains(expected), "{expected:?} is not in\n{log}");
    }
    assert!(!log.contains(API_KEY) && !log.contains("a-token"), "a secret is in the log:\n{log}");
}

#[test]
fn a_pull_request_gets_its_status_and_leaves_the_badge_alone() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    let tested = "2222222222222222222222222222222222222222";
    world.github.push(REPOSITORY, "feature", tested);
    let payload = json!({"repository": {"full_name": REPOSITORY, "default_branch": "main"},
        "pull_request": {"head": {"sha": tested, "ref": "feature"}, "base": {"ref": "main"}}});
    let log = act(&world, "pull_request", &payload, API_KEY).succeeded().text();
    assert_eq!(world.github.statuses(REPOSITORY, tested).len(), 1, "{log}");
    let main = head(&world);
    assert_eq!(world.github.statuses(REPOSITORY, &main).len(), 0, "{log}");
    assert!(log.contains("Left the badge alone"), "{log}");
    assert!(world.badge().text().contains("coverage: ??"));
}

#[test]
fn a_wrong_key_names_the_secret_and_leaves_the_job_green() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    let payload = json!({"ref": "refs/heads/main", "repository": {"full_name": REPOSITORY, "default_branch": "main"}});
    let log = act(&world, "push", &payload, "another-key").succeeded().text();
    for expected in ["check api-key, and the secret that it comes from", "outputs 87.5 success false"] {
        assert!(log.contains(expected), "{expected:?} is not in\n{log}");
    }
    assert_eq!(world.github.statuses(REPOSITORY, &head(&world)).len(), 0);
}
