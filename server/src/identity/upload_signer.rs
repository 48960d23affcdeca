//! Signed addresses for uploads through the server.
//!
//! The secret is not an API key: its holder could sign uploads to all sites, and others could search for the key
//! offline by its signatures.

use std::path::Path;

use anyhow::{Context, ensure};
use ring::hmac;

use crate::base::random::{hex, random, unhex};
use crate::base::secret::write_private;
use crate::names::site::SiteId;

/// The length of the secret in bytes.
const SECRET: usize = 32;

/// Signs and verifies upload addresses.
pub struct UploadSigner(hmac::Key);

impl UploadSigner {
    /// With a random secret, for storage that does not outlive this process.
    pub fn random() -> anyhow::Result<Self> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &random::<SECRET>()?)))
    }

    /// With the secret in a file, which all servers on one folder share. If the file is missing, it is created.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let creating = || format!("the file {}, which signs upload addresses, could not be created", path.display());
        if !path.try_exists().with_context(creating)? {
            // Created atomically, as another server may read it at the same time.
            let new = path.with_extension(hex(&random::<8>()?));
            write_private(&new, &hex(&random::<SECRET>()?)).with_context(creating)?;
            let linked = std::fs::hard_link(&new, path);
            std::fs::remove_file(&new).with_context(creating)?;
            if let Err(error) = linked
                && error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Err(error).with_context(creating);
            }
        }
        let display = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("the file {display} could not be read"))?;
        let secret = unhex(text.trim()).unwrap_or_default();
        ensure!(secret.len() == SECRET, "the file {display} contains no valid secret: delete it to create a new one");
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// The signature for uploading the zip of `site` until `expires` (Unix time in seconds).
    pub fn sign(&self, site: &SiteId, expires: i64) -> String {
        hex(hmac::sign(&self.0, text(site, expires).as_bytes()).as_ref())
    }

    /// Whether the signature is valid.
    pub fn verify(&self, site: &SiteId, expires: i64, signature: &str) -> bool {
        unhex(signature)
            .is_some_and(|signature| hmac::verify(&self.0, text(site, expires).as_bytes(), &signature).is_ok())
    }
}

fn text(site: &SiteId, expires: i64) -> String {
    format!("covered upload\n{site}\n{expires}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_valid_only_for_their_site_time_and_key_file() {
        let (site, other) = (SiteId::random().unwrap(), SiteId::random().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upload-key");
        let signature = UploadSigner::from_file(&path).unwrap().sign(&site, 100);
        let signer = UploadSigner::from_file(&path).unwrap();
        assert!(signer.verify(&site, 100, &signature));
        assert!(!signer.verify(&other, 100, &signature));
        assert!(!signer.verify(&site, 101, &signature));
        assert!(!signer.verify(&site, 100, "zz"));
        assert!(!signer.verify(&site, 100, "é0"));
        assert!(!UploadSigner::random().unwrap().verify(&site, 100, &signature));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
            0o600,
            "only the owner may read it"
        );
        std::fs::write(&path, "abc").unwrap();
        assert!(UploadSigner::from_file(&path).is_err());
    }
}
