//! A server's response, and how to describe it to people.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Body;
use ureq::http::header::{AsHeaderName, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::http::{self, HeaderMap, StatusCode, Uri};

use super::failure::{Failure, Outage};
use super::redacted::redacted;
use crate::base::text::shorten;
use crate::log::progress::Progress;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// Characters of a server's message in logs and errors.
const MAX_DETAIL: usize = 300;
/// GitHub's hourly rate limit: remaining requests, and the time of the reset in seconds since 1970.
const LIMIT_LEFT: &str = "x-ratelimit-remaining";
const LIMIT_RESET: &str = "x-ratelimit-reset";
/// The wait that GitHub asks for at a secondary rate limit without a time.
const SECONDARY_LIMIT_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    /// Number of attempts.
    pub tries: u32,
    /// Earlier failures, and why there is no retry; appended to the description.
    pub(super) history: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Response {
    /// Reads the body, up to `limit` bytes.
    pub fn read(response: http::Response<Body>, limit: u64, tries: u32) -> Result<Self, Failure> {
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(limit).read_to_vec()?;
        Ok(Self { status: head.status, tries, history: String::new(), headers: head.headers, body })
    }

    /// Writes the body, up to `limit` bytes, into a file in a folder. Replaces what an earlier attempt wrote.
    pub fn save(
        response: http::Response<Body>,
        (mut file, folder): (&File, &Path),
        limit: u64,
        progress: Option<&Progress>,
        tries: u32,
    ) -> Result<Self, Failure> {
        let (head, mut body) = response.into_parts();
        file.rewind().and_then(|()| file.set_len(0)).map_err(|error| Failure::not_saved(folder, &error))?;
        let mut reader = body.with_config().limit(limit).reader();
        let mut chunk = vec![0; CHUNK];
        if let Some(progress) = progress {
            progress.restart();
        }
        loop {
            let count = reader.read(&mut chunk).map_err(ureq::Error::from)?;
            if count == 0 {
                let (history, body) = (String::new(), Vec::new());
                return Ok(Self { status: head.status, tries, history, headers: head.headers, body });
            }
            file.write_all(&chunk[..count]).map_err(|error| Failure::not_saved(folder, &error))?;
            if let Some(progress) = progress {
                progress.add(count as u64);
            }
        }
    }

    /// The target of a redirect. It may be a credential, so it is never shown.
    pub fn location(&self) -> Option<&str> {
        self.header(LOCATION)
    }

    /// Whether a retry may help: rate limits (GitHub sends them as 403) and server errors.
    pub fn is_temporary(&self) -> bool {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => {
                self.has_header(RETRY_AFTER.as_str()) || self.is_rate_limit_used_up() || self.is_secondary_rate_limit()
            }
            status => status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// Whether GitHub's hourly rate limit is used up.
    fn is_rate_limit_used_up(&self) -> bool {
        self.header(LIMIT_LEFT) == Some("0")
    }

    /// Whether it is GitHub's secondary rate limit:
    /// <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api>.
    fn is_secondary_rate_limit(&self) -> bool {
        self.status == StatusCode::FORBIDDEN && self.text().contains("secondary rate limit")
    }

    /// Whether there is a header of this name.
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// Whether the body is JSON, so not from a proxy or login page.
    pub fn is_json(&self) -> bool {
        self.json::<serde::de::IgnoredAny>().is_ok()
    }

    /// How long the server asks to wait, in seconds or until a date.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        if self.is_rate_limit_used_up() && !self.headers.contains_key(RETRY_AFTER) {
            let reset = Timestamp::from_second(self.header(LIMIT_RESET)?.parse().ok()?).ok()?;
            return Some(reset.duration_since(now).try_into().unwrap_or_default());
        }
        let Some(text) = self.header(RETRY_AFTER) else {
            return self.is_secondary_rate_limit().then_some(SECONDARY_LIMIT_PAUSE);
        };
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = rfc2822::parse(text).ok()?.timestamp();
        Some(date.duration_since(now).try_into().unwrap_or_default())
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// An error with this text: an outage if the response is temporary.
    pub fn rejection(&self, text: String) -> anyhow::Error {
        if self.is_temporary() { Outage(text).into() } else { anyhow!(text) }
    }

    /// Describes status and message, as in `503 Service Unavailable after 6 tries: the store is away`.
    pub fn describe(&self) -> String {
        let tries = if self.tries > 1 { format!(" after {} tries", self.tries) } else { String::new() };
        let limit = if self.is_rate_limit_used_up() && self.is_temporary() { "rate limit exceeded: " } else { "" };
        format!("{}{tries}: {limit}{}{}", self.status, self.detail(), self.history)
    }

    /// The server's message: `detail` of a covered server, `message` of GitHub, or S3's XML. Shortened, on one line.
    pub(super) fn detail(&self) -> String {
        let json: Value = self.json().unwrap_or_default();
        let message = [&json["detail"], &json["message"]].into_iter().find(|message| !message.is_null());
        let message = message
            .map(|message| shorten(&[json_text(message), describe_errors(&json["errors"])].concat(), MAX_DETAIL));
        let target = self.header(LOCATION).and_then(|target| target.parse::<Uri>().ok());
        let target = target.map(|target| format!("redirects to {}", shorten(&redacted(&target), MAX_DETAIL)));
        if message.is_some() || target.is_some() {
            return message.into_iter().chain(target).collect::<Vec<_>>().join("; ");
        }
        let text = self.text();
        if let (Some(code), Some(message)) = (xml_element(&text, "Code"), xml_element(&text, "Message")) {
            return shorten(&format!("{code}: {message}"), MAX_DETAIL);
        }
        match (self.body.len(), self.header(CONTENT_TYPE)) {
            (0, _) => "empty response".to_owned(),
            (length, kind) => format!("{length} bytes of {}", shorten(kind.unwrap_or("unknown type"), 60)),
        }
    }

    /// Whether a covered server sent it: its errors are `{"detail": …}`.
    pub fn is_from_covered(&self) -> bool {
        self.json().is_ok_and(|json: Value| !json["detail"].is_null())
    }

    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn json_text(message: &Value) -> String {
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}

/// GitHub's error list: texts, or objects with a message or with the names of a field and a code.
fn describe_errors(errors: &Value) -> String {
    let one = |error: &Value| {
        let known = ["resource", "field", "code"].map(|name| &error[name]);
        let names: Vec<String> = known.into_iter().filter(|name| !name.is_null()).map(json_text).collect();
        match &error["message"] {
            Value::Null if names.is_empty() => json_text(error),
            Value::Null => names.join(" "),
            message => json_text(message),
        }
    };
    let all: Vec<String> = match errors {
        Value::Null => Vec::new(),
        Value::Array(errors) => errors.iter().map(one).collect(),
        other => vec![one(other)],
    };
    if all.is_empty() { String::new() } else { format!(": {}", all.join(", ")) }
}

fn xml_element<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    Some(text.split_once(&format!("<{tag}>"))?.1.split_once(&format!("</{tag}>"))?.0)
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderName;

    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        Response {
            status,
            tries: 1,
            history: String::new(),
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        let wait = |value| response(503, &[("retry-after", value)], "").retry_after(now).map(|wait| wait.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        assert_eq!(response(503, &[], "").retry_after(now), None);
    }

    #[test]
    fn githubs_hourly_limit_sets_the_retry_time() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111777")];
        let used_up = response(403, &headers, r#"{"message":"API rate limit exceeded"}"#);
        assert!(used_up.is_temporary());
        assert_eq!(used_up.retry_after(now), Some(Duration::from_secs(7)));
        assert_eq!(used_up.describe(), "403 Forbidden: rate limit exceeded: API rate limit exceeded");
        assert!(!response(403, &[("x-ratelimit-remaining", "17")], "").is_temporary());
    }

    #[test]
    fn only_retryable_statuses_are_temporary() {
        let temporary = |status| response(status, &[], "").is_temporary();
        assert_eq!([429, 500, 502, 503, 504].map(temporary), [true; 5]);
        assert_eq!([200, 301, 400, 401, 403, 404, 409, 412, 413, 422, 501].map(temporary), [false; 11]);
        assert!(response(403, &[("retry-after", "60")], "").is_temporary());
    }

    #[test]
    fn descriptions_quote_the_servers_detail() {
        let message = |headers: &[(&'static str, &str)], body| response(400, headers, body).describe();
        assert_eq!(message(&[], r#"{"detail":"no such key"}"#), "400 Bad Request: no such key");
        assert_eq!(message(&[], r#"{"message":"Not Found"}"#), "400 Bad Request: Not Found");
        assert_eq!(message(&[], r#"{"detail":[{"loc":["body"]}]}"#), r#"400 Bad Request: [{"loc":["body"]}]"#);
        assert_eq!(
            message(&[], "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
            "400 Bad Request: AccessDenied: Request has expired"
        );
        assert_eq!(
            message(&[("location", "https://new.example.com/x?token=1")], ""),
            "400 Bad Request: redirects to https://new.example.com/x"
        );
        assert_eq!(message(&[("content-type", "text/html")], "<html>"), "400 Bad Request: 6 bytes of text/html");
        assert_eq!(message(&[], ""), "400 Bad Request: empty response");
    }

    #[test]
    fn githubs_validation_errors_are_described() {
        let message = |body| response(422, &[], body).describe().split_once(": ").unwrap().1.to_owned();
        assert_eq!(
            message(
                r#"{"message":"Validation Failed","errors":[{"resource":"Status","code":"custom","message":"Too many"}]}"#
            ),
            "Validation Failed: Too many"
        );
        assert_eq!(
            message(
                r#"{"message":"Validation Failed","errors":[{"resource":"Status","field":"sha","code":"invalid"},"b"]}"#
            ),
            "Validation Failed: Status sha invalid, b"
        );
        assert_eq!(message(r#"{"message":"Invalid request.","errors":"No context"}"#), "Invalid request.: No context");
        assert_eq!(message(r#"{"message":"No","errors":[]}"#), "No");
        assert_eq!(message(r#"{"message":"No","errors":[{"a":[1]},7]}"#), r#"No: {"a":[1]}, 7"#);
        let moved = response(301, &[("location", "https://ghe.example/repositories/7")], r#"{"message":"Moved"}"#);
        assert_eq!(moved.describe(), "301 Moved Permanently: Moved; redirects to https://ghe.example/repositories/7");
    }

    #[test]
    fn githubs_secondary_limit_has_a_default_pause() {
        let limited = response(403, &[], r#"{"message":"You have exceeded a secondary rate limit."}"#);
        assert!(limited.is_temporary());
        assert_eq!(limited.retry_after(Timestamp::UNIX_EPOCH), Some(SECONDARY_LIMIT_PAUSE));
    }

    #[test]
    fn hostile_details_are_truncated_to_one_line() {
        let detail = format!("a\\n::error::b\\u001b[31m{}", "x".repeat(1_000));
        let message = response(400, &[], &format!(r#"{{"detail":"{detail}"}}"#)).describe();
        assert!(message.starts_with("400 Bad Request: a ::error::b [31mxx"), "{message}");
        assert!(message.chars().count() <= MAX_DETAIL + 20, "{message}");
    }
}
