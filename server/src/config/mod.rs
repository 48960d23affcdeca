//! Parses flags, environment and `.env` into one validated [`Config`]: raw values first, then validation.

mod env_file;
mod network;
mod oidc;
mod raw;
mod settings;
mod storage;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use ipnet::IpNet;
use url::Url;

use crate::base::secret::Secret;
use crate::cache::RedisUrl;
use crate::config::env_file::EnvFile;
use crate::config::raw::{Raw, bytes, list, number};
use crate::config::settings::{help, name_of};
use crate::github::settings::GitHubConfig;
use crate::identity::api_keys::{ApiKeySource, ApiKeys};
use crate::identity::oidc::OidcConfig;
use crate::names::repository::Repository;
use crate::names::rule::Rule;
use crate::names::url::http_url;
use crate::network::limits::NetworkLimits;
use crate::network::tls::TlsFiles;
use crate::reports::address::{ReportHost, is_trustworthy};
use crate::reports::archive::Limits;
use crate::store::settings::StorageConfig;
use crate::telemetry::trace::LogConfig;

/// Default of `MAX_REPORT_BYTES`: 512 MiB.
const DEFAULT_MAX_REPORT_BYTES: u64 = 512 << 20;
/// Default of `MAX_REPORT_FILES`.
const DEFAULT_MAX_REPORT_FILES: u64 = 100_000;
/// Default of `MAX_FILE_BYTES`: 1 GiB.
const DEFAULT_MAX_FILE_BYTES: u32 = 1 << 30;
/// Default of `MAX_UNPACKED_BYTES`: 8 GiB.
const DEFAULT_MAX_UNPACKED_BYTES: u64 = 8 << 30;
/// Default of `CACHE_BYTES`: 64 MiB.
const DEFAULT_CACHE_BYTES: u64 = 64 << 20;
const DEFAULT_LISTEN: &str = "127.0.0.1:8000";
const DEFAULT_GITHUB_API_URL: &str = "https://api.github.com";

/// The consequence of a missing `GITHUB_TOKEN`.
pub const NO_GITHUB_TOKEN: &str =
    "GITHUB_TOKEN is not set: badges show the last upload; the server sends no requests to GitHub";
/// The consequence of a missing `API_KEY` if workflows need none.
pub const NO_API_KEY: &str = "is not set: only workflows of ALLOWED_REPOSITORIES can upload";

/// A setting whose value was found to be invalid when it was used. The text contains its name.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct InvalidSetting(anyhow::Error);

impl From<anyhow::Error> for InvalidSetting {
    fn from(why: anyhow::Error) -> Self {
        Self(why)
    }
}

/// The parsed command line.
pub enum Command {
    Serve(Box<Config>),
    /// Test every part and report what to fix.
    Check(Box<Config>),
    /// Check that the server is running.
    HealthCheck(Box<Config>),
    /// Release the binding of a repository's name.
    Rebind(Box<Config>, Repository),
    /// Print the help or the version.
    Print(String),
}

/// The validated configuration.
pub struct Config {
    pub listen: SocketAddr,
    /// Without a trailing slash. `None`: the address of the listener.
    pub public_url: Option<Url>,
    /// Former addresses, to which older statuses may link.
    pub former_urls: Vec<Url>,
    /// `None`: reports are below the public URL.
    pub report_host: Option<ReportHost>,
    pub storage: StorageConfig,
    /// The role for the temporary credentials of file-by-file uploads.
    pub upload_role: Option<String>,
    pub api_keys: ApiKeySource,
    pub github: Option<GitHubConfig>,
    /// Shares badge values between servers.
    pub redis: Option<RedisUrl>,
    /// Repositories that may upload, and that the server looks up on GitHub; empty: all.
    pub allowed_repositories: Vec<Rule>,
    /// Verifies the tokens that replace an API key.
    pub oidc: OidcConfig,
    /// The maximum size of a report's zip in bytes.
    pub max_report_bytes: u64,
    /// Limits for the content of one report's zip.
    pub report_limits: Limits,
    /// Bytes of memory for report indexes and hot files.
    pub cache_bytes: u64,
    pub limits: NetworkLimits,
    /// Certificate and key for HTTPS.
    pub tls: Option<TlsFiles>,
    /// Proxies whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: Vec<IpNet>,
    pub log: LogConfig,
    /// The address for metrics; `None`: disabled.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether OpenTelemetry's variables enable traces.
    pub traces: bool,
    /// Warnings about valid but suspicious settings, for the log.
    pub warnings: Vec<String>,
    /// Lists the settings from `.env`, for the log.
    pub env_file: Option<String>,
}

/// Parses the command line, the environment and the file `.env`. Returns all problems at once.
pub fn command(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
    env_file: Option<&Path>,
) -> Result<Command, Vec<String>> {
    let mut flags = HashMap::new();
    let mut what: Box<dyn FnOnce(Box<Config>) -> Command> = Box::new(Command::Serve);
    let mut parser = lexopt::Parser::from_args(arguments);
    let one = |error: lexopt::Error| vec![error.to_string()];
    while let Some(argument) = parser.next().map_err(one)? {
        let setting = match &argument {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                return Ok(Command::Print(help()));
            }
            lexopt::Arg::Long("version") | lexopt::Arg::Short('V') => {
                return Ok(Command::Print(format!("covered-server {}\n", env!("CARGO_PKG_VERSION"))));
            }
            lexopt::Arg::Value(word) if word == "check" => {
                what = Box::new(Command::Check);
                continue;
            }
            lexopt::Arg::Value(word) if word == "healthcheck" => {
                what = Box::new(Command::HealthCheck);
                continue;
            }
            lexopt::Arg::Value(word) if word == "rebind" => {
                let name = match parser.next().map_err(one)? {
                    Some(lexopt::Arg::Value(name)) => name,
                    Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h')) => return Ok(Command::Print(help())),
                    _ => return Err(vec!["rebind needs a repository: owner/name".to_owned()]),
                };
                let name: Repository = name.to_string_lossy().parse().map_err(|why| vec![why])?;
                what = Box::new(|config| Command::Rebind(config, name));
                continue;
            }
            lexopt::Arg::Long(name) => name_of(name),
            _ => None,
        };
        let Some(setting) = setting else {
            return Err(one(argument.unexpected()));
        };
        flags.insert(setting, parser.value().map_err(one)?);
    }
    let file = env_file.map(EnvFile::read).transpose().map_err(|why| vec![why])?.unwrap_or_default();
    let mut raw = Raw { flags, environment, file, problems: Vec::new() };
    let config = raw.resolve();
    let (env_file, skipped) = (raw.file.summary(), raw.file.skipped_lines());
    match config {
        Some(mut config) if raw.problems.is_empty() => {
            config.warnings.extend(skipped);
            Ok(what(Box::new(Config { env_file, ..config })))
        }
        _ => Err(raw.problems.into_iter().chain(env_file).chain(skipped).collect()),
    }
}

impl Config {
    /// Warns about valid settings that have no effect, or more effect than expected.
    fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.oidc.is_explicit && self.allowed_repositories.is_empty() {
            warnings.push(
                "OIDC_ISSUERS or OIDC_AUDIENCE is set, but has no effect: set ALLOWED_REPOSITORIES too".to_owned(),
            );
        }
        warnings.extend(self.public_url.as_ref().and_then(plain_http_warning));
        let hosts = self.report_host.as_ref().zip(self.public_url.as_ref());
        warnings.extend(hosts.and_then(|(host, url)| host.warning(url)));
        if let ApiKeySource::Configured(keys) = &self.api_keys {
            warnings.extend(keys.warnings());
        }
        warnings.extend(network::open_proxies_warning(&self.trusted_proxies));
        warnings
    }
}

impl<E: Fn(&str) -> Option<OsString>> Raw<E> {
    fn resolve(&mut self) -> Option<Config> {
        let listen = self.listen()?;
        let public_url = self.public_url(listen);
        let former_urls = self.parse("FORMER_URLS", Vec::new(), |text| list(text).map(http_url).collect());
        let report_host = self.parse("REPORT_HOST", None, |text| text.parse().map(Some));
        let storage = self.storage()?;
        let upload_role = self.upload_role(&storage);
        let github = self.github();
        let redis = self.parse("REDIS_URL", None, |text| RedisUrl::parse(text).map(Some));
        let allowed_repositories = self.allowed_repositories();
        let oidc = self.oidc();
        let is_keyless = !allowed_repositories.is_empty() && !oidc.issuers.is_empty();
        let mut config = Config {
            listen,
            public_url,
            former_urls,
            report_host,
            upload_role,
            api_keys: self.api_keys(&storage, is_keyless)?,
            storage,
            github,
            redis,
            allowed_repositories,
            oidc,
            max_report_bytes: self.parse("MAX_REPORT_BYTES", DEFAULT_MAX_REPORT_BYTES, bytes),
            report_limits: self.report_limits(),
            cache_bytes: self.parse("CACHE_BYTES", DEFAULT_CACHE_BYTES, bytes),
            limits: self.limits(),
            tls: self.tls(),
            trusted_proxies: self.trusted_proxies(),
            log: self.log(),
            metrics_listen: self.metrics_listen(listen),
            traces: self.traces(),
            warnings: self.trace_warnings(),
            env_file: None,
        };
        config.warnings.extend(config.find_warnings());
        Some(config)
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        let default = DEFAULT_LISTEN.parse().ok()?;
        Some(self.parse("LISTEN", default, |text| {
            text.parse()
                .map_err(|_| format!("{text:?} is not a valid address and port, such as 0.0.0.0:8000 or [::]:8000"))
        }))
    }

    fn allowed_repositories(&mut self) -> Vec<Rule> {
        self.parse("ALLOWED_REPOSITORIES", Vec::new(), |text| {
            let rules: Vec<Rule> = list(text).map(str::parse).collect::<Result<_, _>>()?;
            if rules.is_empty() {
                Err(format!("{text:?} contains no repository: remove it to allow all"))
            } else {
                Ok(rules)
            }
        })
    }

    fn report_limits(&mut self) -> Limits {
        let files = self.parse("MAX_REPORT_FILES", DEFAULT_MAX_REPORT_FILES, number("files"));
        let file = self.parse("MAX_FILE_BYTES", DEFAULT_MAX_FILE_BYTES, |text| {
            let valid = text.parse().ok().filter(|bytes| *bytes > 0);
            valid.ok_or_else(|| {
                format!(
                    "{text:?} is not a valid number of bytes: write a whole number above 0 and below 4294967296 (4 GiB)"
                )
            })
        });
        let unpacked = self.parse("MAX_UNPACKED_BYTES", DEFAULT_MAX_UNPACKED_BYTES, bytes);
        Limits { files: usize::try_from(files).unwrap_or(usize::MAX), file, unpacked }
    }

    fn public_url(&mut self, listen: SocketAddr) -> Option<Url> {
        let Some(text) = self.get("PUBLIC_URL") else {
            if !listen.ip().is_loopback() {
                self.report(
                    "PUBLIC_URL",
                    format!(
                        "is not set, but LISTEN={listen} is not a loopback address: links in statuses and badges \
                         need the address that readers use, such as PUBLIC_URL=https://covered.example.com"
                    ),
                );
            }
            return None;
        };
        match http_url(&text) {
            Ok(url) => Some(url),
            Err(why) => {
                self.report("PUBLIC_URL", why);
                None
            }
        }
    }

    /// `keyless`: whether workflows can upload without a key.
    fn api_keys(&mut self, storage: &StorageConfig, keyless: bool) -> Option<ApiKeySource> {
        match (self.get("API_KEY"), storage) {
            (Some(text), _) => match ApiKeys::parse(&text) {
                Ok(keys) => Some(ApiKeySource::Configured(keys)),
                Err(why) => {
                    self.report("API_KEY", why);
                    None
                }
            },
            (None, StorageConfig::Files(folder)) => Some(ApiKeySource::File(folder.join("api-key"))),
            (None, _) if keyless => Some(ApiKeySource::None),
            (None, _) => {
                self.report(
                    "API_KEY",
                    "is not set: set it to a long random value, and add it to your workflows as a secret; or set \
                     ALLOWED_REPOSITORIES, whose workflows need no API key",
                );
                None
            }
        }
    }

    fn github(&mut self) -> Option<GitHubConfig> {
        let text = self.get("GITHUB_API_URL").unwrap_or_else(|| DEFAULT_GITHUB_API_URL.to_owned());
        let base = match http_url(&text) {
            Ok(url) => url,
            Err(why) => {
                self.report("GITHUB_API_URL", why);
                return None;
            }
        };
        // Enterprise Server: REST at /api/v3, GraphQL at /api/graphql.
        let base = base.as_str().trim_end_matches('/');
        let graphql = if base.ends_with("/api/v3") { base.trim_end_matches("/v3") } else { base };
        let token = self.get("GITHUB_TOKEN")?;
        if !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            self.report(
                "GITHUB_TOKEN",
                "contains characters that GitHub tokens do not have: remove quotes and spaces, and check that it is a token",
            );
            return None;
        }
        Some(GitHubConfig { graphql_base: Url::parse(graphql).ok()?, token: Secret::new(token) })
    }

    fn log(&mut self) -> LogConfig {
        let json = self.parse("LOG_FORMAT", false, |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err(format!("{text:?} is not a valid format: write text or json")),
        });
        let level = self.parse("LOG_LEVEL", tracing::Level::INFO, |text| {
            // The library also accepts numbers and `trace`.
            let is_level = ["error", "warn", "info", "debug"].iter().any(|level| text.eq_ignore_ascii_case(level));
            let level = text.parse().ok().filter(|_| is_level);
            level.ok_or_else(|| format!("{text:?} is not a valid level: write error, warn, info or debug"))
        });
        LogConfig { json, level }
    }
}

fn plain_http_warning(public_url: &Url) -> Option<String> {
    (!is_trustworthy(public_url)).then(|| {
        format!(
            "PUBLIC_URL {public_url} is plain HTTP: API keys and reports are sent unencrypted; use https:// with TLS_CERT \
             or by a proxy"
        )
    })
}
