//! The REST routes of GitHub that Covered calls, and the image proxy of READMEs.

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::access::{Call, Need, refusal};
use super::data::{Recorded, Repository, State, Status};
use super::graph::TIME;
use super::page::Query;
use super::response::{error_response, json_response, response, validation_response};
use super::{artifacts, changes, checks, comments, commits, trees};
use crate::lab::http::Body;

/// Responds to everything except GraphQL. `base` is the stub's own URL.
pub fn route(state: &mut State, base: &str, request: &Recorded) -> Response<Body> {
    let path = request.path.split('?').next().unwrap_or_default();
    let (api, path) = match path.strip_prefix("/api/v3") {
        Some(path) => (format!("{base}/api/v3"), path),
        None => (base.to_owned(), path),
    };
    let path = by_name(state, path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("PURGE", ["camo", digest, hex]) => purge(state, digest, hex),
        ("POST", ["repos", owner, name, "statuses", sha]) => {
            post_status(state, base, request, &format!("{owner}/{name}"), sha)
        }
        ("GET", ["repos", owner, name, "readme"]) => {
            let full_name = format!("{owner}/{name}");
            if let Some(refusal) = refusal(state, &full_name, request, Need::Contents) {
                return refusal;
            }
            readme(state.repository(&full_name), base, request)
        }
        ("GET", ["repos", owner, name, "actions", rest @ ..]) => {
            artifacts::route(state, &format!("{owner}/{name}"), rest, request)
        }
        (method, ["repos", owner, name, rest @ ..]) => {
            let full_name = format!("{owner}/{name}");
            let full_name = state.repository(&full_name).map_or(full_name, |found| found.full_name.clone());
            let call = Call { request, query: Query::of(&request.path), server: base, api, full_name };
            match (method, rest) {
                ("GET", ["pulls", rest @ ..]) => changes::route(state, &call, rest),
                ("GET", ["git", "trees", ..] | ["contents", ..]) => trees::route(state, &call, rest),
                ("GET", ["compare" | "commits" | "git", ..]) => commits::route(state, &call, rest),
                (_, ["issues", rest @ ..]) => comments::route(state, &call, rest),
                (_, ["check-runs", rest @ ..]) => checks::route(state, &call, rest),
                _ => error_response(404, "Not Found"),
            }
        }
        _ => error_response(404, "Not Found"),
    }
}

/// The path with the repository's name instead of its ID, which is in `Link` headers.
fn by_name(state: &State, path: &str) -> String {
    let named = path.strip_prefix("/repositories/").and_then(|rest| {
        let (id, rest) = rest.split_once('/')?;
        Some(format!("/repos/{}/{rest}", state.repository_with_id(id)?.full_name))
    });
    named.unwrap_or_else(|| path.to_owned())
}

fn invalid(field: &str, message: &str) -> Response<Body> {
    validation_response("Status", "custom", field, message)
}

fn post_status(state: &mut State, base: &str, request: &Recorded, full_name: &str, sha: &str) -> Response<Body> {
    if let Some(refusal) = refusal(state, full_name, request, Need::WriteStatuses) {
        return refusal;
    }
    let Some(repository) = state.repository_mut(full_name) else {
        return error_response(404, "Not Found");
    };
    if !repository.knows(sha) {
        return error_response(422, &format!("No commit found for SHA: {sha}"));
    }
    let Ok(body) = serde_json::from_str::<Value>(&request.body) else {
        return error_response(400, "Problems parsing JSON");
    };
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let status = Status {
        context: body["context"].as_str().unwrap_or("default").to_owned(),
        state: text("state"),
        description: text("description"),
        target_url: text("target_url"),
    };
    if !["error", "failure", "pending", "success"].contains(&status.state.as_str()) {
        return invalid("state", "state is not included in the list");
    }
    if status.description.chars().count() > 140 {
        return invalid("description", "description is too long (maximum is 140 characters)");
    }
    if !status.target_url.is_empty() && !status.target_url.starts_with("http") {
        return invalid("target_url", "target_url must use http(s) scheme");
    }
    let id = repository.statuses_of(sha).len() + 1;
    let url = format!("{base}/repos/{full_name}/statuses/{sha}");
    let sent_body = json!({
        "url": url,
        "avatar_url": null,
        "id": id,
        "node_id": format!("SC_{id}"),
        "state": status.state,
        "description": body["description"],
        "target_url": body["target_url"],
        "context": status.context,
        "created_at": TIME,
        "updated_at": TIME,
        "creator": null,
    });
    repository.set_status(sha, status);
    json_response(201, &sent_body)
}

fn readme(repository: Option<&Repository>, base: &str, request: &Recorded) -> Response<Body> {
    let Some(images) = repository.and_then(|repository| repository.readme_images.as_ref()) else {
        return error_response(404, "Not Found");
    };
    let accept = request.header("accept").unwrap_or_default();
    if !accept.contains("html") {
        let hint = "the stub returns only HTML: send accept: application/vnd.github.html+json";
        return error_response(415, hint);
    }
    let images: String = images.iter().map(|image| proxied(base, image)).collect();
    let html = format!(
        "<div id=\"readme\" class=\"md\" data-path=\"README.md\">\
         <article class=\"markdown-body entry-content container-lg\" itemprop=\"text\">\
         <h1 tabindex=\"-1\" dir=\"auto\">A project</h1>\n{images}</article></div>"
    );
    response(200, "application/vnd.github.html; charset=utf-8", html)
}

/// An image as GitHub renders it: the URL of Camo, and the URL that the author wrote.
fn proxied(base: &str, image: &str) -> String {
    let hex: String = image.bytes().map(|byte| format!("{byte:02x}")).collect();
    let (camo, digest) = (format!("{base}/camo"), digest(image));
    let canonical = image.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<p dir=\"auto\"><a href=\"{canonical}\" rel=\"nofollow\"><img src=\"{camo}/{digest}/{hex}\" \
         alt=\"Coverage\" data-canonical-src=\"{canonical}\" style=\"max-width: 100%;\"></a></p>\n"
    )
}

/// Camo uses a keyed digest; this one only has the same length and format (FNV-1a, repeated four times).
fn digest(image: &str) -> String {
    let fold = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = image.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    format!("{hash:016x}").repeat(4)
}

fn purge(state: &mut State, expected: &str, hex: &str) -> Response<Body> {
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
    match bytes.map(String::from_utf8) {
        Some(Ok(image)) if digest(&image) == expected => {
            state.purged.push(image);
            json_response(StatusCode::OK.as_u16(), &json!({"status": "ok", "id": "1-1"}))
        }
        _ => response(404, "text/plain", "checksum mismatch".to_owned()),
    }
}
