//! `covered-server check` tries every part that the settings name and says what works and what to fix;
//! `covered-server healthcheck` asks the server beside it, for containers without a shell.

mod github;
mod oidc;
mod probe;
mod rights;
mod storage;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use url::Url;

use crate::cache::{self, RedisUrl};
use crate::config::{Config, NO_KEY, WITHOUT_GITHUB};
use crate::identity::api_keys::ApiKeySource;
use crate::names::rule::Rule;
use crate::network::tls::TlsFiles;
use crate::network::tls::{Tls, WARN_DAYS};

/// Time for one part to show that it works; the store's own retries fit into it.
const PART_TIME: Duration = Duration::from_secs(30);
/// Time for an address to answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// What was found of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// Worth knowing; nothing fails for it.
    Note,
    Fail,
}

/// One line of the table.
#[derive(Debug)]
pub struct Finding {
    pub part: &'static str,
    pub verdict: Verdict,
    /// What was seen and, where it failed, what to do.
    pub text: String,
}

impl Finding {
    fn ok(part: &'static str, text: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Ok, text: text.into() }
    }

    fn note(part: &'static str, text: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Note, text: text.into() }
    }

    fn fail(part: &'static str, text: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Fail, text: text.into() }
    }
}

/// Tries every part; nothing of it is kept, and nothing is listened on.
pub async fn run(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("settings", "read, and they do not contradict each other")];
    findings.extend(config.env_file.iter().map(|summary| Finding::ok("settings", summary)));
    findings.extend(config.warnings.iter().map(|warning| Finding::note("settings", warning)));
    match &config.api_keys {
        ApiKeySource::Given(keys) => findings.push(Finding::ok("API_KEY", keys.scopes())),
        ApiKeySource::File(path) => {
            let state = if path.exists() { "is in" } else { "will be made at the first start, in" };
            findings.push(Finding::note("API_KEY", format!("the key for uploads {state} {}", path.display())));
        }
        ApiKeySource::Nowhere => findings.push(Finding::ok("API_KEY", NO_KEY)),
    }
    findings.extend(in_time("storage", storage::check(config)).await);
    if let Some(url) = &config.redis {
        findings.extend(in_time("Redis", async { vec![redis(url).await] }).await);
    }
    if let Some(files) = &config.tls {
        findings.push(tls(files));
    }
    match &config.github {
        Some(github) => {
            let repository = config.allowed_repositories.iter().find_map(Rule::exact);
            findings.extend(in_time("GitHub", github::check(github, repository.as_ref())).await);
        }
        None => findings.push(Finding::note("GitHub", WITHOUT_GITHUB)),
    }
    findings.extend(in_time("OIDC", oidc::check(config)).await);
    match &config.public_url {
        Some(url) => findings.push(public_url(url).await),
        None => findings.push(Finding::note("PUBLIC_URL", "is not set: links work on this machine alone")),
    }
    findings
}

/// A note, as the server serves without it, would hide that two servers share nothing: it is to be mended.
async fn redis(url: &RedisUrl) -> Finding {
    match tokio::time::timeout(ANSWER_TIME, cache::check_redis(url)).await {
        Ok(Ok(())) => Finding::ok("Redis", format!("{url} answers")),
        Ok(Err(error)) => Finding::fail("Redis", format!("{url} cannot be used: {error:#}; is REDIS_URL right?")),
        Err(_) => Finding::fail("Redis", format!("{url} does not answer: is REDIS_URL right, and the way to it open?")),
    }
}

fn tls(files: &TlsFiles) -> Finding {
    match Tls::new(files.clone()).map(|tls| tls.days_left().unwrap_or_default()) {
        Ok(..0) => Finding::fail("TLS", "the certificate of TLS_CERT has expired: get a new one"),
        Ok(days @ 0..WARN_DAYS) => {
            Finding::note("TLS", format!("the certificate holds for {days} days more: renew it"))
        }
        Ok(days) => Finding::ok("TLS", format!("certificate and key go together and hold for {days} days more")),
        Err(error) => Finding::fail("TLS", format!("{error:#}")),
    }
}

async fn in_time(part: &'static str, check: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let late = |_| vec![Finding::fail(part, format!("did not answer within {} s", PART_TIME.as_secs()))];
    tokio::time::timeout(PART_TIME, check).await.unwrap_or_else(late)
}

/// Only a note: the server may not run yet, or the address may not be reachable from within.
async fn public_url(url: &Url) -> Finding {
    let part = "PUBLIC_URL";
    let shown = url.as_str().trim_end_matches('/');
    match healthz(shown, false).await {
        Ok(()) => Finding::ok(part, format!("a covered-server answers at {shown}")),
        Err(error) => Finding::note(part, format!("no covered-server answers at {shown} from here: {error:#}")),
    }
}

/// Whether a server lives at `base`. `any_certificate`: it is asked on loopback, by a name that no certificate is for.
async fn healthz(base: &str, any_certificate: bool) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .timeout(ANSWER_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(any_certificate)
        .build()?;
    let answer = client.get(format!("{base}/healthz")).send().await.map_err(|error| error.without_url())?;
    anyhow::ensure!(answer.status() == 200, "the answer is {}", answer.status());
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
    anyhow::ensure!(body["status"] == "ok", "what answers is not a covered-server");
    Ok(())
}

/// Asks the server that listens by the same settings whether it lives.
pub async fn health(config: &Config) -> anyhow::Result<()> {
    let ip = match config.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, config.listen.port());
    {
        // The certificate is for another name than this address.
        let (scheme, any_certificate) = if config.tls.is_some() { ("https", true) } else { ("http", false) };
        healthz(&format!("{scheme}://{address}"), any_certificate).await
    }
    .with_context(|| format!("no healthy server on {address}"))
}

/// The findings as lines of equal columns, and a last one that sums up.
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.part.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { part, verdict, text: what } in findings {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Fail => "FAIL",
        };
        let what = what.replace(char::is_control, " ");
        let _ = writeln!(text, "{part:width$}  {verdict:4}  {what}");
    }
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    text += &match failed {
        0 => "\neverything works\n".to_owned(),
        failed => format!("\n{failed} to fix\n"),
    };
    text
}

/// Whether something has to be fixed.
pub fn failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.verdict == Verdict::Fail)
}
