//! Reads and caches an issuer's public keys, by its discovery document.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::identity::issuer_url::IssuerUrl;
use crate::identity::token::RsaPublicKey;
use crate::telemetry::metrics::{IssuerResult, metrics};
use crate::telemetry::trace;

/// The minimum time between two requests for keys, also after failures: anybody can send tokens.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Keys are read again after this time, so that withdrawn keys are forgotten.
const MAX_KEY_AGE: Duration = Duration::from_secs(3600);
/// The time limit of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum size of a document. GitHub's keys have about 10 KB.
const MAX_DOCUMENT: usize = 256 << 10;
/// The maximum number of keys.
const MAX_KEYS: usize = 100;

/// Keys by key ID.
pub(crate) type KeySet = HashMap<String, Arc<RsaPublicKey>>;

/// An issuer and its cached keys.
pub struct Issuer {
    pub url: IssuerUrl,
    http: Client,
    known: RwLock<CachedKeys>,
    refreshing: Arc<Mutex<RefreshState>>,
}

#[derive(Default)]
struct CachedKeys {
    keys: KeySet,
    /// When the keys were read.
    at: Option<Instant>,
}

/// The lock is held during a request to the issuer.
#[derive(Default)]
struct RefreshState {
    /// When the last request was sent.
    last_refresh: Option<Instant>,
    failed: bool,
    /// The URL of the keys; removed if they could not be read.
    jwks: Option<Url>,
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The issuer has no such key.
    Unknown,
    /// No new request for so many seconds: the last one returned no such key, or failed.
    RetryLater { seconds: u64, failed: bool },
}

impl Issuer {
    pub fn new(url: IssuerUrl) -> anyhow::Result<Self> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("covered-server/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { url, http, known: RwLock::default(), refreshing: Arc::default() })
    }

    /// The key with this ID. The issuer gets one request per [`MIN_REFRESH_INTERVAL`], however many tokens arrive.
    pub async fn key(self: &Arc<Self>, kid: &str) -> Result<Arc<RsaPublicKey>, NoKey> {
        let requested_at = Instant::now();
        let (key, fresh) = self.look_up(kid);
        let refreshing = match &key {
            Some(key) if fresh => return Ok(key.clone()),
            // An old key stays valid during a refresh: one request refreshes, the others do not wait.
            Some(key) => match self.refreshing.clone().try_lock_owned() {
                Ok(refreshing) => refreshing,
                Err(_) => return Ok(key.clone()),
            },
            None => self.refreshing.clone().lock_owned().await,
        };
        // The previous holder of the lock may have found it.
        if let (Some(key), true) = self.look_up(kid) {
            return Ok(key);
        }
        let left =
            refreshing.last_refresh.map_or(Duration::ZERO, |at| MIN_REFRESH_INTERVAL.saturating_sub(at.elapsed()));
        let (issuer, failed) = (self.clone(), refreshing.failed);
        if left.is_zero() {
            // Refresh in a separate task: if the client disconnects, the one request of this minute is not wasted.
            let refresh = trace::client("OIDC", async move { issuer.refresh(refreshing).await });
            let read = tokio::spawn(refresh).await.unwrap_or(false);
            let missing = if read {
                NoKey::Unknown
            } else {
                NoKey::RetryLater { seconds: MIN_REFRESH_INTERVAL.as_secs(), failed: true }
            };
            return self.look_up(kid).0.ok_or(missing);
        }
        // A request that waited for another one's refresh uses its result.
        let was_refreshed = !failed && refreshing.last_refresh.is_some_and(|at| at >= requested_at);
        key.ok_or(if was_refreshed {
            NoKey::Unknown
        } else {
            NoKey::RetryLater { seconds: left.as_secs() + 1, failed }
        })
    }

    /// The cached key, and whether the cache is fresh.
    fn look_up(&self, kid: &str) -> (Option<Arc<RsaPublicKey>>, bool) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (known.keys.get(kid).cloned(), known.at.is_some_and(|at| at.elapsed() < MAX_KEY_AGE))
    }

    /// Reads the keys again; after a failure, the old ones stay.
    async fn refresh(&self, mut refreshing: tokio::sync::OwnedMutexGuard<RefreshState>) -> bool {
        let now = Instant::now();
        refreshing.last_refresh = Some(now);
        let read = self.read(&mut refreshing.jwks).await;
        refreshing.failed = read.is_err();
        metrics().count_issuer_request(if read.is_ok() { IssuerResult::Ok } else { IssuerResult::Failed });
        match read {
            Ok(keys) => {
                tracing::debug!(issuer = %self.url, keys = keys.len(), "read the keys of an OIDC issuer");
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = CachedKeys { keys, at: Some(now) };
                true
            }
            Err(error) => {
                tracing::warn!(issuer = %self.url, "could not read the keys of an OIDC issuer, the known keys stay in use: {error:#}");
                false
            }
        }
    }

    /// Reads the issuer's keys. `jwks`: their URL, if known.
    async fn read(&self, jwks: &mut Option<Url>) -> anyhow::Result<KeySet> {
        let at = match jwks.take() {
            Some(at) => at,
            None => {
                let discovery = Url::parse(&format!("{}/.well-known/openid-configuration", self.url))?;
                let document = self.get(discovery.clone()).await;
                document
                    .and_then(|document| jwks_url(&document, &self.url))
                    .with_context(|| discovery.as_str().to_owned())?
            }
        };
        let document = self.get(at.clone()).await;
        let keys = document.and_then(|document| keys_of(&document)).with_context(|| at.as_str().to_owned())?;
        *jwks = Some(at);
        Ok(keys)
    }

    /// Reads the keys once and returns their number.
    pub async fn count_keys(&self) -> anyhow::Result<usize> {
        Ok(self.read(&mut None).await?.len())
    }

    async fn get(&self, url: Url) -> anyhow::Result<Vec<u8>> {
        let mut response = self.http.get(url).send().await.map_err(reqwest::Error::without_url)?;
        ensure!(response.status() == 200, "the status code is {}", response.status());
        let mut document = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            document.extend_from_slice(&bytes);
            ensure!(document.len() <= MAX_DOCUMENT, "the answer has more than {MAX_DOCUMENT} bytes");
        }
        Ok(document)
    }
}

/// The URL of an issuer's keys in its discovery document (OpenID Connect Discovery, 4.2). It must be on the issuer's
/// origin.
pub(crate) fn jwks_url(document: &[u8], issuer: &IssuerUrl) -> anyhow::Result<Url> {
    #[derive(Deserialize)]
    struct Discovery {
        issuer: String,
        jwks_uri: String,
    }
    let discovery: Discovery = serde_json::from_slice(document).context("invalid discovery document")?;
    ensure!(discovery.issuer == issuer.as_str(), "it is the document of {:?}", discovery.issuer);
    let url = Url::parse(&discovery.jwks_uri).context("its jwks_uri is not a valid URL")?;
    let own = url.origin().is_tuple() && url.origin() == issuer.origin();
    ensure!(own, "its jwks_uri is at another origin, {:?}", discovery.jwks_uri);
    Ok(url)
}

/// The RSA signature keys of a JWKS (RFC 7517, 5). Other keys are ignored.
pub(crate) fn keys_of(document: &[u8]) -> anyhow::Result<KeySet> {
    #[derive(Deserialize)]
    struct Jwks {
        keys: Vec<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Jwk {
        kty: String,
        kid: String,
        alg: Option<String>,
        #[serde(rename = "use")]
        purpose: Option<String>,
        n: String,
        e: String,
    }
    let Jwks { keys } = serde_json::from_slice(document).context("invalid key set")?;
    let number = |text: &str| -> Option<Vec<u8>> {
        let bytes = BASE64.decode(text).ok()?;
        Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
    };
    let key = |key: serde_json::Value| {
        let Jwk { kty, kid, alg, purpose, n, e } = serde_json::from_value(key).ok()?;
        let fits =
            kty == "RSA" && alg.is_none_or(|alg| alg == "RS256") && purpose.is_none_or(|purpose| purpose == "sig");
        let key = RsaPublicKey { n: number(&n)?, e: number(&e)? };
        fits.then(|| (kid, Arc::new(key)))
    };
    let keys: KeySet = keys.into_iter().filter_map(key).take(MAX_KEYS).collect();
    ensure!(!keys.is_empty(), "it contains no RSA key");
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use xtask::lab;
    use xtask::lab::parts::{Part, skip_without};

    use super::*;

    #[tokio::test]
    async fn canceled_lookups_do_not_use_up_the_request_limit() {
        if skip_without(&[Part::Openssl]) {
            return;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = lab::oidc::Issuer::start();
        let issuer = Arc::new(Issuer::new(server.url().parse().unwrap()).unwrap());
        let kid = server.header()["kid"].as_str().unwrap().to_owned();
        assert!(issuer.key(&kid).now_or_never().is_none(), "the look-up was canceled");
        assert!(issuer.key(&kid).await.is_ok());
        assert_eq!(issuer.key("other").await.err(), Some(NoKey::RetryLater { seconds: 60, failed: false }));
        assert_eq!((server.request_count(lab::oidc::DISCOVERY), server.request_count(lab::oidc::JWKS)), (1, 1));
    }

    #[tokio::test]
    async fn concurrent_lookups_share_one_request() {
        if skip_without(&[Part::Openssl]) {
            return;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = lab::oidc::Issuer::start();
        let issuer = Arc::new(Issuer::new(server.url().parse().unwrap()).unwrap());
        let all = futures_util::future::join_all((0..100).map(|kid| {
            let issuer = issuer.clone();
            async move { issuer.key(&format!("made-up-{kid}")).await.err() }
        }));
        assert!(all.await.iter().all(|why| *why == Some(NoKey::Unknown)));
        assert_eq!((server.request_count(lab::oidc::DISCOVERY), server.request_count(lab::oidc::JWKS)), (1, 1));
    }

    #[test]
    fn key_urls_must_have_the_issuers_origin() {
        let issuer: IssuerUrl = "https://ghe.example/_services/token".parse().unwrap();
        let check = |own: &str, jwks: &str| {
            let document = serde_json::json!({"issuer": own, "jwks_uri": jwks, "more": []}).to_string();
            jwks_url(document.as_bytes(), &issuer).map_err(|error| format!("{error:#}"))
        };
        let own = "https://ghe.example/_services/token";
        assert!(check(own, "https://ghe.example/_services/token/.well-known/jwks").is_ok());
        for (own, jwks, why) in [
            ("https://other.example", "https://ghe.example/jwks", "the document of"),
            (own, "https://ghe.example:444/jwks", "another origin"),
            (own, "http://ghe.example/jwks", "another origin"),
            (own, "https://ghe.example.org/jwks", "another origin"),
            (own, "https://ghe.example@evil.example/jwks", "another origin"),
            (own, "file:///etc/passwd", "another origin"),
            (own, "/jwks", "not a valid URL"),
        ] {
            let refused = check(own, jwks).unwrap_err();
            assert!(refused.contains(why), "{jwks}: {refused}");
        }
    }

    #[test]
    fn unsupported_keys_are_ignored() {
        let document = r#"{"keys": [
            {"kty": "RSA", "kid": "plain", "n": "AAEC", "e": "AQAB"},
            {"kty": "RSA", "kid": "whole", "alg": "RS256", "use": "sig", "n": "AQID", "e": "AQAB", "x5c": ["…"]},
            {"kty": "RSA", "kid": "encrypts", "use": "enc", "n": "AQID", "e": "AQAB"},
            {"kty": "RSA", "kid": "other", "alg": "RS512", "n": "AQID", "e": "AQAB"},
            {"kty": "EC", "kid": "curve", "crv": "P-256", "x": "AQ", "y": "AQ"},
            {"kty": "RSA", "n": "AQID", "e": "AQAB"},
            {"kty": "RSA", "kid": "broken", "n": "%", "e": "AQAB"},
            17
        ]}"#;
        let keys = keys_of(document.as_bytes()).unwrap();
        let mut ids: Vec<&str> = keys.keys().map(String::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["plain", "whole"]);
        assert_eq!(keys["plain"].n, [1, 2], "without leading zeros");
        for wrong in ["", "{}", "[]", r#"{"keys": []}"#, r#"{"keys": [{"kty": "EC", "kid": "curve"}]}"#] {
            assert!(keys_of(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
