//! Failures of requests without a response: what happened, and what to do.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use ureq::{Error, Timeout};

use crate::archive::write_error;
use crate::base::text::shorten;

/// A temporary error: a server is down, overloaded or slow. Nobody has to change the workflow.
#[derive(Debug)]
pub struct Outage(pub String);

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Outage {}

#[derive(Debug)]
pub struct Failure {
    /// Follows the address, as in `refused the connection`.
    pub what: &'static str,
    pub advice: String,
    /// Whether a retry may help.
    pub is_temporary: bool,
    /// Whether it is an outage. An unknown host name is not, although the request is retried.
    pub is_outage: bool,
    /// Whether it failed while connecting, to the proxy if there is one.
    pub is_connect_error: bool,
    /// Whether a time limit was reached.
    pub is_timeout: bool,
}

impl Failure {
    fn temporary(what: &'static str, advice: &str) -> Self {
        let advice = advice.to_owned();
        Self { what, advice, is_temporary: true, is_outage: true, is_connect_error: false, is_timeout: false }
    }

    fn while_connecting(self) -> Self {
        Self { is_connect_error: true, ..self }
    }

    fn permanent(what: &'static str, advice: String) -> Self {
        Self { what, advice, is_temporary: false, is_outage: false, is_connect_error: false, is_timeout: false }
    }

    /// The response could not be written to a file in `folder`.
    pub fn not_saved(folder: &Path, error: &io::Error) -> Self {
        Self::permanent("sent a response that could not be saved", write_error(folder, error))
    }

    fn tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => {
                Self::permanent("has an untrusted certificate", format!("{why}; {}", ca_advice()))
            }
            rustls::Error::InvalidMessage(_) => Self::permanent(
                "failed the TLS handshake",
                "the server does not speak TLS: is it an http:// address?".to_owned(),
            ),
            other => {
                Self::permanent("failed the TLS handshake", format!("{other}; check the address; {}", ca_advice()))
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error.into(),
            Error::HostNotFound => unknown_host(),
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => Self::temporary(
                "did not accept a connection in time",
                "check the address, and whether a firewall or a missing proxy is in the way",
            )
            .while_connecting(),
            Error::Timeout(_) => {
                Self { is_timeout: true, ..Self::temporary("sent no response in time", "is the server overloaded?") }
            }
            Error::Rustls(error) => Self::tls(&error),
            Error::ConnectProxyFailed(why) => proxy_failure(&why).while_connecting(),
            Error::BodyExceedsLimit(limit) => {
                Self::permanent("sent too large a response", format!("more than {limit} bytes"))
            }
            Error::Protocol(_) | Error::LargeResponseHeader(..) => Self::permanent(
                "sent a response that is not HTTP",
                "check the address and whether it is http or https".to_owned(),
            ),
            // Its text may contain the whole address, with the query.
            Error::BadUri(_) | Error::RequireHttpsOnly(_) => {
                Self::permanent("could not be reached", "the address is invalid".to_owned())
            }
            other => Self::temporary("could not be reached", &other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::tls(error);
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => {
                Self::temporary("refused the connection", "check the address and its port, and whether the server runs")
                    .while_connecting()
            }
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => Self::temporary(
                "closed the connection before the response was complete",
                "is the server failing, or a proxy in front of it?",
            ),
            // The standard library has no error kind for this.
            _ if error.to_string().starts_with("failed to lookup address") => unknown_host(),
            _ => Self::temporary("could not be reached", &error.to_string()),
        }
    }
}

fn unknown_host() -> Failure {
    let failure = Failure::temporary("has a host name that cannot be resolved (DNS)", "check the address");
    Failure { is_outage: false, ..failure.while_connecting() }
}

/// A proxy's response to CONNECT, which ureq reports as `… 407/407`.
fn proxy_failure(why: &str) -> Failure {
    match why.rsplit('/').next() {
        Some("407") => Failure::permanent(
            "requires valid credentials (407)",
            "set them as http://USER:PASSWORD@HOST:PORT, percent-encoded".to_owned(),
        ),
        Some("403") => {
            Failure::permanent("refuses to connect to the host (403)", "allow the host in the proxy".to_owned())
        }
        _ => Failure::temporary("could not connect to the host", &shorten(why, 100)),
    }
}

/// Explains where CA certificates are read from.
fn ca_advice() -> String {
    let set = |name: &'static str| Some((name, std::env::var(name).ok().filter(|path| !path.is_empty())?));
    let Some((name, path)) = set("SSL_CERT_FILE").or_else(|| set("SSL_CERT_DIR")) else {
        return "for a private CA, set SSL_CERT_FILE to its certificates".to_owned();
    };
    match std::fs::metadata(&path) {
        Err(error) => format!("{name} is {path}, which cannot be read: {error}"),
        Ok(_) => format!("the CA's certificate must be in {path} ({name})"),
    }
}
