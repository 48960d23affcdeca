use crate::peer::{Peer, Reply};
use crate::run::{Covered, Outcome};

const BADGE: &str = "/badge/octo/app.json";

/// A run for which the default branch's badge has this response.
fn run_with_badge(reply: Reply) -> (Peer, Outcome) {
    let peer = Peer::new();
    peer.on("GET", BADGE, [reply]);
    let outcome = Covered::new(&peer).run().succeeds();
    (peer, outcome)
}

fn status_description(peer: &Peer) -> String {
    peer.one("POST", "/repos/").json()["description"].as_str().unwrap().to_owned()
}

#[test]
fn the_change_since_the_default_branch_is_in_log_status_summary_and_outputs() {
    let (peer, outcome) = run_with_badge(Reply::new(200, r#"{"schemaVersion":1,"message":"84%","percent":84.31}"#));
    outcome
        .stdout_contains("The default branch has 84.31%: +0.31%\n")
        .outputs("delta=+0.31%")
        .summary_contains("| Change | +0.31% against 84.31% on the default branch |");
    assert_eq!(status_description(&peer), "84.62% (+0.31%)");
}

#[test]
fn the_change_is_omitted_if_the_badge_request_fails() {
    for reply in [
        Reply::new(404, r#"{"detail":"no such page"}"#),
        Reply::new(500, ""),
        Reply::new(200, "<svg/>"),
        Reply::new(200, r#"{"message":"??","percent":null}"#),
        Reply::new(200, r#"{"percent":"84"}"#),
        Reply::new(200, r#"{"percent":-1e9}"#),
        Reply::Lost,
        Reply::Truncated,
    ] {
        let (peer, outcome) = run_with_badge(reply);
        outcome.omits("delta").omits("default branch has").omits("Change").omits("retrying");
        assert_eq!(status_description(&peer), "84.62%");
        peer.one("GET", BADGE);
    }
}

#[test]
fn named_reports_are_compared_with_the_same_name() {
    let peer = Peer::new();
    peer.on("GET", BADGE, [Reply::new(200, r#"{"percent":84.62}"#)]);
    Covered::new(&peer).event("schedule", "{}").arg("--name=backend").run().succeeds().outputs("delta=±0%");
    let request = peer.one("GET", "/badge/");
    assert_eq!((request.target.as_str(), request.header("token")), ("/badge/octo/app.json?name=backend", None));
}

#[test]
fn a_failed_upload_still_reports_the_change() {
    let peer = Peer::new();
    peer.on("GET", BADGE, [Reply::new(200, r#"{"percent":90.0}"#)]);
    peer.on("POST", "/coverage/create-site/", [Reply::new(400, "{}")]);
    let outcome =
        Covered::new(&peer).run().fails("created no site").stdout_contains("The default branch has 90%: -5.38%");
    outcome.outputs("delta=-5.38%").outputs("uploaded=false");
}
