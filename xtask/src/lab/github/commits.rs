//! Routes of a repository's contents: comparisons, commits and blobs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Response;
use hyper::header::LINK;
use serde_json::json;

use super::access::{Call, Need, refusal};
use super::data::{Repository, State};
use super::objects;
use super::page::{Page, decode};
use super::pulls::{Commit, Comparison, PullRequest, is_sha};
use super::response::{error_response, json_response, response};
use crate::lab::http::Body;

/// GitHub returns at most this many files of a comparison, and of a commit per page.
const MAX_FILES: usize = 300;

/// GitHub returns at most this many commits of a comparison without pages.
const MAX_COMMITS: usize = 250;

/// Lines of base64 have this length.
const BASE64_LINE: usize = 60;

/// Responds to `GET` below `/repos/OWNER/NAME/compare`, `commits`, `git/commits` and `git/blobs`.
pub fn route(state: &State, call: &Call, path: &[&str]) -> Response<Body> {
    if let Some(refusal) = refusal(state, &call.full_name, call.request, Need::Contents) {
        return refusal;
    }
    let Some(repository) = state.repository(&call.full_name) else { return error_response(404, "Not Found") };
    match path {
        ["compare", basehead @ ..] => compare(repository, call, &decode(&basehead.join("/"))),
        ["commits", reference @ ..] if !reference.is_empty() => commit(repository, call, &decode(&reference.join("/"))),
        ["git", "blobs", sha] => blob(repository, call, sha),
        ["git", "commits", sha] => git_commit(repository, call, sha),
        _ => error_response(404, "Not Found"),
    }
}

fn compare(repository: &Repository, call: &Call, basehead: &str) -> Response<Body> {
    let Some((base, head)) = basehead.split_once("...") else { return error_response(404, "Not Found") };
    let shas = repository.resolve(base).zip(repository.resolve(head));
    let Some((base_sha, head_sha)) = shas else { return error_response(404, "Not Found") };
    let set = [(base, head), (&base_sha, &head_sha)]
        .into_iter()
        .find_map(|(base, head)| repository.comparisons.get(&(base.to_owned(), head.to_owned())).cloned());
    let Some(found) = set.or_else(|| comparison(repository, &base_sha, &head_sha)) else {
        return error_response(404, "Not Found");
    };
    let (ahead, behind) = (found.commits.len(), usize::from(found.merge_base_sha != base_sha));
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (0, _) => "behind",
        (_, 0) => "ahead",
        _ => "diverged",
    };
    let page = Page::of(&call.query, MAX_COMMITS);
    let commits = page.entries(&found.commits);
    let commits = commits.iter().map(|sha| objects::commit(call, &commit_of(repository, sha)));
    let (url, html) = (call.url(&format!("compare/{basehead}")), call.page_url(&format!("compare/{basehead}")));
    let mut body = json!({
        "url": url,
        "html_url": html,
        "permalink_url": call.page_url(&format!("compare/{base_sha}...{head_sha}")),
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "base_commit": objects::commit(call, &commit_of(repository, &base_sha)),
        "merge_base_commit": objects::commit(call, &commit_of(repository, &found.merge_base_sha)),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": commits.collect::<Vec<_>>(),
    });
    // The pages are of commits; only the first has the files.
    if page.is_first() {
        let files = &found.files[..found.files.len().min(MAX_FILES)];
        body["files"] = json!(objects::files(call, &head_sha, files));
    }
    let link = page.link(&call.link_url(repository, &format!("compare/{basehead}")), &call.query, ahead);
    with_link(json_response(200, &body), link)
}

/// A comparison that follows from the pull requests; `None` if the test has to add it.
fn comparison(repository: &Repository, base: &str, head: &str) -> Option<Comparison> {
    if base == head {
        return Some(Comparison { merge_base_sha: base.to_owned(), ..Comparison::default() });
    }
    // The base branch has not moved on.
    let is_behind =
        |pull: &PullRequest| pull.head_sha == base && pull.base_sha == head && pull.merge_base_sha == pull.base_sha;
    if repository.pull_requests.values().any(is_behind) {
        return Some(Comparison { merge_base_sha: head.to_owned(), ..Comparison::default() });
    }
    let is_this = |pull: &&PullRequest| pull.head_sha == head && (pull.base_sha == base || pull.merge_base_sha == base);
    let pull = repository.pull_requests.values().rev().find(is_this)?;
    Some(Comparison {
        merge_base_sha: pull.merge_base_sha.clone(),
        commits: vec![head.to_owned()],
        files: pull.files.clone(),
    })
}

fn commit(repository: &Repository, call: &Call, reference: &str) -> Response<Body> {
    let Some(sha) = repository.resolve(reference) else {
        return error_response(422, &format!("No commit found for SHA: {reference}"));
    };
    if call.accepts("application/vnd.github.sha") {
        return response(200, "application/vnd.github.sha; charset=utf-8", sha);
    }
    let found = commit_of(repository, &sha);
    let page = Page::of(&call.query, MAX_FILES);
    let files = page.entries(&found.files);
    let (additions, deletions) =
        found.files.iter().fold((0, 0), |(added, deleted), file| (added + file.additions, deleted + file.deletions));
    let mut body = objects::commit(call, &found);
    body["stats"] = json!({"additions": additions, "deletions": deletions, "total": additions + deletions});
    body["files"] = json!(objects::files(call, &sha, files));
    let link = page.link(&call.link_url(repository, &format!("commits/{sha}")), &call.query, found.files.len());
    with_link(json_response(200, &body), link)
}

fn git_commit(repository: &Repository, call: &Call, sha: &str) -> Response<Body> {
    match repository.knows(sha) {
        true => json_response(200, &objects::git_commit(call, &commit_of(repository, sha))),
        false => error_response(404, "Not Found"),
    }
}

/// A commit as the test added it, or as it follows from the pull requests and branches.
fn commit_of(repository: &Repository, sha: &str) -> Commit {
    if let Some(commit) = repository.commits.get(sha) {
        return commit.clone();
    }
    for pull in repository.pull_requests.values().rev() {
        let parents = if pull.merge_commit_sha.as_deref() == Some(sha) {
            vec![pull.base_sha.clone(), pull.head_sha.clone()]
        } else if pull.head_sha == sha {
            vec![pull.merge_base_sha.clone()]
        } else {
            continue;
        };
        return Commit { sha: sha.to_owned(), parents, files: pull.files.clone() };
    }
    let parents = repository.since(sha).get(1).cloned();
    Commit { sha: sha.to_owned(), parents: parents.into_iter().collect(), files: Vec::new() }
}

fn blob(repository: &Repository, call: &Call, sha: &str) -> Response<Body> {
    if !is_sha(sha) {
        return error_response(422, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].");
    }
    let Some(bytes) = repository.blobs.get(sha) else { return error_response(404, "Not Found") };
    if call.accepts("application/vnd.github.raw") {
        let suffix = if call.accepts("application/vnd.github.raw+json") { "+json" } else { "" };
        return response(200, &format!("application/vnd.github.raw{suffix}; charset=utf-8"), bytes.clone());
    }
    let content = STANDARD.encode(bytes);
    let lines = content.as_bytes().chunks(BASE64_LINE);
    let content: String = lines.map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect();
    let body = json!({
        "sha": sha,
        "node_id": format!("B_{sha}"),
        "size": bytes.len(),
        "url": call.url(&format!("git/blobs/{sha}")),
        "content": content,
        "encoding": "base64",
    });
    json_response(200, &body)
}

fn with_link(mut response: Response<Body>, link: Option<String>) -> Response<Body> {
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link.parse().unwrap());
    }
    response
}
