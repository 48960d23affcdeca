use crate::peer::{Peer, Reply};
use crate::run::{Covered, Outcome, SIGNATURE, SITE};

/// A run with these responses to its upload, and the number of attempts.
fn run_with<const N: usize>(replies: [Reply; N]) -> (Outcome, usize) {
    let peer = Peer::new();
    peer.on("PUT", &format!("/store/{SITE}.zip"), replies);
    let outcome = Covered::new(&peer).run();
    let tries = peer.requests().iter().filter(|request| request.starts_with("PUT")).count();
    (outcome, tries)
}

fn unavailable() -> Reply {
    Reply::new(503, "").with("retry-after", "0")
}

#[test]
fn the_zip_is_uploaded_in_one_request_as_the_session_specifies() {
    let peer = Peer::new();
    let url = &peer.url;
    Covered::new(&peer)
        .run()
        .succeeds()
        .stdout_contains(&format!("Created site {SITE} on {url} ("))
        .stdout_contains("Uploaded ")
        .stdout_contains(&format!("Report: {url}/coverage/{SITE}/"));
    let put = peer.one("PUT", "/store/");
    assert_eq!(put.target, format!("/store/{SITE}.zip?X-Signature={SIGNATURE}"));
    assert_eq!(put.header("content-length"), Some(put.body.len().to_string().as_str()));
    assert_eq!((put.header("content-type"), put.header("if-none-match")), (Some("application/zip"), Some("*")));
    assert_eq!((put.header("transfer-encoding"), put.header("token"), put.header("authorization")), (None, None, None));
}

#[test]
fn responses_503_and_429_of_the_store_are_retried() {
    let (outcome, tries) = run_with([unavailable(), Reply::new(429, "").with("retry-after", "0"), Reply::new(200, "")]);
    outcome
        .succeeds()
        .stdout_contains("answered 503 Service Unavailable, retrying in 0.0 s")
        .stdout_contains("answered 429 Too Many Requests, retrying");
    assert_eq!(tries, 3);
}

#[test]
fn an_upload_fails_after_6_attempts() {
    let (outcome, tries) = run_with([unavailable()]);
    outcome
        .fails("error: the store did not accept the report (503 Service Unavailable after 6 tries: empty response)")
        .outputs("uploaded=false");
    assert_eq!(tries, 6);
}

#[test]
fn a_conflict_after_a_lost_response_is_a_success() {
    for status in [409, 412] {
        let (outcome, tries) = run_with([Reply::Lost, Reply::new(status, "")]);
        outcome
            .succeeds()
            .stdout_contains("closed the connection before the response was complete, retrying in")
            .outputs("uploaded=true");
        assert_eq!(tries, 2);
    }
}

#[test]
fn a_conflict_at_the_first_attempt_is_a_failure() {
    for (status, name) in [(409, "Conflict"), (412, "Precondition Failed")] {
        let (outcome, tries) = run_with([Reply::new(status, "")]);
        outcome.fails(&format!("error: the store did not accept the report ({status} {name}: empty response)"));
        assert_eq!(tries, 1);
    }
}

#[test]
fn concurrent_write_conflicts_are_retried() {
    let race = "<Error><Code>ConditionalRequestConflict</Code><Message>Conflicting operation</Message></Error>";
    let (outcome, tries) = run_with([Reply::new(409, race).with("retry-after", "0"), Reply::new(412, "")]);
    outcome.succeeds();
    assert_eq!(tries, 2);
}

#[test]
fn s3_errors_are_reported_with_their_code() {
    let xml = "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let (outcome, tries) = run_with([Reply::new(403, xml)]);
    outcome.fails("error: the store refused the report (403 Forbidden: AccessDenied: Request has expired)");
    assert_eq!(tries, 1);
}

#[test]
fn a_response_before_the_body_is_sent_is_reported() {
    let (outcome, _) = run_with([Reply::Early(413, r#"{"detail":"too large"}"#.to_owned())]);
    outcome
        .fails(
            "kB is larger than the covered server allows (413 Payload Too Large: too large): leave files out, or raise",
        )
        .stderr_contains("error: the report of ")
        .stderr_contains("the server's MAX_REPORT_BYTES");
}

#[test]
fn errors_for_a_proxys_size_limit_name_its_setting() {
    let nginx = "<html><head><title>413 Request Entity Too Large</title></head><body><center><h1>413 Request Entity \
                 Too Large</h1></center><hr><center>nginx</center></body></html>";
    let refused = |reply: Reply| run_with([reply]).0.fails("error: ").omits("MAX_REPORT_BYTES");
    refused(Reply::Early(413, nginx.to_owned()))
        .stderr_contains("error: nginx in front of 127.0.0.1 refused the report of ")
        .stderr_contains(": raise `client_max_body_size` in its configuration, or leave files out");
    refused(Reply::new(413, "").with("server", "nginx/1.27.3")).stderr_contains("raise `client_max_body_size`");
    refused(Reply::new(413, "").with("server", "cloudflare"))
        .stderr_contains("error: Cloudflare in front of 127.0.0.1 refused");
    refused(Reply::new(413, "").with("server", "Caddy")).stderr_contains("raise `max_size` of `request_body`");
    refused(Reply::new(413, "").with("server", "BigIP"))
        .stderr_contains("error: a proxy (BigIP) in front of 127.0.0.1 refused the report of ")
        .stderr_contains("(413 Payload Too Large: empty response): raise its limit for request bodies");
    refused(Reply::new(413, r#"{"message":"Request size limit exceeded"}"#))
        .stderr_contains("error: a proxy in front of 127.0.0.1 refused the report of ")
        .stderr_contains(
            "(413 Payload Too Large: Request size limit exceeded): raise the proxy's limit for request bodies",
        );
}

#[test]
fn errors_for_the_stores_size_limit_are_reported() {
    let xml = "<Error><Code>EntityTooLarge</Code><Message>Your proposed upload exceeds the maximum</Message></Error>";
    for status in [400, 413] {
        let (outcome, _) = run_with([Reply::new(status, xml)]);
        outcome
            .fails("is larger than the store allows (4")
            .stderr_contains("): leave files out")
            .omits("MAX_REPORT_BYTES");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let (outcome, _) = run_with([Reply::new(307, "").with("location", "https://elsewhere.example.com/x?sig=1")]);
    outcome.fails("(307 Temporary Redirect: redirects to https://elsewhere.example.com/x)");
}
