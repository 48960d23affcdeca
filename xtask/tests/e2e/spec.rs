//! Validates our requests to GitHub, and the stub's responses, with GitHub's published OpenAPI document and schema.

use serde_json::{Value, json};
use xtask::lab::covered::covered;
use xtask::lab::github::{Author, ChangedFile, Comment, Fault, Github, PullRequest, Status};
use xtask::lab::http;
use xtask::lab::node::{Prism, check_graphql};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::process::run;
use xtask::lab::report;

use crate::{NEXT_SHA, REPOSITORY, SHA, World, setting};

/// Prism's mark of an error in its log; the word alone may occur in its generated URLs.
const PRISM_ERROR: &str = "✖  error";

#[test]
fn rest_requests_and_responses_match_githubs_openapi() {
    if skip_without(&[Part::Node]) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    let badge = format!("{}/badge/{REPOSITORY}.svg", world.server.url);
    world.github.set_readme(REPOSITORY, &[&badge]);
    let prism = Prism::start(&world.github.url());
    let folder = world.folder.path().join("report");
    report::small(&folder, "87.5");
    let mut command = covered(&folder, &world.server.url, &prism.url, REPOSITORY, SHA);
    // The image proxy is not part of the API; its URL is in the README.
    command.env("GITHUB_SERVER_URL", world.github.url()).args(["--coverage-threshold", "80", "--purge-cache"]);
    let log = run(&mut command).unwrap().succeeded().text();
    assert!(!log.contains("warning"), "{log}");
    assert_eq!(world.github.statuses(REPOSITORY, SHA).len(), 1);
    assert_eq!(world.github.purged(), [badge]);
    for request in ["post /repos/octo/app/statuses/", "get /repos/octo/app/readme"] {
        prism.process.wait_for_line(|line| line.contains(request).then_some(())).unwrap();
    }
    let seen = prism.process.output();
    assert!(!seen.contains(PRISM_ERROR), "prism found:\n{seen}");
}

#[test]
fn prism_rejects_what_violates_githubs_openapi() {
    if skip_without(&[Part::Node]) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    let prism = Prism::start(&world.github.url());
    let url = format!("{}/repos/{REPOSITORY}/statuses/{SHA}", prism.url);
    let headers = [("authorization", "Bearer t"), ("content-type", "application/json")];
    let post = |state: &str| {
        let body = json!({"state": state}).to_string();
        http::request("POST", &url, &headers, body).unwrap()
    };
    assert_eq!(post("green").status, 422);
    assert!(world.github.requests().is_empty(), "prism must not forward the request");
    prism.process.wait_for_line(|line| line.contains(PRISM_ERROR).then_some(())).unwrap();

    assert_eq!(post("success").status, 201);
    world.github.set_fault(Fault::Status { code: 201, headers: Vec::new(), body: "{}".into() });
    let response = post("success");
    assert_eq!(response.status, 500, "a response without its fields: {}", response.text());
}

/// A request with its expected status code.
type Exchange<'a> = (&'a str, &'a str, Option<Value>, u16);

fn pull_request() -> PullRequest {
    PullRequest {
        number: 7,
        head_sha: NEXT_SHA.into(),
        head_ref: "feature/näme".into(),
        head_repository: Some((77, "fork/app".into())),
        base_sha: SHA.into(),
        merge_base_sha: SHA.into(),
        merge_commit_sha: Some("2".repeat(40)),
        files: vec![
            ChangedFile::modified("src/a b.rs", "@@ -1 +1 @@\n-a\n+b"),
            ChangedFile::renamed("old.rs", "new.rs", ""),
            ChangedFile { patch: None, ..ChangedFile::added("picture.png", "") },
        ],
        comments: vec![Comment::new(Author::person("reviewer"), "Please test this.")],
        ..PullRequest::default()
    }
}

/// A check run with this number of annotations.
fn check_run(annotations: usize) -> Value {
    let annotation = json!({"path": "a.rs", "start_line": 1, "end_line": 3, "annotation_level": "notice",
        "message": "Lines 1 to 3 are not covered"});
    let output = json!({"title": "83.33%", "summary": "2 lines", "annotations": vec![annotation; annotations]});
    json!({"name": "covered/patch", "head_sha": NEXT_SHA, "status": "completed", "conclusion": "neutral",
        "output": output})
}

#[test]
fn requests_for_pull_requests_match_githubs_openapi() {
    if skip_without(&[Part::Node]) {
        return;
    }
    let github = Github::start();
    github.add_repository(REPOSITORY, "main");
    github.push(REPOSITORY, "main", SHA);
    github.add_pull_request(REPOSITORY, pull_request());
    github.change_pull_request(REPOSITORY, 7, |pull| pull.comments[0].id = 12);
    let blob = github.add_file(REPOSITORY, SHA, "src/a b.rs", b"text");
    let prism = Prism::start(&github.url());
    let run = check_run(1);
    let (blob, compared) = (format!("git/blobs/{blob}"), format!("compare/{SHA}...{NEXT_SHA}"));
    let exchanges: [Exchange; 19] = [
        ("GET", "pulls?state=open&head=fork:feature%2Fn%C3%A4me&per_page=100&page=1", None, 200),
        ("GET", "pulls/7", None, 200),
        ("GET", "pulls/8", None, 404),
        ("GET", "pulls/7/files?per_page=2&page=1", None, 200),
        ("GET", &compared, None, 200),
        ("GET", &format!("compare/{SHA}...{SHA}?per_page=1&page=1"), None, 200),
        ("GET", &format!("compare/{SHA}...gone"), None, 404),
        ("GET", &format!("commits/{}", "2".repeat(40)), None, 200),
        ("GET", "commits/gone", None, 422),
        ("GET", &blob, None, 200),
        ("GET", &format!("git/commits/{}", "2".repeat(40)), None, 200),
        ("GET", &format!("git/trees/{SHA}?recursive=1"), None, 200),
        ("GET", "issues/7/comments?per_page=100&page=1", None, 200),
        ("POST", "issues/7/comments", Some(json!({"body": "83.33%"})), 201),
        ("POST", "issues/7/comments", Some(json!({"body": "x".repeat(65_537)})), 422),
        ("PATCH", "issues/comments/12", Some(json!({"body": "84%"})), 200),
        ("DELETE", "issues/comments/12", None, 204),
        ("POST", "check-runs", Some(run.clone()), 201),
        ("PATCH", "check-runs/ID", Some(json!({"conclusion": "success", "output": run["output"]})), 200),
    ];
    for (method, path, body, status) in exchanges {
        let id = github.check_runs(REPOSITORY).first().map_or(0, |run| run.id).to_string();
        let url = format!("{}/repos/{REPOSITORY}/{}", prism.url, path.replace("ID", &id));
        let mut headers = vec![("authorization", "Bearer t"), ("accept", "application/vnd.github+json")];
        headers.extend(body.is_some().then_some(("content-type", "application/json")));
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let reply = http::request(method, &url, &headers, body).unwrap();
        assert_eq!(reply.status, status, "{method} {path}: {}\n{}", reply.text(), prism.process.output());
        assert_ne!(reply.text(), "[]", "{method} {path}: an empty list proves nothing");
    }
    let headers = [("authorization", "Bearer t"), ("accept", "application/vnd.github.raw")];
    // Prism parses a response to "application/vnd.github.raw+json" as JSON, and takes a slash for the end of a parameter.
    for path in [&blob, &format!("contents/src%2Fa%20b.rs?ref={SHA}")] {
        let url = format!("{}/repos/{REPOSITORY}/{path}", prism.url);
        assert_eq!(http::request("GET", &url, &headers, "").unwrap().text(), "text", "{}", prism.process.output());
    }
    let seen = prism.process.output();
    assert!(!seen.contains(PRISM_ERROR), "prism found:\n{seen}");

    let url = format!("{}/repos/{REPOSITORY}/check-runs", prism.url);
    let headers = [("authorization", "Bearer t"), ("content-type", "application/json")];
    let too_many = http::request("POST", &url, &headers, check_run(51).to_string()).unwrap();
    assert_eq!(too_many.status, 422, "{}", too_many.text());
    assert_eq!(github.check_runs(REPOSITORY)[0].annotations.len(), 2);
}

#[test]
fn graphql_queries_and_responses_match_githubs_schema() {
    if skip_without(&[Part::Node]) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    for (sha, context) in [(SHA, "covered"), (NEXT_SHA, "coverage")] {
        let status = Status {
            context: context.into(),
            state: "success".into(),
            description: "87.5%".into(),
            target_url: format!("{}/coverage/{SHA}/", world.server.url),
        };
        world.github.push(REPOSITORY, "main", sha);
        world.github.set_status(REPOSITORY, sha, status);
    }
    for path in ["/badge/octo/app.svg", "/badge/octo/app.svg?branch=main", "/badge/octo/app.svg?name=api&branch=x"] {
        assert_eq!(world.server.get(path).status, 200);
    }
    let requests = world.github.requests();
    let queries: Vec<_> = requests.iter().filter(|request| request.path == "/graphql").collect();
    assert_eq!(queries.len(), 3, "{requests:?}");
    for query in queries {
        let url = format!("{}/graphql", world.github.url());
        let headers = [("authorization", "Bearer t")];
        let reply = http::request("POST", &url, &headers, query.body.clone()).unwrap();
        let request: Value = serde_json::from_str(&query.body).unwrap();
        let response: Value = serde_json::from_slice(&reply.body).unwrap();
        check_graphql(&request, &response).succeeded();
        let wrong = json!({"data": {"repository": {}}});
        check_graphql(&request, &wrong).failed();
    }
}
