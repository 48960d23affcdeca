//! What shows a server who sends a request. How it is come by is nobody's business here: the request only asks for it.

use std::fmt;

use anyhow::Result;

use super::Client;
use crate::base::secret::Secret;

/// Asked for its header before each try of a request, as a token may expire while the client waits for a server.
pub trait Credential: fmt::Debug + Sync {
    fn header(&self, client: &Client) -> Result<SecretHeader>;
}

/// A header whose value is `secret` behind `prefix`.
pub struct SecretHeader {
    pub name: &'static str,
    pub prefix: &'static str,
    pub secret: Secret,
}
