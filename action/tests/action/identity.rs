//! Without an API key: the job's token from GitHub.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;

use crate::peer::{Peer, Reply, Seen};
use crate::run::{Covered, KEY, SIGNATURE};

const ISSUE: &str = "/idtoken";
const REQUEST_TOKEN: &str = "request-token-signature-that-must-stay-secret";

/// A token that expires in `lifetime` seconds. Its signature is `SIGNATURE`.
fn token(number: u32, lifetime: i64) -> String {
    let claims = json!({"jti": number, "exp": Timestamp::now().as_second() + lifetime}).to_string();
    format!("eyJhbGciOiJSUzI1NiJ9.{}.{SIGNATURE}", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

fn given(token: &str) -> Reply {
    Reply::new(200, json!({"count": 1, "value": token}).to_string())
}

/// A job with `id-token: write` and without a key.
fn keyless(peer: &Peer) -> Covered {
    Covered::new(peer)
        .env("COVERED_API_KEY", "")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}{ISSUE}?api-version=2.0", peer.url))
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
}

fn all(peer: &Peer, start: &str) -> Vec<Seen> {
    peer.seen().into_iter().filter(|seen| seen.target.starts_with(start)).collect()
}

#[test]
fn a_job_without_a_key_shows_its_token_from_github_for_this_server() {
    let peer = Peer::new();
    let token = token(1, 300);
    peer.on("GET", ISSUE, [given(&token)]);
    let url = format!("{}//", peer.url);
    let ended = keyless(&peer).env("COVERED_API_URL", &url).in_actions().run().succeeds().outputs("uploaded=true");
    ended.says(&format!("::add-mask::{token}\n")).says(&format!("::add-mask::{REQUEST_TOKEN}\n"));
    let asked = peer.one("GET", ISSUE);
    let host = peer.url.strip_prefix("http://").unwrap().replace('.', "%2E").replace(':', "%3A");
    assert_eq!(asked.target, format!("{ISSUE}?api-version=2.0&audience=http%3A%2F%2F{host}"));
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {REQUEST_TOKEN}").as_str()));
    for path in ["/coverage/create-site/", "/coverage/invalidate-cache/"] {
        let seen = peer.one("POST", path);
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()), "{path}");
        assert_eq!(seen.header("token"), None, "{path}");
    }
    assert_eq!(peer.one("PUT", "/store/").header("authorization"), None);
}

#[test]
fn a_token_that_ends_while_the_server_is_waited_for_is_replaced() {
    let peer = Peer::new();
    let tokens = [token(1, 10), token(2, 10), token(3, 300)];
    peer.on("GET", ISSUE, tokens.each_ref().map(|token| given(token)));
    let session = Reply::new(200, peer.session());
    peer.on("POST", "/coverage/create-site/", [Reply::new(503, ""), Reply::new(503, ""), session]);
    keyless(&peer).run().succeeds();
    let shown: Vec<String> = all(&peer, "/coverage/create-site/")
        .iter()
        .map(|seen| seen.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(shown, tokens.map(|token| format!("Bearer {token}")));
    // The third token is also valid for the badge.
    assert_eq!(all(&peer, ISSUE).len(), 3);
}

#[test]
fn a_token_that_is_not_replaced_does_not_hide_what_the_server_said() {
    let peer = Peer::new();
    let refused = Reply::new(500, r#"{"message":"no more"}"#).with("retry-after", "3600");
    peer.on("GET", ISSUE, [given(&token(1, 10)), refused]);
    peer.on("POST", "/coverage/create-site/", [Reply::new(504, "").with("retry-after", "0")]);
    let ended = keyless(&peer).in_actions().arg("--fail-on-error=false").run().succeeds();
    ended
        .says("::warning::http://127.0.0.1:")
        .says(
            "/coverage/create-site/ answered 504 Gateway Timeout (empty response), and the next attempt cannot be \
             sent: ",
        )
        .says(
            ": GitHub issued no token for this job (500 Internal Server Error: no more; the server asks to wait 3600 \
             s, but the time",
        );
}

#[test]
fn a_key_that_is_given_wins() {
    let peer = Peer::new();
    keyless(&peer).env("COVERED_API_KEY", KEY).run().succeeds();
    assert_eq!(peer.one("POST", "/coverage/create-site/").header("token"), Some(KEY));
    assert_eq!(all(&peer, ISSUE).len(), 0);
}

#[test]
fn a_job_that_may_not_ask_is_reported_the_permission() {
    let peer = Peer::new();
    let covered = || Covered::new(&peer).env("COVERED_API_KEY", "").in_actions();
    covered().run().rejects("").says("Without a key, the job needs `permissions: id-token: write`");
    let half = covered().env("ACTIONS_ID_TOKEN_REQUEST_URL", &peer.url).run();
    half.rejects("").says("`permissions: id-token: write`");
    let event = r#"{"pull_request":{"head":{"sha":"0123456789abcdef0123456789abcdef01234567","repo":{"full_name":"evil/app"}}},
        "repository":{"full_name":"octo/app","default_branch":"main"}}"#;
    let fork = covered().event("pull_request", event).run();
    fork.says("no secrets, so there is no api-key, and no `id-token: write`: upload from a workflow_run");
}

#[test]
fn a_server_that_refuses_the_token_is_reported_apart_from_a_wrong_key() {
    let peer = Peer::new();
    peer.on("GET", ISSUE, [given(&token(1, 300))]);
    let detail = r#"{"detail":"ALLOWED_REPOSITORIES does not allow octo/app"}"#;
    for status in [401, 403] {
        peer.on("POST", "/coverage/create-site/", [Reply::new(status, detail)]);
        let ended = keyless(&peer).run().fails("the covered server does not accept this job's token from GitHub (");
        ended.complains("ALLOWED_REPOSITORIES does not allow octo/app)");
    }
}

#[test]
fn no_token_is_an_error_that_quotes_none() {
    let peer = Peer::new();
    let no_jwt = format!("x.{SIGNATURE}.y");
    for (reply, message) in [
        (
            Reply::new(403, r#"{"message":"no"}"#),
            "GitHub issued no token for this job (403 Forbidden: no): run the job again",
        ),
        (Reply::new(200, "<html>"), "GitHub returned no token for this job"),
        (Reply::new(200, r#"{"value":7}"#), "GitHub returned no token for this job"),
        (given(&no_jwt), "GitHub issued an invalid token for this job: its claims are not"),
        (given("a.e30.b\r\nx: y"), "GitHub issued an invalid token for this job: it has no expiry"),
    ] {
        peer.on("GET", ISSUE, [reply]);
        keyless(&peer).run().fails(message);
    }
    assert_eq!(all(&peer, "/coverage/").len(), 0);
}

#[test]
fn a_token_service_that_is_away_is_named_and_an_outage() {
    let peer = Peer::new();
    let away =
        || keyless(&peer).env("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:1/x?sig=hunter2").arg("--timeout=1");
    let message = "GitHub issued no token for this job: http://127.0.0.1:1/x refused the connection";
    away().run().fails(message);
    away().arg("--fail-on-error=false").run().succeeds().complains(&format!("warning: {message}"));
}
