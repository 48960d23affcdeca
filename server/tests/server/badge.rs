//! `GET /badge/…` and `GET /badge/redirect/…`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use tempfile::TempDir;
use xtask::lab::github::{Fault, Github, Status};

use crate::support::*;

const SITE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn github() -> Github {
    let github = Github::start();
    github.add_repository("Octo/App", "main");
    github
}

fn status(context: &str, state: &str, description: &str, target_url: &str) -> Status {
    Status {
        context: context.into(),
        state: state.into(),
        description: description.into(),
        target_url: target_url.into(),
    }
}

fn sha(number: u32) -> String {
    format!("{number:040x}")
}

async fn server(github: &Github, folder: &TempDir) -> Server {
    Server::on(folder, &[("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", &github.url())]).await
}

async fn location(server: &Server, path: &str) -> (u16, String) {
    let response = server.get(path).header("accept", "application/json").send().await.unwrap();
    let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), location.unwrap_or_default())
}

#[tokio::test]
async fn the_newest_status_of_the_default_branch_is_shown() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    let link = format!("{}/coverage/{SITE}/", server.url);
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("covered", "success", "87.42%", &link));
    // CI of the next commit is still running; the one after was never tested.
    github.push("octo/app", "main", &sha(2));
    github.set_status("octo/app", &sha(2), status("covered", "pending", "", ""));
    github.push("octo/app", "main", &sha(3));
    assert_eq!(server.badge("/badge/Octo/App.svg").await, "coverage: 87%");
    assert_eq!(location(&server, "/badge/redirect/octo/app/").await, (307, format!("/coverage/{SITE}/")));
    assert_eq!(location(&server, "/badge/redirect/octo/app").await, (307, format!("/coverage/{SITE}/")));
    let json = server.get("/badge/octo/app.json").send().await.unwrap().text().await.unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["schemaVersion"].as_u64(), json["label"].as_str(), json["message"].as_str()),
        (Some(1), Some("coverage"), Some("87%"))
    );
    assert_eq!((json["percent"].as_f64(), json["color"].as_str()), (Some(87.42), Some("#34D058")));
    assert_eq!(github.requests().len(), 1, "one look-up for all four");
}

#[tokio::test]
async fn the_originals_context_is_read_and_names_and_branches_are_separate() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("coverage", "success", "Coverage 70.5%", ""));
    github.set_status("octo/app", &sha(1), status("covered/Backend", "failure", "55%", ""));
    github.push("octo/app", "feature/x", &sha(2));
    github.set_status("octo/app", &sha(2), status("covered", "success", "91%", ""));
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 70%");
    assert_eq!(server.badge("/badge/octo/app.svg?name=backend").await, "coverage: 55%");
    assert_eq!(server.badge("/badge/octo/app.svg?branch=feature/x").await, "coverage: 91%");
    assert_eq!(server.badge("/badge/octo/app.svg?branch=none").await, "coverage: ??");
    assert_eq!(server.badge("/badge/octo/app.svg?name=frontend").await, "coverage: ??");
}

#[tokio::test]
async fn other_contexts_and_error_states_are_read_like_the_original() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    for (number, statuses, badge, colour) in [
        (1, vec![("Smokeshow / Coverage", "success", "Coverage 71.5%")], "coverage: 71%", "#34D058"),
        (2, vec![("coverage", "error", "Coverage 12%")], "coverage: 12%", "#CB2431"),
        // A newer status of another tool does not replace Covered's or the original's.
        (3, vec![("covered", "success", "90%"), ("ci/coverage", "success", "50%")], "coverage: 90%", "#34D058"),
        (
            4,
            vec![("coverage", "success", "Coverage 89%"), ("x-coverage", "failure", "50%")],
            "coverage: 89%",
            "#34D058",
        ),
        (5, vec![("a-coverage", "success", "40%"), ("b-coverage", "failure", "50%")], "coverage: 50%", "#CB2431"),
        // Not a number in the original's or Covered's format.
        (6, vec![("coverage/coveralls", "success", "Coverage increased (+0.1%) to 80%")], "coverage: ??", "#9F9F9F"),
        (7, vec![("covered", "failure", "no total found, and the threshold is 80%")], "coverage: ??", "#9F9F9F"),
        // A named report's status does not count for the report without a name.
        (8, vec![("covered/coverage", "success", "33%")], "coverage: ??", "#9F9F9F"),
        // The action posts the changed lines' coverage with this suffix.
        (9, vec![("a-coverage", "success", "90%"), ("a-coverage/patch", "failure", "40%")], "coverage: 90%", "#34D058"),
    ] {
        let repository = format!("octo/app{number}");
        github.add_repository(&repository, "main");
        github.push(&repository, "main", &sha(1));
        for (context, state, description) in statuses {
            github.set_status(&repository, &sha(1), status(context, state, description, ""));
        }
        assert_eq!(server.badge(&format!("/badge/{repository}.svg")).await, badge, "{number}");
        let json = server.get(&format!("/badge/{repository}.json")).send().await.unwrap().text().await.unwrap();
        assert!(json.contains(colour), "{number}: {json}");
    }
    assert_eq!(server.badge("/badge/octo/app8.svg?name=coverage").await, "coverage: 33%");
}

#[tokio::test]
async fn an_older_covered_status_takes_precedence_over_other_tools() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("covered", "success", "90%", ""));
    // CI of the next commit is still running, and the other tool was first.
    github.push("octo/app", "main", &sha(2));
    github.set_status("octo/app", &sha(2), status("ci/coverage", "success", "50%", ""));
    github.set_status("octo/app", &sha(2), status("covered", "pending", "", ""));
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 90%");
}

#[tokio::test]
async fn links_to_a_former_url_work_if_the_site_record_matches() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let old = server(&github, &folder).await;
    let path = old.upload(zip(&[("index.html", b"<p>87%")])).await;
    let other_site = old.create().await["site_id"].as_str().unwrap().to_owned();
    old.stop().await;
    github.push("octo/app", "main", &sha(1));
    // The server had another host and port before; the site's record has the repository.
    let link = format!("https://gone.example.com:8443/covered{path}");
    github.set_status("octo/app", &sha(1), status("covered", "success", "87%", &link));
    let server = server(&github, &folder).await;
    assert_eq!(location(&server, "/badge/redirect/octo/app/").await, (307, path.clone()));
    assert_eq!(server.get(&path).send().await.unwrap().status(), 200);
    // A site of octo/app does not count for another repository.
    github.add_repository("evil/app", "main");
    github.push("evil/app", "main", &sha(1));
    let link = format!("https://gone.example.com/coverage/{other_site}/");
    github.set_status("evil/app", &sha(1), status("covered", "success", "87%", &link));
    assert_eq!(server.badge("/badge/evil/app.svg").await, "coverage: 87%");
    assert_eq!(location(&server, "/badge/redirect/evil/app/").await.0, 404);
}

#[tokio::test]
async fn reports_without_a_record_are_found_by_former_urls() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    github.push("octo/app", "main", &sha(1));
    let link = "https://hosted.example.com/coverage/0123456789ab/";
    github.set_status("octo/app", &sha(1), status("coverage", "success", "Coverage 70.5%", link));
    let url = github.url();
    let mut settings = vec![("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", url.as_str())];
    let without = Server::on(&folder, &settings).await;
    assert_eq!(location(&without, "/badge/redirect/octo/app/").await.0, 404);
    settings.push(("FORMER_URLS", "http://a.example.com:8000, https://hosted.example.com/"));
    let server = Server::on(&folder, &settings).await;
    assert_eq!(location(&server, "/badge/redirect/octo/app/").await, (307, "/coverage/0123456789ab/".to_owned()));
}

#[tokio::test]
async fn a_known_link_is_not_replaced_by_a_missing_one() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    let value = serde_json::json!({"site_id": SITE, "percent": 66, "state": "success", "commit_sha": sha(1)});
    server.post("/coverage/invalidate-cache/octo/app/").body(value.to_string()).send().await.unwrap();
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("covered", "success", "66%", "https://gone.example.com/x/"));
    server.post("/coverage/invalidate-cache/octo/app/").send().await.unwrap();
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 66%");
    assert_eq!(location(&server, "/badge/redirect/octo/app/").await, (307, format!("/coverage/{SITE}/")));
    let stored = std::fs::read_to_string(folder.path().join("values/octo/app/_.json")).unwrap();
    assert!(stored.contains(SITE), "{stored}");
    // Number and link are never of different commits.
    github.push("octo/app", "main", &sha(2));
    github.set_status("octo/app", &sha(2), status("covered", "success", "67%", "https://gone.example.com/x/"));
    server.post("/coverage/invalidate-cache/octo/app/").send().await.unwrap();
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 67%");
    assert_eq!(location(&server, "/badge/redirect/octo/app/").await.0, 404);
}

#[tokio::test]
async fn an_unreadable_response_for_one_repository_does_not_affect_others() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("covered", "success", "87%", ""));
    // GitHub returns 200 with an unreadable body: that may concern only this repository.
    github.set_fault(Fault::Garbage);
    for number in 0..5 {
        assert_eq!(server.badge(&format!("/badge/evil/app.svg?name=b{number}")).await, "coverage: ??");
    }
    github.set_fault(Fault::None);
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 87%");
}

#[tokio::test]
async fn invalid_repositories_and_queries_get_a_grey_badge() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    for path in [
        "/badge/nobody/nothing.svg",
        "/badge/nobody/...svg",
        "/badge/no%20body/%00.svg",
        "/badge/octo/app.svg?name=a/b",
        "/badge/octo/app.svg?branch=a..b",
        "/badge/octo/app.svg?branch=%22)%7Bx%7D",
    ] {
        assert_eq!(server.badge(path).await, "coverage: ??", "{path}");
    }
    let requests = github.requests().iter().map(|request| request.body.clone()).collect::<Vec<_>>();
    assert!(requests.len() <= 2, "invalid names must not be looked up: {requests:?}");
}

#[tokio::test]
async fn every_query_parameter_is_escaped() {
    let server = Server::start().await;
    let path = "/badge/octo/app.svg?label=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&style=%22%3E%3Cb%3E";
    let response = server.get(path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/svg+xml; charset=utf-8");
    let svg = response.text().await.unwrap();
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"), "{svg}");
}

#[tokio::test]
async fn badges_are_not_cached_by_camo_and_for_ten_seconds_by_others() {
    let server = Server::start().await;
    let camo = server.get("/badge/octo/app.svg").header("user-agent", "github-camo (876de43e)").send().await.unwrap();
    assert_eq!(camo.headers()["cache-control"], "private, no-store");
    assert_eq!(camo.headers()["cdn-cache-control"], "no-store");
    let browser =
        server.get("/badge/octo/app.svg").header("user-agent", "Mozilla/5.0 github-camo").send().await.unwrap();
    assert_eq!(browser.headers()["cache-control"], "public, max-age=10");
    assert!(browser.headers().get("cdn-cache-control").is_none());
}

#[tokio::test]
async fn redirects_lead_only_to_this_servers_reports() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    for (number, target) in [
        "https://evil.example/coverage/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/".to_owned(),
        format!("{}.evil.example/coverage/{SITE}/", server.url),
        format!("{}@evil.example/coverage/{SITE}/", server.url),
        format!("{}/coverage/../../evil/", server.url),
        format!("{}/coverage//evil.example/", server.url),
        "javascript:alert(1)".to_owned(),
        String::new(),
    ]
    .into_iter()
    .enumerate()
    {
        let repository = format!("octo/app{number}");
        github.add_repository(&repository, "main");
        github.push(&repository, "main", &sha(1));
        github.set_status(&repository, &sha(1), status("covered", "success", "87%", &target));
        assert_eq!(server.badge(&format!("/badge/{repository}.svg")).await, "coverage: 87%", "{target}");
        assert_eq!(location(&server, &format!("/badge/redirect/{repository}/")).await.0, 404, "{target}");
    }
    let response = server.get("/badge/redirect/octo/app0/").header("accept", "application/json").send().await.unwrap();
    assert_error(
        response,
        404,
        "the server knows no report of octo/app0: run the first upload from the default branch",
    )
    .await;
    for (query, detail) in [
        ("?name=docs", "octo/app0 with this name: run the first upload of that name from the default"),
        ("?branch=dev", "octo/app0 on this branch: run the first upload from the branch, on"),
        ("?name=docs&branch=dev", "octo/app0 with this name on this branch: run"),
    ] {
        let path = format!("/badge/redirect/octo/app0/{query}");
        let response = server.get(&path).header("accept", "application/json").send().await.unwrap();
        assert_error(response, 404, detail).await;
    }
}

#[tokio::test]
async fn an_older_status_with_a_total_takes_precedence_over_one_without() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    let link = format!("{}/coverage/{SITE}/", server.url);
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("covered", "failure", "42%, below the threshold of 90%", ""));
    github.push("octo/app", "main", &sha(2));
    github.set_status("octo/app", &sha(2), status("covered", "success", "report uploaded, no total found", &link));
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 42%");
    github.add_repository("octo/new", "main");
    github.push("octo/new", "main", &sha(1));
    github.set_status("octo/new", &sha(1), status("covered", "success", "report uploaded, no total found", &link));
    assert_eq!(server.badge("/badge/octo/new.svg").await, "coverage: ??");
    assert_eq!(location(&server, "/badge/redirect/octo/new/").await.0, 307);
}

#[tokio::test]
async fn ten_thousand_requests_for_one_cold_badge_cause_one_github_request() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("covered", "success", "87%", ""));
    // Slow enough that all requests arrive before the response.
    github.set_fault(Fault::Stall(Duration::from_millis(300)));
    // 250 connections with 40 concurrent requests each: most machines do not allow ten thousand sockets.
    let client = || async {
        for _ in 0..40 {
            assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 87%");
        }
    };
    join_all((0..250).map(|_| client())).await;
    assert_eq!(github.requests().len(), 1);
}

#[tokio::test]
async fn the_last_value_is_shown_within_two_seconds_if_github_fails() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let first = server(&github, &folder).await;
    github.push("octo/app", "main", &sha(1));
    let link = format!("{}/coverage/{SITE}/", first.url);
    github.set_status("octo/app", &sha(1), status("covered", "success", "87%", &link));
    assert_eq!(first.badge("/badge/octo/app.svg").await, "coverage: 87%");
    first.stop().await;
    let unavailable = Fault::Status { code: 503, headers: Vec::new(), body: "<html>unicorn</html>".into() };
    let unauthorized =
        Fault::Status { code: 401, headers: Vec::new(), body: r#"{"message":"Bad credentials"}"#.into() };
    for fault in [
        Fault::Stall(Duration::from_secs(10)),
        Fault::Drop,
        Fault::RateLimited,
        Fault::Garbage,
        unavailable,
        unauthorized,
    ] {
        let name = format!("{fault:?}");
        github.set_fault(fault);
        // Each is a new server with an empty cache.
        let server = server(&github, &folder).await;
        let started = Instant::now();
        assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 87%", "{name}");
        assert!(started.elapsed() < Duration::from_secs(2), "{name}: {:?}", started.elapsed());
        assert_eq!(location(&server, "/badge/redirect/octo/app/").await.0, 307, "{name}");
        let unknown = server.badge("/badge/octo/other.svg").await;
        assert_eq!(unknown, "coverage: ??", "{name}");
    }
}

#[tokio::test]
async fn the_last_value_is_shown_if_github_is_unreachable() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let first = server(&github, &folder).await;
    github.push("octo/app", "main", &sha(1));
    github.set_status("octo/app", &sha(1), status("covered", "success", "87%", ""));
    assert_eq!(first.badge("/badge/octo/app.svg").await, "coverage: 87%");
    let url = github.url();
    drop(github);
    let server = Server::on(&folder, &[("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", &url)]).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 87%");
}

#[tokio::test]
async fn only_allowed_repositories_are_looked_up() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let url = github.url();
    let settings =
        [("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", url.as_str()), ("ALLOWED_REPOSITORIES", "octo/*, acme/app")];
    let server = Server::on(&folder, &settings).await;
    for repository in ["evil/app", "acme/other", "Octo/App", "acme/app"] {
        assert_eq!(server.badge(&format!("/badge/{repository}.svg")).await, "coverage: ??");
    }
    assert_eq!(github.requests().len(), 2);
}

#[tokio::test]
async fn a_repository_deleted_from_github_keeps_its_last_value() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    let body = serde_json::json!({"site_id": SITE, "percent": 66.6, "state": "success", "commit_sha": SHA});
    let response = server.post("/coverage/invalidate-cache/gone/app/").body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let response = server.post("/coverage/invalidate-cache/gone/app/").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.badge("/badge/gone/app.svg").await, "coverage: 66%");
    assert_eq!(github.requests().len(), 1);
}

#[tokio::test]
async fn requests_to_github_are_limited_per_repository() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    for number in 0..100 {
        server.badge(&format!("/badge/octo/app.svg?branch=b{number}")).await;
    }
    assert_eq!(github.requests().len(), 30);
    github.add_repository("octo/other", "main");
    server.badge("/badge/octo/other.svg").await;
    assert_eq!(github.requests().len(), 31, "another repository has its own limit");
}

#[tokio::test]
async fn redirects_of_github_are_not_followed() {
    let (github, folder) = (github(), tempfile::tempdir().unwrap());
    let server = server(&github, &folder).await;
    let other = Github::start();
    let location = ("location".to_owned(), format!("{}/graphql", other.url()));
    github.set_fault(Fault::Status { code: 302, headers: vec![location], body: String::new() });
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: ??");
    assert_eq!(other.requests().len(), 0);
}
