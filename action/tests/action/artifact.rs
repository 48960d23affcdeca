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
struct World {
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

fn listed(artifacts: &[Value]) -> Reply {
    Reply::new(200, json!({"total_count": artifacts.len(), "artifacts": artifacts}).to_string())
}

impl World {
    /// Run 7 has the artifact.
    fn new() -> Self {
        let (peer, store) = (Peer::new(), Peer::new());
        peer.on("GET", LIST, [listed(&[artifact(42, "2026-11-22T15:04:05Z")])]);
        let world = Self { peer, store };
        world.leads(&format!("{}{BLOB}?sig={SIGNATURE}", world.store.url));
        world.holds(ARTIFACT);
        world
    }

    fn leads(&self, url: &str) {
        self.peer.on("GET", ZIP, [Reply::new(302, "").with("location", url)]);
    }

    /// Sets the artifact's bytes, with their digest.
    fn holds(&self, bytes: &[u8]) {
        self.store.on("GET", BLOB, [Reply::new(200, bytes)]);
    }

    /// Sets the artifact's bytes, without a digest.
    fn holds_anything(&self, bytes: &[u8]) {
        self.holds(bytes);
        let mut artifact = artifact(42, "2026-11-22T15:04:05Z");
        artifact["digest"] = Value::Null;
        self.peer.on("GET", LIST, [listed(&[artifact])]);
    }

    /// A second workflow, after the tests of a push to main.
    fn covered(&self) -> Covered {
        self.covered_after("success")
    }

    fn covered_after(&self, conclusion: &str) -> Covered {
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
    fn sent_nothing(&self) {
        let sent: Vec<String> = self.peer.asked().into_iter().filter(|asked| !asked.starts_with("GET ")).collect();
        assert_eq!(sent, [""; 0]);
    }
}

#[test]
fn it_is_found_in_a_repository_that_was_renamed() {
    let world = World::new();
    for (path, reply) in [
        (LIST, listed(&[artifact(42, "2026-11-22T15:04:05Z")])),
        (ZIP, Reply::new(302, "").with("location", &format!("{}{BLOB}?sig={SIGNATURE}", world.store.url))),
    ] {
        let new = path.replace("/repos/octo/app/", "/repositories/1296269/");
        let moved = Reply::new(301, "{}").with("location", &format!("{}{new}", world.peer.url));
        world.peer.on("GET", path, [moved]).on("GET", &new, [reply]);
    }
    world.covered().run().succeeds().says("Note: GitHub has renamed or transferred octo/app").outputs("uploaded=true");
    let listed = world.peer.one("GET", "/repositories/1296269/actions/runs/");
    assert!(listed.target.ends_with("?name=coverage%20html&per_page=100"), "{}", listed.target);
}

#[test]
fn it_is_found_by_its_name_downloaded_and_uploaded_without_a_folder() {
    let world = World::new();
    world
        .covered()
        .run()
        .succeeds()
        .says(&format!("Uploading the artifact `coverage html` of run 7 for octo/app at {SHA}"))
        .says("Downloaded the artifact `coverage html`, 3.9 kB, SHA-256 verified (")
        .says("Found 84.62% of lines and branches (coverage.py, index.html)")
        .says("Packed 6 files, 14.6 kB -> ")
        .outputs("coverage=84.62")
        .outputs("uploaded=true");
    let files = uploaded(&world.peer);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, [".gitignore", "deep/é ü.html", "empty.css", "index.html", "none", "sample_py.html"]);
    assert_eq!(files["index.html"], include_bytes!("../fixtures/coverage_py/index.html"));
    assert_eq!(files["sample_py.html"], include_bytes!("../fixtures/coverage_py/sample_py.html"));
    world.peer.one("POST", &format!("/repos/octo/app/statuses/{SHA}"));
    let listed = world.peer.one("GET", LIST);
    assert_eq!(listed.target, format!("{LIST}?name=coverage%20html&per_page=100"));
    assert_eq!(listed.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
}

#[test]
fn the_store_sees_no_token_and_no_log_its_address() {
    let world = World::new();
    world.covered().env("RUNNER_DEBUG", "1").in_actions().run().succeeds().says(&format!("{}{BLOB}", world.store.url));
    let blob = world.store.one("GET", BLOB);
    assert_eq!(blob.header("authorization"), None);
    assert_eq!(blob.header("token"), None);
    assert!(blob.target.contains(SIGNATURE), "{}", blob.target);
}

#[test]
fn the_newest_attempts_is_taken() {
    let world = World::new();
    let of_another_name = json!({"id": 44, "name": "coverage", "size_in_bytes": 1, "expired": false,
        "created_at": "2026-11-22T18:00:00Z"});
    let all = [artifact(43, "2026-11-22T15:04:04Z"), artifact(42, "2026-11-22T15:04:05Z"), of_another_name];
    world.peer.on("GET", LIST, [listed(&all)]);
    world.covered().run().succeeds().says("Run 7 has 2 artifacts `coverage html`, one per attempt: using the newest");
    world.peer.one("GET", ZIP);
}

#[test]
fn the_run_is_the_one_that_is_named_else_the_events_own() {
    let world = World::new();
    let push = || Covered::without_report(&world.peer).env("INPUT_ARTIFACT", "coverage html");
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
    let ended = push().arg("--artifact=a/b").run().rejects("--artifact \"a/b\" must be a valid artifact name");
    assert!(!ended.stderr.contains("missing directory"), "{}", ended.stderr);
    let covered = Covered::new(&world.peer).arg("--run-id=7");
    covered.run().rejects("--run-id requires --artifact, the name of the artifact");
    let other = "e".repeat(40);
    let message = format!("warning: run 7 tested commit {SHA}, but the status goes to {other}");
    world.peer.on("POST", &format!("/repos/octo/app/statuses/{other}"), [Reply::new(201, "{}")]);
    world.covered().arg(format!("--commit-sha={other}")).run().succeeds().complains(&message);
    let mut endless = artifact(42, "2026-11-22T15:04:05Z");
    endless["workflow_run"]["head_sha"] = json!("z".repeat(100_000));
    world.peer.on("GET", LIST, [listed(&[endless])]);
    let ended = world.covered().run().succeeds().complains("warning: run 7 tested commit zzz");
    assert!(ended.summary.len() < 2_000, "{}", ended.summary.len());
}

#[test]
fn a_folder_inside_the_artifact_can_be_the_report() {
    let world = World::new();
    world.covered().arg("deep").run().succeeds().says("Packed 1 file");
    assert!(uploaded(&world.peer).contains_key("é ü.html"));
    let error = "cannot use the artifact `coverage html`: it contains nothing in `htmlcov/`, only ";
    world.covered().env("INPUT_PATH", "htmlcov").run().fails(error).complains("correct `path`, or leave it out");
}

#[test]
fn one_that_is_not_there_is_reported_with_those_that_are() {
    let world = World::new();
    let text = "run 7 of octo/app has no artifact `coverage html`, ";
    world.peer.on("GET", LIST, [listed(&[])]);
    world.covered().run().fails(&format!("{text}none at all: upload the report there with actions/upload-artifact"));
    let of = |name: &str| json!({"id": 1, "name": name, "size_in_bytes": 1, "expired": false});
    world.peer.on("GET", LIST, [listed(&[]), listed(&[of("logs"), of("::error::\u{1b}[31mx")])]);
    world.covered_after("cancelled").run().fails(&format!(
        "{text}only `logs`, `::error:: [31mx`; that run ended with `cancelled`: upload the report there"
    ));
    world.sent_nothing();
}

#[test]
fn an_expired_one_is_reported() {
    let world = World::new();
    let mut expired = artifact(42, "2026-11-22T15:04:05Z");
    expired["expired"] = json!(true);
    world.peer.on("GET", LIST, [listed(&[expired])]);
    let text = "the artifact `coverage html` of run 7 expired at 2026-12-22T15:04:05Z: run the tests again";
    world.covered().run().fails(text);
    let world = World::new();
    world.peer.on("GET", ZIP, [Reply::new(410, r#"{"message":"Artifact has expired"}"#)]);
    world.covered().run().fails(text);
    world.sent_nothing();
}

#[test]
fn a_missing_permission_is_named() {
    let world = World::new();
    let refused = Reply::new(403, r#"{"message":"Resource not accessible by integration"}"#);
    for path in [ZIP, LIST] {
        world.peer.on("GET", path, [refused.clone()]);
        world.covered().run().fails("give the job `permissions: actions: read`");
    }
    world.peer.on("GET", LIST, [Reply::new(404, r#"{"message":"Not Found"}"#)]);
    world
        .covered()
        .run()
        .fails("check run-id and the repository's name, and give the job `permissions: actions: read`");
    world.peer.on("GET", LIST, [Reply::new(401, r#"{"message":"Bad credentials"}"#)]);
    world.covered().run().fails("GitHub does not accept the token (401 Unauthorized: Bad credentials)");
    world.sent_nothing();
}

#[test]
fn a_failed_runs_report_is_uploaded_and_the_failure_reported() {
    let world = World::new();
    let message = "run 7 ended with `failure`: its report may cover only part of the tests";
    world.covered_after("failure").run().succeeds().complains(&format!("warning: {message}")).outputs("uploaded=true");
}

#[test]
fn another_digest_than_githubs_names_both() {
    let world = World::new();
    world.holds(b"something else");
    let (came, expected) = (sha256(b"something else"), sha256(ARTIFACT));
    world.covered().run().fails(&format!("has the SHA-256 {came}, but GitHub's is {expected}: run the job again"));
    world.sent_nothing();
    // Older servers send no digest.
    world.holds_anything(ARTIFACT);
    world.covered().run().succeeds().says("without a SHA-256 from GitHub");
}

#[test]
fn a_download_that_breaks_is_tried_again() {
    let world = World::new();
    world.store.on("GET", BLOB, [Reply::Truncated, Reply::new(503, ""), Reply::new(200, ARTIFACT)]);
    world.covered().run().succeeds().says("closed the connection before the response was complete, retrying in ");
    assert_eq!(world.store.asked().len(), 3);
    world.store.on(
        "GET",
        BLOB,
        [Reply::new(403, "<Error><Code>AuthenticationFailed</Code><Message>No</Message></Error>")],
    );
    world.covered().run().fails("GitHub's store did not return the artifact `coverage html` (403 Forbidden: Authent");
}

#[test]
fn a_redirect_to_nowhere_is_not_followed() {
    let world = World::new();
    for url in ["ftp://127.0.0.1/x", "/blobs/42.zip", "http://", "http:///x", "x"] {
        world.leads(url);
        world
            .covered()
            .run()
            .fails("GitHub returned no usable download URL for the artifact `coverage html` (302 Found");
    }
    assert_eq!(world.store.asked(), [""; 0]);
    world.sent_nothing();
}

#[test]
fn what_no_report_can_be_is_refused_before_anything_is_sent() {
    let world = World::new();
    for (bytes, message) in [
        (&b"<html>a file, uploaded with archive: false"[..], "invalid or truncated zip"),
        (&ARTIFACT[..ARTIFACT.len() - 1], "invalid or truncated zip"),
        (include_bytes!("../fixtures/artifacts/info-zip.zip").as_slice(), ""),
    ] {
        world.holds_anything(bytes);
        match message {
            "" => world.covered().run().succeeds(),
            message => {
                let ended = world.covered().run().fails(&format!("cannot use the artifact `coverage html`: {message}"));
                world.sent_nothing();
                ended
            }
        };
    }
    let at = ARTIFACT.windows(10).position(|window| window == b"index.html").unwrap();
    let mut forged = ARTIFACT.to_vec();
    forged[at + 20] ^= 0x55;
    let world = World::new();
    world.holds_anything(&forged);
    // The index is read first.
    world.covered().run().complains("the zip is damaged, or was forged");
    world.sent_nothing();
}

#[test]
fn a_dry_run_reads_the_artifact_and_sends_nothing() {
    let world = World::new();
    world.covered().arg("--dry-run").run().succeeds().says("Found 84.62%").says("Dry run: nothing is sent");
    world.sent_nothing();
}

#[test]
fn a_backend_of_the_python_original_is_reported_to_have_no_use_for_it() {
    let world = World::new();
    let session = r#"{"site_id":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","bucket":"b","region":"r","access_key_id":"a",
        "secret_access_key":"s","session_token":"t"}"#;
    world.peer.on("POST", "/coverage/create-site/", [Reply::new(200, session)]);
    world.covered().run().fails("a backend of the Python original cannot receive a report from an artifact");
}
