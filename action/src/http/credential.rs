//! The credential of a request. Its implementation may send requests itself, so requests know only this trait.

use std::fmt;

use anyhow::Result;

use super::Client;
use crate::base::secret::Secret;

/// Called before each attempt, as a token may expire during the retries.
pub trait Credential: fmt::Debug + Sync {
    fn header(&self, client: &Client) -> Result<SecretHeader>;
}

/// A header with the value `{prefix}{secret}`.
pub struct SecretHeader {
    pub name: &'static str,
    pub prefix: &'static str,
    pub secret: Secret,
}
