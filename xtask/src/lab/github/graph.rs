//! The stub's data as GitHub's GraphQL types, with the fields that badges need.

use serde_json::{Value, json};

use super::data::{Repository, State, Status};
use super::graphql::{Arguments, FieldValue, Object};

/// The time of everything, so that the stub's responses are the same in every run.
pub const TIME: &str = "2026-01-02T03:04:05Z";

pub enum Node<'a> {
    Query(&'a State),
    /// The account of the token.
    Viewer(&'a State),
    RateLimit,
    Repository(&'a Repository),
    Ref(&'a Repository, &'a str),
    /// The target of a ref, before a fragment selects the type Commit.
    GitObject(&'a Repository, &'a str),
    Commit(&'a Repository, &'a str),
    History(&'a Repository, Vec<&'a str>),
    Rollup(&'a Repository, &'a str),
    /// A status, and the number of older ones.
    Context(&'a Status, usize),
}

impl<'a> Object for Node<'a> {
    fn type_name(&self) -> &'static str {
        match self {
            Node::Query(_) => "Query",
            Node::Viewer(_) => "User",
            Node::RateLimit => "RateLimit",
            Node::Repository(_) => "Repository",
            Node::Ref(..) => "Ref",
            Node::GitObject(..) => "GitObject",
            Node::Commit(..) => "Commit",
            Node::History(..) => "CommitHistoryConnection",
            Node::Rollup(..) => "Status",
            Node::Context(..) => "StatusContext",
        }
    }

    fn as_type(&self, name: &str) -> Option<Node<'a>> {
        match self {
            Node::GitObject(repository, sha) if name == "Commit" => Some(Node::Commit(repository, sha)),
            _ => None,
        }
    }

    fn field(&self, name: &str, arguments: &Arguments) -> Option<FieldValue<Node<'a>>> {
        match self {
            Node::Query(state) => query(state, name, arguments),
            Node::Viewer(state) => (name == "login").then(|| leaf(state.author().login)),
            Node::RateLimit => match name {
                "limit" => Some(leaf(5000)),
                "remaining" => Some(leaf(4999)),
                "resetAt" => Some(leaf(TIME)),
                _ => None,
            },
            Node::Repository(repository) => repository_field(repository, name, arguments),
            Node::Ref(repository, branch) => match name {
                "name" => Some(leaf(*branch)),
                "prefix" => Some(leaf("refs/heads/")),
                "target" => {
                    let newest = repository.history(branch).first()?;
                    Some(FieldValue::One(Node::GitObject(repository, newest)))
                }
                _ => None,
            },
            Node::GitObject(_, sha) => (name == "oid").then(|| leaf(*sha)),
            Node::Commit(repository, sha) => commit(repository, sha, name, arguments),
            Node::History(repository, shas) => match name {
                "totalCount" => Some(leaf(shas.len())),
                "nodes" => {
                    let commits = shas.iter().map(|sha| Node::Commit(repository, sha));
                    Some(FieldValue::Many(commits.collect()))
                }
                _ => None,
            },
            Node::Rollup(repository, sha) => rollup(repository.statuses_of(sha), name, arguments),
            Node::Context(status, age) => context(status, *age, name),
        }
    }
}

fn leaf<'a>(value: impl Into<Value>) -> FieldValue<Node<'a>> {
    FieldValue::Leaf(value.into())
}

fn one_or_null(node: Option<Node<'_>>) -> FieldValue<Node<'_>> {
    node.map_or(FieldValue::Leaf(Value::Null), FieldValue::One)
}

fn query<'a>(state: &'a State, name: &str, arguments: &Arguments) -> Option<FieldValue<Node<'a>>> {
    match name {
        "viewer" => return Some(FieldValue::One(Node::Viewer(state))),
        "rateLimit" => return Some(FieldValue::One(Node::RateLimit)),
        "repository" => {}
        _ => return None,
    }
    let part = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let full_name = format!("{}/{}", part("owner"), part("name"));
    Some(match state.repository(&full_name) {
        Some(repository) => FieldValue::One(Node::Repository(repository)),
        None => FieldValue::Missing {
            kind: "NOT_FOUND",
            message: format!("Could not resolve to a Repository with the name '{full_name}'."),
        },
    })
}

fn repository_field<'a>(repository: &'a Repository, name: &str, arguments: &Arguments) -> Option<FieldValue<Node<'a>>> {
    let branch = |wanted: &str| {
        let found = repository.branches.get_key_value(wanted);
        one_or_null(found.map(|(branch, _)| Node::Ref(repository, branch)))
    };
    match name {
        "nameWithOwner" => Some(leaf(repository.full_name.as_str())),
        "isPrivate" => Some(leaf(repository.is_private)),
        // An empty repository has no default branch yet.
        "defaultBranchRef" => Some(branch(&repository.default_branch)),
        "ref" => {
            let wanted = arguments.get("qualifiedName")?.as_str()?;
            Some(branch(wanted.strip_prefix("refs/heads/").unwrap_or(wanted)))
        }
        _ => None,
    }
}

fn commit<'a>(
    repository: &'a Repository,
    sha: &'a str,
    name: &str,
    arguments: &Arguments,
) -> Option<FieldValue<Node<'a>>> {
    match name {
        "oid" => Some(leaf(sha)),
        "committedDate" => Some(leaf(TIME)),
        "messageHeadline" => Some(leaf("Change something")),
        "history" => {
            let Some(first) = arguments.get("first").and_then(Value::as_u64) else {
                return Some(FieldValue::Missing {
                    kind: "MISSING_PAGINATION_BOUNDARIES",
                    message: "You must provide a `first` or `last` value to properly paginate \
                              the `history` connection."
                        .into(),
                });
            };
            let history = repository.since(sha);
            let count = usize::try_from(first).unwrap_or(usize::MAX);
            let shas = history.iter().take(count).map(String::as_str);
            Some(FieldValue::One(Node::History(repository, shas.collect())))
        }
        "status" => {
            let any = !repository.statuses_of(sha).is_empty();
            Some(one_or_null(any.then_some(Node::Rollup(repository, sha))))
        }
        _ => None,
    }
}

fn rollup<'a>(statuses: &'a [Status], name: &str, arguments: &Arguments) -> Option<FieldValue<Node<'a>>> {
    // GitHub shows the newest status of each context, ignoring case.
    let is_newest = |(at, status): &(usize, &Status)| {
        !statuses[at + 1..].iter().any(|newer| newer.context.eq_ignore_ascii_case(&status.context))
    };
    let mut newest = statuses.iter().enumerate().filter(is_newest).map(|(at, status)| (status, at));
    match name {
        "context" => {
            let wanted = arguments.get("name")?.as_str()?;
            let found = newest.find(|(status, _)| status.context.eq_ignore_ascii_case(wanted));
            Some(one_or_null(found.map(|(status, age)| Node::Context(status, age))))
        }
        "contexts" => Some(FieldValue::Many(newest.map(|(status, age)| Node::Context(status, age)).collect())),
        _ => None,
    }
}

fn context<'a>(status: &Status, age: usize, name: &str) -> Option<FieldValue<Node<'a>>> {
    let text = |text: &str| {
        if text.is_empty() { json!(null) } else { json!(text) }
    };
    let value = match name {
        "context" => json!(status.context),
        "state" => json!(status.state.to_uppercase()),
        "description" => text(&status.description),
        "targetUrl" => text(&status.target_url),
        "createdAt" => json!(format!("2026-01-02T03:{:02}:{:02}Z", age / 60 % 60, age % 60)),
        _ => return None,
    };
    Some(FieldValue::Leaf(value))
}
