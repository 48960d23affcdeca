//! The one HTTP client: time limits, retries within one deadline, and errors that a person can act on.
//!
//! An address's query may be a credential (a presigned upload), so no error and no log line shows one.

mod answer;
mod failure;

use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use ureq::http::header::CONTENT_LENGTH;
use ureq::http::{self, HeaderName, HeaderValue, Method, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Body, SendBody};

use crate::inputs::Secret;
use crate::workflow::Workflow;
pub use answer::Answer;
use failure::Failure;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Silence that is taken for a broken connection.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// One try of an ordinary request, from the look-up of the name to the end of the answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
const MAX_ANSWER: u64 = 1 << 20;
const MAX_TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// A request, and what it may cost.
pub struct Request<'a> {
    head: http::Request<()>,
    body: Content<'a>,
    /// Time for one try.
    limit: Duration,
    /// Bytes.
    max_answer: u64,
    max_tries: u32,
    is_temporary: fn(&Answer) -> bool,
}

enum Content<'a> {
    None,
    Json(Vec<u8>),
    File(&'a File, u64),
}

impl<'a> Request<'a> {
    pub fn new(method: &str, url: &str) -> Result<Self> {
        let mut head = http::Request::new(());
        *head.method_mut() = Method::try_from(method).with_context(|| format!("{method:?} is no HTTP method"))?;
        *head.uri_mut() = Uri::try_from(url).context("the address of a request cannot be read")?;
        Ok(Self {
            head,
            body: Content::None,
            limit: REQUEST_LIMIT,
            max_answer: MAX_ANSWER,
            max_tries: MAX_TRIES,
            is_temporary: Answer::is_temporary,
        })
    }

    pub fn header(self, name: &str, value: &str) -> Result<Self> {
        self.insert(name, value, false)
    }

    /// A header that holds `secret` behind `prefix`, and that is shown nowhere.
    pub fn secret_header(self, name: &str, prefix: &str, secret: &Secret) -> Result<Self> {
        self.insert(name, &format!("{prefix}{}", secret.expose()), true)
    }

    fn insert(mut self, name: &str, value: &str, is_secret: bool) -> Result<Self> {
        let unfit = || format!("the header {name:?} cannot be sent");
        let mut value = HeaderValue::try_from(value).with_context(unfit)?;
        value.set_sensitive(is_secret);
        self.head.headers_mut().insert(HeaderName::try_from(name).with_context(unfit)?, value);
        Ok(self)
    }

    pub fn json(mut self, body: &impl serde::Serialize) -> Result<Self> {
        self.body = Content::Json(serde_json::to_vec(body)?);
        self.header("content-type", "application/json")
    }

    /// Sends a file of `size` bytes, for as long as the run may take. The server is asked first whether it wants it:
    /// its refusal would otherwise be lost in a connection that breaks under the bytes still on their way.
    pub fn file(mut self, file: &'a File, size: u64) -> Result<Self> {
        self.body = Content::File(file, size);
        self.limit = Duration::MAX;
        self.header("expect", "100-continue")
    }

    /// Sends a small file: what is lost by a refusal is less than what asking first costs.
    pub fn small_file(mut self, file: &'a File, size: u64) -> Self {
        self.body = Content::File(file, size);
        self.limit = Duration::MAX;
        self
    }

    pub fn max_answer(self, max_answer: u64) -> Self {
        Self { max_answer, ..self }
    }

    pub fn max_tries(self, max_tries: u32) -> Self {
        Self { max_tries, ..self }
    }

    /// Which answers are worth another try.
    pub fn temporary(self, is_temporary: fn(&Answer) -> bool) -> Self {
        Self { is_temporary, ..self }
    }
}

impl Content<'_> {
    /// The body from its start, and its length; none where there is no body at all.
    fn reader(&self) -> io::Result<Option<(Box<dyn Read + '_>, u64)>> {
        Ok(match self {
            Self::None => None,
            Self::Json(text) => Some((Box::new(text.as_slice()), text.len() as u64)),
            Self::File(file, size) => {
                let mut file: &File = file;
                file.rewind()?;
                Some((Box::new(file), *size))
            }
        })
    }
}

/// An address without its user, its query and its fragment.
pub fn place(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

/// An error that passes by itself: a server is away, overloaded or slow, and nobody has to mend the workflow.
#[derive(Debug)]
pub struct Outage(String);

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Outage {}

pub struct Client<'a> {
    agent: Agent,
    log: &'a Workflow,
    deadline: Instant,
    timeout: Duration,
}

impl<'a> Client<'a> {
    /// A client whose requests all end before `timeout` after `started` is over.
    pub fn new(log: &'a Workflow, started: Instant, timeout: Duration) -> Self {
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .user_agent(concat!("covered/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            // A redirect could carry the API key to another host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT_LIMIT))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(STALL_LIMIT))
            .timeout_per_write(Some(STALL_LIMIT))
            .build()
            .new_agent();
        Self { agent, log, deadline: started + timeout, timeout }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends the request, again while that can help and there is time; gives the last answer, whatever its status.
    pub fn send(&self, request: &Request) -> Result<Answer> {
        let place = place(request.head.uri());
        let mut tries = 1;
        loop {
            let result = self.try_once(request, tries);
            let Some(pause) = self.pause_before_next(request, &result, &place, tries) else {
                return result.map_err(|failure| self.explain(&failure, &place, tries));
            };
            thread::sleep(pause);
            tries += 1;
        }
    }

    /// How long to wait for the next try; none where it would not help, or be too late.
    fn pause_before_next(
        &self,
        request: &Request,
        result: &Result<Answer, Failure>,
        place: &str,
        tries: u32,
    ) -> Option<Duration> {
        let (why, asked) = match result {
            Ok(answer) if (request.is_temporary)(answer) => {
                (format!("answered {}", answer.status), answer.retry_after(Timestamp::now()))
            }
            Err(failure) if failure.is_temporary => (failure.what.to_owned(), None),
            _ => return None,
        };
        let pause = asked.unwrap_or_else(|| pause(tries, random()));
        if tries == request.max_tries || pause >= self.left() {
            return None;
        }
        self.log.say(&format!("{place} {why}, next try in {:.1} s", pause.as_secs_f64()));
        Some(pause)
    }

    fn try_once(&self, request: &Request, tries: u32) -> Result<Answer, Failure> {
        let mut head = request.head.clone();
        let limit = request.limit.min(self.left());
        let response = match request.body.reader()? {
            None => self.run(head, limit)?,
            Some((mut reader, length)) => {
                // Without it the body would go out in chunks, which no object store takes.
                head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
                self.run(head.map(|()| SendBody::from_reader(&mut reader)), limit)?
            }
        };
        Answer::read(response, request.max_answer, tries)
    }

    fn run(&self, request: http::Request<impl AsSendBody>, limit: Duration) -> Result<Response<Body>, ureq::Error> {
        self.agent.run(self.agent.configure_request(request).timeout_global(Some(limit)).build())
    }

    fn explain(&self, failure: &Failure, place: &str, tries: u32) -> anyhow::Error {
        if self.left().is_zero() {
            let limit = self.timeout.as_secs();
            let text = format!("{place} gave no answer before the time limit of {limit} s was over: raise --timeout");
            return Outage(text).into();
        }
        let tries = if tries > 1 { format!(" ({tries} tries)") } else { String::new() };
        let proxy = match self.agent.config().proxy() {
            Some(_) => "; a proxy is set, see HTTPS_PROXY and NO_PROXY",
            None => "",
        };
        let text = format!("{place} {}{tries}: {}{proxy}", failure.what, failure.advice);
        if failure.is_outage { Outage(text).into() } else { anyhow!(text) }
    }
}

/// Twice as long after each try, up to a limit; `random` (0 to 1) spreads those that failed at one moment.
fn pause(tries: u32, random: f64) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(16)).min(MAX_PAUSE);
    full.mul_f64(0.5 + random / 2.0)
}

/// Random enough to spread retries: the standard library seeds its hashers from the system's source.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_spread() {
        let millis = |tries, random| pause(tries, random).as_millis();
        assert_eq!([millis(1, 1.0), millis(2, 1.0), millis(3, 1.0)], [500, 1_000, 2_000]);
        assert_eq!([millis(1, 0.0), millis(5, 0.0)], [250, 4_000]);
        assert_eq!(millis(40, 1.0), 10_000);
        assert!((0.0..=1.0).contains(&random()));
    }

    #[test]
    fn a_place_shows_no_credentials() {
        let uri = "https://user:pass@s3.example.com:9000/bucket/a.zip?X-Amz-Signature=abc".parse().unwrap();
        assert_eq!(place(&uri), "https://s3.example.com:9000/bucket/a.zip");
    }
}
