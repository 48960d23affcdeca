//! Validates our requests to GitHub, and the stub's responses, with GitHub's published OpenAPI document and schema.

use serde_json::{Value, json};
use xtask::lab::covered::covered;
use xtask::lab::github::{Fault, Status};
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
