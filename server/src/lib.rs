//! Covered's server: accepts uploads of coverage reports, stores and serves them, and renders badges.
//!
//! The folders are layers; imports go down only:
//!
//! - `serve` accepts connections, `routes` answers requests, `app` has the state that they share;
//! - `answers` builds responses and pages, `values` looks up badge values, `config` parses the settings;
//! - `reports` reads stored reports, `identity` authenticates uploaders, `error` has the errors that clients receive;
//! - `store`, `cache` and `github` use external services; all layers use `telemetry`, `names`, `network` and `base`.

pub mod answers;
pub mod app;
pub mod base;
pub mod cache;
pub mod check;
pub mod config;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod github;
pub mod identity;
pub mod names;
pub mod network;
pub mod reports;
pub mod routes;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod values;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use app::App;
use config::{Config, InvalidSetting, NO_API_KEY, NO_GITHUB_TOKEN};
use identity::api_keys::ApiKeySource;

/// Runs the server until a signal stops it.
pub async fn run(mut config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::trace::start(&config.log, config.traces)?;
    config.limits.connections = serve::admission::within_file_limit(config.limits.connections);
    let json = config.log.json;
    let warnings = std::mem::take(&mut config.warnings);
    let env_file = config.env_file.take();
    let key_file = match &config.api_keys {
        ApiKeySource::File(path) => Some(std::path::absolute(path)?),
        ApiKeySource::Configured(_) | ApiKeySource::None => None,
    };
    let keys_are_given = matches!(config.api_keys, ApiKeySource::Configured(_));
    let is_without_github = config.github.is_none();
    let listener = network::listen("LISTEN", config.listen).await?;
    let address = listener.local_addr()?;
    let metrics_address = match config.metrics_listen {
        Some(listen) => Some(telemetry::listen::start(listen).await?),
        None => None,
    };
    // Handle signals before the server logs that it listens: a script that reads the log may stop it at once.
    let (stop, stop_at_once) = serve::stop_signals()?;
    let app = Arc::new(App::new(config, address).map_err(InvalidSetting::from)?);
    let mut facts = facts(&app, keys_are_given, key_file.as_deref());
    if is_without_github {
        facts.push(NO_GITHUB_TOKEN.to_owned());
    }
    facts.extend(env_file);
    if json {
        tracing::info!(%address, public_url = app.public_url, storage = app.storage.name(), metrics = metrics_address.map(tracing::field::display), version = env!("CARGO_PKG_VERSION"), "listening");
        facts.iter().for_each(|fact| tracing::info!("{fact}"));
    } else {
        println!("{}", welcome(&app, address, metrics_address, facts, key_file.as_deref()));
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    tokio::select! {
        () = serve::serve(listener, app, stop) => {}
        why = stop_at_once => tracing::warn!("second {why}: stopped immediately, with requests in progress"),
    }
    telemetry.stop().await;
    Ok(())
}

/// Describes consequences of the settings that are not obvious.
fn facts(app: &App, keys_are_given: bool, key_file: Option<&Path>) -> Vec<String> {
    let mut facts = Vec::new();
    if app.is_keyless() {
        let audience = app.oidc.audience();
        facts.push(format!(
            "workflows of ALLOWED_REPOSITORIES need no API key; the audience of their tokens is {audience}"
        ));
    }
    if keys_are_given {
        facts.push(format!("API_KEY has {}", app.api_keys.scopes()));
    } else if let Some(file) = key_file {
        facts.push(format!("the API key for uploads is in {}", shell_quoted(file)));
    } else {
        facts.push(format!("API_KEY {NO_API_KEY}"));
    }
    facts
}

/// The text that the server prints when it has started.
fn welcome(
    app: &App,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    facts: Vec<String>,
    key_file: Option<&Path>,
) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let scheme = if app.tls.is_some() { "https" } else { "http" };
    let mut lines = vec![format!("covered-server {version} listens on {scheme}://{address}")];
    if app.public_url != format!("{scheme}://{address}") {
        lines.push(format!("public address: {}", app.public_url));
    }
    lines.push(format!("storage: {}", app.storage.name()));
    if let Some(metrics) = metrics {
        lines.push(format!("metrics: http://{metrics}/metrics"));
    }
    lines.extend(facts);
    if let Some(path) = key_file {
        let path = shell_quoted(path);
        lines.push(String::new());
        lines.push("Upload a first report from a repository with an HTML report in htmlcov/:".to_owned());
        let own_uploader = uploader();
        let uploader = own_uploader.as_deref().unwrap_or("covered");
        lines.push(format!(
            "  COVERED_API_KEY=$(cat {path}) {uploader} htmlcov --api-url {} \\\n    --repo-owner OWNER --repo-name REPO --commit-sha $(git rev-parse HEAD) --coverage-threshold 0 --purge-cache",
            app.public_url
        ));
        if own_uploader.is_none() {
            lines.push("(`covered` is in the same release)".to_owned());
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The path of the uploader if it is next to this program, quoted for a shell.
fn uploader() -> Option<String> {
    let name = format!("covered{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::current_exe().ok()?.with_file_name(name);
    path.is_file().then(|| shell_quoted(&path))
}

/// Quotes a path for a shell.
fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
