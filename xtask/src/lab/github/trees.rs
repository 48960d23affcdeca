//! Routes of the files of a commit: its tree, and the content of a file.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Response;
use serde_json::{Value, json};

use super::access::{Call, Need, refusal};
use super::data::{Repository, State};
use super::page::decode;
use super::response::{error_response, json_response, response};
use crate::lab::http::Body;

/// Responds to `GET` below `/repos/OWNER/NAME/git/trees` and `contents`.
pub fn route(state: &State, call: &Call, path: &[&str]) -> Response<Body> {
    if let Some(refusal) = refusal(state, &call.full_name, call.request, Need::Contents) {
        return refusal;
    }
    let Some(repository) = state.repository(&call.full_name) else { return error_response(404, "Not Found") };
    match path {
        ["git", "trees", reference @ ..] => tree(repository, call, &decode(&reference.join("/"))),
        ["contents", path @ ..] => content(repository, call, &decode(&path.join("/"))),
        _ => error_response(404, "Not Found"),
    }
}

/// The commit that a reference names, with its files.
fn files<'r>(repository: &'r Repository, reference: &str) -> Option<(String, &'r BTreeMap<String, String>)> {
    let commit = repository.resolve(reference)?;
    let files = repository.trees.get(&commit)?;
    Some((commit, files))
}

fn tree(repository: &Repository, call: &Call, reference: &str) -> Response<Body> {
    let Some((commit, files)) = files(repository, reference) else { return error_response(404, "Not Found") };
    let folders: BTreeSet<&str> =
        files.keys().flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..end])).collect();
    let folders = folders.into_iter().map(|path| (path, entry(call, path, "tree", &commit)));
    let blobs = files.iter().map(|(path, sha)| (path.as_str(), entry(call, path, "blob", sha)));
    // GitHub takes any value of this parameter.
    let is_whole = call.query.get("recursive").is_some();
    let mut entries: Vec<(&str, Value)> =
        folders.chain(blobs).filter(|(path, _)| is_whole || !path.contains('/')).collect();
    entries.sort_by_key(|(path, _)| *path);
    if repository.has_large_trees {
        entries.truncate(1);
    }
    let entries: Vec<Value> = entries.into_iter().map(|(_, entry)| entry).collect();
    let url = call.url(&format!("git/trees/{commit}"));
    json_response(200, &json!({"sha": commit, "url": url, "tree": entries, "truncated": repository.has_large_trees}))
}

fn entry(call: &Call, path: &str, kind: &str, sha: &str) -> Value {
    let mode = if kind == "tree" { "040000" } else { "100644" };
    json!({"path": path, "mode": mode, "type": kind, "sha": sha, "url": call.url(&format!("git/{kind}s/{sha}"))})
}

fn content(repository: &Repository, call: &Call, path: &str) -> Response<Body> {
    let reference = call.query.get("ref").unwrap_or(&repository.default_branch);
    let Some((_, files)) = files(repository, reference) else {
        return error_response(404, &format!("No commit found for the ref {reference}"));
    };
    let Some(bytes) = files.get(path).and_then(|sha| repository.blobs.get(sha)) else {
        return error_response(404, "Not Found");
    };
    if !call.accepts("application/vnd.github.raw") {
        return error_response(415, "the stub returns only bytes: send accept: application/vnd.github.raw+json");
    }
    let suffix = if call.accepts("application/vnd.github.raw+json") { "+json" } else { "" };
    response(200, &format!("application/vnd.github.raw{suffix}; charset=utf-8"), bytes.clone())
}
