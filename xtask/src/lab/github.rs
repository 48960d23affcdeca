//! A GitHub stub in this process: commit statuses, pull requests, README and image proxy over REST, and the history of a
//! branch over GraphQL. It responds from the data that the test adds, and records every request.

mod access;
mod artifacts;
mod changes;
mod checks;
mod comments;
mod commits;
mod data;
mod graph;
mod graphql;
mod objects;
mod page;
mod pulls;
mod response;
mod rest;
mod review;
mod trees;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

pub use data::{Artifact, Fault, Recorded, Status};
pub use pulls::{Author, ChangedFile, CheckRun, Comment, Commit, Comparison, Permission, PullRequest, blob_sha};

use self::data::{Repository, State};
use self::response::{error_response, json_response, response};
use super::http::{Body, Dropped, Serving, headers_of};

/// The stub; its server stops when it is dropped.
#[derive(Debug)]
pub struct Github {
    state: Arc<Mutex<State>>,
    serving: Serving,
    _store: Serving,
}

impl Github {
    pub fn start() -> Github {
        let state = Arc::new(Mutex::new(State::default()));
        let base = Arc::new(OnceLock::new());
        let (shared, own) = (Arc::clone(&state), Arc::clone(&base));
        let serving = Serving::start(move |request| handle(Arc::clone(&shared), Arc::clone(&own), request));
        base.get_or_init(|| serving.url());
        let store = artifacts::store(Arc::clone(&state));
        Github { state, serving, _store: store }
    }

    /// For `GITHUB_API_URL` and `GITHUB_SERVER_URL`; with `/api/v3` appended, it acts as an Enterprise server.
    pub fn url(&self) -> String {
        self.serving.url()
    }

    pub fn add_repository(&self, full_name: &str, default_branch: &str) {
        self.state().add(Repository::new(full_name, default_branch));
    }

    /// Adds a commit to a branch, as the newest.
    pub fn push(&self, full_name: &str, branch: &str, sha: &str) {
        self.change(full_name, |repository| repository.push(branch, sha));
    }

    pub fn set_status(&self, full_name: &str, sha: &str, status: Status) {
        self.change(full_name, |repository| repository.set_status(sha, status));
    }

    /// All statuses of a commit, oldest first.
    pub fn statuses(&self, full_name: &str, sha: &str) -> Vec<Status> {
        let state = self.state();
        let repository = state.repository(full_name);
        repository.map_or_else(Vec::new, |found| found.statuses_of(sha).to_vec())
    }

    /// Sets the images of the README, by the URLs that its author wrote.
    pub fn set_readme(&self, full_name: &str, markdown_image_urls: &[&str]) {
        let images = markdown_image_urls.iter().map(ToString::to_string);
        let images = Some(images.collect());
        self.change(full_name, |repository| repository.readme_images = images);
    }

    pub fn add_artifact(&self, full_name: &str, artifact: Artifact) {
        self.change(full_name, |repository| repository.artifacts.push(artifact));
    }

    /// Removes the artifacts of all runs.
    pub fn remove_artifacts(&self, full_name: &str) {
        self.change(full_name, |repository| repository.artifacts.clear());
    }

    /// The requests to the store of the artifacts, which is another host.
    pub fn store_requests(&self) -> Vec<Recorded> {
        self.state().store_requests.clone()
    }

    /// The purged images in order, by the URLs that the README's author wrote.
    pub fn purged(&self) -> Vec<String> {
        self.state().purged.clone()
    }

    /// Sets the fault of all following requests, until the next call.
    pub fn set_fault(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// Sets the fault of all following requests whose path contains this text; the fault of the last call wins.
    pub fn set_fault_at(&self, part_of_path: &str, fault: Fault) {
        self.state().faults_at.push((part_of_path.to_owned(), fault));
    }

    /// Every request so far in order, including those that got a fault.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, full_name: &str, change: impl FnOnce(&mut Repository)) {
        match self.state().repository_mut(full_name) {
            Some(repository) => change(repository),
            None => panic!("the stub has no repository {full_name}: call add_repository first"),
        }
    }
}

async fn handle(
    state: Arc<Mutex<State>>,
    base: Arc<OnceLock<String>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Recorded {
        method: parts.method.to_string(),
        path: path.to_owned(),
        headers: headers_of(&parts.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (fault, gathering) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let gathering = state.gathering.clone().filter(|_| comments::is_new(&request));
        (state.fault_of(&request.path), gathering)
    };
    if let Some(gathering) = gathering {
        gathering.wait().await;
    }
    match fault {
        Fault::None => {}
        Fault::Stall(time) => tokio::time::sleep(time).await,
        Fault::Drop => return Err(Dropped),
        Fault::Status { code, headers, body } => {
            let mut response = response(code, "application/json; charset=utf-8", body);
            for (name, value) in headers {
                let name = hyper::header::HeaderName::try_from(name).unwrap();
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            return Ok(response);
        }
        Fault::RateLimited => return Ok(rate_limited(is_graphql(&request))),
        Fault::Garbage => return Ok(response(200, "text/html", "<html>Unicorn!".to_owned())),
    }
    let mut state = state.lock().unwrap();
    if is_graphql(&request) {
        return Ok(graphql_response(&state, &request));
    }
    let base = base.get().cloned().unwrap_or_default();
    Ok(rest::route(&mut state, &base, &request))
}

fn is_graphql(request: &Recorded) -> bool {
    // An Enterprise server has its REST API at /api/v3 and GraphQL at /api/graphql.
    matches!(request.path.as_str(), "/graphql" | "/api/graphql")
}

fn graphql_response(state: &State, request: &Recorded) -> Response<Body> {
    if request.method != "POST" {
        return error_response(404, "Not Found");
    }
    if request.header("authorization").is_none() {
        return error_response(401, "This endpoint requires you to be authenticated.");
    }
    match serde_json::from_str::<Value>(&request.body) {
        Ok(query) => json_response(200, &graphql::execute(&graph::Node::Query(state), &query)),
        Err(_) => error_response(400, "Problems parsing JSON"),
    }
}

fn rate_limited(graphql: bool) -> Response<Body> {
    let message = "API rate limit exceeded for user ID 1.";
    let mut response = if graphql {
        let errors = json!({"errors": [{"type": "RATE_LIMITED", "message": message}]});
        json_response(200, &errors)
    } else {
        error_response(403, message)
    };
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", 5000.into());
    headers.insert("x-ratelimit-remaining", 0.into());
    // In the far future: a client that waits until then makes the test hang.
    headers.insert("x-ratelimit-reset", 4_102_444_800_u64.into());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::http::request;

    const QUERY: &str = "query($owner: String!, $name: String!, $branch: String!, $context: String!) {
        repository(owner: $owner, name: $name) { branch: ref(qualifiedName: $branch) { target { ... on Commit {
            history(first: 2) { nodes { oid status {
                ours: context(name: $context) { state description targetUrl }
                original: context(name: \"coverage\") { state }
        } } } } } } } }";

    fn query_stub(github: &Github, query: &str, name: &str) -> Value {
        let variables = json!({"owner": "octo", "name": name, "branch": "refs/heads/main", "context": "covered"});
        let body = json!({"query": query, "variables": variables}).to_string();
        let headers = [("authorization", "Bearer t")];
        let url = format!("{}/graphql", github.url());
        let reply = request("POST", &url, &headers, body).unwrap();
        assert_eq!(reply.status, 200);
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn stub() -> Github {
        let github = Github::start();
        github.add_repository("octo/App", "main");
        for sha in ["old", "middle", "new"] {
            github.push("octo/app", "main", sha);
        }
        github
    }

    #[test]
    fn graphql_returns_the_requested_fields_newest_commit_first() {
        let github = stub();
        let status = Status {
            context: "covered".into(),
            state: "success".into(),
            description: "87%".into(),
            ..Status::default()
        };
        github.set_status("octo/app", "middle", status);
        let nodes = json!([
            {"oid": "new", "status": null},
            {"oid": "middle", "status": {
                "ours": {"state": "SUCCESS", "description": "87%", "targetUrl": null}, "original": null}},
        ]);
        let data = query_stub(&github, QUERY, "app");
        let branch = json!({"target": {"history": {"nodes": nodes}}});
        assert_eq!(data, json!({"data": {"repository": {"branch": branch}}}));
    }

    #[test]
    fn graphql_reports_missing_repositories_and_fields() {
        let github = stub();
        let data = query_stub(&github, QUERY, "none");
        assert_eq!(data["errors"][0]["type"], "NOT_FOUND");
        assert_eq!(data["data"]["repository"], Value::Null);
        let data = query_stub(&github, &QUERY.replace("oid", "sha"), "app");
        assert_eq!(data["errors"][0]["message"], "Field 'sha' doesn't exist on type 'Commit'");
    }

    #[test]
    fn statuses_are_validated_like_githubs() {
        let github = stub();
        let post = |sha: &str, state: &str, description: &str| {
            let url = format!("{}/api/v3/repos/Octo/app/statuses/{sha}", github.url());
            let body = json!({"state": state, "description": description}).to_string();
            request("POST", &url, &[("authorization", "token t")], body).unwrap()
        };
        assert_eq!(post("new", "success", "87%").status, 201);
        assert_eq!(post("new", "green", "87%").status, 422);
        assert_eq!(post("new", "success", &"é".repeat(141)).status, 422);
        assert!(post("gone", "success", "").text().contains("No commit found for SHA: gone"));
        assert_eq!(github.statuses("octo/app", "new").len(), 1);
    }

    #[test]
    fn readme_images_are_purged_by_their_proxied_url() {
        let github = stub();
        github.set_readme("octo/app", &["http://127.0.0.1/badge/octo/app.svg?a=1&b=2"]);
        let accept = [("accept", "application/vnd.github.html+json")];
        let url = format!("{}/repos/octo/app/readme", github.url());
        let html = request("GET", &url, &accept, "").unwrap().text();
        assert!(html.contains("data-canonical-src=\"http://127.0.0.1/badge/octo/app.svg?a=1&amp;b=2\""));
        let camo = html.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(request("PURGE", camo, &[], "").unwrap().status, 200);
        assert_eq!(github.purged(), ["http://127.0.0.1/badge/octo/app.svg?a=1&b=2"]);
    }

    #[test]
    fn faults_last_until_they_are_reset() {
        let github = stub();
        let url = format!("{}/repos/octo/app/readme", github.url());
        github.set_fault(Fault::Drop);
        assert!(request("GET", &url, &[], "").is_err());
        github.set_fault(Fault::RateLimited);
        let reply = request("GET", &url, &[], "").unwrap();
        assert_eq!((reply.status, reply.header("x-ratelimit-remaining")), (403, Some("0")));
        github.set_fault(Fault::None);
        assert_eq!(request("GET", &url, &[], "").unwrap().status, 404);
        assert_eq!(github.requests().len(), 3);
    }
}
