//! The recipe for a sharded matrix, on a runner.

use serde_json::{Value, json};
use xtask::lab::github::{ChangedFile, Comparison, PullRequest, Status};
use xtask::lab::http;
use xtask::lab::process::Finished;

use crate::REPOSITORY;
use crate::action::TESTED as HEAD;
use crate::artifact::{Keyless, assert_log, recipe};
use crate::merged::{PATCH, SOURCE, report, without_lines};
use crate::patch_job::pull_request;

fn run(keyless: &Keyless, tested: &Value) -> Finished {
    keyless.run_recipe(&recipe("action/README.md", "parts: \"1, 2, 3, 4\""), tested, true).succeeded()
}

fn push(conclusion: &str) -> Value {
    let from = json!({"full_name": REPOSITORY, "fork": false});
    json!({"event": "push", "head_branch": "main", "head_repository": from, "conclusion": conclusion})
}

#[track_caller]
fn status(keyless: &Keyless, context: &str, job: &Finished) -> Status {
    let statuses = keyless.world.github.statuses(REPOSITORY, HEAD).into_iter();
    let found = statuses.rev().find(|status| status.context == context);
    found.unwrap_or_else(|| panic!("no status {context}: {}", job.text()))
}

/// Four shards, of which the third was run again.
fn four() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("coverage-1", report("1+ 2- 3- 4-")),
        ("coverage-2", report("1- 2+ 3- 4-")),
        ("coverage-3", report("1- 2- 3- 4-")),
        ("coverage-4", report("1- 2- 3- 4-")),
        ("coverage-3", report("1- 2- 3+ 4-")),
    ]
}

#[test]
fn four_shards_are_one_number_and_one_report() {
    let Some(keyless) = Keyless::with(&four()) else { return };
    let job = run(&keyless, &push("success"));
    assert_log(
        &job,
        &["Merged 4 reports: 75% of lines, 3 of 4", "using the newest", "**75%** of lines", "Updated the badge"],
    );
    let status = status(&keyless, "covered", &job);
    assert_eq!((status.state.as_str(), status.description.as_str()), ("success", "75%"));
    assert!(keyless.world.badge().text().contains("coverage: 75%"), "{}", job.text());
    let index = http::get(&status.target_url).unwrap().text();
    assert!(index.contains("3 of 4 lines are covered.") && index.contains("parts/4/index.html"), "{index}");
}

#[test]
fn a_failed_shard_without_a_report_makes_the_number_partial() {
    let reports: Vec<_> = four().into_iter().filter(|(name, _)| *name != "coverage-2").collect();
    let Some(keyless) = Keyless::with(&reports) else { return };
    let job = run(&keyless, &push("failure"));
    assert_log(&job, &["ended with `failure`", "missing `2`", "Badge not updated: the total is partial"]);
    assert_eq!(status(&keyless, "covered", &job).description, "partial: 50%, without 2");
    assert!(keyless.world.badge().text().contains("coverage: ??"), "{}", job.text());
}

#[test]
fn a_shard_without_lines_leaves_no_number() {
    let mut reports = four();
    reports[3].1 = without_lines();
    let Some(keyless) = Keyless::with(&reports) else { return };
    let job = run(&keyless, &push("success"));
    let status = status(&keyless, "covered", &job);
    assert_eq!(
        (status.state.as_str(), status.description.as_str()),
        ("success", "no merged total: no line data in `4`")
    );
    let index = http::get(&status.target_url).unwrap().text();
    assert!(index.contains("No merged total") && index.contains("90% of lines (istanbul)"), "{index}");
}

#[test]
fn shards_of_a_fork_show_the_changed_lines() {
    let Some(keyless) = Keyless::with(&four()) else { return };
    let world = &keyless.world;
    let from = json!({"id": 77, "full_name": "stranger/app", "fork": true, "owner": {"login": "stranger"}});
    let pull = PullRequest {
        head_repository: Some((77, "stranger/app".into())),
        ..pull_request(vec![ChangedFile::modified(SOURCE, PATCH)])
    };
    let base = pull.base_sha.clone();
    world.github.add_pull_request(REPOSITORY, pull);
    world.github.set_compare(REPOSITORY, HEAD, "main", Comparison { merge_base_sha: base, ..Comparison::default() });
    let tested = json!({"event": "pull_request", "head_branch": "change", "head_repository": from});
    let job = run(&keyless, &tested);
    assert_log(&job, &["Badge not updated"]);
    assert_eq!(status(&keyless, "covered", &job).description, "75%");
    let patch = status(&keyless, "covered/patch", &job);
    assert_eq!(patch.description, "100% of 1 changed line", "{}", job.text());
    let page = http::get(&patch.target_url).unwrap().text();
    assert!(page.contains("<a href=\"../parts/1/src/a.py.html\">in 1</a>"), "{page}");
}
