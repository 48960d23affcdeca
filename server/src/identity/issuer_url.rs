//! The URL of a token issuer.

use std::fmt;
use std::str::FromStr;

use url::Origin;

use crate::names::url::{http_url, is_loopback};

/// github.com's issuer. An enterprise may have one of its own below it.
pub const GITHUB_COM: &str = "https://token.actions.githubusercontent.com";

/// An issuer's URL, as in a token's `iss`: https, or a loopback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrl {
    text: String,
    origin: Origin,
}

impl IssuerUrl {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn origin(&self) -> Origin {
        self.origin.clone()
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for IssuerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = http_url(text)?;
        if url.scheme() != "https" && !is_loopback(&url) {
            return Err(format!("{text:?} must begin with https://: over plain HTTP, others could replace the keys"));
        }
        // The original text, as `Url` would add a slash.
        Ok(Self { text: text.trim_end_matches('/').to_owned(), origin: url.origin() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_urls_must_use_https_or_loopback() {
        for (text, expected) in [
            ("https://token.actions.githubusercontent.com", "https://token.actions.githubusercontent.com"),
            ("https://ghe.example/_services/token/", "https://ghe.example/_services/token"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(text.parse::<IssuerUrl>().unwrap().as_str(), expected);
        }
        for (wrong, why) in [
            ("http://ghe.example/_services/token", "must begin with https://"),
            ("http://localhost.evil.example", "must begin with https://"),
            ("http://10.0.0.1", "must begin with https://"),
            ("ghe.example", "is not a valid URL"),
            ("https://me@ghe.example", "user name"),
            ("https://ghe.example/?a=b", "must not have a query"),
        ] {
            let error = wrong.parse::<IssuerUrl>().unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
