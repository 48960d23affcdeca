//! Routes of the comments of pull requests, which are comments of issues.

use hyper::Response;
use hyper::header::LOCATION;
use serde_json::Value;

use super::access::{Call, Need, refusal};
use super::changes::page_response;
use super::data::{Recorded, Repository, State};
use super::objects;
use super::pulls::{Comment, PullRequest};
use super::response::{error_response, json_response, response, validation_response};
use crate::lab::http::Body;

/// GitHub's maximum length of a comment in characters.
const MAX_CHARACTERS: usize = 65_536;

/// Responds to requests below `/repos/OWNER/NAME/issues`.
pub fn route(state: &mut State, call: &Call, path: &[&str]) -> Response<Body> {
    let method = call.request.method.as_str();
    let need = if method == "GET" { Need::ReadComments } else { Need::WriteComments };
    if let Some(refusal) = refusal(state, &call.full_name, call.request, need) {
        return refusal;
    }
    let done = match (method, path) {
        ("GET", [number, "comments"]) => list(state, call, number),
        ("POST", [number, "comments"]) => create(state, call, number),
        ("GET", ["comments", id]) => read(state, call, id),
        ("PATCH", ["comments", id]) => update(state, call, id),
        ("DELETE", ["comments", id]) => delete(state, call, id),
        _ => None,
    };
    done.unwrap_or_else(|| error_response(404, "Not Found"))
}

/// Whether a request posts a comment.
pub fn is_new(request: &Recorded) -> bool {
    request.method == "POST" && request.path.contains("/issues/") && request.path.ends_with("/comments")
}

fn list(state: &State, call: &Call, number: &str) -> Option<Response<Body>> {
    let repository = state.repository(&call.full_name)?;
    let pull = repository.pull_requests.get(&number.parse().ok()?)?;
    let all: Vec<Value> = pull.comments.iter().map(|each| objects::comment(call, pull.number, each)).collect();
    Some(page_response(call, repository, &format!("issues/{number}/comments"), &all))
}

fn create(state: &mut State, call: &Call, number: &str) -> Option<Response<Body>> {
    let number: u64 = number.parse().ok()?;
    let pull = state.repository(&call.full_name)?.pull_requests.get(&number)?;
    if pull.locked {
        return Some(error_response(403, "Unable to create comment because issue is locked."));
    }
    let text = match body_of(call) {
        Ok(text) => text,
        Err(refusal) => return Some(*refusal),
    };
    let (id, time, author) = (state.next_id(), state.next_time(), state.author());
    let comment = Comment { id, body: text, author, created_at: time.clone(), updated_at: time };
    let created = objects::comment(call, number, &comment);
    let pull = state.repository_mut(&call.full_name)?.pull_requests.get_mut(&number)?;
    pull.comments.push(comment);
    let mut response = json_response(201, &created);
    response.headers_mut().insert(LOCATION, call.url(&format!("issues/comments/{id}")).parse().unwrap());
    Some(response)
}

fn read(state: &State, call: &Call, id: &str) -> Option<Response<Body>> {
    let repository = state.repository(&call.full_name)?;
    let is_this = |comment: &&Comment| comment.id.to_string() == id;
    let found = |pull: &PullRequest| Some((pull.number, pull.comments.iter().find(is_this)?.clone()));
    let (number, comment) = repository.pull_requests.values().find_map(found)?;
    Some(json_response(200, &objects::comment(call, number, &comment)))
}

fn update(state: &mut State, call: &Call, id: &str) -> Option<Response<Body>> {
    let time = state.next_time();
    let repository = state.repository_mut(&call.full_name)?;
    let (number, comment) = find(repository, id)?;
    match body_of(call) {
        Ok(text) => {
            (comment.body, comment.updated_at) = (text, time);
            Some(json_response(200, &objects::comment(call, number, comment)))
        }
        Err(refusal) => Some(*refusal),
    }
}

fn delete(state: &mut State, call: &Call, id: &str) -> Option<Response<Body>> {
    let repository = state.repository_mut(&call.full_name)?;
    find(repository, id)?;
    for pull in repository.pull_requests.values_mut() {
        pull.comments.retain(|comment| comment.id.to_string() != id);
    }
    Some(response(204, "application/json; charset=utf-8", ""))
}

/// A comment and the number of its pull request.
pub fn find<'a>(repository: &'a mut Repository, id: &str) -> Option<(u64, &'a mut Comment)> {
    repository.pull_requests.values_mut().find_map(|pull| {
        let comment = pull.comments.iter_mut().find(|comment| comment.id.to_string() == id)?;
        Some((pull.number, comment))
    })
}

/// The text of a new or changed comment, or GitHub's refusal of it.
fn body_of(call: &Call) -> Result<String, Box<Response<Body>>> {
    let Ok(body) = serde_json::from_str::<Value>(&call.request.body) else {
        return Err(Box::new(error_response(400, "Problems parsing JSON")));
    };
    let Some(text) = body["body"].as_str() else {
        return Err(Box::new(error_response(422, "Invalid request.\n\n\"body\" wasn't supplied.")));
    };
    if text.trim().is_empty() {
        return Err(Box::new(validation_response("IssueComment", "unprocessable", "data", "Body cannot be blank")));
    }
    if text.chars().count() > MAX_CHARACTERS {
        let message = "Body is too long (maximum is 65536 characters)";
        return Err(Box::new(validation_response("IssueComment", "unprocessable", "data", message)));
    }
    Ok(text.to_owned())
}
