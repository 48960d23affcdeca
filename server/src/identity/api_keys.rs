//! API keys and what they allow.

mod scopes;

use std::path::{Path, PathBuf};

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::base::random::{hex, random};
use crate::base::secret::{Secret, write_private};
use crate::error::Error;
use crate::identity::token::WorkflowRun;
use crate::names::repository::{Repository, RepositoryRule};

/// The source of the API keys.
pub enum ApiKeySource {
    Configured(ApiKeys),
    /// A file in the reports' folder, created at the first start.
    File(PathBuf),
    /// No API keys: each upload needs a token.
    None,
}

/// The valid API keys. There can be several, for rotation.
#[derive(Debug, Default)]
pub struct ApiKeys {
    keys: Vec<ApiKey>,
    /// The whole text as another key, as the Python original reads it.
    whole: Option<ApiKey>,
}

#[derive(Debug)]
struct ApiKey {
    secret: Secret,
    /// The repositories that the key is valid for; empty: all.
    repositories: Vec<RepositoryRule>,
}

/// An authenticated uploader.
#[derive(Debug)]
pub enum Uploader<'a> {
    Keys(MatchingKeys<'a>),
    /// A workflow run, by its token.
    Run(Box<WorkflowRun>),
}

/// The configured keys that match the request. A key may be listed several times.
#[derive(Debug)]
pub struct MatchingKeys<'a>(Vec<&'a ApiKey>);

impl Uploader<'_> {
    /// Checks that the key or token is valid for the repository; otherwise returns 403.
    pub fn authorize(&self, repository: &Repository) -> Result<(), Error> {
        match self {
            Self::Keys(MatchingKeys(keys)) if keys.iter().any(|key| key.is_for(repository)) => Ok(()),
            Self::Keys(_) => Err(Error::forbidden(format!(
                "the API key is not valid for {repository}: use the key of that repository, or ask the server's operator to add \
                 it to this one's in API_KEY"
            ))),
            Self::Run(run) if run.repository == *repository => Ok(()),
            Self::Run(run) => Err(Error::forbidden(format!(
                "the OIDC token is for {}, but this request is for {repository}: use a token of that repository",
                run.repository
            ))),
        }
    }
}

/// The number of random bytes in a generated key.
const KEY_BYTES: usize = 24;

impl ApiKeys {
    /// Parses keys separated by commas or line breaks, each alone or as `KEY=owner/*|owner/name`. If no key has
    /// repositories, the whole text is a key too; it is the only key if a part of it is invalid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let parts: Vec<&str> = text.split([',', '\n']).map(str::trim).filter(|key| !key.is_empty()).collect();
        if parts.is_empty() {
            return Err("contains no key".to_owned());
        }
        let is_scoped = parts.iter().any(|part| ApiKey::rules(part).1.iter().any(Result::is_ok));
        let can_be_one = !is_scoped && !is_quoted(text) && text.bytes().all(can_be_sent);
        match parts.iter().map(|part| ApiKey::parse(part)).collect::<Result<Vec<_>, _>>() {
            Ok(keys) => {
                let is_known = keys.iter().any(|key| key.secret.expose() == text);
                let whole = (can_be_one && !is_known).then(|| ApiKey::for_all(text));
                Ok(Self { keys, whole })
            }
            Err(_) if can_be_one => Ok(Self { keys: vec![ApiKey::for_all(text)], whole: None }),
            Err(why) => Err(why),
        }
    }

    /// No keys.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads keys from a file. If the file is missing, creates it with a random key, readable by its owner only.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(text.trim()).map_err(|why| {
                anyhow::anyhow!("the API key file {} {why}: delete it to create a new one", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = hex(&random::<KEY_BYTES>()?);
                write_private(path, &format!("{key}\n"))
                    .with_context(|| format!("the API key file {} could not be created", path.display()))?;
                Ok(Self { keys: vec![ApiKey::for_all(&key)], whole: None })
            }
            Err(error) => Err(error).with_context(|| format!("the API key file {} could not be read", path.display())),
        }
    }

    /// Checks a request's key: `token: KEY` or `Authorization: Bearer KEY`.
    pub fn check(&self, headers: &HeaderMap) -> Result<MatchingKeys<'_>, Error> {
        let Some(sent) = sent_key(headers) else {
            return Err(Error::unauthorized(
                "no API key was sent: send it in the header \"token\" or \"Authorization: Bearer\"",
            ));
        };
        // Compares all keys, each in constant time.
        let matching =
            self.keys.iter().chain(&self.whole).filter(|key| key.secret.expose().as_bytes().ct_eq(sent).into());
        let matching = MatchingKeys(matching.collect());
        if matching.0.is_empty() {
            return Err(Error::forbidden("the API key is not valid on this server"));
        }
        Ok(matching)
    }
}

/// Whether a byte is valid in a header (RFC 9110, 5.5). ASCII only, as the Python CLI sends nothing else.
fn can_be_sent(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t')
}

fn is_quoted(text: &str) -> bool {
    text.starts_with(['"', '\'']) || text.ends_with(['"', '\''])
}

impl ApiKey {
    fn for_all(key: &str) -> Self {
        Self { secret: Secret::new(key.to_owned()), repositories: Vec::new() }
    }

    fn is_for(&self, repository: &Repository) -> bool {
        self.repositories.is_empty() || self.repositories.iter().any(|rule| rule.allows(repository))
    }

    /// Splits at the last `=` into a key and repositories.
    fn rules(text: &str) -> (&str, Vec<Result<RepositoryRule, String>>) {
        let (key, rules) = text.rsplit_once('=').unwrap_or((text, ""));
        (key, rules.split('|').map(|rule| rule.trim().parse()).collect())
    }

    /// A key may contain `=`: the last one separates repositories only if valid ones follow.
    fn parse(text: &str) -> Result<Self, String> {
        let (key, rules) = Self::rules(text);
        let (key, repositories) = if rules.iter().any(Result::is_ok) {
            let why = "has an invalid repository: write KEY=owner/*|owner/name";
            (key.trim(), rules.into_iter().collect::<Result<_, _>>().map_err(|_| why)?)
        } else {
            (text, Vec::new())
        };
        if key.is_empty() {
            return Err("has repositories without a key: write KEY=owner/*|owner/name".to_owned());
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("contains a character that a header cannot have, or white space in a key: use letters, \
                        digits and signs"
                .to_owned());
        }
        if is_quoted(key) {
            return Err("is in quotes, which would be part of the key: remove them".to_owned());
        }
        Ok(Self { secret: Secret::new(key.to_owned()), repositories })
    }
}

/// The key in a request.
pub fn sent_key(headers: &HeaderMap) -> Option<&[u8]> {
    let sent = headers.get("token").filter(|token| !token.is_empty()).or_else(|| headers.get(AUTHORIZATION));
    let sent = sent.map(|value| bearer(value.as_bytes()).unwrap_or(value.as_bytes()).trim_ascii());
    sent.filter(|sent| !sent.is_empty())
}

/// The text after `Bearer `, in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(hyper::header::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn every_key_is_accepted_in_either_header() {
        let keys = ApiKeys::parse("old, new").unwrap();
        assert!(keys.check(&headers("token", "old")).is_ok());
        assert!(keys.check(&headers("authorization", "Bearer new")).is_ok());
        assert_eq!(keys.check(&headers("token", "olds")).unwrap_err().status.as_u16(), 403);
        assert_eq!(keys.check(&headers("token", "")).unwrap_err().status.as_u16(), 401);
        assert_eq!(keys.check(&HeaderMap::new()).unwrap_err().status.as_u16(), 401);
    }

    #[test]
    fn keys_are_valid_for_all_or_for_their_listed_repositories() {
        let app: Repository = "octo/app".parse().unwrap();
        let keys = ApiKeys::parse(
            "all,\nours=octo/*|acme/app,theirs = acme/*,base/64==,x=y,pad==octo/other,many=acme/*,many=Octo/App",
        )
        .unwrap();
        for (key, allowed) in [
            ("all", true),
            ("ours", true),
            ("theirs", false),
            ("base/64==", true),
            ("x=y", true),
            ("pad=", false),
            ("many", true),
        ] {
            let headers = headers("token", key);
            let published = Uploader::Keys(keys.check(&headers).unwrap()).authorize(&app);
            assert_eq!(published.is_ok(), allowed, "{key}");
            if let Err(error) = published {
                assert_eq!(error.status.as_u16(), 403);
                assert!(error.detail.contains("octo/app") && !error.detail.contains(key), "{}", error.detail);
            }
        }
        for part in ["ours=octo/*|acme/app", "theirs = acme/*", "theirs=acme/*", "base/64", "pad", "octo/*"] {
            assert!(keys.check(&headers("token", part)).is_err(), "{part}");
        }
        for wrong in [
            "hunter2=octo/*|acme",
            "=octo/*",
            "\"hunter2=octo/*\"",
            "hunter 2=octo/*",
            "\"hunter2\"",
            "'hunter2",
            "hunter1,\"hunter2\"",
            "hünter2",
        ] {
            let why = ApiKeys::parse(wrong).unwrap_err();
            assert!(!why.contains("hunter"), "{why}");
        }
    }

    #[test]
    fn the_whole_setting_is_also_a_key_if_it_lists_no_repositories() {
        let is_accepted = |keys: &str, sent: &str| ApiKeys::parse(keys).unwrap().check(&headers("token", sent)).is_ok();
        for (keys, sent, accepted) in [
            ("correct horse, battery", "correct horse, battery", true),
            ("correct horse, battery", "  correct horse, battery\t", true),
            ("correct horse, battery", "Bearer correct horse, battery", true),
            ("correct horse, battery", "battery", false),
            ("correct horse, battery", "correct horse,battery", false),
            ("correct horse, battery", "correct horse", false),
            ("one,two", "one,two", true),
            ("one,two", "two", true),
            ("key,", "key,", true),
            ("pa\"ss,'word!", "pa\"ss,'word!", true),
            ("pa\"ss,'word!", "pa\"ss", false),
            ("one,two=octo/*", "one,two=octo/*", false),
            ("one,two=octo/*", "one", true),
            ("one\ntwo", "one two", false),
            ("one\ntwo", "two", true),
        ] {
            assert_eq!(is_accepted(keys, sent), accepted, "{keys:?} {sent:?}");
        }
        let app: Repository = "acme/app".parse().unwrap();
        let keys = ApiKeys::parse("one,two").unwrap();
        let headers = headers("authorization", "Bearer one,two");
        assert!(Uploader::Keys(keys.check(&headers).unwrap()).authorize(&app).is_ok());
    }

    #[test]
    fn debug_output_hides_keys() {
        let shown = format!("{:?}", ApiKeys::parse("hunter2").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn the_generated_key_is_reused_and_readable_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-key");
        ApiKeys::from_file(&path).unwrap();
        let made = std::fs::read_to_string(&path).unwrap();
        assert_eq!(made.trim().len(), 2 * KEY_BYTES);
        let again = ApiKeys::from_file(&path).unwrap();
        assert!(again.check(&headers("token", made.trim())).is_ok());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o600);
    }
}
