//! A backend of the Python original: temporary credentials, and each file separately.

use crate::peer::{Peer, Reply};
use crate::run::{Covered, Outcome, SHA, SIGNATURE, SITE, TOKEN};

const BUCKET: &str = "reports";

/// A peer that responds like the original, with S3 at its own address.
fn original(region: &str) -> Peer {
    let peer = Peer::new();
    let session = format!(
        r#"{{"site_id":"{SITE}","bucket":"{BUCKET}","region":"{region}","access_key_id":"ASIAEXAMPLE",
        "secret_access_key":"secret-{SIGNATURE}","session_token":"token-{SIGNATURE}"}}"#
    );
    peer.on("POST", "/coverage/create-site/", [Reply::new(200, &session)]);
    for file in ["index.html", "sample_py.html", ".gitignore", "a%20b/%C3%A4%2B.css"] {
        peer.on("PUT", &key(file), [Reply::new(200, "")]);
    }
    peer
}

fn key(file: &str) -> String {
    format!("/{BUCKET}/sites/{SITE}/{file}")
}

fn run(peer: &Peer) -> Outcome {
    Covered::new(peer).file("a b/ä+.css", "p {}").env("AWS_ENDPOINT_URL", &peer.url).run()
}

/// A run in which S3 rejects the index with this error.
fn s3_rejects(status: u16, code: &str) -> Outcome {
    let peer = original("eu-west-1");
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>message from S3</Message></Error>");
    peer.on("PUT", &key("index.html"), [Reply::new(status, &body)]);
    run(&peer)
}

#[test]
fn each_file_is_uploaded_to_its_own_key_with_a_signature() {
    let peer = original("eu-west-1");
    let url = &peer.url;
    // This backend has no policy.
    let page = "<script src='https://cdn.example.com/a.js'></script>";
    Covered::new(&peer)
        .file("a b/ä+.css", "p {}")
        .file("sample_py.html", page)
        .env("AWS_ENDPOINT_URL", &peer.url)
        .run()
        .omits("cdn.example.com")
        .succeeds()
        .stdout_contains("Uploaded 4 files, ")
        .stdout_contains(&format!("Report: {url}/coverage/{SITE}/"))
        .outputs("uploaded=true");
    let css = peer.one("PUT", &key("a%20b/"));
    assert_eq!(css.target, key("a%20b/%C3%A4%2B.css"));
    assert_eq!(
        (css.body.as_slice(), css.header("content-type")),
        (b"p {}".as_slice(), Some("text/css; charset=utf-8"))
    );
    assert_eq!(css.header("x-amz-security-token"), Some(format!("token-{SIGNATURE}").as_str()));
    let authorization = css.header("authorization").unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/"), "{authorization}");
    assert!(
        authorization.contains("/eu-west-1/s3/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;")
    );
    assert_eq!(css.header("token"), None);
    // The later steps are unchanged.
    let value = peer.one("POST", "/coverage/invalidate-cache/").json();
    assert_eq!(value["site_id"], SITE);
    assert_eq!(peer.one("POST", "/repos/").json()["target_url"], format!("{url}/coverage/{SITE}/"));
}

#[test]
fn files_flag_uploads_each_file_separately() {
    let peer = original("eu-west-1");
    let run = |covered: Covered| covered.arg("--files").env("AWS_ENDPOINT_URL", &peer.url).run();
    let outcome = run(Covered::new(&peer)).succeeds().stdout_contains("Uploaded 3 files, ").outputs("uploaded=true");
    outcome.omits("Packed").omits("Python original");
    let request = peer.one("POST", "/coverage/create-site/");
    assert_eq!(
        (request.body.len(), request.header("content-length"), request.header("content-type")),
        (0, Some("0"), None)
    );
    let puts: Vec<String> = peer.requests().into_iter().filter(|request| request.starts_with("PUT ")).collect();
    assert_eq!(puts.len(), 3, "{puts:?}");
    run(Covered::new(&peer).arg("--dry-run"))
        .succeeds()
        .stdout_contains("Would upload 3 files, 14.6 kB to ")
        .omits("Packed");
}

#[test]
fn files_flag_requires_a_key_a_folder_and_a_server_with_a_role() {
    let peer = Peer::new();
    let covered = || Covered::new(&peer).env("COVERED_FILES", "true");
    covered()
        .env("COVERED_API_KEY", "")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &peer.url)
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")
        .run()
        .rejects("error: --files requires an API key: set api-key (--api-key). The server gives no S3 credentials");
    let text = "--files requires an API key: set api-key (--api-key). The server gives no S3 credentials";
    let keyless = || covered().env("COVERED_API_KEY", "");
    keyless().run().rejects(&format!("error: missing api-key: {text}"));
    keyless()
        .in_actions()
        .run()
        .rejects("")
        .stdout_contains(&format!("::error::missing api-key: {text}"))
        .omits("id-token");
    keyless().arg("--dry-run").run().succeeds().stdout_contains(&format!("A real run also needs api-key: {text}"));
    covered().arg("--artifact=a").run().rejects("error: --files cannot upload an artifact (--artifact): ");
    assert!(peer.received().is_empty());
    covered().run().fails(" returned no S3 credentials: remove --files");
    let detail = r#"{"detail":"this server has no role for that: set AWS_UPLOAD_ROLE_ARN on the server"}"#;
    peer.on("POST", "/coverage/create-site/", [Reply::new(501, detail)]);
    covered()
        .run()
        .fails("created no site (501 Not Implemented: this server has no role for that: set AWS_UPLOAD_ROLE_ARN");
    assert!(!peer.requests().iter().any(|request| request.starts_with("PUT ")));
}

#[test]
fn concurrency_1_uploads_files_one_by_one() {
    let peer = original("eu-west-1");
    let covered = Covered::new(&peer).env("AWS_ENDPOINT_URL_S3", &peer.url).arg("--concurrency").arg("1");
    covered.run().succeeds();
    let puts: Vec<String> = peer.requests().into_iter().filter(|request| request.starts_with("PUT")).collect();
    assert_eq!(puts, [".gitignore", "index.html", "sample_py.html"].map(|file| format!("PUT {}", key(file))));
    let wrong = Covered::new(&peer).arg("--concurrency").arg("0").run();
    wrong.rejects("--concurrency \"0\" must be a number of files between 1 and 200");
}

#[test]
fn throttled_s3_requests_are_retried() {
    let peer = original("eu-west-1");
    let unavailable = Reply::new(503, "<Error><Code>SlowDown</Code></Error>").with("retry-after", "0");
    peer.on("PUT", &key("index.html"), [unavailable.clone(), unavailable, Reply::new(200, "")]);
    run(&peer).succeeds().stdout_contains("answered 503 Service Unavailable, retrying in 0.0 s");
}

#[test]
fn s3_errors_say_what_to_do() {
    s3_rejects(403, "AccessDenied").fails(
        "cannot upload `index.html`: S3 refused a file (403 Forbidden: AccessDenied: message from S3): the role \
         AWS_UPLOAD_ROLE_ARN of the covered server must allow s3:PutObject on reports/sites/*",
    );
    s3_rejects(400, "ExpiredToken").fails(
        "S3 rejected the temporary credentials, or they have expired (400 Bad Request: ExpiredToken: message from S3)",
    );
    s3_rejects(400, "AuthorizationHeaderMalformed").fails(
        "the bucket reports is not in eu-west-1 (400 Bad Request: AuthorizationHeaderMalformed: message from S3)",
    );
    s3_rejects(301, "PermanentRedirect").fails("correct AWS_REGION on the covered server");
    s3_rejects(404, "NoSuchBucket").fails("there is no bucket reports (404 Not Found: NoSuchBucket: message from S3)");
    s3_rejects(413, "EntityTooLarge").fails(
        "kB is larger than the store allows (413 Payload Too Large: EntityTooLarge: message from S3): leave files out",
    );
}

#[test]
fn an_invalid_region_from_the_server_is_rejected() {
    run(&original("evil.example/")).fails("error: the server returned an invalid region: \"evil.example/\"");
}

#[test]
fn an_invalid_endpoint_url_is_rejected() {
    let peer = original("eu-west-1");
    let outcome = Covered::new(&peer).env("AWS_ENDPOINT_URL", "s3.example.com").run();
    outcome.rejects("AWS_ENDPOINT_URL \"s3.example.com\" must be an address such as https://covered.example.com");
}

#[test]
fn is_default_branch_still_works_with_a_deprecation_warning() {
    let peer = Peer::new();
    let deprecated = "warning: is-default-branch is deprecated: use --purge-cache (COVERED_PURGE_CACHE)";
    let outcome = Covered::new(&peer).event("schedule", "{}").env("COVERED_IS_DEFAULT_BRANCH", "1").run();
    outcome.succeeds().stdout_contains("Asked the server to refresh the badge").stderr_contains(deprecated);
    let outcome = Covered::new(&peer).env("COVERED_IS_DEFAULT_BRANCH", "false").run();
    outcome.succeeds().stdout_contains("Badge not updated").stderr_contains(deprecated);
    let outcome = Covered::new(&peer).arg("--is-default-branch").arg("--no-purge-cache").run();
    outcome.succeeds().stdout_contains("Badge not updated");
}

#[test]
fn contexts_that_the_originals_badge_ignores_cause_a_warning() {
    let warned = |context: &str, token: &str| {
        let peer = original("eu-west-1");
        let covered = Covered::new(&peer).env("COVERED_GH_TOKEN", token).env("COVERED_CONTEXT", context);
        let outcome = covered.env("AWS_ENDPOINT_URL", &peer.url).run().succeeds();
        outcome.stderr.lines().any(|line| {
            line.starts_with(&format!("warning: the server at {} is a backend of the Python original", peer.url))
                && line.contains("set `context: coverage` (--context)")
        })
    };
    assert!(warned("", TOKEN) && warned("ci/covered", TOKEN));
    assert!(!warned("coverage", TOKEN) && !warned("Code Coverage / unit", TOKEN) && !warned("", ""));
    Covered::new(&Peer::new()).run().succeeds().omits("Python original");
}

#[test]
fn the_originals_badge_is_invalidated_after_the_status_is_posted() {
    let peer = original("eu-west-1");
    let status = Reply::new(503, "").with("retry-after", "0");
    peer.on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [status.clone(), status, Reply::new(201, "{}")]);
    run(&peer).succeeds();
    let requests = peer.requests();
    let posted = requests.iter().rposition(|request| request.contains("/statuses/")).unwrap();
    assert!(posted < requests.iter().position(|request| request.contains("invalidate-cache")).unwrap(), "{requests:?}");
}
