//! Whether workflows can upload without a key: their tokens' issuers tell their keys.

use super::Finding;
use crate::config::Config;
use crate::identity::api_keys::ApiKeySource;
use crate::identity::issuer::Issuer;

const PART: &str = "OIDC";

pub async fn check(config: &Config) -> Vec<Finding> {
    let off = match (&config.allowed_repositories[..], &config.oidc.issuers[..]) {
        ([], _) => Some("ALLOWED_REPOSITORIES is not set"),
        (_, []) => Some("OIDC_ISSUERS is none"),
        _ => None,
    };
    if let Some(why) = off {
        return vec![Finding::note(PART, format!("{why}: each upload needs an API key"))];
    }
    let needed = config.oidc.is_explicit || matches!(config.api_keys, ApiKeySource::Nowhere);
    let mut findings = Vec::new();
    for url in &config.oidc.issuers {
        let read = match Issuer::new(url.clone()) {
            Ok(issuer) => issuer.try_out().await,
            Err(error) => Err(error),
        };
        findings.push(match read {
            Ok(keys) => {
                Finding::ok(PART, format!("{url} tells {keys} keys: workflows of ALLOWED_REPOSITORIES need no API key"))
            }
            Err(error) if needed => Finding::fail(
                PART,
                format!(
                    "{url} does not tell its keys: {error:#}; is OIDC_ISSUERS right, and may this machine reach it?"
                ),
            ),
            // Nobody asked for it by name, and there is a key: that may be all that is used.
            Err(error) => Finding::note(
                PART,
                format!("{url} does not tell its keys: {error:#}; until it does, each upload needs an API key"),
            ),
        });
    }
    findings
}
