//! `POST /coverage/invalidate-cache/{owner}/{repo}/`.

use serde_json::{Value, json};
use xtask::lab::github::{Github, Status};

use crate::support::*;

const SITE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn new_values_are_shown_immediately_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: ??");
    server.set_value(SITE, Some(87.42), "success", 1).await;
    assert_eq!(server.badge("/badge/Octo/App.svg").await, "coverage: 87%");
    server.set_value(SITE, Some(12.0), "failure", 2).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 12%");
    server.set_value(SITE, Some(100.0), "success", 4).await;
    server.stop().await;
    let server = Server::on(&folder, &[]).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 100%");
    let redirect = server.get("/badge/redirect/octo/app/").send().await.unwrap();
    assert_eq!(redirect.headers()["location"], format!("/coverage/{SITE}/"));
}

#[tokio::test]
async fn values_of_older_runs_do_not_replace_newer_ones() {
    for memory in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let server = if memory { Server::start().await } else { Server::on(&folder, &[]).await };
        server.set_value(SITE, Some(80.0), "success", 1_658_821_493).await;
        let older =
            json!({"site_id": SITE, "percent": 70, "state": "success", "commit_sha": SHA, "run_id": 1_658_821_492});
        let response =
            server.post("/coverage/invalidate-cache/octo/app/").body(older.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        let detail = "kept the value of run 1658821493, which is newer";
        assert_eq!(body, json!({"status": "success", "detail": detail}));
        assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 80%");
        // The same run again, and a value without a run.
        server.set_value(SITE, Some(81.0), "success", 1_658_821_493).await;
        assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 81%");
        let body = json!({"site_id": SITE, "percent": 82, "state": "success", "commit_sha": SHA});
        server.post("/coverage/invalidate-cache/octo/app/").body(body.to_string()).send().await.unwrap();
        assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 82%");
    }
}

/// Posts a value; returns the `detail` of the response.
async fn post_value(server: &Server, value: Value) -> Option<String> {
    let body = value.to_string();
    let response = server.post("/coverage/invalidate-cache/octo/app/").body(body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let response: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(response["status"], "success");
    response["detail"].as_str().map(str::to_owned)
}

fn value(site: &str, percent: impl Into<Value>, run_id: u64) -> Value {
    json!({"site_id": site, "percent": percent.into(), "state": "success", "commit_sha": SHA, "run_id": run_id})
}

async fn badge_and_link(server: &Server) -> (String, String) {
    let redirect = server.get("/badge/redirect/octo/app/").send().await.unwrap();
    let location = redirect.headers()["location"].to_str().unwrap().to_owned();
    (server.badge("/badge/octo/app.svg").await, location)
}

#[tokio::test]
async fn values_without_a_total_do_not_replace_values_with_one() {
    for memory in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let server = if memory { Server::start().await } else { Server::on(&folder, &[]).await };
        let (first, second) = (SITE, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
        // Nothing is known yet, so the report without a total counts.
        assert_eq!(post_value(&server, value(first, Value::Null, 1)).await, None);
        assert_eq!(badge_and_link(&server).await, ("coverage: ??".to_owned(), format!("/coverage/{first}/")));
        assert_eq!(post_value(&server, value(first, 80, 2)).await, None);
        let detail = post_value(&server, value(second, Value::Null, 3)).await;
        assert_eq!(detail.as_deref(), Some("kept the last value: this report has no total"));
        assert_eq!(badge_and_link(&server).await, ("coverage: 80%".to_owned(), format!("/coverage/{first}/")));
        assert_eq!(post_value(&server, value(second, 81, 4)).await, None);
        assert_eq!(badge_and_link(&server).await, ("coverage: 81%".to_owned(), format!("/coverage/{second}/")));
    }
}

#[tokio::test]
async fn a_push_without_a_total_keeps_githubs_total_and_link() {
    let github = Github::start();
    let (url, folder) = (github.url(), tempfile::tempdir().unwrap());
    let server = Server::on(&folder, &[("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", &url)]).await;
    let (first, second) = (SITE, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    let post = |sha: &str, description: &str, site: &str| {
        github.push("octo/app", "main", sha);
        let (context, state) = ("covered".into(), "success".into());
        let target_url = format!("{}/coverage/{site}/", server.url);
        github.set_status("octo/app", sha, Status { context, state, description: description.into(), target_url });
    };
    github.add_repository("octo/app", "main");
    post(&"1".repeat(40), "80%", first);
    post(SHA, "report uploaded, no total found", second);
    // The value is set before the first look-up: the store has no value.
    assert_eq!(post_value(&server, value(second, Value::Null, 2)).await, None);
    for _ in 0..2 {
        assert_eq!(badge_and_link(&server).await, ("coverage: 80%".to_owned(), format!("/coverage/{first}/")));
        let stored = std::fs::read(folder.path().join("values/octo/app/_.json")).unwrap();
        let stored: Value = serde_json::from_slice(&stored).unwrap();
        assert_eq!((stored["percent"].as_f64(), stored["site_id"].as_str()), (Some(80.0), Some(first)));
        assert_eq!(stored["commit_sha"], "1".repeat(40));
        server.post("/coverage/invalidate-cache/octo/app/").send().await.unwrap();
    }
}

#[tokio::test]
async fn run_ids_are_compared_only_within_one_github_instance() {
    let server = Server::start().await;
    let from = |percent: u32, run: u64, issuer: &str| {
        let mut value = value(SITE, percent, run);
        value["issuer"] = issuer.into();
        value
    };
    assert_eq!(post_value(&server, from(80, 20_000_000_000, "https://github.com")).await, None);
    let detail = post_value(&server, from(70, 19_999_999_999, "https://github.com")).await;
    assert_eq!(detail.as_deref(), Some("kept the value of run 20000000000, which is newer"));
    // The repository moved to an instance with lower run IDs.
    assert_eq!(post_value(&server, from(90, 500, "https://ghe.example.com")).await, None);
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 90%");
    assert!(post_value(&server, from(70, 499, "https://ghe.example.com")).await.is_some());
    assert_eq!(post_value(&server, from(91, 501, "https://ghe.example.com")).await, None);
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 91%");
}

#[tokio::test]
async fn concurrent_runs_keep_the_newest_value() {
    let server = Server::start().await;
    futures_util::future::join_all((1..=20).map(|run| server.set_value(SITE, Some(run as f64), "success", run))).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 20%");
}

#[tokio::test]
async fn named_reports_have_separate_values() {
    let server = Server::start().await;
    let body = json!({"site_id": SITE, "percent": 55.5, "state": "success", "commit_sha": SHA, "name": "Backend"});
    let response = server.post("/coverage/invalidate-cache/octo/app").body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.badge("/badge/octo/app.svg?name=backend").await, "coverage: 55%");
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: ??");
}

#[tokio::test]
async fn a_purge_without_a_body_requests_the_value_from_github() {
    let github = Github::start();
    github.add_repository("octo/app", "main");
    github.push("octo/app", "main", SHA);
    let set = |description: &str| {
        let status = Status {
            context: "covered".into(),
            state: "success".into(),
            description: description.into(),
            target_url: String::new(),
        };
        github.set_status("octo/app", SHA, status);
    };
    set("50%");
    let url = github.url();
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", &url)]).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 50%");
    set("60%");
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 50%", "cached");
    let response = server.post("/coverage/invalidate-cache/Octo/App/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, r#"{"status":"success"}"#));
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 60%");
    // A value that was set needs no request to GitHub.
    let before = github.requests().len();
    server.set_value(SITE, Some(61.0), "success", 1).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 61%");
    assert_eq!(github.requests().len(), before);
}

#[tokio::test]
async fn unreadable_stored_values_are_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("values/octo/app")).unwrap();
    std::fs::write(folder.path().join("values/octo/app/_.json"), b"{broken").unwrap();
    let server = Server::on(&folder, &[]).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: ??");
    server.set_value(SITE, Some(9.0), "success", 1).await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 9%");
}

#[tokio::test]
async fn invalid_values_are_rejected() {
    let server = Server::start().await;
    let good = json!({"site_id": SITE, "percent": 87.42, "state": "success", "commit_sha": SHA});
    for (name, value, why) in [
        ("site_id", json!("../../x"), "site_id is not a valid site ID"),
        ("percent", json!(100.1), "percent must be between 0 and 100"),
        ("percent", json!(-1), "percent must be between 0 and 100"),
        ("run_id", json!(u64::MAX), "run_id is not a valid workflow run ID"),
        ("issuer", json!("x".repeat(301)), "issuer is longer than 300 bytes"),
        ("state", json!("green"), "unknown variant `green`"),
        ("commit_sha", json!("main"), "commit_sha must be a full commit ID"),
        ("name", json!("a/b"), "\"a/b\" is not a valid report name"),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let response = server.post("/coverage/invalidate-cache/octo/app/").body(body.to_string()).send().await.unwrap();
        assert_error(response, 400, why).await;
    }
    let response = server.post("/coverage/invalidate-cache/oc%20to/app/").send().await.unwrap();
    assert_error(response, 400, "is not a valid owner name on GitHub").await;
    let path = format!("{}/coverage/invalidate-cache/octo/app/", server.url);
    assert_error(server.client.post(&path).send().await.unwrap(), 401, "no API key was sent").await;
    assert_error(server.client.post(&path).header("token", "x").send().await.unwrap(), 403, "not valid on this server")
        .await;
    let get = server.client.get(&path).header("accept", "application/json").send().await.unwrap();
    assert_error(get, 405, "this address accepts POST only").await;
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: ??");
}

#[tokio::test]
async fn concurrent_runs_keep_the_newest_value_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    for round in 0..10 {
        let runs = (1..=8).map(|run| server.set_value(SITE, Some(run as f64), "success", round * 10 + run));
        futures_util::future::join_all(runs).await;
        assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 8%");
        let stored = std::fs::read_to_string(folder.path().join("values/octo/app/_.json")).unwrap();
        assert!(stored.contains("\"percent\":8.0"), "{stored}");
    }
}

#[tokio::test]
async fn a_value_set_during_a_lookup_is_newer_than_githubs() {
    let github = Github::start();
    github.add_repository("octo/app", "main");
    github.push("octo/app", "main", SHA);
    let status = Status {
        context: "covered".into(),
        state: "success".into(),
        description: "11%".into(),
        target_url: String::new(),
    };
    github.set_status("octo/app", SHA, status);
    github.set_fault(xtask::lab::github::Fault::Stall(std::time::Duration::from_millis(400)));
    let (url, folder) = (github.url(), tempfile::tempdir().unwrap());
    let server = Server::on(&folder, &[("GITHUB_TOKEN", "tok"), ("GITHUB_API_URL", &url)]).await;
    let looking_up = async {
        server.badge("/badge/octo/app.svg").await;
    };
    let setting = async {
        // The look-up is in progress once GitHub has its request.
        while github.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        server.set_value(SITE, Some(99.0), "success", 7).await;
    };
    tokio::join!(looking_up, setting);
    assert_eq!(server.badge("/badge/octo/app.svg").await, "coverage: 99%");
    let stored = std::fs::read_to_string(folder.path().join("values/octo/app/_.json")).unwrap();
    assert!(stored.contains("\"percent\":99.0"), "{stored}");
}
