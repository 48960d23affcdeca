//! The state that all requests share.
//!
//! [`App::new`] is the one function below `lib` and `check` that knows [`Config`]: it hands each part its own settings,
//! so the parts do not depend on where settings come from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hyper::HeaderMap;
use tokio::sync::Semaphore;
use url::Url;

use crate::answers::badge::BadgeHeaders;
use crate::answers::file::FileHeaders;
use crate::answers::response::Responses;
use crate::base::memory::MemoryBudget;
use crate::config::Config;
use crate::error::Error;
use crate::github::GitHub;
use crate::identity::allowed::Allowed;
use crate::identity::api_keys::{ApiKeySource, ApiKeys, Uploader, sent_key};
use crate::identity::bindings::Bindings;
use crate::identity::key_guess_limiter::KeyGuessLimiter;
use crate::identity::oidc::Oidc;
use crate::identity::token::{Token, WorkflowRun};
use crate::identity::upload_signer::UploadSigner;
use crate::network::client::Proxies;
use crate::network::limits::NetworkLimits;
use crate::network::tls::Tls;
use crate::reports::address::Reports;
use crate::reports::sites::{self, Sites};
use crate::store::storage::Storage;
use crate::telemetry::metrics::{KeylessResult, metrics};
use crate::values::Values;
use crate::values::drawing::Badges;

/// The state of the server.
pub struct App {
    /// The public address, without a trailing slash.
    pub public_url: String,
    /// The path of the public address: empty, or such as `/covered`.
    pub base_path: String,
    /// The addresses of reports.
    pub reports: Arc<Reports>,
    pub api_keys: ApiKeys,
    key_guess_limiter: KeyGuessLimiter,
    /// Signs the addresses of uploads through the server.
    pub upload_signer: UploadSigner,
    pub badges: Badges,
    pub responses: Responses,
    pub badge_headers: BadgeHeaders,
    pub file_headers: FileHeaders,
    /// Verifies the tokens that replace an API key.
    pub oidc: Oidc,
    /// The repositories that may upload.
    pub allowed: Arc<Allowed>,
    pub storage: Arc<Storage>,
    pub sites: Sites,
    /// The memory budget of responses.
    pub memory: Arc<MemoryBudget>,
    pub values: Values,
    /// The maximum size of a report's zip in bytes.
    pub max_report_bytes: u64,
    pub limits: NetworkLimits,
    /// Limits the uploads through the server.
    pub uploads: Semaphore,
    pub proxies: Proxies,
    pub tls: Option<Tls>,
}

impl App {
    /// `address`: the address of the listener, for links if no public URL is configured. Must run inside the runtime.
    pub fn new(config: Config, address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let tls = config.tls.map(Tls::new).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let storage = Arc::new(Storage::new(&config.storage, config.upload_role.as_deref())?);
        let public_url = config.public_url.as_ref().map_or_else(|| format!("{scheme}://{address}"), Url::to_string);
        let public_url = public_url.trim_end_matches('/').to_owned();
        let base_path = config.public_url.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let api_keys = match config.api_keys {
            ApiKeySource::Configured(keys) => keys,
            ApiKeySource::File(path) => ApiKeys::from_file(&path)?,
            ApiKeySource::None => ApiKeys::none(),
        };
        let oidc = Oidc::new(config.oidc, &public_url)?;
        let allowed = Allowed::new(config.allowed_repositories, Bindings::new(storage.clone()));
        let github = config.github.as_ref().map(GitHub::new).transpose()?;
        let reports = Reports::new(&public_url, config.report_host.as_ref()).with_former_urls(&config.former_urls);
        let reports = Arc::new(reports);
        let memory =
            Arc::new(MemoryBudget::new(sites::file_cache_bytes(config.cache_bytes), config.limits.send_buffer));
        let responses = Responses::new(reports.are_trustworthy(), tls.is_some());
        // A badge's value depends on all of these: servers that differ in one must not share values in Redis.
        let github_url = config.github.as_ref().map_or_else(String::new, |github| github.graphql_base.to_string());
        let namespace = format!("1 {} {public_url} {github_url}", storage.name());
        let redis = config.redis.map(|url| (url, namespace));
        Ok(Self {
            sites: Sites::new(storage.clone(), config.cache_bytes, config.report_limits, memory.clone()),
            memory,
            values: Values::new(storage.clone(), github, allowed.clone(), reports.clone(), redis),
            reports,
            oidc,
            allowed,
            public_url,
            base_path,
            api_keys,
            key_guess_limiter: KeyGuessLimiter::default(),
            upload_signer: match storage.folder() {
                Some(folder) => UploadSigner::from_file(&folder.join("upload-key"))?,
                None => UploadSigner::random()?,
            },
            badges: Badges::default(),
            badge_headers: BadgeHeaders::new(&responses),
            file_headers: FileHeaders::new(&responses),
            responses,
            storage,
            max_report_bytes: config.max_report_bytes,
            uploads: Semaphore::new(config.limits.uploads.min(Semaphore::MAX_PERMITS)),
            limits: config.limits,
            proxies: Proxies::new(config.trusted_proxies),
            tls,
        })
    }

    /// Authenticates an uploader by API key or token. Wrong keys are rate-limited by address. Wrong tokens are not:
    /// they cannot be guessed, and GitHub's runners share addresses.
    pub async fn authenticate(&self, client: IpAddr, headers: &HeaderMap) -> Result<Uploader<'_>, Error> {
        let verdict = || self.api_keys.check(headers);
        let Some(sent) = sent_key(headers) else {
            return verdict().map(Uploader::Keys);
        };
        let Some(token) = Token::split(sent) else {
            return self.key_guess_limiter.check(client, sent, Instant::now(), verdict).map(Uploader::Keys);
        };
        // An API key may look like a token.
        match verdict() {
            Ok(keys) => Ok(Uploader::Keys(keys)),
            Err(_) => self.verify_token(&token).await.map(|run| Uploader::Run(Box::new(run))),
        }
    }

    /// Whether workflows can upload without an API key.
    pub fn is_keyless(&self) -> bool {
        !self.allowed.is_open() && !self.oidc.is_off()
    }

    async fn verify_token(&self, token: &Token<'_>) -> Result<WorkflowRun, Error> {
        let off = |why| {
            Err(Error::forbidden(format!(
                "uploads without an API key are disabled because {why}: send an API key, or ask the server's operator to enable them"
            )))
        };
        let verified = match (self.allowed.is_open(), self.oidc.is_off()) {
            (true, _) => off("this server's ALLOWED_REPOSITORIES is not set"),
            (_, true) => off("this server's OIDC_ISSUERS is \"none\""),
            _ => self.oidc.verify(token).await,
        };
        if let Err(error) = &verified {
            metrics().count_keyless_request(KeylessResult::of(error.status));
        }
        verified
    }
}
