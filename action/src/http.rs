//! The HTTP client: time limits, retries until the deadline of the run, and errors that say what to do.
//!
//! The query of an address may be a credential (a presigned upload), so errors and log lines omit it.

mod client;
mod dns;
mod failure;
mod host;
mod proxy;
mod redacted;
mod request;
mod response;
pub mod too_large;
mod tries;

pub use client::{Client, Credential, SecretHeader};
pub use failure::Outage;
pub use host::Host;
pub use proxy::Proxies;
pub use request::Request;
pub use response::Response;
