//! `GET /badge/…`: the badge as SVG and as JSON, and the way from it to the report.

use hyper::header::{self, HeaderMap};

use crate::answers::response::{self, Answer, Body};
use crate::app::App;
use crate::error::Error;
use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::telemetry::metrics::{Found, metrics};
use crate::values::drawing::{self, Look};
use crate::values::value::{Value, ValueKey};
use std::sync::Arc;

/// The form a badge is asked for in.
#[derive(Clone, Copy)]
pub enum Form {
    Svg,
    Json,
}

pub async fn show(app: &App, owner: &str, name: &str, form: Form, query: Option<&str>, headers: &HeaderMap) -> Answer {
    let parameter = |name: &str| parameter(query, name);
    let value = value(app, key(owner, name, query)).await;
    let look = Look::new(parameter("label").as_deref(), parameter("style").as_deref());
    let head = app.badge_headers.of(headers);
    Ok(match form {
        Form::Svg => response::with(head, Body::Full(app.badges.svg(value.as_deref(), look).map_err(Error::internal)?)),
        Form::Json => {
            let json = serde_json::to_vec(&drawing::endpoint(value.as_deref(), &look)).map_err(Error::internal)?;
            let mut response = response::with(head, Body::Full(json.into()));
            response::set(&mut response, header::CONTENT_TYPE, "application/json");
            response
        }
    })
}

/// 307 to the report behind the badge: one of this server's, never elsewhere.
pub async fn redirect(app: &App, owner: &str, name: &str, query: Option<&str>) -> Answer {
    let value = value(app, key(owner, name, query)).await;
    let site = value.and_then(|value| value.site_id.as_ref()?.parse().ok());
    match site {
        Some(site) => app.answers.redirect(&app.reports.location(&site)),
        None => Err(Error::not_found(unknown(&format!("{owner}/{name}"), query))),
    }
}

fn unknown(repository: &str, query: Option<&str>) -> String {
    let is_given = |name: &str| parameter(query, name).is_some_and(|text| !text.is_empty());
    let (with_name, by_name) = if is_given("name") { (" with this name", " by that name") } else { ("", "") };
    match is_given("branch") {
        true => format!(
            "no report of {repository}{with_name} on this branch is known here: it is there after the first \
             upload{by_name} from the branch, where the server has a GITHUB_TOKEN to see branches with"
        ),
        false => format!(
            "no report of {repository}{with_name} is known here: it is there after the first upload{by_name} from the \
             default branch"
        ),
    }
}

async fn value(app: &App, key: Option<ValueKey>) -> Option<Arc<Value>> {
    let value = match key {
        Some(key) => app.values.get(key).await,
        None => None,
    };
    metrics().badge(if value.is_some() { Found::Value } else { Found::Unknown });
    value
}

/// Whose value it is. A repository, a name or a branch that cannot exist has none: its badge is grey, never a broken image.
fn key(owner: &str, name: &str, query: Option<&str>) -> Option<ValueKey> {
    let repository = Repository::new(owner, name).ok()?;
    let given = |name: &str| parameter(query, name).filter(|text| !text.is_empty());
    let name = given("name").map(|name| name.parse::<ReportName>()).transpose().ok()?;
    let branch = given("branch");
    let can_be = branch.as_deref().is_none_or(is_branch);
    can_be.then_some(ValueKey { repository, name, branch })
}

pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query?.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// What git allows in a branch's name, as far as it matters here.
pub(crate) fn is_branch(text: &str) -> bool {
    text.len() <= 250 && !text.contains("..") && !text.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
}
