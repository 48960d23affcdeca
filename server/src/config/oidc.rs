//! Settings for the tokens that replace an API key.

use std::ffi::OsString;

use crate::config::raw::{Raw, list};
use crate::identity::issuer_url::{GITHUB_COM, IssuerUrl};
use crate::identity::oidc::OidcConfig;

/// The value of `OIDC_ISSUERS` that disables tokens.
const OFF: &str = "none";

impl<E: Fn(&str) -> Option<OsString>> Raw<E> {
    pub fn oidc(&mut self) -> OidcConfig {
        let audience = self.get("OIDC_AUDIENCE");
        let issuers = self.parse("OIDC_ISSUERS", None, |text| {
            if text == OFF {
                return Ok(Some(Vec::new()));
            }
            let urls: Vec<IssuerUrl> = list(text).map(str::parse).collect::<Result<_, _>>()?;
            if urls.is_empty() {
                Err(format!("{text:?} contains no issuer: write {OFF} to disable tokens"))
            } else {
                Ok(Some(urls))
            }
        });
        let is_explicit = audience.is_some() || issuers.is_some();
        let issuers = issuers.unwrap_or_else(|| GITHUB_COM.parse().into_iter().collect());
        OidcConfig { issuers, audience, is_explicit }
    }
}
