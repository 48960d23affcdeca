//! The comment of a pull request: its preconditions, and what stops it.

use serde_json::{Value, json};

use crate::peer::{Peer, Reply};
use crate::run::{Covered, Outcome, SHA};

const COMMENTS: &str = "/repos/octo/app/issues/7/comments";
const PULL: &str = "/repos/octo/app/pulls/7";
/// A push to the branch of pull request 7.
const EVENT: &str = r#"{"ref":"refs/heads/topic","repository":{"full_name":"octo/app","default_branch":"main","id":1,"owner":{"login":"octo"}}}"#;

fn reply(body: &Value) -> Reply {
    Reply::new(200, body.to_string())
}

fn pull(state: &str, sha: &str) -> Value {
    json!({"number": 7, "state": state, "head": {"sha": sha, "repo": {"id": 1}}, "base": {"ref": "main"}})
}

fn comment(id: u64, login: &str) -> Value {
    json!({"id": id, "body": "<!-- covered -->\nx", "user": {"login": login}})
}

/// A peer with pull request 7, which has no comments.
fn peer() -> Peer {
    let file = json!({"filename": "sample.py", "status": "modified", "additions": 1, "changes": 1,
        "patch": "@@ -3,0 +4 @@\n+import os"});
    let peer = Peer::new();
    peer.on("GET", "/repos/octo/app/pulls", [reply(&json!([pull("open", SHA)]))])
        .on("GET", &format!("{PULL}/files"), [reply(&json!([file]))])
        .on("GET", PULL, [reply(&pull("open", SHA))])
        .on("GET", COMMENTS, [reply(&json!([]))])
        .on("POST", COMMENTS, [Reply::new(201, comment(1, "ann").to_string())]);
    peer
}

fn run(peer: &Peer) -> Outcome {
    Covered::new(peer).event("push", EVENT).arg("--comment=always").run().succeeds()
}

#[track_caller]
fn writes(peer: &Peer) -> Vec<String> {
    let is_write = |request: &String| !request.starts_with("GET") && request.contains("/issues/");
    peer.requests().into_iter().filter(is_write).collect()
}

#[test]
fn a_new_comment_is_posted_with_the_results() {
    let peer = peer();
    run(&peer).stdout_contains("Commented on pull request #7 (");
    let body = peer.one("POST", COMMENTS).json()["body"].as_str().unwrap().to_owned();
    assert!(body.starts_with("<!-- covered -->\n### Coverage: the changed line is covered\n"), "{body}");
    assert_eq!(writes(&peer).len(), 1);
}

#[test]
fn nothing_is_written_if_the_pull_request_changed_meanwhile() {
    let other = "1".repeat(40);
    for (now, why) in [
        (pull("closed", SHA), "it is closed".to_owned()),
        (pull("open", &other), format!("it has moved on to {}, this run tested {}", &other[..7], &SHA[..7])),
    ] {
        let peer = peer();
        peer.on("GET", PULL, [reply(&pull("open", SHA)), reply(&now)]);
        run(&peer).stdout_contains(&format!("No comment on pull request #7: {why}"));
        assert_eq!(writes(&peer), [""; 0]);
    }
}

#[test]
fn nothing_is_written_if_the_author_of_a_comment_is_unknown() {
    for answer in [Reply::new(401, "{}"), Reply::new(200, r#"{"data":null,"errors":[{"message":"no"}]}"#)] {
        let peer = peer();
        peer.on("GET", COMMENTS, [reply(&json!([comment(1, "ann")]))]).on("POST", "/graphql", [answer]);
        run(&peer).stderr_contains("warning: no comment: GitHub d").summary_contains("\n- no comment: GitHub d");
        assert_eq!(writes(&peer), [""; 0]);
    }
}

#[test]
fn nothing_is_written_if_not_all_comments_can_be_read() {
    let peer = peer();
    let page: Vec<Value> = (1..=100).map(|id| json!({"id": id, "body": null, "user": null})).collect();
    peer.on("GET", COMMENTS, [reply(&json!(page))]);
    run(&peer).stderr_contains("no comment: pull request #7 has more than 3000 comments");
    peer.on("GET", COMMENTS, [Reply::new(200, "{")]);
    run(&peer).stderr_contains("no comment: GitHub did not list the comments of pull request #7: its response is");
    assert_eq!(writes(&peer), [""; 0]);
}

#[test]
fn a_second_comment_that_another_job_deleted_is_no_failure() {
    let peer = peer();
    let listed = json!([comment(5, "ann"), comment(9, "ann"), comment(4, "bob")]);
    peer.on("GET", COMMENTS, [reply(&json!([])), reply(&listed)])
        .on("POST", COMMENTS, [Reply::new(201, comment(9, "ann").to_string())])
        .on("PATCH", "/repos/octo/app/issues/comments/5", [reply(&comment(5, "ann"))])
        .on("DELETE", "/repos/octo/app/issues/comments/9", [Reply::new(404, r#"{"message":"Not Found"}"#)]);
    run(&peer).stdout_contains("Commented on pull request #7 (");
    let comments = "/repos/octo/app/issues/comments";
    let expected = [format!("POST {COMMENTS}"), format!("PATCH {comments}/5"), format!("DELETE {comments}/9")];
    assert_eq!(writes(&peer), expected);
}

#[test]
fn the_status_of_changed_lines_fails_a_run_only_with_a_threshold() {
    for (threshold, is_ok) in [("0", true), ("1", false)] {
        let peer = peer();
        // With this context, the status of the changed lines is posted first.
        let refused = Reply::new(422, r#"{"message":"Validation Failed"}"#);
        peer.on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [refused, Reply::new(201, "{}")]);
        let outcome = Covered::new(&peer)
            .event("push", EVENT)
            .arg("--context=coverage")
            .arg(format!("--patch-threshold={threshold}"))
            .run()
            .stdout_contains("Posted the status `coverage`: success");
        if is_ok {
            outcome.succeeds().stderr_contains("warning: ")
        } else {
            outcome.fails("Validation Failed")
        };
    }
}

#[test]
fn a_run_without_a_pull_request_says_why_there_is_no_comment() {
    let peer = Peer::new();
    let why = "No patch coverage and no comment: the event does not say";
    Covered::new(&peer).arg("--comment=problems").run().succeeds().stdout_contains(why);
    let outside = || Covered::new(&peer).env("GITHUB_EVENT_NAME", "").env("GITHUB_EVENT_PATH", "");
    let none = "no GitHub event names a pull request";
    for (arguments, what) in [
        (&["--comment=problems"] as &[&str], "No patch coverage and no comment"),
        (&["--annotations"], "No patch coverage and no annotations"),
        (&["--annotations", "--comment=always"], "No patch coverage, no comment and no annotations"),
        (&["--patch-threshold=80"], "No patch coverage"),
    ] {
        let run = arguments.iter().fold(outside(), |run, argument| run.arg(argument)).run();
        run.succeeds().stdout_contains(&format!("{what}: {none}\n"));
    }
    outside().run().succeeds().omits(none);
    peer.on("GET", "/repos/octo/app/pulls", [reply(&json!([]))]);
    let run = Covered::new(&peer).event("push", EVENT).arg("--comment=problems").run().succeeds();
    run.stdout_contains("No patch coverage and no comment: no open pull request is from the branch octo:topic");
    peer.on("GET", "/repos/octo/app/pulls", [Reply::new(403, r#"{"message":"Resource not accessible"}"#)]);
    let run = Covered::new(&peer).event("push", EVENT).arg("--comment=problems").run().succeeds();
    run.stderr_contains("warning: no patch coverage and no comment: ").summary_contains("pull-requests: read");
}

#[test]
fn inputs_that_prevent_the_comment_are_rejected() {
    let peer = Peer::new();
    let comment = |value: &str| Covered::new(&peer).arg(format!("--comment={value}"));
    comment("maybe").run().rejects("error: --comment \"maybe\" must be off, problems or always");
    let annotate = || Covered::new(&peer).arg("--annotations");
    annotate().arg("--lines=off").run().rejects("error: annotations (--annotations) needs lines, but lines (--lines)");
    annotate().arg("--gh-token=none").run().rejects("error: missing github-token: annotations (--annotations) needs");
    comment("always").arg("--lines=off").run().rejects("error: comment (--comment) needs lines, but lines (--lines)");
    comment("problems").arg("--gh-token=none").run().rejects("error: missing github-token: comment (--comment) needs");
    assert_eq!(peer.requests(), [""; 0]);
}
