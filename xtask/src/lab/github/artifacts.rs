//! The artifacts of workflow runs: GitHub lists them and redirects to a store on another host, which needs no token.

use std::sync::{Arc, Mutex};

use hyper::header::LOCATION;
use hyper::{Response, StatusCode};
use ring::digest;
use serde_json::{Value, json};

use super::data::{Artifact, Recorded, State};
use super::page::decode;
use super::response::{error_response, json_response, response};
use crate::lab::http::{Body, Serving, full, headers_of};

/// The signature that makes a URL of the store a credential.
const SIGNATURE: &str = "sig=a-signature-to-hide";

/// Starts the store, with another host name than GitHub's.
pub fn store(state: Arc<Mutex<State>>) -> Serving {
    let shared = Arc::clone(&state);
    let serving = Serving::start(move |request| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let method = request.method().to_string();
        let headers = headers_of(request.headers());
        let mut state = shared.lock().unwrap();
        let zip = state.zip_at(&path);
        state.store_requests.push(Recorded { method, path, headers, body: String::new() });
        async {
            Ok(match zip {
                Some(zip) => Response::builder().header("content-type", "application/zip").body(full(zip)).unwrap(),
                None => response(403, "application/xml", "<Error><Code>AuthenticationFailed</Code></Error>".to_owned()),
            })
        }
    });
    state.lock().unwrap().store = serving.url().replace("127.0.0.1", "localhost");
    serving
}

impl State {
    /// The zip at a signed URL.
    fn zip_at(&self, path: &str) -> Option<Vec<u8>> {
        let (full_name, id) = path.strip_suffix(&format!(".zip?{SIGNATURE}"))?.strip_prefix('/')?.rsplit_once('/')?;
        let artifact = self.repository(full_name)?.artifacts.get(id.parse::<usize>().ok()?)?;
        Some(artifact.zip.clone())
    }
}

/// Responds to paths below `/repos/OWNER/NAME/actions/`. The ID of an artifact is its index.
pub fn route(state: &State, full_name: &str, path: &[&str], request: &Recorded) -> Response<Body> {
    if request.header("authorization").is_none() {
        return error_response(401, "Requires authentication");
    }
    let Some(repository) = state.repository(full_name) else { return error_response(404, "Not Found") };
    match path {
        ["runs", run_id, "artifacts"] => {
            let query = request.path.split_once('?').map_or("", |(_, query)| query);
            let value = |key: &str| {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.find(|(name, _)| *name == key).map(|(_, value)| decode(value))
            };
            let number = |key: &str, default: usize| value(key).and_then(|text| text.parse().ok()).unwrap_or(default);
            let named = |artifact: &Artifact| value("name").is_none_or(|name| name == artifact.name);
            let all = repository.artifacts.iter().enumerate();
            let found = all.filter(|(_, artifact)| artifact.run_id.to_string() == **run_id && named(artifact));
            let artifacts: Vec<Value> = found.map(|(id, artifact)| artifact_json(id, artifact)).collect();
            let per_page = number("per_page", 30).min(100);
            let start = (number("page", 1).saturating_sub(1) * per_page).min(artifacts.len());
            let page = &artifacts[start..artifacts.len().min(start + per_page)];
            json_response(200, &json!({"total_count": artifacts.len(), "artifacts": page}))
        }
        ["artifacts", id, "zip"] => {
            let mut found = response(StatusCode::FOUND.as_u16(), "text/html", String::new());
            let url = format!("{}/{full_name}/{id}.zip?{SIGNATURE}", state.store);
            found.headers_mut().insert(LOCATION, url.parse().unwrap());
            found
        }
        _ => error_response(404, "Not Found"),
    }
}

fn artifact_json(id: usize, artifact: &Artifact) -> Value {
    let hash = digest::digest(&digest::SHA256, &artifact.zip);
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "id": id,
        "name": artifact.name,
        "size_in_bytes": artifact.zip.len(),
        "expired": false,
        "digest": format!("sha256:{hash}"),
        "created_at": format!("2026-11-22T15:{:02}:00Z", id % 60),
        "expires_at": "2027-02-20T15:00:00Z",
        "workflow_run": {"id": artifact.run_id, "head_branch": "main", "head_sha": artifact.head_sha},
    })
}
