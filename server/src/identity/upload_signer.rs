//! The signed address of one upload, where the server takes it itself.
//!
//! The secret is the server's alone: with an API key for it, who holds one key could sign for everybody's sites, and
//! search for another key by what was signed with it.

use std::path::Path;

use anyhow::{Context, ensure};
use ring::hmac;

use crate::base::random::{hex, random, unhex};
use crate::base::secret::write_private;
use crate::names::site::SiteId;

/// Bytes of the secret.
const SECRET: usize = 32;

/// Signs the right to upload the zip of a site.
pub struct UploadSigner(hmac::Key);

impl UploadSigner {
    /// For a store that is gone with this process.
    pub fn random() -> anyhow::Result<Self> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &random::<SECRET>()?)))
    }

    /// With the secret in the file at `path`, which all servers on one folder share; it is made where there is none.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let made = || format!("the file {}, which signs upload addresses, could not be made", path.display());
        if !path.try_exists().with_context(made)? {
            // Whole, or not there: another server may look at the same moment.
            let new = path.with_extension(hex(&random::<8>()?));
            write_private(&new, &hex(&random::<SECRET>()?)).with_context(made)?;
            let linked = std::fs::hard_link(&new, path);
            std::fs::remove_file(&new).with_context(made)?;
            if let Err(error) = linked
                && error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Err(error).with_context(made);
            }
        }
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("the file {shown} could not be read"))?;
        let secret = unhex(text.trim()).unwrap_or_default();
        ensure!(
            secret.len() == SECRET,
            "the file {shown} holds no secret of this server's: delete it to have a new one made"
        );
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// The right to upload the zip of `site` until `expires` (Unix time, seconds).
    pub fn sign(&self, site: &SiteId, expires: i64) -> String {
        hex(hmac::sign(&self.0, text(site, expires).as_bytes()).as_ref())
    }

    /// Whether this right was signed here.
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
    fn a_signature_holds_for_its_site_and_time_alone_and_for_all_servers_on_one_folder() {
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
            "others may read it"
        );
        std::fs::write(&path, "abc").unwrap();
        assert!(UploadSigner::from_file(&path).is_err());
    }
}
