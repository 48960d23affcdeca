//! Temporary S3 credentials from the server.

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::base::secret::Secret;
use crate::base::text::shorten;

/// Temporary credentials that may write the files of one site into a bucket.
#[derive(Debug, Deserialize)]
pub struct S3Credentials {
    pub bucket: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Secret,
}

impl S3Credentials {
    /// Validates bucket and region, which become part of a host name.
    pub fn validated(self) -> Result<Self> {
        let fits = |text: &str| {
            let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            (1..=63).contains(&text.len()) && letters && !text.contains("..")
        };
        ensure!(fits(&self.bucket), "the server returned an invalid bucket name: {:?}", shorten(&self.bucket, 70));
        ensure!(fits(&self.region), "the server returned an invalid region: {:?}", shorten(&self.region, 70));
        Ok(self)
    }
}
