use crate::peer::{Peer, Reply};
use crate::run::{Covered, KEY, SHA};

const CREATE: &str = "/coverage/create-site/";

/// A run with this response to its session.
fn run_with(reply: Reply) -> crate::run::Outcome {
    let peer = Peer::new();
    peer.on("POST", CREATE, [reply]);
    let outcome = Covered::new(&peer).run();
    assert!(!peer.requests().iter().any(|request| request.starts_with("PUT")));
    outcome
}

#[test]
fn the_session_request_contains_key_commit_and_size() {
    let peer = Peer::new();
    Covered::new(&peer).run().succeeds();
    let (request, zip) = (peer.one("POST", CREATE), peer.one("PUT", "/store/"));
    assert_eq!(request.header("token"), Some(KEY));
    assert_eq!(request.header("user-agent"), Some(concat!("covered/", env!("CARGO_PKG_VERSION"))));
    let expected = serde_json::json!({"repository": "octo/app", "commit_sha": SHA, "size": zip.body.len()});
    assert_eq!(request.json(), expected);
}

#[test]
fn errors_for_a_rejected_key_name_the_input() {
    let text = |status: &str, detail: &str| {
        format!(
            "error: the covered server does not accept the API key ({status} {detail}): check api-key and the secret"
        )
    };
    run_with(Reply::new(401, r#"{"detail":"no API key"}"#)).fails(&text("401 Unauthorized:", "no API key"));
    run_with(Reply::new(403, r#"{"detail":"wrong API key"}"#)).fails(&text("403 Forbidden:", "wrong API key"));
}

#[test]
fn a_key_of_another_repository_is_not_reported_as_wrong() {
    for name in ["octo/app", "Octo/App"] {
        let detail =
            format!("the API key is not valid for {name}: use the key of that repository, or ask the operator");
        let outcome = run_with(Reply::new(403, format!(r#"{{"detail":"{detail}"}}"#)));
        outcome
            .fails(&format!("error: the covered server rejected the report (403 Forbidden: {detail})\n"))
            .omits("does not accept")
            .omits("check api-key");
    }
    // A 401 is about the key itself, whatever its message names.
    run_with(Reply::new(401, r#"{"detail":"octo/app: no API key"}"#)).stderr_contains("check api-key and the secret");
}

#[test]
fn an_api_url_with_the_coverage_path_is_explained() {
    for (path, status) in [("/coverage", 405), ("/coverage/", 405), ("/coverage/0f1e2d3c4b5a", 404)] {
        let peer = Peer::new();
        let api = format!("{}{}", peer.url, path.trim_end_matches('/'));
        let refusal = Reply::new(status, r#"{"detail":"this address accepts only GET, HEAD"}"#);
        peer.on("POST", &format!("{}{CREATE}", path.trim_end_matches('/')), [refusal]);
        let outcome = Covered::new(&peer).env("COVERED_API_URL", &format!("{}{path}", peer.url)).run();
        outcome
            .fails(&format!("error: there is no covered server at {api} ({status} "))
            .stderr_contains("accepts only GET, HEAD): api-url is the server's URL, without /coverage\n")
            .omits("check api-url");
    }
}

#[test]
fn a_login_page_in_front_of_the_server_is_not_reported_as_a_wrong_key() {
    run_with(Reply::new(401, "<html>").with("content-type", "text/html"))
        .fails("error: the server at http://127.0.0.1:")
        .stderr_contains("(401 Unauthorized: 6 bytes of text/html): check api-url and any proxy in front of it");
}

#[test]
fn a_404_is_reported_as_no_covered_server() {
    run_with(Reply::new(404, "<html>").with("content-type", "text/html"))
        .fails("error: there is no covered server at http://127.0.0.1:")
        .stderr_contains("(404 Not Found: 6 bytes of text/html): check api-url");
}

#[test]
fn the_servers_reason_for_rejecting_a_report_is_quoted() {
    run_with(Reply::new(413, r#"{"detail":"a report may have 10 MB at most"}"#))
        .fails("created no site (413 Payload Too Large: a report may have 10 MB at most)");
}

#[test]
fn a_redirect_is_not_followed_with_the_key() {
    run_with(Reply::new(301, "").with("location", "https://elsewhere.example.com/coverage/create-site/?key=1"))
        .stderr_contains("set api-url to its address")
        .fails("(301 Moved Permanently: redirects to https://elsewhere.example.com/coverage/create-site/)");
}

#[test]
fn invalid_session_responses_are_described() {
    run_with(Reply::new(200, "hello").with("content-type", "text/plain"))
        .fails("did not return a covered server's JSON (200 OK: 5 bytes of text/plain): check api-url");
    run_with(Reply::new(200, r#"{"site_id":"0f1e2d3c4b5a","bucket":"b"}"#))
        .fails("answered with neither an upload address nor credentials: update the server");
    run_with(Reply::new(200, r#"{"upload":{}}"#)).fails("returned an incomplete response: missing field");
}

#[test]
fn session_responses_are_validated() {
    let peer = Peer::new();
    let with = |from: &str, to: &str| run_with(Reply::new(200, peer.session().replace(from, to)));
    with(crate::run::SITE, "../../etc").fails("error: the server returned an invalid site ID: \"../../etc\"");
    with(&format!("{}/coverage", peer.url), "javascript:alert(1)")
        .fails("error: the server returned an invalid report address");
    with(&format!("{}/store", peer.url), "file:///etc")
        .fails("error: the server returned an upload address that is not http(s)");
    with("1000000", "100")
        .fails("the server accepts at most 100 bytes: leave files out, or raise its MAX_REPORT_BYTES");
    with("if-none-match", "a header").fails("error: the server requires the upload header \"a header\"");
    with("if-none-match", "authorization").fails("the server requires the upload header \"authorization\"");
    with("\"PUT\"", "\"DELETE\"").fails("the server requires the upload method \"DELETE\" instead of PUT");
}

#[test]
fn hostile_details_cannot_issue_commands_or_flood_the_log() {
    let peer = Peer::new();
    let detail = format!("x\\r\\n::add-mask::main\\n##[error]\\u001b[2J{}", "y".repeat(100_000));
    peer.on("POST", CREATE, [Reply::new(400, format!(r#"{{"detail":"{detail}"}}"#))]);
    let outcome = Covered::new(&peer).in_actions().run();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.lines().filter(|line| line.starts_with("::add-mask::")).all(|line| !line.contains("main")));
    let outcome = outcome.omits("\u{1b}").omits("\r");
    assert!(outcome.stdout.len() < 5_000 && outcome.summary.len() < 2_000, "{}", outcome.stdout);
}
