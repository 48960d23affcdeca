//! The objects of GitHub's REST API as JSON, with every field that its OpenAPI document requires.

use serde_json::{Map, Value, json};

use super::access::Call;
use super::data::Repository;
use super::graph::TIME;
use super::page::encode;
use super::pulls::{Author, ChangedFile, Comment, Commit, PullRequest};

/// The lists of a repository that its object has a URL for.
const REPOSITORY_LISTS: &[&str] = &[
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "hooks",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
];

/// The lists of a user that its object has a URL for.
const USER_LISTS: &[&str] = &[
    "events",
    "followers",
    "following",
    "gists",
    "organizations",
    "received_events",
    "repos",
    "starred",
    "subscriptions",
];

pub fn user(call: &Call, author: &Author) -> Value {
    let login = encode(&author.login, "");
    let url = format!("{}/users/{login}", call.api);
    let page = author.app.as_ref().map_or(login, |(_, slug)| format!("apps/{slug}"));
    let mut all = Map::new();
    for list in USER_LISTS {
        all.insert(format!("{list}_url"), format!("{url}/{list}").into());
    }
    let own = json!({
        "login": author.login,
        "id": author.id,
        "node_id": format!("U_{}", author.id),
        "avatar_url": format!("{}/avatars/u/{}", call.server, author.id),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{}/{page}", call.server),
        "type": author.kind,
        "user_view_type": "public",
        "site_admin": false,
    });
    extend(all, own)
}

/// The app of an author, or null.
pub fn app(call: &Call, author: &Author) -> Value {
    let Some((id, slug)) = &author.app else { return Value::Null };
    json!({
        "id": id,
        "slug": slug,
        "node_id": format!("A_{id}"),
        "owner": user(call, &Author::person("github")),
        "name": slug,
        "description": "",
        "external_url": format!("{}/features/actions", call.server),
        "html_url": format!("{}/apps/{slug}", call.server),
        "created_at": TIME,
        "updated_at": TIME,
        "permissions": {},
        "events": [],
    })
}

/// A repository that the stub need not have, such as a fork.
pub fn repository(call: &Call, id: u64, full_name: &str, base: &Repository) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
    let (url, page) = (format!("{}/repos/{full_name}", call.api), format!("{}/{full_name}", call.server));
    let mut all = Map::new();
    for list in REPOSITORY_LISTS {
        all.insert(format!("{list}_url"), format!("{url}/{}", list.replace('_', "/")).into());
    }
    for count in [
        "forks",
        "forks_count",
        "open_issues",
        "open_issues_count",
        "size",
        "stargazers_count",
        "watchers",
        "watchers_count",
    ] {
        all.insert(count.to_owned(), 0.into());
    }
    for feature in ["downloads", "issues", "projects", "wiki"] {
        all.insert(format!("has_{feature}"), true.into());
    }
    let own = json!({
        "id": id,
        "node_id": format!("R_{id}"),
        "name": name,
        "full_name": full_name,
        "owner": user(call, &Author::person(owner)),
        "private": base.is_private,
        "visibility": if base.is_private { "private" } else { "public" },
        "fork": full_name != base.full_name,
        "default_branch": base.default_branch,
        "url": url,
        "html_url": page,
        "clone_url": format!("{page}.git"),
        "git_url": format!("{page}.git"),
        "ssh_url": format!("git@github.test:{full_name}.git"),
        "svn_url": page,
        "archived": false,
        "disabled": false,
        "has_pages": false,
        "created_at": TIME,
        "pushed_at": TIME,
        "updated_at": TIME,
        "description": null,
        "homepage": null,
        "language": null,
        "license": null,
        "mirror_url": null,
    });
    extend(all, own)
}

/// A pull request as it is in lists.
pub fn pull_request(call: &Call, base: &Repository, pull: &PullRequest) -> Value {
    let number = pull.number;
    let (url, page) = (call.url(&format!("pulls/{number}")), call.page_url(&format!("pull/{number}")));
    let issue = call.url(&format!("issues/{number}"));
    let statuses = call.url(&format!("statuses/{}", pull.head_sha));
    let closed_at = if pull.state == "closed" { json!(TIME) } else { Value::Null };
    let links = json!({
        "self": {"href": url},
        "html": {"href": page},
        "issue": {"href": issue},
        "comments": {"href": format!("{issue}/comments")},
        "review_comments": {"href": format!("{url}/comments")},
        "review_comment": {"href": call.url("pulls/comments{/number}")},
        "commits": {"href": format!("{url}/commits")},
        "statuses": {"href": statuses},
    });
    json!({
        "id": 7_000_000 + number,
        "node_id": format!("PR_{number}"),
        "number": number,
        "state": pull.state,
        "locked": pull.locked,
        "draft": false,
        "title": pull.title,
        "user": user(call, &pull.author),
        "body": null,
        "head": side(call, base, pull.head_owner(), (&pull.head_ref, &pull.head_sha), pull.head_repository.as_ref()),
        "base": side(call, base, owner(&base.full_name), (&pull.base_ref, &pull.base_sha), Some(&(base.id, base.full_name.clone()))),
        "merge_commit_sha": pull.merge_commit_sha,
        "merged_at": null,
        "closed_at": closed_at,
        "created_at": TIME,
        "updated_at": TIME,
        "assignee": null,
        "auto_merge": null,
        "milestone": null,
        "labels": [],
        "author_association": "CONTRIBUTOR",
        "url": url,
        "html_url": page,
        "diff_url": format!("{page}.diff"),
        "patch_url": format!("{page}.patch"),
        "issue_url": issue,
        "comments_url": format!("{issue}/comments"),
        "commits_url": format!("{url}/commits"),
        "review_comments_url": format!("{url}/comments"),
        "review_comment_url": call.url("pulls/comments{/number}"),
        "statuses_url": statuses,
        "_links": links,
    })
}

/// A pull request as it is alone, with its numbers.
pub fn whole_pull_request(call: &Call, base: &Repository, pull: &PullRequest) -> Value {
    let sum = |number: fn(&ChangedFile) -> u64| pull.files.iter().map(number).sum::<u64>();
    let own = json!({
        "merged": false,
        "merged_by": null,
        "mergeable": pull.merge_commit_sha.is_some(),
        "rebaseable": pull.merge_commit_sha.is_some(),
        "mergeable_state": if pull.merge_commit_sha.is_some() { "clean" } else { "dirty" },
        "maintainer_can_modify": false,
        "comments": pull.comments.len(),
        "review_comments": 0,
        "commits": 1,
        "additions": sum(|file| file.additions),
        "deletions": sum(|file| file.deletions),
        "changed_files": pull.files.len(),
    });
    match pull_request(call, base, pull) {
        Value::Object(all) => extend(all, own),
        other => other,
    }
}

/// The head or the base of a pull request.
fn side(
    call: &Call,
    base: &Repository,
    owner: &str,
    (reference, sha): (&str, &str),
    of: Option<&(u64, String)>,
) -> Value {
    json!({
        "label": format!("{owner}:{reference}"),
        "ref": reference,
        "sha": sha,
        "user": user(call, &Author::person(owner)),
        "repo": of.map(|(id, full_name)| repository(call, *id, full_name, base)),
    })
}

fn owner(full_name: &str) -> &str {
    full_name.split('/').next().unwrap_or_default()
}

/// Changed files of a commit; `sha` is in their links.
pub fn files(call: &Call, sha: &str, files: &[ChangedFile]) -> Vec<Value> {
    let count = files.len();
    files.iter().map(|file| changed_file(call, sha, file, count)).collect()
}

fn changed_file(call: &Call, sha: &str, file: &ChangedFile, count: usize) -> Value {
    let path = encode(&file.filename, "/");
    let is_within = |limit: Option<usize>| limit.is_none_or(|limit| count <= limit);
    let has_counts = is_within(file.counts_in_pages_up_to);
    let (additions, deletions) = if has_counts { (file.additions, file.deletions) } else { (0, 0) };
    let mut all = json!({
        "sha": file.sha,
        "filename": file.filename,
        "status": file.status,
        "additions": additions,
        "deletions": deletions,
        "changes": additions + deletions,
        "blob_url": call.page_url(&format!("blob/{sha}/{path}")),
        "raw_url": call.page_url(&format!("raw/{sha}/{path}")),
        "contents_url": call.url(&format!("contents/{path}?ref={sha}")),
    });
    let has_patch = has_counts && is_within(file.patch_in_pages_up_to);
    if let Some(patch) = file.patch.as_ref().filter(|_| has_patch) {
        all["patch"] = json!(patch);
    }
    if let Some(previous) = &file.previous_filename {
        all["previous_filename"] = json!(previous);
    }
    all
}

/// A commit as it is in lists, without its files.
pub fn commit(call: &Call, commit: &Commit) -> Value {
    let sha = &commit.sha;
    let url = call.url(&format!("commits/{sha}"));
    let person = Author::person("contributor");
    let signature = json!({"name": person.login, "email": "contributor@example.com", "date": TIME});
    let parents = commit.parents.iter().map(|parent| {
        json!({
            "sha": parent,
            "url": call.url(&format!("commits/{parent}")),
            "html_url": call.page_url(&format!("commit/{parent}")),
        })
    });
    json!({
        "sha": sha,
        "node_id": format!("C_{sha}"),
        "url": url,
        "html_url": call.page_url(&format!("commit/{sha}")),
        "comments_url": format!("{url}/comments"),
        "commit": {
            "author": signature,
            "committer": signature,
            "message": "Change something",
            "tree": {"sha": sha, "url": call.url(&format!("git/trees/{sha}"))},
            "url": call.url(&format!("git/commits/{sha}")),
            "comment_count": 0,
        },
        "author": user(call, &person),
        "committer": user(call, &person),
        "parents": parents.collect::<Vec<_>>(),
    })
}

/// A commit as git stores it, without its changes.
pub fn git_commit(call: &Call, commit: &Commit) -> Value {
    let all = self::commit(call, commit);
    let mut own = all["commit"].clone();
    for key in ["sha", "node_id", "html_url", "parents"] {
        own[key] = all[key].clone();
    }
    own["verification"] =
        json!({"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null});
    own
}

pub fn comment(call: &Call, number: u64, comment: &Comment) -> Value {
    let id = comment.id;
    json!({
        "id": id,
        "node_id": format!("IC_{id}"),
        "url": call.url(&format!("issues/comments/{id}")),
        "html_url": call.page_url(&format!("pull/{number}#issuecomment-{id}")),
        "issue_url": call.url(&format!("issues/{number}")),
        "user": user(call, &comment.author),
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "author_association": if comment.author.app.is_some() { "NONE" } else { "CONTRIBUTOR" },
        "body": comment.body,
        "performed_via_github_app": app(call, &comment.author),
    })
}

fn extend(mut all: Map<String, Value>, more: Value) -> Value {
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all)
}
