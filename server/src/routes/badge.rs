//! `GET /badge/…`: badges as SVG and JSON, and redirects to their reports.

use std::sync::Arc;

use hyper::header::{self, HeaderMap};

use crate::answers::response::{self, Body, RouteResult};
use crate::app::App;
use crate::error::Error;
use crate::names::report::ReportName;
use crate::names::repository::Repository;
use crate::routes::query::parameter;
use crate::telemetry::metrics::{BadgeResult, metrics};
use crate::values::drawing::{self, Appearance};
use crate::values::value::{Value, ValueKey};

/// The format of a badge.
#[derive(Clone, Copy)]
pub enum BadgeFormat {
    Svg,
    Json,
}

pub async fn show(
    app: &App,
    owner: &str,
    name: &str,
    format: BadgeFormat,
    query: Option<&str>,
    headers: &HeaderMap,
) -> RouteResult {
    let parameter = |name: &str| parameter(query, name);
    let value = value(app, key(owner, name, query)).await;
    let appearance = Appearance::new(parameter("label").as_deref(), parameter("style").as_deref());
    let head = app.badge_headers.of(headers);
    Ok(match format {
        BadgeFormat::Svg => response::with_headers(
            head,
            Body::Full(app.badges.svg(value.as_deref(), appearance).map_err(Error::internal)?),
        ),
        BadgeFormat::Json => {
            let json =
                serde_json::to_vec(&drawing::endpoint(value.as_deref(), &appearance)).map_err(Error::internal)?;
            let mut response = response::with_headers(head, Body::Full(json.into()));
            response::set(&mut response, header::CONTENT_TYPE, "application/json");
            response
        }
    })
}

/// 307 to the report behind the badge, on this server only.
pub async fn redirect(app: &App, owner: &str, name: &str, query: Option<&str>) -> RouteResult {
    let value = value(app, key(owner, name, query)).await;
    let site = value.and_then(|value| value.site_id.as_ref()?.parse().ok());
    match site {
        Some(site) => app.responses.redirect(&app.reports.location(&site)),
        None => Err(Error::not_found(unknown(&format!("{owner}/{name}"), query))),
    }
}

fn unknown(repository: &str, query: Option<&str>) -> String {
    let is_given = |name: &str| parameter(query, name).is_some_and(|text| !text.is_empty());
    let (with_name, by_name) = if is_given("name") { (" with this name", " of that name") } else { ("", "") };
    match is_given("branch") {
        true => format!(
            "the server knows no report of {repository}{with_name} on this branch: run the first \
             upload{by_name} from the branch, on a server with a GITHUB_TOKEN"
        ),
        false => format!(
            "the server knows no report of {repository}{with_name}: run the first upload{by_name} from the \
             default branch"
        ),
    }
}

async fn value(app: &App, key: Option<ValueKey>) -> Option<Arc<Value>> {
    let value = match key {
        Some(key) => app.values.get(key).await,
        None => None,
    };
    metrics().count_badge(if value.is_some() { BadgeResult::Value } else { BadgeResult::Unknown });
    value
}

/// The key of the requested value. Invalid names have none: their badge is grey, not a broken image.
fn key(owner: &str, name: &str, query: Option<&str>) -> Option<ValueKey> {
    let repository = Repository::new(owner, name).ok()?;
    let given = |name: &str| parameter(query, name).filter(|text| !text.is_empty());
    let name = given("name").map(|name| name.parse::<ReportName>()).transpose().ok()?;
    let branch = given("branch");
    let can_be = branch.as_deref().is_none_or(is_branch);
    can_be.then_some(ValueKey { repository, name, branch })
}

/// A subset of git's rules for branch names.
pub(crate) fn is_branch(text: &str) -> bool {
    text.len() <= 250 && !text.contains("..") && !text.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
}
