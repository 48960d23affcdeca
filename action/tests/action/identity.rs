//! Without an API key: the job's token from GitHub.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;

use crate::peer::{Peer, Reply, Request};
use crate::run::{Covered, KEY, SIGNATURE};

const ISSUE: &str = "/idtoken";
const REQUEST_TOKEN: &str = "request-token-signature-that-must-stay-secret";

/// A token that expires in `lifetime` seconds. Its signature is `SIGNATURE`.
fn token(number: u32, lifetime: i64) -> String {
    let claims = json!({"jti": number, "exp": Timestamp::now().as_second() + lifetime}).to_string();
    format!("eyJhbGciOiJSUzI1NiJ9.{}.{SIGNATURE}", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

fn token_response(token: &str) -> Reply {
    Reply::new(200, json!({"count": 1, "value": token}).to_string())
}

/// A job with `id-token: write` and without a key.
fn keyless(peer: &Peer) -> Covered {
    Covered::new(peer)
        .env("COVERED_API_KEY", "")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}{ISSUE}?api-version=2.0", peer.url))
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
}

fn requests_to(peer: &Peer, start: &str) -> Vec<Request> {
    peer.received().into_iter().filter(|request| request.target.starts_with(start)).collect()
}

#[test]
fn a_job_without_a_key_authenticates_with_its_oidc_token() {
    let peer = Peer::new();
    let token = token(1, 300);
    peer.on("GET", ISSUE, [token_response(&token)]);
    let url = format!("{}//", peer.url);
    let outcome = keyless(&peer).env("COVERED_API_URL", &url).in_actions().run().succeeds().outputs("uploaded=true");
    outcome
        .stdout_contains(&format!("::add-mask::{token}\n"))
        .stdout_contains(&format!("::add-mask::{REQUEST_TOKEN}\n"));
    let request = peer.one("GET", ISSUE);
    let host = peer.url.strip_prefix("http://").unwrap().replace('.', "%2E").replace(':', "%3A");
    assert_eq!(request.target, format!("{ISSUE}?api-version=2.0&audience=http%3A%2F%2F{host}"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {REQUEST_TOKEN}").as_str()));
    for path in ["/coverage/create-site/", "/coverage/invalidate-cache/"] {
        let request = peer.one("POST", path);
        assert_eq!(request.header("authorization"), Some(format!("Bearer {token}").as_str()), "{path}");
        assert_eq!(request.header("token"), None, "{path}");
    }
    assert_eq!(peer.one("PUT", "/store/").header("authorization"), None);
}

#[test]
fn tokens_that_expire_during_retries_are_replaced() {
    let peer = Peer::new();
    let tokens = [token(1, 10), token(2, 10), token(3, 300)];
    peer.on("GET", ISSUE, tokens.each_ref().map(|token| token_response(token)));
    let session = Reply::new(200, peer.session());
    peer.on("POST", "/coverage/create-site/", [Reply::new(503, ""), Reply::new(503, ""), session]);
    keyless(&peer).run().succeeds();
    let tokens_sent: Vec<String> = requests_to(&peer, "/coverage/create-site/")
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(tokens_sent, tokens.map(|token| format!("Bearer {token}")));
    // The third token is also valid for the badge.
    assert_eq!(requests_to(&peer, ISSUE).len(), 3);
}

#[test]
fn a_failed_token_renewal_does_not_hide_the_servers_error() {
    let peer = Peer::new();
    let refused = Reply::new(500, r#"{"message":"no more"}"#).with("retry-after", "3600");
    peer.on("GET", ISSUE, [token_response(&token(1, 10)), refused]);
    peer.on("POST", "/coverage/create-site/", [Reply::new(504, "").with("retry-after", "0")]);
    let outcome = keyless(&peer).in_actions().arg("--fail-on-error=false").run().succeeds();
    outcome
        .stdout_contains("::warning::http://127.0.0.1:")
        .stdout_contains(
            "/coverage/create-site/ answered 504 Gateway Timeout (empty response), and the next attempt cannot be \
             sent: ",
        )
        .stdout_contains(
            ": GitHub issued no token for this job (500 Internal Server Error: no more; the server asks to wait 3600 \
             s, but the time",
        );
}

#[test]
fn an_api_key_overrides_the_oidc_token() {
    let peer = Peer::new();
    keyless(&peer).env("COVERED_API_KEY", KEY).run().succeeds();
    assert_eq!(peer.one("POST", "/coverage/create-site/").header("token"), Some(KEY));
    assert_eq!(requests_to(&peer, ISSUE).len(), 0);
}

#[test]
fn a_missing_id_token_permission_is_reported() {
    let peer = Peer::new();
    let covered = || Covered::new(&peer).env("COVERED_API_KEY", "").in_actions();
    covered().run().rejects("").stdout_contains("Without a key, the job needs `permissions: id-token: write`");
    let half = covered().env("ACTIONS_ID_TOKEN_REQUEST_URL", &peer.url).run();
    half.rejects("").stdout_contains("`permissions: id-token: write`");
    let event = r#"{"pull_request":{"head":{"sha":"0123456789abcdef0123456789abcdef01234567","repo":{"full_name":"evil/app"}}},
        "repository":{"full_name":"octo/app","default_branch":"main"}}"#;
    let fork = covered().event("pull_request", event).run();
    fork.stdout_contains("no secrets, so there is no api-key, and no `id-token: write`: upload from a workflow_run");
}

#[test]
fn a_rejected_token_has_another_error_than_a_wrong_key() {
    let peer = Peer::new();
    peer.on("GET", ISSUE, [token_response(&token(1, 300))]);
    let detail = r#"{"detail":"ALLOWED_REPOSITORIES does not allow octo/app"}"#;
    for status in [401, 403] {
        peer.on("POST", "/coverage/create-site/", [Reply::new(status, detail)]);
        let outcome = keyless(&peer).run().fails("the covered server does not accept this job's token from GitHub (");
        outcome.stderr_contains("ALLOWED_REPOSITORIES does not allow octo/app)");
    }
}

#[test]
fn invalid_token_responses_are_errors_that_omit_the_token() {
    let peer = Peer::new();
    let invalid = format!("x.{SIGNATURE}.y");
    for (reply, message) in [
        (
            Reply::new(403, r#"{"message":"no"}"#),
            "GitHub issued no token for this job (403 Forbidden: no): run the job again",
        ),
        (Reply::new(200, "<html>"), "GitHub returned no token for this job"),
        (Reply::new(200, r#"{"value":7}"#), "GitHub returned no token for this job"),
        (token_response(&invalid), "GitHub issued an invalid token for this job: its claims are not"),
        (token_response("a.e30.b\r\nx: y"), "GitHub issued an invalid token for this job: it has no expiry"),
    ] {
        peer.on("GET", ISSUE, [reply]);
        keyless(&peer).run().fails(message);
    }
    assert_eq!(requests_to(&peer, "/coverage/").len(), 0);
}

#[test]
fn an_unreachable_token_service_is_an_outage() {
    let peer = Peer::new();
    let unreachable =
        || keyless(&peer).env("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:1/x?sig=hunter2").arg("--timeout=1");
    let message = "GitHub issued no token for this job: http://127.0.0.1:1/x refused the connection";
    unreachable().run().fails(message);
    unreachable().arg("--fail-on-error=false").run().succeeds().stderr_contains(&format!("warning: {message}"));
}
