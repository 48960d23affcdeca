//! Site IDs and the object keys of a site.

use std::fmt;
use std::str::FromStr;

use crate::base::random::{hex, random};
use crate::names::object::{RESERVATION, STAGING};

/// A site's ID: 32 lower-case hex characters, or 12 from the Python original. It grants access to the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteId {
    bits: u128,
    is_short: bool,
}

impl SiteId {
    /// 128 random bits: the ID grants access, so it must not be guessable.
    pub fn random() -> anyhow::Result<Self> {
        Ok(Self { bits: u128::from_be_bytes(random()?), is_short: false })
    }

    /// The first characters: enough to find a site in the store, too few to access it.
    pub fn short(text: &str) -> &str {
        text.get(..8).unwrap_or_default()
    }

    /// Shortens every site ID in a text.
    pub fn mask(text: &str) -> String {
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_hex) {
            let end = rest[start..].find(|c| !is_hex(c)).map_or(rest.len(), |length| start + length);
            let word = &rest[start..end];
            masked += &rest[..start];
            match word.parse::<Self>() {
                Ok(_) => masked.extend([Self::short(word), "…"]),
                Err(()) => masked += word,
            }
            rest = &rest[end..];
        }
        masked + rest
    }

    /// `sites/{id}.json`: who created the site, when, and for which commit.
    pub fn record_key(&self) -> String {
        format!("sites/{self}.json")
    }

    /// `sites/{id}.zip`: the report.
    pub fn zip_key(&self) -> String {
        format!("sites/{self}.zip")
    }

    /// `sites/{id}/{path}`: a file of a report that was uploaded file by file.
    pub fn file_key(&self, path: &str) -> String {
        format!("sites/{self}/{path}")
    }

    /// `sites/{id}/.keep`: the reservation of such a site.
    pub fn reservation_key(&self) -> String {
        self.file_key(RESERVATION)
    }

    /// The key of an upload through the server until the zip is verified.
    pub fn staging_key(&self, attempt: &str) -> String {
        format!("{STAGING}/{self}-{attempt}.zip")
    }
}

impl FromStr for SiteId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bits = 0;
        for byte in text.bytes() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return Err(()),
            };
            bits = bits << 4 | u128::from(digit);
        }
        if matches!(text.len(), 12 | 32) { Ok(Self { bits, is_short: text.len() == 12 }) } else { Err(()) }
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = hex(&self.bits.to_be_bytes());
        f.write_str(if self.is_short { text.get(20..).unwrap_or_default() } else { &text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_id_is_32_or_12_lower_case_hex_characters() {
        assert!("0123456789abcdef0123456789abcdef".parse::<SiteId>().is_ok());
        assert!("0123456789ab".parse::<SiteId>().is_ok());
        for wrong in
            ["", "0123456789abcdef", "0123456789AB", "0123456789ag", "../../../../", "0123456789abcdef0123456789abcde "]
        {
            assert!(wrong.parse::<SiteId>().is_err(), "{wrong:?}");
        }
        assert_ne!(SiteId::random().unwrap(), SiteId::random().unwrap());
        assert!(SiteId::random().unwrap().to_string().parse::<SiteId>().is_ok());
    }

    #[test]
    fn site_ids_are_masked_anywhere_in_a_text() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            SiteId::mask(&format!("GET http://s3/b/sites/{id}.zip failed")),
            "GET http://s3/b/sites/01234567….zip failed"
        );
        assert_eq!(SiteId::mask("a 0123 é {id}"), "a 0123 é {id}");
    }
}
