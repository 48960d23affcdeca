//! Uploads without an API key: a workflow sends the OIDC token that GitHub signed for its run.
//!
//! Tokens are trusted only by a signature with one of the issuer's keys. The header's key ID selects among these keys;
//! it cannot add one, and it cannot choose another algorithm than RS256.

use std::sync::Arc;

use jiff::Timestamp;

use crate::error::Error;
use crate::identity::issuer::{Issuer, NoKey};
use crate::identity::issuer_url::IssuerUrl;
use crate::identity::token::{self, Token, WorkflowRun};

/// Settings for OIDC tokens.
pub struct OidcConfig {
    pub issuers: Vec<IssuerUrl>,
    /// The expected audience; `None`: the server's public address.
    pub audience: Option<String>,
    /// Whether the operator set any of this.
    pub is_explicit: bool,
}

/// The trusted issuers.
pub struct Oidc {
    issuers: Vec<Arc<Issuer>>,
    /// The expected audience of tokens.
    audience: String,
}

impl Oidc {
    /// `public_url`: the default audience.
    pub fn new(config: OidcConfig, public_url: &str) -> anyhow::Result<Self> {
        let issuers = config.issuers.into_iter().map(|url| Issuer::new(url).map(Arc::new));
        let audience = config.audience.unwrap_or_else(|| public_url.to_owned());
        Ok(Self { issuers: issuers.collect::<Result<_, _>>()?, audience })
    }

    /// Verifies a token and returns its workflow run.
    pub async fn verify(&self, token: &Token<'_>) -> Result<WorkflowRun, Error> {
        let kid = token.key_id().map_err(refused)?;
        let issuer = self.issuer(&token.issuer().map_err(refused)?)?;
        let key = issuer.key(kid).await.map_err(|why| no_key(why, kid, issuer))?;
        token.verify(issuer.url.as_str(), &key, &self.audience, Timestamp::now()).map_err(refused)
    }

    /// Whether tokens are disabled.
    pub fn is_off(&self) -> bool {
        self.issuers.is_empty()
    }

    pub fn audience(&self) -> &str {
        &self.audience
    }

    fn issuer(&self, iss: &str) -> Result<&Arc<Issuer>, Error> {
        self.issuers.iter().find(|issuer| issuer.url.as_str() == iss).ok_or_else(|| {
            let known: Vec<&str> = self.issuers.iter().map(|issuer| issuer.url.as_str()).collect();
            let known = known.join(" or ");
            refused(format!(
                "iss is {}, expected {known}: the server's operator can set OIDC_ISSUERS",
                token::quoted(iss)
            ))
        })
    }
}

fn refused(why: String) -> Error {
    Error::unauthorized(format!("the OIDC token was rejected: {why}"))
}

fn no_key(why: NoKey, kid: &str, issuer: &Issuer) -> Error {
    let (kid, url) = (token::quoted(kid), &issuer.url);
    match why {
        NoKey::Unknown => refused(format!("kid is {kid}, and {url} has no such key")),
        NoKey::RetryLater { seconds, failed: true } => Error::not_yet(
            format!(
                "the OIDC token cannot be verified: the keys of {url} could not be read; the server retries in {seconds} s"
            ),
            seconds,
        ),
        NoKey::RetryLater { seconds, failed: false } => Error::not_yet(
            format!(
                "the OIDC token cannot be verified: kid is {kid}, and {url} had no such key; the server retries in {seconds} s"
            ),
            seconds,
        ),
    }
}
