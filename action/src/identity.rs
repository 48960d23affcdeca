//! How a run authenticates to the covered server: an API key, or the token that GitHub signs for a job.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::StatusCode;

use crate::base::repository::Repository;
use crate::base::secret::Secret;
use crate::base::text::shorten;
use crate::http::{Client, Credential, Request, SecretHeader};

/// Tokens that expire sooner are not used. GitHub's tokens are valid for five minutes.
const MIN_VALIDITY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum Identity {
    Key(Secret),
    /// The job's token, with `permissions: id-token: write`.
    Job(Job),
}

/// GitHub's token endpoint for this job.
#[derive(Debug)]
pub struct Job {
    url: String,
    credential: Secret,
    cached: Mutex<Option<JobToken>>,
}

#[derive(Clone, Debug)]
struct JobToken {
    secret: Secret,
    expires: Timestamp,
}

impl Identity {
    /// `url` and `credential`: `ACTIONS_ID_TOKEN_REQUEST_URL` and `…_TOKEN`. `audience`: the covered server.
    pub fn job(url: &str, credential: Secret, audience: &str) -> Self {
        let separator = if url.contains('?') { '&' } else { '?' };
        let audience = utf8_percent_encode(audience, NON_ALPHANUMERIC);
        let url = format!("{url}{separator}audience={audience}");
        Self::Job(Job { url, credential, cached: Mutex::default() })
    }

    /// The secret to mask.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Key(key) => key,
            Self::Job(job) => &job.credential,
        }
    }

    /// Explains a rejection by the covered server.
    pub fn rejection(&self, status: StatusCode, reason: &str, repository: &Repository) -> String {
        let names = |name: &str| reason.to_ascii_lowercase().contains(&name.to_ascii_lowercase());
        // The key is valid, but not for this repository: the server's message names it, and says what to do.
        let is_for_others = status == StatusCode::FORBIDDEN && names(&repository.to_string());
        match self {
            Self::Key(_) if is_for_others || names("ALLOWED_REPOSITORIES") => {
                format!("the covered server rejected the report ({reason})")
            }
            Self::Key(_) => format!(
                "the covered server does not accept the API key ({reason}): check api-key and the secret it comes from"
            ),
            // The server's message says what to do.
            Self::Job(_) => format!("the covered server does not accept this job's token from GitHub ({reason})"),
        }
    }
}

impl Credential for Identity {
    fn header(&self, client: &Client) -> Result<SecretHeader> {
        match self {
            // The Python original's backend accepts only this header.
            Self::Key(key) => Ok(SecretHeader { name: "token", prefix: "", secret: key.clone() }),
            Self::Job(job) => Ok(SecretHeader { name: "authorization", prefix: "Bearer ", secret: job.token(client)? }),
        }
    }
}

#[derive(Deserialize)]
struct TokenResponse {
    value: Secret,
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
}

impl Job {
    /// The cached token if it is still valid, else a new one.
    fn token(&self, client: &Client) -> Result<Secret> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let min_expiry = Timestamp::now().saturating_add(MIN_VALIDITY)?;
        if let Some(token) = cached.as_ref().filter(|token| token.expires > min_expiry) {
            return Ok(token.secret.clone());
        }
        let token = self.request_token(client)?;
        Ok(cached.insert(token).secret.clone())
    }

    fn request_token(&self, client: &Client) -> Result<JobToken> {
        let request = Request::new("GET", &self.url).context("ACTIONS_ID_TOKEN_REQUEST_URL")?;
        let response = client.send(&request.secret_header("authorization", "Bearer ", &self.credential)?);
        let response = response.context("GitHub issued no token for this job")?;
        if response.status != StatusCode::OK {
            let text = format!("GitHub issued no token for this job ({}): run the job again", response.describe());
            return Err(response.rejection(text));
        }
        let Ok(TokenResponse { value }) = response.json() else { bail!("GitHub returned no token for this job") };
        client.mask(&value);
        let expires = expiry(value.expose()).context("GitHub issued an invalid token for this job")?;
        Ok(JobToken { secret: value, expires })
    }
}

/// The expiry of a JWT. The server verifies the rest.
fn expiry(token: &str) -> Result<Timestamp> {
    let claims = token.split('.').nth(1).context("it has no claims")?;
    // These errors would quote the token.
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok().context("its claims are not Base64")?;
    let Claims { exp } = serde_json::from_slice(&claims).ok().context("it has no expiry")?;
    Timestamp::from_second(exp).map_err(|error| anyhow::anyhow!("invalid expiry: {}", shorten(&error.to_string(), 100)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_expiry_is_parsed_and_errors_never_quote_the_token() {
        // {"alg":"RS256"} and {"aud":"x","exp":1767225600}
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4IiwiZXhwIjoxNzY3MjI1NjAwfQ.c2lnbmF0dXJl";
        assert_eq!(expiry(token).unwrap().to_string(), "2026-01-01T00:00:00Z");
        for token in ["", "hunter2", "a.hunter2!.c", "a.aHVudGVyMg.c", "a.eyJleHAiOiJodW50ZXIyIn0.c"] {
            assert!(!format!("{:#}", expiry(token).unwrap_err()).contains("hunter"), "{token}");
        }
    }

    #[test]
    fn the_audience_is_escaped_and_debug_output_hides_the_credential() {
        let credential = Secret::new("hunter2");
        let job = Identity::job("https://t.example/x?v=2", credential, "https://c.example.com/a b");
        let Identity::Job(Job { url, .. }) = &job else { panic!("it is a job's") };
        assert_eq!(url, "https://t.example/x?v=2&audience=https%3A%2F%2Fc%2Eexample%2Ecom%2Fa%20b");
        assert!(!format!("{job:?}").contains("hunter"));
    }
}
