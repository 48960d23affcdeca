//! Requests to any server: failures, retries, the deadline.

use std::net::TcpListener;

use crate::peer::{Peer, Reply};
use crate::run::{Covered, SHA, SITE};

const CREATE: &str = "/coverage/create-site/";

#[test]
fn refused_connections_are_reported_with_the_address_and_what_to_do() {
    let peer = Peer::new();
    // A port that was free: no server listens on it.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = Covered::new(&peer).env("COVERED_API_URL", &format!("http://{address}")).arg("--timeout=1").run();
    let start = format!("http://{address}/coverage/create-site/ refused the connection");
    run.fails(&format!("error: {start}"))
        .stderr_contains(
            ": check the address and its port, and whether the server runs; the time limit of 1 s (--timeout) leaves \
             no time",
        )
        .stdout_contains(&format!("{start}, retrying in 0."));
}

#[test]
fn unresolvable_hosts_are_reported() {
    let peer = Peer::new();
    let run = Covered::new(&peer).env("COVERED_API_URL", "http://covered.invalid").arg("--timeout=5").run();
    run.fails("error: http://covered.invalid/coverage/create-site/ has a host name that cannot be resolved (DNS)");
}

#[test]
fn retry_after_of_429_responses_is_honored() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::new(429, "").with("retry-after", "1"), Reply::new(200, peer.session())]);
    Covered::new(&peer)
        .run()
        .succeeds()
        .stdout_contains("/coverage/create-site/ answered 429 Too Many Requests, retrying in 1.0 s");
}

#[test]
fn waits_beyond_the_deadline_fail_at_once() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::new(429, r#"{"detail":"later"}"#).with("retry-after", "3600")]);
    let run = Covered::new(&peer).run();
    run.fails(
        "created no site (429 Too Many Requests: later; the server asks to wait 3600 s, but the time limit of 300 s \
         (--timeout) leaves less time)",
    );
    assert_eq!(peer.requests().len(), 1);
}

#[test]
fn repeated_server_errors_fail_after_6_attempts() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::new(503, r#"{"detail":"the store is away"}"#).with("retry-after", "0")]);
    Covered::new(&peer).run().fails("created no site (503 Service Unavailable after 6 tries: the store is away)");
    assert_eq!(peer.requests().len(), 6);
}

#[test]
fn truncated_responses_are_retried() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::Truncated, Reply::new(200, peer.session())]);
    Covered::new(&peer)
        .run()
        .succeeds()
        .stdout_contains("closed the connection before the response was complete, retrying in");
}

#[test]
fn too_large_responses_are_rejected() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::new(200, " ".repeat(1 << 21))]);
    Covered::new(&peer).run().fails("sent too large a response: more than 1048576 bytes");
}

#[test]
fn a_server_that_sends_no_response_fails_at_the_deadline() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::Silent]);
    let run = Covered::new(&peer).arg("--timeout=1").run();
    run.fails("/coverage/create-site/ sent no response before the time limit of 1 s passed: raise --timeout")
        .outputs("coverage=84.62");
}

#[test]
fn an_upload_without_a_response_fails_at_the_deadline() {
    let peer = Peer::new();
    peer.on("PUT", &format!("/store/{}.zip", SITE), [Reply::Silent]);
    let run = Covered::new(&peer).arg("--timeout=1").run();
    run.fails(".zip sent no response before the time limit of 1 s passed: raise --timeout").outputs("uploaded=false");
}

#[test]
fn errors_at_the_deadline_include_earlier_failures() {
    for (method, path) in [
        ("POST", CREATE.to_owned()),
        ("PUT", format!("/store/{SITE}.zip")),
        ("POST", format!("/repos/octo/app/statuses/{SHA}")),
        ("POST", "/coverage/invalidate-cache/octo/app/".to_owned()),
    ] {
        let peer = Peer::new();
        let late = Reply::new(504, "<html>").with("retry-after", "0").with("content-type", "text/html");
        peer.on(method, &path, [late.clone(), late.clone(), late, Reply::Silent]);
        Covered::new(&peer).arg("--timeout=2").run().fails(&format!(
            "{path} answered 504 Gateway Timeout 3 times (6 bytes of text/html), then sent no response before the time \
             limit of 2 s (--timeout) passed"
        ));
    }
}

#[test]
fn errors_after_all_attempts_include_earlier_failures() {
    let peer = Peer::new();
    let unavailable = Reply::new(503, r#"{"detail":"the store is away"}"#).with("retry-after", "0");
    peer.on("POST", CREATE, [unavailable.clone(), unavailable.clone(), Reply::Lost, unavailable]);
    Covered::new(&peer).run().fails(
        "created no site (503 Service Unavailable after 6 tries: the store is away; before that, it answered 503 \
         Service Unavailable 2 times (the store is away), then closed the connection before the response was complete \
         (",
    );
}

#[test]
fn errors_name_the_time_limit_if_it_prevents_a_retry() {
    let peer = Peer::new();
    let late = Reply::new(504, "").with("retry-after", "2");
    peer.on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [late]);
    Covered::new(&peer).arg("--timeout=2").run().fails(
        "GitHub did not accept the status (504 Gateway Timeout: empty response; the server asks to wait 2 s, but the \
         time limit of 2 s (--timeout) leaves less time)",
    );
}

#[test]
fn debug_logs_show_the_event_and_every_request() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::new(503, "").with("retry-after", "0"), Reply::new(200, peer.session())]);
    let run = |debug| Covered::new(&peer).in_actions().env("RUNNER_DEBUG", debug).run().succeeds();
    let url = &peer.url;
    run("1")
        .stdout_contains(&format!(
            "::debug::event \"push\": commit {}, run 1658821493, badge SetValue, threshold 80%25",
            SHA
        ))
        .stdout_contains(&format!("::debug::POST {url}{CREATE}: 503 Service Unavailable in "))
        .stdout_contains(" ms, try 2, without a proxy\n")
        .stdout_contains(&format!("::debug::PUT {url}/store/{}.zip: 200 OK in ", SITE))
        .stdout_contains("::debug::cannot read the default branch's total: 404 Not Found: not in the script");
    run("").omits("::debug::");
}
