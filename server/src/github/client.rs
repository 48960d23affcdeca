//! Sends GraphQL requests to GitHub, and reads the responses.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Limited};
use hyper::{HeaderMap, StatusCode};
use octocrab::Octocrab;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::github::settings::GitHubConfig;

/// Time to connect to GitHub.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// The maximum size of a response: enough for 20 commits with 500 statuses each.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// The connection pool and the token.
pub struct GraphqlClient(Octocrab);

/// The head of a response. Its body must arrive before the deadline of the request.
pub struct PendingResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: BoxBody<Bytes, octocrab::Error>,
    until: Instant,
}

/// The body of a response.
#[derive(Deserialize)]
pub struct Reply<T> {
    pub data: Option<T>,
    #[serde(default)]
    pub errors: Vec<ReplyError>,
}

#[derive(Deserialize)]
pub struct ReplyError {
    #[serde(rename = "type")]
    kind: Option<String>,
    pub message: String,
}

/// Why GitHub did not return a usable response.
pub struct Failure {
    /// The response began, and its body was unusable. The repository determines its size and content.
    pub is_in_response: bool,
    pub is_timeout: bool,
    pub error: anyhow::Error,
}

impl GraphqlClient {
    /// Must run inside the runtime.
    pub fn new(config: &GitHubConfig) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            // A redirect could carry the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let client = Octocrab::builder()
            .base_uri(config.graphql_base.as_str().trim_end_matches('/'))?
            .personal_token(config.token.expose().to_owned())
            .build_with_reqwest(http)?;
        Ok(Self(client))
    }

    /// Sends a query with its variables. `until`: the deadline of the whole response.
    pub async fn post(&self, body: &serde_json::Value, until: Instant) -> Result<PendingResponse, Failure> {
        let response = timeout_at(until, self.0._post("/graphql", Some(body))).await;
        let response = response.map_err(|_| Failure::late(false))?.map_err(|error| Failure::of(cause(error)))?;
        let (parts, body) = response.into_parts();
        Ok(PendingResponse { status: parts.status, headers: parts.headers, body, until })
    }
}

impl PendingResponse {
    pub async fn bytes(self) -> Result<Bytes, Failure> {
        let body = timeout_at(self.until, Limited::new(self.body, MAX_RESPONSE_BYTES).collect()).await;
        let body = body.map_err(|_| Failure::late(true))?;
        Ok(body.map_err(|error| Failure::in_response(anyhow::anyhow!("{error}")))?.to_bytes())
    }
}

impl<T> Reply<T> {
    /// GitHub reports an exhausted quota with status 200.
    pub fn is_rate_limited(&self) -> bool {
        self.errors.iter().any(|error| error.is("RATE_LIMITED"))
    }
}

impl ReplyError {
    pub fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

impl Failure {
    pub fn of(error: anyhow::Error) -> Self {
        Self { is_in_response: false, is_timeout: false, error }
    }

    pub fn in_response(error: anyhow::Error) -> Self {
        Self { is_in_response: true, ..Self::of(error) }
    }

    fn late(is_in_response: bool) -> Self {
        Self { is_in_response, is_timeout: true, error: anyhow::anyhow!("no response in time") }
    }
}

/// The causes below octocrab's and reqwest's own errors, which only repeat each other and the URL.
fn cause(error: octocrab::Error) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    let below = error.chain().skip_while(|error| !error.is::<reqwest::Error>()).skip(1);
    let causes: Vec<String> = below.map(ToString::to_string).collect();
    if causes.is_empty() { error } else { anyhow::anyhow!(causes.join(": ")) }
}
