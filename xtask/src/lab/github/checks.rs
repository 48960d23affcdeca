//! Routes of check runs.

use hyper::Response;
use serde_json::{Value, json};

use super::access::{Call, Need, refusal};
use super::data::State;
use super::graph::TIME;
use super::objects;
use super::pulls::{Author, CheckRun};
use super::response::{error_response, json_response};
use crate::lab::http::Body;

/// GitHub's maximum number of annotations in a request.
const MAX_ANNOTATIONS: usize = 50;

/// GitHub's maximum length of summary and text.
const MAX_CHARACTERS: usize = 65_535;

const STATUSES: &[&str] = &["queued", "in_progress", "completed"];
const CONCLUSIONS: &[&str] = &["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
const LEVELS: &[&str] = &["notice", "warning", "failure"];

/// Responds to requests below `/repos/OWNER/NAME/check-runs`.
pub fn route(state: &mut State, call: &Call, path: &[&str]) -> Response<Body> {
    if let Some(refusal) = refusal(state, &call.full_name, call.request, Need::WriteChecks) {
        return refusal;
    }
    let Ok(body) = serde_json::from_str::<Value>(&call.request.body) else {
        return error_response(400, "Problems parsing JSON");
    };
    match (call.request.method.as_str(), path) {
        ("POST", []) => create(state, call, &body),
        ("PATCH", [id]) => update(state, call, id, &body),
        _ => error_response(404, "Not Found"),
    }
}

fn create(state: &mut State, call: &Call, body: &Value) -> Response<Body> {
    for required in ["name", "head_sha"] {
        if body[required].as_str().is_none_or(str::is_empty) {
            return invalid(&not_supplied(required));
        }
    }
    let run = CheckRun {
        id: state.next_id(),
        name: text(body, "name").unwrap_or_default(),
        head_sha: text(body, "head_sha").unwrap_or_default(),
        status: "queued".to_owned(),
        ..CheckRun::default()
    };
    let run = match changed(run, body) {
        Ok(run) => run,
        Err(problem) => return invalid(&problem),
    };
    let author = state.author();
    let Some(repository) = state.repository_mut(&call.full_name) else { return error_response(404, "Not Found") };
    if !repository.knows(&run.head_sha) {
        return error_response(422, &format!("No commit found for SHA: {}", run.head_sha));
    }
    let created = check_run(call, &run, &author);
    repository.check_runs.push(run);
    json_response(201, &created)
}

fn update(state: &mut State, call: &Call, id: &str, body: &Value) -> Response<Body> {
    let author = state.author();
    let repository = state.repository_mut(&call.full_name);
    let runs = repository.map(|repository| &mut repository.check_runs);
    let Some(run) = runs.and_then(|runs| runs.iter_mut().find(|run| run.id.to_string() == id)) else {
        return error_response(404, "Not Found");
    };
    match changed(run.clone(), body) {
        Ok(new) => {
            *run = new;
            json_response(200, &check_run(call, run, &author))
        }
        Err(problem) => invalid(&problem),
    }
}

/// The check run with what the request says, or what is wrong with the request.
fn changed(mut run: CheckRun, body: &Value) -> Result<CheckRun, String> {
    run.name = text(body, "name").unwrap_or(run.name);
    run.details_url = text(body, "details_url").or(run.details_url);
    run.external_id = text(body, "external_id").or(run.external_id);
    if let Some(status) = text(body, "status") {
        one_of(&status, STATUSES)?;
        run.status = status;
    }
    if let Some(conclusion) = text(body, "conclusion") {
        one_of(&conclusion, CONCLUSIONS)?;
        // A conclusion completes the run.
        (run.status, run.conclusion) = ("completed".to_owned(), Some(conclusion));
    }
    if run.status == "completed" && run.conclusion.is_none() {
        return Err(not_supplied("conclusion"));
    }
    match &body["output"] {
        Value::Null => Ok(run),
        output => with_output(run, output),
    }
}

fn with_output(mut run: CheckRun, output: &Value) -> Result<CheckRun, String> {
    run.title = text(output, "title").or(run.title);
    run.summary = text(output, "summary").or(run.summary);
    run.text = text(output, "text").or(run.text);
    if run.title.is_none() || run.summary.is_none() {
        return Err(not_supplied(if run.title.is_none() { "title" } else { "summary" }));
    }
    for long in [&run.summary, &run.text].into_iter().flatten() {
        let length = long.chars().count();
        if length > MAX_CHARACTERS {
            return Err(format!("Only {MAX_CHARACTERS} characters are allowed; {length} were supplied."));
        }
    }
    let annotations = output["annotations"].as_array().cloned().unwrap_or_default();
    if annotations.len() > MAX_ANNOTATIONS {
        let count = annotations.len();
        return Err(format!("No more than {MAX_ANNOTATIONS} items are allowed; {count} were supplied."));
    }
    for annotation in &annotations {
        for required in ["path", "start_line", "end_line", "annotation_level", "message"] {
            if annotation[required].is_null() {
                return Err(not_supplied(required));
            }
        }
        one_of(annotation["annotation_level"].as_str().unwrap_or_default(), LEVELS)?;
    }
    run.annotations.extend(annotations);
    Ok(run)
}

fn text(body: &Value, key: &str) -> Option<String> {
    body[key].as_str().map(ToOwned::to_owned)
}

fn not_supplied(field: &str) -> String {
    format!("\"{field}\" wasn't supplied.")
}

fn one_of(value: &str, allowed: &[&str]) -> Result<(), String> {
    let is_allowed = allowed.contains(&value);
    if is_allowed { Ok(()) } else { Err(format!("{value} is not a member of {allowed:?}.")) }
}

fn invalid(problem: &str) -> Response<Body> {
    error_response(422, &format!("Invalid request.\n\n{problem}"))
}

fn check_run(call: &Call, run: &CheckRun, author: &Author) -> Value {
    let url = call.url(&format!("check-runs/{}", run.id));
    let html_url = call.page_url(&format!("runs/{}", run.id));
    json!({
        "id": run.id,
        "node_id": format!("CR_{}", run.id),
        "name": run.name,
        "head_sha": run.head_sha,
        "external_id": run.external_id.as_deref().unwrap_or_default(),
        "url": url,
        "html_url": html_url,
        "details_url": run.details_url.as_deref().unwrap_or(&html_url),
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": TIME,
        "completed_at": run.conclusion.as_ref().map(|_| TIME),
        "check_suite": {"id": 5},
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": run.annotations.len(),
            "annotations_url": format!("{url}/annotations"),
        },
        "app": objects::app(call, author),
        "pull_requests": [],
    })
}
