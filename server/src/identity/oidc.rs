//! Keyless uploads: a workflow shows the token that GitHub signed for its run (OpenID Connect).
//!
//! A token is believed by the signature of its issuer's key alone: what its header says of algorithms and keys chooses
//! among the keys that the issuer itself told of, and nothing else.

use std::sync::Arc;

use jiff::Timestamp;

use crate::error::Error;
use crate::identity::issuer::{Issuer, NoKey};
use crate::identity::issuer_url::IssuerUrl;
use crate::identity::token::{self, Token, WorkflowRun};

/// Keyless uploads.
pub struct OidcConfig {
    pub issuers: Vec<IssuerUrl>,
    /// What tokens have to be for; `None`: the server's public address.
    pub audience: Option<String>,
    /// Whether they were asked for by name.
    pub is_explicit: bool,
}

/// The issuers that are believed.
pub struct Oidc {
    issuers: Vec<Arc<Issuer>>,
    /// What a token has to be for.
    audience: String,
}

impl Oidc {
    /// `public_url`: whom tokens are for, where the configuration does not say.
    pub fn new(config: OidcConfig, public_url: &str) -> anyhow::Result<Self> {
        let issuers = config.issuers.into_iter().map(|url| Issuer::new(url).map(Arc::new));
        let audience = config.audience.unwrap_or_else(|| public_url.to_owned());
        Ok(Self { issuers: issuers.collect::<Result<_, _>>()?, audience })
    }

    /// The run that a token speaks for.
    pub async fn verify(&self, token: &Token<'_>) -> Result<WorkflowRun, Error> {
        let kid = token.key_id().map_err(refused)?;
        let issuer = self.issuer(&token.issuer().map_err(refused)?)?;
        let key = issuer.key(kid).await.map_err(|why| no_key(why, kid, issuer))?;
        token.verify(issuer.url.as_str(), &key, &self.audience, Timestamp::now()).map_err(refused)
    }

    /// Whether any token can be believed.
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
            refused(format!("iss is {}, expected {known}: the server's operator sets OIDC_ISSUERS", token::quoted(iss)))
        })
    }
}

fn refused(why: String) -> Error {
    Error::unauthorized(format!("the OIDC token is refused: {why}"))
}

fn no_key(why: NoKey, kid: &str, issuer: &Issuer) -> Error {
    let (kid, url) = (token::quoted(kid), &issuer.url);
    match why {
        NoKey::Unknown => refused(format!("kid is {kid}, and {url} has no such key")),
        NoKey::NotNow { seconds, failed: true } => Error::not_yet(
            format!("the OIDC token cannot be checked: {url} did not tell its keys, and is asked again in {seconds} s"),
            seconds,
        ),
        NoKey::NotNow { seconds, failed: false } => Error::not_yet(
            format!(
                "the OIDC token cannot be checked: kid is {kid}, which {url} did not have of late; it is asked again in {seconds} s"
            ),
            seconds,
        ),
    }
}
