use crate::peer::{Peer, Reply};
use crate::run::{Covered, Ended};

const BADGE: &str = "/badge/octo/app.json";

/// A run for which the default branch's badge has this response.
fn after(reply: Reply) -> (Peer, Ended) {
    let peer = Peer::new();
    peer.on("GET", BADGE, [reply]);
    let ended = Covered::new(&peer).run().succeeds();
    (peer, ended)
}

fn described(peer: &Peer) -> String {
    peer.one("POST", "/repos/").json()["description"].as_str().unwrap().to_owned()
}

#[test]
fn the_difference_to_the_default_branch_is_reported_everywhere() {
    let (peer, ended) = after(Reply::new(200, r#"{"schemaVersion":1,"message":"84%","percent":84.31}"#));
    ended
        .says("The default branch has 84.31%: +0.31%\n")
        .outputs("delta=+0.31%")
        .summarizes("| Change | +0.31% against 84.31% on the default branch |");
    assert_eq!(described(&peer), "84.62% (+0.31%)");
}

#[test]
fn without_an_answer_it_is_left_out_and_nothing_else_changes() {
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
        let (peer, ended) = after(reply);
        ended.says_not("delta").says_not("default branch has").says_not("Change").says_not("retrying");
        assert_eq!(described(&peer), "84.62%");
        peer.one("GET", BADGE);
    }
}

#[test]
fn a_named_report_is_compared_with_its_own_name_also_from_a_fork() {
    let peer = Peer::new();
    peer.on("GET", BADGE, [Reply::new(200, r#"{"percent":84.62}"#)]);
    Covered::new(&peer).event("schedule", "{}").arg("--name=backend").run().succeeds().outputs("delta=±0%");
    let asked = peer.one("GET", "/badge/");
    assert_eq!((asked.target.as_str(), asked.header("token")), ("/badge/octo/app.json?name=backend", None));
}

#[test]
fn a_failed_upload_still_tells_the_difference() {
    let peer = Peer::new();
    peer.on("GET", BADGE, [Reply::new(200, r#"{"percent":90.0}"#)]);
    peer.on("POST", "/coverage/create-site/", [Reply::new(400, "{}")]);
    let ended = Covered::new(&peer).run().fails("created no site").says("The default branch has 90%: -5.38%");
    ended.outputs("delta=-5.38%").outputs("uploaded=false");
}
