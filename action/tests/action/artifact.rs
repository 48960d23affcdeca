//! A report from the artifact of the tested run.

use ring::digest;
use serde_json::{Value, json};

use crate::peer::{Peer, Reply};
use crate::report::uploaded;
use crate::run::{Covered, SHA, SIGNATURE, TOKEN};

/// Written by GitHub's client library; the total is 84.62%.
const ARTIFACT: &[u8] = include_bytes!("../fixtures/artifacts/actions-artifact.zip");
const LIST: &str = "/repos/octo/app/actions/runs/7/artifacts";
const ZIP: &str = "/repos/octo/app/actions/artifacts/42/zip";
const BLOB: &str = "/blobs/42.zip";

/// GitHub and the covered server, and the artifact store, which is another host.
struct Setup {
    peer: Peer,
    store: Peer,
}

fn sha256(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn artifact(id: u64, created_at: &str) -> Value {
    json!({"id": id, "name": "coverage html", "size_in_bytes": ARTIFACT.len(), "expired": false, "created_at": created_at,
        "expires_at": "2026-12-22T15:04:05Z", "digest": format!("sha256:{}", sha256(ARTIFACT)),
        "workflow_run": {"id": 7, "repository_id": 1, "head_repository_id": 2, "head_branch": "main", "head_sha": SHA}})
}

fn artifact_list(artifacts: &[Value]) -> Reply {
    Reply::new(200, json!({"total_count": artifacts.len(), "artifacts": artifacts}).to_string())
}

impl Setup {
    /// Run 7 has the artifact.
    fn new() -> Self {
        let (peer, store) = (Peer::new(), Peer::new());
        peer.on("GET", LIST, [artifact_list(&[artifact(42, "2026-11-22T15:04:05Z")])]);
        let setup = Self { peer, store };
        setup.redirects_to(&format!("{}{BLOB}?sig={SIGNATURE}", setup.store.url));
        setup.serve_zip(ARTIFACT);
        setup
    }

    fn redirects_to(&self, url: &str) {
        self.peer.on("GET", ZIP, [Reply::new(302, "").with("location", url)]);
    }

    /// Sets the artifact's bytes, with their digest.
    fn serve_zip(&self, bytes: &[u8]) {
        self.store.on("GET", BLOB, [Reply::new(200, bytes)]);
    }

    /// Sets the artifact's bytes, without a digest.
    fn serve_zip_without_digest(&self, bytes: &[u8]) {
        self.serve_zip(bytes);
        let mut artifact = artifact(42, "2026-11-22T15:04:05Z");
        artifact["digest"] = Value::Null;
        self.peer.on("GET", LIST, [artifact_list(&[artifact])]);
    }

    /// A second workflow, after the tests of a push to main.
    fn covered(&self) -> Covered {
        self.covered_for_run_with("success")
    }

    fn covered_for_run_with(&self, conclusion: &str) -> Covered {
        let event = json!({"workflow_run": {"id": 7, "event": "push", "conclusion": conclusion, "head_sha": SHA,
            "head_branch": "main", "head_repository": {"full_name": "octo/app"}},
            "repository": {"full_name": "octo/app", "default_branch": "main"}});
        Covered::without_report(&self.peer)
            .arg("--artifact=coverage html")
            .env("GITHUB_SHA", &"f".repeat(40))
            .event("workflow_run", &event.to_string())
    }

    /// Nothing was sent anywhere.
    #[track_caller]
    fn assert_nothing_sent(&self) {
        let sent: Vec<String> =
            self.peer.requests().into_iter().filter(|request| !request.starts_with("GET ")).collect();
        assert_eq!(sent, [""; 0]);
    }
}

#[test]
fn artifacts_of_renamed_repositories_are_found() {
    let setup = Setup::new();
    for (path, reply) in [
        (LIST, artifact_list(&[artifact(42, "2026-11-22T15:04:05Z")])),
        (ZIP, Reply::new(302, "").with("location", &format!("{}{BLOB}?sig={SIGNATURE}", setup.store.url))),
    ] {
        let new = path.replace("/repos/octo/app/", "/repositories/1296269/");
        let moved = Reply::new(301, "{}").with("location", &format!("{}{new}", setup.peer.url));
        setup.peer.on("GET", path, [moved]).on("GET", &new, [reply]);
    }
    setup
        .covered()
        .run()
        .succeeds()
        .stdout_contains("Note: GitHub has renamed or transferred octo/app")
        .outputs("uploaded=true");
    let listed = setup.peer.one("GET", "/repositories/1296269/actions/runs/");
    assert!(listed.target.ends_with("?name=coverage%20html&per_page=100"), "{}", listed.target);
}

#[test]
fn an_artifact_is_downloaded_by_name_and_uploaded() {
    let setup = Setup::new();
    setup
        .covered()
        .run()
        .succeeds()
        .stdout_contains(&format!("Uploading the artifact `coverage html` of run 7 for octo/app at {SHA}"))
        .stdout_contains("Downloaded the artifact `coverage html`, 3.9 kB, SHA-256 verified (")
        .stdout_contains("Found 84.62% of lines and branches (coverage.py, index.html)")
        .stdout_contains("Packed 6 files, 14.6 kB -> ")
        .outputs("coverage=84.62")
        .outputs("uploaded=true");
    let files = uploaded(&setup.peer);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, [".gitignore", "deep/é ü.html", "empty.css", "index.html", "none", "sample_py.html"]);
    assert_eq!(files["index.html"], include_bytes!("../fixtures/coverage_py/index.html"));
    assert_eq!(files["sample_py.html"], include_bytes!("../fixtures/coverage_py/sample_py.html"));
    setup.peer.one("POST", &format!("/repos/octo/app/statuses/{SHA}"));
    let listed = setup.peer.one("GET", LIST);
    assert_eq!(listed.target, format!("{LIST}?name=coverage%20html&per_page=100"));
    assert_eq!(listed.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
}

#[test]
fn the_artifact_store_receives_no_token_and_logs_omit_its_signature() {
    let setup = Setup::new();
    setup
        .covered()
        .env("RUNNER_DEBUG", "1")
        .in_actions()
        .run()
        .succeeds()
        .stdout_contains(&format!("{}{BLOB}", setup.store.url));
    let blob = setup.store.one("GET", BLOB);
    assert_eq!(blob.header("authorization"), None);
    assert_eq!(blob.header("token"), None);
    assert!(blob.target.contains(SIGNATURE), "{}", blob.target);
}

#[test]
fn the_artifact_of_the_newest_attempt_is_used() {
    let setup = Setup::new();
    let other_name = json!({"id": 44, "name": "coverage", "size_in_bytes": 1, "expired": false,
        "created_at": "2026-11-22T18:00:00Z"});
    let all = [artifact(43, "2026-11-22T15:04:04Z"), artifact(42, "2026-11-22T15:04:05Z"), other_name];
    setup.peer.on("GET", LIST, [artifact_list(&all)]);
    setup
        .covered()
        .run()
        .succeeds()
        .stdout_contains("Run 7 has 2 artifacts `coverage html`, one per attempt: using the newest");
    setup.peer.one("GET", ZIP);
}

#[test]
fn run_id_selects_the_run_and_defaults_to_the_event() {
    let setup = Setup::new();
    let push = || Covered::without_report(&setup.peer).env("INPUT_ARTIFACT", "coverage html");
    push().env("GITHUB_RUN_ID", "7").run().succeeds();
    push().env("INPUT_RUN_ID", "7").run().succeeds();
    push().arg("--run-id=7, 8").run().rejects("--run-id \"7, 8\" must be the ID of a workflow run, such as 1658821493");
    push().env("GITHUB_RUN_ID", "").run().rejects(
        "cannot find the artifact `coverage html`: missing run-id \
         (--run-id), as the event",
    );
    push().env("COVERED_GH_TOKEN", "").run().rejects(
        "cannot find the artifact `coverage html`: missing github-token \
         (--gh-token): a token with `actions: read`",
    );
    let outcome = push().arg("--artifact=a/b").run().rejects("--artifact \"a/b\" must be a valid artifact name");
    assert!(!outcome.stderr.contains("missing directory"), "{}", outcome.stderr);
    let covered = Covered::new(&setup.peer).arg("--run-id=7");
    covered.run().rejects("--run-id requires --artifact, the name of the artifact");
    let other = "e".repeat(40);
    let message = format!("warning: run 7 tested commit {SHA}, but the status goes to {other}");
    setup.peer.on("POST", &format!("/repos/octo/app/statuses/{other}"), [Reply::new(201, "{}")]);
    setup.covered().arg(format!("--commit-sha={other}")).run().succeeds().stderr_contains(&message);
    let mut endless = artifact(42, "2026-11-22T15:04:05Z");
    endless["workflow_run"]["head_sha"] = json!("z".repeat(100_000));
    setup.peer.on("GET", LIST, [artifact_list(&[endless])]);
    let outcome = setup.covered().run().succeeds().stderr_contains("warning: run 7 tested commit zzz");
    assert!(outcome.summary.len() < 2_000, "{}", outcome.summary.len());
}

#[test]
fn a_folder_inside_the_artifact_can_be_the_report() {
    let setup = Setup::new();
    setup.covered().arg("deep").run().succeeds().stdout_contains("Packed 1 file");
    assert!(uploaded(&setup.peer).contains_key("é ü.html"));
    let error = "cannot use the artifact `coverage html`: it contains nothing in `htmlcov/`, only ";
    setup.covered().env("INPUT_PATH", "htmlcov").run().fails(error).stderr_contains("correct `path`, or leave it out");
}

#[test]
fn errors_for_missing_artifacts_list_the_existing_ones() {
    let setup = Setup::new();
    let text = "run 7 of octo/app has no artifact `coverage html`, ";
    setup.peer.on("GET", LIST, [artifact_list(&[])]);
    setup.covered().run().fails(&format!("{text}none at all: upload the report there with actions/upload-artifact"));
    let of = |name: &str| json!({"id": 1, "name": name, "size_in_bytes": 1, "expired": false});
    setup.peer.on("GET", LIST, [artifact_list(&[]), artifact_list(&[of("logs"), of("::error::\u{1b}[31mx")])]);
    setup.covered_for_run_with("cancelled").run().fails(&format!(
        "{text}only `::error:: [31mx`, `logs`; that run ended with `cancelled`: upload the report there"
    ));
    setup.assert_nothing_sent();
}

#[test]
fn expired_artifacts_are_reported() {
    let setup = Setup::new();
    let mut expired = artifact(42, "2026-11-22T15:04:05Z");
    expired["expired"] = json!(true);
    setup.peer.on("GET", LIST, [artifact_list(&[expired])]);
    let text = "the artifact `coverage html` of run 7 expired at 2026-12-22T15:04:05Z: run the tests again";
    setup.covered().run().fails(text);
    let setup = Setup::new();
    setup.peer.on("GET", ZIP, [Reply::new(410, r#"{"message":"Artifact has expired"}"#)]);
    setup.covered().run().fails(text);
    setup.assert_nothing_sent();
}

#[test]
fn errors_name_the_missing_permission() {
    let setup = Setup::new();
    let refused = Reply::new(403, r#"{"message":"Resource not accessible by integration"}"#);
    for path in [ZIP, LIST] {
        setup.peer.on("GET", path, [refused.clone()]);
        setup.covered().run().fails("give the job `permissions: actions: read`");
    }
    setup.peer.on("GET", LIST, [Reply::new(404, r#"{"message":"Not Found"}"#)]);
    setup
        .covered()
        .run()
        .fails("check run-id and the repository's name, and give the job `permissions: actions: read`");
    setup.peer.on("GET", LIST, [Reply::new(401, r#"{"message":"Bad credentials"}"#)]);
    setup.covered().run().fails("GitHub does not accept the token (401 Unauthorized: Bad credentials)");
    setup.assert_nothing_sent();
}

#[test]
fn reports_of_failed_runs_are_uploaded_with_a_warning() {
    let setup = Setup::new();
    let message = "run 7 ended with `failure`: its report may cover only part of the tests";
    setup
        .covered_for_run_with("failure")
        .run()
        .succeeds()
        .stderr_contains(&format!("warning: {message}"))
        .outputs("uploaded=true");
}

#[test]
fn errors_for_a_wrong_digest_show_both_digests() {
    let setup = Setup::new();
    setup.serve_zip(b"something else");
    let (actual, expected) = (sha256(b"something else"), sha256(ARTIFACT));
    setup.covered().run().fails(&format!("has the SHA-256 {actual}, but GitHub's is {expected}: run the job again"));
    setup.assert_nothing_sent();
    // Older servers send no digest.
    setup.serve_zip_without_digest(ARTIFACT);
    setup.covered().run().succeeds().stdout_contains("without a SHA-256 from GitHub");
}

#[test]
fn interrupted_downloads_are_retried() {
    let setup = Setup::new();
    setup.store.on("GET", BLOB, [Reply::Truncated, Reply::new(503, ""), Reply::new(200, ARTIFACT)]);
    setup
        .covered()
        .run()
        .succeeds()
        .stdout_contains("closed the connection before the response was complete, retrying in ");
    assert_eq!(setup.store.requests().len(), 3);
    setup.store.on(
        "GET",
        BLOB,
        [Reply::new(403, "<Error><Code>AuthenticationFailed</Code><Message>No</Message></Error>")],
    );
    setup.covered().run().fails("GitHub's store did not return the artifact `coverage html` (403 Forbidden: Authent");
}

#[test]
fn redirects_to_invalid_urls_are_not_followed() {
    let setup = Setup::new();
    for url in ["ftp://127.0.0.1/x", "/blobs/42.zip", "http://", "http:///x", "x"] {
        setup.redirects_to(url);
        setup
            .covered()
            .run()
            .fails("GitHub returned no usable download URL for the artifact `coverage html` (302 Found");
    }
    assert_eq!(setup.store.requests(), [""; 0]);
    setup.assert_nothing_sent();
}

#[test]
fn invalid_artifacts_are_rejected_before_anything_is_sent() {
    let setup = Setup::new();
    for (bytes, message) in [
        (&b"<html>a file, uploaded with archive: false"[..], "invalid or truncated zip"),
        (&ARTIFACT[..ARTIFACT.len() - 1], "invalid or truncated zip"),
        (include_bytes!("../fixtures/artifacts/info-zip.zip").as_slice(), ""),
    ] {
        setup.serve_zip_without_digest(bytes);
        match message {
            "" => setup.covered().run().succeeds(),
            message => {
                let outcome =
                    setup.covered().run().fails(&format!("cannot use the artifact `coverage html`: {message}"));
                setup.assert_nothing_sent();
                outcome
            }
        };
    }
    let at = ARTIFACT.windows(10).position(|window| window == b"index.html").unwrap();
    let mut forged = ARTIFACT.to_vec();
    forged[at + 20] ^= 0x55;
    let setup = Setup::new();
    setup.serve_zip_without_digest(&forged);
    // The index is read first.
    setup.covered().run().stderr_contains("the zip is damaged, or was forged");
    setup.assert_nothing_sent();
}

#[test]
fn a_dry_run_reads_the_artifact_and_sends_nothing() {
    let setup = Setup::new();
    setup
        .covered()
        .arg("--dry-run")
        .run()
        .succeeds()
        .stdout_contains("Found 84.62%")
        .stdout_contains("Dry run: nothing is sent");
    setup.assert_nothing_sent();
}

#[test]
fn the_python_originals_backend_cannot_receive_artifacts() {
    let setup = Setup::new();
    let session = r#"{"site_id":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","bucket":"b","region":"r","access_key_id":"a",
        "secret_access_key":"s","session_token":"t"}"#;
    setup.peer.on("POST", "/coverage/create-site/", [Reply::new(200, session)]);
    setup.covered().run().fails("a backend of the Python original cannot receive a report from an artifact");
}
