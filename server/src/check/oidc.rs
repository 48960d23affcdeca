//! Checks that the keys of the token issuers can be read.

use crate::check::finding::Finding;
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
    let needed = config.oidc.is_explicit || matches!(config.api_keys, ApiKeySource::None);
    let mut findings = Vec::new();
    for url in &config.oidc.issuers {
        let read = match Issuer::new(url.clone()) {
            Ok(issuer) => issuer.count_keys().await,
            Err(error) => Err(error),
        };
        findings.push(match read {
            Ok(keys) => {
                Finding::ok(PART, format!("{url} has {keys} keys: workflows of ALLOWED_REPOSITORIES need no API key"))
            }
            Err(error) if needed => Finding::fail(
                PART,
                format!("cannot read the keys of {url}: {error:#}; check OIDC_ISSUERS and the network"),
            ),
            // The default issuer is not needed if only API keys are in use.
            Err(error) => Finding::note(
                PART,
                format!("cannot read the keys of {url}: {error:#}; until this is fixed, each upload needs an API key"),
            ),
        });
    }
    findings
}
