//! The annotations of a pull request: one neutral check run with the changed lines that are not covered.

use serde_json::json;
use xtask::lab::github::{ChangedFile, Comparison, Permission};
use xtask::lab::process::{self, Finished};

use crate::comment::{HEAD, MISSED, NUMBER, Review, WELL, assert_log};
use crate::{REPOSITORY, SHA};

fn annotate(review: &Review, hits: &str) -> Finished {
    process::run(review.command("off", hits).arg("--annotations")).unwrap().succeeded()
}

#[test]
fn missed_lines_are_marked_in_a_neutral_check_run() {
    let review = Review::new();
    assert_log(&annotate(&review, MISSED), "Posted 1 annotation");
    let runs = review.world.github.check_runs(REPOSITORY);
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.name.as_str(), run.head_sha.as_str()), ("covered/annotations", HEAD));
    assert_eq!(run.conclusion.as_deref(), Some("neutral"));
    assert_eq!(run.title.as_deref(), Some("66.67% of 3 changed lines"));
    assert!(run.details_url.as_ref().is_some_and(|url| url.ends_with("/_covered/patch.html")), "{run:?}");
    let [annotation] = run.annotations.as_slice() else { panic!("{run:?}") };
    let expected = json!({
        "path": "src/rate.py", "start_line": 3, "end_line": 3, "annotation_level": "notice",
        "message": "Line 3 is not covered by tests.",
    });
    assert_eq!(*annotation, expected);
    // The next run of the same commit says that nothing is missed any more.
    assert_log(&annotate(&review, WELL), "Posted 0 annotations");
    assert_eq!(review.world.github.check_runs(REPOSITORY)[1].annotations, [json!(null); 0]);
}

#[test]
fn without_the_permission_only_the_annotations_are_missing() {
    let review = Review::new();
    let reads = [Permission::PullRequestsRead, Permission::ContentsRead, Permission::StatusesWrite];
    review.world.github.allow(&reads);
    let run = annotate(&review, MISSED);
    assert!(run.stderr.contains("warning: no annotations: the token may not write annotations"), "{}", run.text());
    assert!(run.stderr.contains("`permissions: checks: write`"), "{}", run.text());
    assert!(run.stderr.contains("the token is read-only: use a `workflow_run` workflow"), "{}", run.text());
    assert!(review.summary().contains("\n- no annotations: "), "{}", review.summary());
    assert_eq!(review.world.github.statuses(REPOSITORY, HEAD).len(), 2);
}

#[test]
fn lines_of_a_merge_commit_are_not_marked_in_the_head() {
    const MERGE: &str = "3333333333333333333333333333333333333333";
    const BASE: &str = "4444444444444444444444444444444444444444";
    let review = Review::new();
    let github = &review.world.github;
    github.change_pull_request(REPOSITORY, NUMBER, |pull| {
        pull.base_sha = BASE.to_owned();
        pull.merge_commit_sha = Some(MERGE.to_owned());
    });
    let in_base = vec![ChangedFile::modified("src/rate.py", "@@ -1 +1,2 @@\n+new\n first")];
    let base = Comparison { merge_base_sha: SHA.to_owned(), files: in_base, ..Comparison::default() };
    github.set_compare(REPOSITORY, HEAD, BASE, base);
    let merged =
        vec![ChangedFile::modified("src/rate.py", "@@ -1,3 +1,6 @@\n new\n first\n+second\n+third\n+fourth\n last")];
    let merged = Comparison { merge_base_sha: BASE.to_owned(), files: merged, ..Comparison::default() };
    github.set_compare(REPOSITORY, BASE, MERGE, merged);
    let folder = review.world.folder.path().to_owned();
    // Lines 3, 4 and 5 of the merge commit are the added ones.
    let mut command = review.command("off", "1110111111");
    std::fs::write(folder.join(".git/HEAD"), MERGE).unwrap();
    let run = process::run(command.env("GITHUB_SHA", MERGE).arg("--annotations")).unwrap().succeeded();
    assert_log(&run, "Pull request #7: 66.67% of 3 changed lines");
    assert_log(&run, "Without annotations: 1 file that the base branch changed too");
    assert_eq!(github.check_runs(REPOSITORY)[0].annotations, [json!(null); 0]);
}

#[test]
fn a_run_without_the_changes_says_that_there_are_no_annotations() {
    let review = Review::new();
    review.world.github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.state = "closed".to_owned());
    assert_log(&annotate(&review, MISSED), "No patch coverage and no annotations: pull request #7 is closed");
    review.world.github.set_private(REPOSITORY);
    review.world.github.allow(&[Permission::StatusesWrite]);
    let run = process::run(review.command("always", MISSED).arg("--annotations")).unwrap().succeeded();
    assert!(run.stderr.contains("warning: no patch coverage and no annotations: the token"), "{}", run.text());
}
