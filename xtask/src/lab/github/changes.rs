//! Routes of pull requests and their files.

use hyper::Response;
use hyper::header::LINK;
use serde_json::{Value, json};

use super::access::{Call, Need, refusal};
use super::data::{Repository, State};
use super::objects;
use super::page::{DEFAULT_SIZE, Page};
use super::pulls::PullRequest;
use super::response::{error_response, json_response};
use crate::lab::http::Body;

/// GitHub lists at most this many files of a pull request.
const MAX_FILES: usize = 3000;

/// Responds to `GET` below `/repos/OWNER/NAME/pulls`.
pub fn route(state: &State, call: &Call, path: &[&str]) -> Response<Body> {
    if let Some(refusal) = refusal(state, &call.full_name, call.request, Need::PullRequests) {
        return refusal;
    }
    let Some(repository) = state.repository(&call.full_name) else { return error_response(404, "Not Found") };
    let [number, rest @ ..] = path else { return list(repository, call) };
    let found = number.parse().ok().and_then(|number: u64| repository.pull_requests.get(&number));
    match (found, rest) {
        (Some(pull), []) => json_response(200, &objects::whole_pull_request(call, repository, pull)),
        (Some(pull), ["files"]) => files(repository, call, pull),
        _ => error_response(404, "Not Found"),
    }
}

/// A page of a list with its `Link` header. `path` is below the repository.
pub fn page_response(call: &Call, repository: &Repository, path: &str, all: &[Value]) -> Response<Body> {
    let page = Page::of(&call.query, DEFAULT_SIZE);
    let mut response = json_response(200, &json!(page.entries(all)));
    if let Some(link) = page.link(&call.link_url(repository, path), &call.query, all.len()) {
        response.headers_mut().insert(LINK, link.parse().unwrap());
    }
    response
}

fn list(repository: &Repository, call: &Call) -> Response<Body> {
    let state = call.query.get("state").unwrap_or("open");
    // GitHub ignores a head without an owner, and returns all pull requests.
    let head = call.query.get("head").filter(|head| head.contains(':'));
    let base = call.query.get("base");
    let head = head.and_then(|head| head.split_once(':'));
    let is_wanted = |pull: &&PullRequest| {
        let has_head =
            head.is_none_or(|(owner, branch)| owner.eq_ignore_ascii_case(pull.head_owner()) && branch == pull.head_ref);
        (state == "all" || pull.state == state) && has_head && base.is_none_or(|base| pull.base_ref == base)
    };
    let newest_first = repository.pull_requests.values().rev().filter(is_wanted);
    let all: Vec<Value> = newest_first.map(|pull| objects::pull_request(call, repository, pull)).collect();
    page_response(call, repository, "pulls", &all)
}

fn files(repository: &Repository, call: &Call, pull: &PullRequest) -> Response<Body> {
    let files = &pull.files[..pull.files.len().min(MAX_FILES)];
    let page = Page::of(&call.query, DEFAULT_SIZE);
    // The number of files in the page decides about their patches.
    let mut response = json_response(200, &json!(objects::files(call, &pull.head_sha, page.entries(files))));
    let url = call.link_url(repository, &format!("pulls/{}/files", pull.number));
    if let Some(link) = page.link(&url, &call.query, files.len()) {
        response.headers_mut().insert(LINK, link.parse().unwrap());
    }
    response
}
