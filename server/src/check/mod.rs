//! `covered-server check` tests every configured part and reports what to fix. `covered-server healthcheck` checks the
//! running server, for containers without a shell.

mod finding;
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
use crate::check::finding::{Finding, REQUEST_TIMEOUT, Verdict};
use crate::config::{Config, NO_API_KEY, NO_GITHUB_TOKEN};
use crate::identity::api_keys::ApiKeySource;
use crate::names::rule::Rule;
use crate::network::tls::TlsFiles;
use crate::network::tls::{Tls, WARN_DAYS};

/// The time limit of one part's check, which includes the store's retries.
const PART_TIME: Duration = Duration::from_secs(30);

/// Tests every part. It leaves nothing behind, and opens no port.
pub async fn run(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("settings", "valid")];
    findings.extend(config.env_file.iter().map(|summary| Finding::ok("settings", summary)));
    findings.extend(config.warnings.iter().map(|warning| Finding::note("settings", warning)));
    match &config.api_keys {
        ApiKeySource::Configured(keys) => findings.push(Finding::ok("API_KEY", keys.scopes())),
        ApiKeySource::File(path) => {
            let state = if path.exists() { "is in" } else { "will be created at the first start, in" };
            findings.push(Finding::note("API_KEY", format!("the key for uploads {state} {}", path.display())));
        }
        ApiKeySource::None => findings.push(Finding::ok("API_KEY", NO_API_KEY)),
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
        None => findings.push(Finding::note("GitHub", NO_GITHUB_TOKEN)),
    }
    findings.extend(in_time("OIDC", oidc::check(config)).await);
    match &config.public_url {
        Some(url) => findings.push(public_url(url).await),
        None => findings.push(Finding::note("PUBLIC_URL", "is not set: links work on this machine only")),
    }
    findings
}

/// Reports a failure, although the server works without Redis: several servers would not share values.
async fn redis(url: &RedisUrl) -> Finding {
    match tokio::time::timeout(REQUEST_TIMEOUT, cache::check_redis(url)).await {
        Ok(Ok(())) => Finding::ok("Redis", format!("{url} responds")),
        Ok(Err(error)) => Finding::fail("Redis", format!("cannot use {url}: {error:#}; check REDIS_URL")),
        Err(_) => Finding::fail("Redis", format!("{url} does not respond: check REDIS_URL and the network")),
    }
}

fn tls(files: &TlsFiles) -> Finding {
    match Tls::new(files.clone()).map(|tls| tls.days_left().unwrap_or_default()) {
        Ok(..0) => Finding::fail("TLS", "the certificate of TLS_CERT has expired: renew it"),
        Ok(days @ 0..WARN_DAYS) => Finding::note("TLS", format!("the certificate expires in {days} days: renew it")),
        Ok(days) => Finding::ok("TLS", format!("certificate and key match, and are valid for {days} more days")),
        Err(error) => Finding::fail("TLS", format!("{error:#}")),
    }
}

async fn in_time(part: &'static str, check: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let late = |_| vec![Finding::fail(part, format!("did not respond within {} s", PART_TIME.as_secs()))];
    tokio::time::timeout(PART_TIME, check).await.unwrap_or_else(late)
}

/// Reports only a note: the server may not be running yet, or this machine may not reach its address.
async fn public_url(url: &Url) -> Finding {
    let part = "PUBLIC_URL";
    let base = url.as_str().trim_end_matches('/');
    match healthz(base, false).await {
        Ok(()) => Finding::ok(part, format!("{base} is a covered-server")),
        Err(error) => {
            Finding::note(part, format!("cannot reach a covered-server at {base} from this machine: {error:#}"))
        }
    }
}

/// Checks that a server is running at `base`. `any_certificate`: skips verification, for loopback addresses.
async fn healthz(base: &str, any_certificate: bool) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(any_certificate)
        .build()?;
    let response = client.get(format!("{base}/healthz")).send().await.map_err(|error| error.without_url())?;
    anyhow::ensure!(response.status() == 200, "the status code is {}", response.status());
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    anyhow::ensure!(body["status"] == "ok", "the response is not from a covered-server");
    Ok(())
}

/// Checks that the server with the same settings is running.
pub async fn health(config: &Config) -> anyhow::Result<()> {
    let ip = match config.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, config.listen.port());
    {
        // No certificate is valid for this address.
        let (scheme, any_certificate) = if config.tls.is_some() { ("https", true) } else { ("http", false) };
        healthz(&format!("{scheme}://{address}"), any_certificate).await
    }
    .with_context(|| format!("no healthy server on {address}"))
}

/// The findings as a table, and a summary line.
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
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let to_fix = match count(Verdict::Fail) {
        0 => "nothing".to_owned(),
        failed => failed.to_string(),
    };
    let notes = match count(Verdict::Note) {
        0 => String::new(),
        1 => ", 1 note".to_owned(),
        notes => format!(", {notes} notes"),
    };
    let _ = writeln!(text, "\n{to_fix} to fix{notes}");
    text
}

/// Whether a check failed.
pub fn failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.verdict == Verdict::Fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_failures_and_notes() {
        let (ok, note, fail) = (Finding::ok, Finding::note, Finding::fail);
        for (findings, last) in [
            (vec![ok("a", "")], "nothing to fix"),
            (vec![ok("a", ""), note("b", "")], "nothing to fix, 1 note"),
            (vec![note("a", ""), note("b", "")], "nothing to fix, 2 notes"),
            (vec![fail("a", ""), note("b", "")], "1 to fix, 1 note"),
        ] {
            assert!(table(&findings).ends_with(&format!("\n\n{last}\n")), "{}", table(&findings));
        }
    }
}
