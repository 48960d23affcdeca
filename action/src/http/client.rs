//! Sends requests: retries temporary failures until the deadline, and logs every attempt.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use ureq::http::header::CONTENT_LENGTH;
use ureq::http::{self, HeaderValue, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, AsSendBody, Body, SendBody};

use super::dns::DnsCache;
use super::failure::{Failure, Outage};
use super::proxy::Proxies;
use super::redacted::redacted;
use super::request::{MAX_RESPONSE, OPTIONAL_LIMIT, Request};
use super::response::Response;
use super::tries::{Fault, Tries};
use crate::base::secret::Secret;
use crate::log::actions_log::ActionsLog;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A connection without data for this long counts as broken.
const STALL_LIMIT: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A shorter attempt would only report the time limit and hide the real cause.
const SHORTEST_TRY: Duration = Duration::from_millis(200);

/// Authenticates requests. Called before each attempt, as a token may expire during the retries; it may send requests
/// itself.
pub trait Credential: fmt::Debug + Sync {
    fn header(&self, client: &Client) -> Result<SecretHeader>;
}

/// A header with the value `{prefix}{secret}`.
pub struct SecretHeader {
    pub name: &'static str,
    pub prefix: &'static str,
    pub secret: Secret,
}

pub struct Client<'a> {
    agent: Agent,
    log: &'a ActionsLog,
    deadline: Instant,
    timeout: Duration,
    /// What of `--timeout` the time limit is; `None` if it is fixed.
    limit_of: Option<&'static str>,
    proxies: &'a Proxies,
    noted: Mutex<Vec<String>>,
}

impl<'a> Client<'a> {
    /// Creates a client whose requests end `timeout` after `started`. `first_server` gets the first optional request.
    pub fn new(
        log: &'a ActionsLog,
        started: Instant,
        timeout: Duration,
        proxies: &'a Proxies,
        first_server: &str,
    ) -> Self {
        let first_server = first_server.parse().ok();
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .user_agent(concat!("covered/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            // A redirect could send the API key to another host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(first_server.and_then(|uri| proxies.choose(&uri)).map(|setting| setting.proxy.clone()))
            .timeout_global(Some(OPTIONAL_LIMIT))
            .timeout_resolve(Some(CONNECT_LIMIT))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(STALL_LIMIT))
            .timeout_per_read(Some(STALL_LIMIT))
            .timeout_per_write(Some(STALL_LIMIT))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), <DnsCache>::default());
        let (limit_of, noted) = (Some("--timeout"), Mutex::default());
        Self { agent, log, deadline: started + timeout, timeout, limit_of, proxies, noted }
    }

    /// Names the time limit in errors, as in `half of --timeout`. If it is fixed, they don't advise to raise `--timeout`.
    pub fn with_limit_of(self, limit_of: Option<&'static str>) -> Self {
        Self { limit_of, ..self }
    }

    /// Masks a secret from a response in the runner's log.
    pub fn mask(&self, secret: &Secret) {
        self.log.mask(secret);
    }

    /// Logs a note once, however many requests report it.
    pub fn note(&self, text: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if !noted.iter().any(|known| known == text) {
            self.log.info(&format!("Note: {text}"));
            noted.push(text.to_owned());
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends the request, and retries temporary failures until the deadline. Returns the last response, whatever its
    /// status.
    pub fn send(&self, request: &Request) -> Result<Response> {
        self.send_with_head(request, || Ok(request.head.clone()))
    }

    /// Like [`Client::send`], with the credential's header.
    pub fn send_authenticated(&self, request: &Request, credential: &dyn Credential) -> Result<Response> {
        self.send_with_head(request, || {
            let SecretHeader { name, prefix, secret } = credential.header(self)?;
            request.head_with(name, prefix, &secret)
        })
    }

    fn send_with_head(&self, request: &Request, head: impl Fn() -> Result<http::Request<()>>) -> Result<Response> {
        let address = redacted(request.head.uri());
        let mut earlier = Tries::default();
        loop {
            let (tries, started) = (earlier.count() + 1, Instant::now());
            // Built for each attempt, because a token may expire during the retries.
            let head = head().map_err(|error| match tries {
                1 => error,
                _ => error.context(format!("{address} {earlier}, and the next attempt cannot be sent")),
            })?;
            if self.time_left().is_zero() && tries == 1 {
                return Err(Outage(format!("{} passed before a request to {address} was sent", self.limit())).into());
            }
            let result = self.try_once(request, head, tries);
            self.log_attempt(request, &result, &address, tries, started.elapsed());
            let fault = self.retryable_fault(request, &result);
            let retry_after = result.as_ref().ok().and_then(|response| response.retry_after(Timestamp::now()));
            let pause = retry_after.unwrap_or_else(|| pause(tries, random()));
            match fault {
                Some(fault) if tries < request.max_tries && pause + SHORTEST_TRY < self.time_left() => {
                    self.log.info(&format!("{address} {}, retrying in {:.1} s", fault.what, pause.as_secs_f64()));
                    thread::sleep(pause);
                    earlier.push(fault);
                }
                fault => {
                    let is_out_of_time = fault.is_some() && tries < request.max_tries;
                    let no_retry = if is_out_of_time { self.no_retry_reason(retry_after) } else { String::new() };
                    return self.conclude(request, result, &address, &earlier, &no_retry);
                }
            }
        }
    }

    /// The failure of an attempt, if a retry may help.
    fn retryable_fault(&self, request: &Request, result: &Result<Response, Failure>) -> Option<Fault> {
        match result {
            Ok(response) if (request.is_temporary)(response) => {
                Some(Fault { what: status_phrase(response), why: response.detail() })
            }
            Err(failure) if failure.is_temporary => {
                Some(Fault { what: self.message(failure, request), why: self.advice(failure, request) })
            }
            _ => None,
        }
    }

    /// Explains why there is no retry. `retry_after`: the wait that the server asks for.
    fn no_retry_reason(&self, retry_after: Option<Duration>) -> String {
        match retry_after {
            Some(retry_after) => {
                format!(
                    "; the server asks to wait {} s, but {} leaves less time",
                    retry_after.as_secs_f64().ceil(),
                    self.limit()
                )
            }
            None => format!("; {} leaves no time for another attempt", self.limit()),
        }
    }

    fn limit(&self) -> String {
        let flag = self.limit_of.map_or_else(String::new, |part| format!(" ({part})"));
        format!("the time limit of {} s{flag}", self.timeout.as_secs())
    }

    /// The last response or error, with a summary of the earlier attempts.
    fn conclude(
        &self,
        request: &Request,
        result: Result<Response, Failure>,
        address: &str,
        earlier: &Tries,
        no_retry: &str,
    ) -> Result<Response> {
        let failure = match result {
            Err(failure) => failure,
            Ok(mut response) => {
                let before = earlier.describe_unless_all(&status_phrase(&response)).map(|before| format!("; {before}"));
                response.history = before.unwrap_or_default() + no_retry;
                return Ok(response);
            }
        };
        let what = self.message(&failure, request);
        let text = match earlier.count() {
            0 if failure.is_timeout && self.time_left().is_zero() => {
                let limit = match self.limit_of {
                    Some("--timeout") | None => format!("the time limit of {} s", self.timeout.as_secs()),
                    Some(_) => self.limit(),
                };
                let advice = if self.limit_of.is_some() { ": raise --timeout" } else { "" };
                format!("{address} sent no response before {limit} passed{advice}")
            }
            _ if failure.is_timeout && self.time_left().is_zero() => {
                format!("{address} {earlier}, then sent no response before {} passed", self.limit())
            }
            tries => {
                let before =
                    earlier.describe_unless_all(&what).map_or_else(String::new, |before| format!("; {before}"));
                let tries = if tries > 0 { format!(" ({} tries{before})", tries + 1) } else { String::new() };
                format!("{address} {what}{tries}: {}{no_retry}", self.advice(&failure, request))
            }
        };
        if failure.is_outage { Err(Outage(text).into()) } else { Err(anyhow!(text)) }
    }

    fn log_attempt(
        &self,
        request: &Request,
        result: &Result<Response, Failure>,
        address: &str,
        tries: u32,
        took: Duration,
    ) {
        let what =
            result.as_ref().map_or_else(|failure| failure.what.to_owned(), |response| response.status.to_string());
        let proxy = self
            .proxies
            .choose(request.head.uri())
            .map_or_else(|| "without a proxy".to_owned(), |proxy| format!("through the proxy {proxy}"));
        let (method, took) = (request.head.method(), took.as_millis());
        self.log.debug(&format!("{method} {address}: {what} in {took} ms, try {tries}, {proxy}"));
    }

    fn try_once(&self, request: &Request, mut head: http::Request<()>, tries: u32) -> Result<Response, Failure> {
        let limit = request.limit.min(self.time_left());
        let response = match request.open_body()? {
            None => self.run(head, limit)?,
            Some((mut reader, length)) => {
                // Otherwise the body is sent in chunks, which object stores reject.
                head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
                self.run(head.map(|()| SendBody::from_reader(&mut reader)), limit)?
            }
        };
        match request.sink {
            Some(sink) if response.status() == StatusCode::OK => {
                Response::save(response, sink, request.max_response, request.progress, tries)
            }
            Some(_) => Response::read(response, MAX_RESPONSE, tries),
            None => Response::read(response, request.max_response, tries),
        }
    }

    fn run(
        &self,
        request: http::Request<impl AsSendBody>,
        limit: Duration,
    ) -> Result<http::Response<Body>, ureq::Error> {
        let proxy = self.proxies.choose(request.uri()).map(|setting| setting.proxy.clone());
        let agent = self.agent.config();
        // A request with its own configuration loads the system's certificates again, unless an earlier one used the
        // agent's.
        if limit == OPTIONAL_LIMIT && proxy.as_ref() == agent.proxy() {
            return self.agent.run(request);
        }
        let request = self.agent.configure_request(request).timeout_global(Some(limit)).proxy(proxy);
        self.agent.run(request.build())
    }

    /// Describes the failure. If a proxy is used, connection errors are the proxy's.
    fn message(&self, failure: &Failure, request: &Request) -> String {
        match self.proxies.choose(request.head.uri()).filter(|_| failure.is_connect_error) {
            Some(proxy) => format!("cannot be reached: the proxy {proxy} {}", failure.what),
            None => failure.what.to_owned(),
        }
    }

    /// Says what to do, also about the proxy.
    fn advice(&self, failure: &Failure, request: &Request) -> String {
        let proxy = self.proxies.choose(request.head.uri());
        let proxy = proxy.map_or_else(String::new, |proxy| match failure.is_connect_error {
            true => format!("; correct {}, or list the host in NO_PROXY if it needs no proxy", proxy.variable),
            false => format!("; the request goes through the proxy {proxy}"),
        });
        format!("{}{proxy}", failure.advice)
    }
}

fn status_phrase(response: &Response) -> String {
    format!("answered {}", response.status)
}

/// Doubles after each attempt, up to a limit. `random` (0 to 1) spreads clients that failed at the same moment.
fn pause(tries: u32, random: f64) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(16)).min(MAX_PAUSE);
    full.mul_f64(0.5 + random / 2.0)
}

/// Random enough for retries: the standard library seeds its hashers from the system.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_pauses_double_up_to_a_limit_with_jitter() {
        let millis = |tries, random| pause(tries, random).as_millis();
        assert_eq!([millis(1, 1.0), millis(2, 1.0), millis(3, 1.0)], [500, 1_000, 2_000]);
        assert_eq!([millis(1, 0.0), millis(5, 0.0)], [250, 4_000]);
        assert_eq!(millis(40, 1.0), 10_000);
        assert!((0.0..=1.0).contains(&random()));
    }
}
