//! Parses and verifies a workflow's token (RFC 7519, RFC 7515). No I/O. The usual crate has no ring backend, only
//! aws-lc, or `rsa` with RUSTSEC-2023-0071. This code accepts only RS256, and is fuzzed. Review this choice every year.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::identity::issuer_url::GITHUB_COM;
use crate::names::repository::Repository;

/// The allowed clock difference between issuer and server, in seconds.
const LEEWAY: i64 = 60;
/// The maximum length of a claim in an error.
const MAX_QUOTED: usize = 100;

/// Why a token is rejected: the claim, its value and the expected one, never the token.
pub type Rejection = String;

/// A public RSA key: big-endian numbers (RFC 7518, 6.3.1) without leading zeros.
pub struct RsaPublicKey {
    pub n: Vec<u8>,
    pub e: Vec<u8>,
}

/// A parsed token. Do not trust its content before [`Token::verify`].
pub struct Token<'a> {
    /// The signed part: header and claims as they were sent.
    signed: &'a str,
    header: Header,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    /// Extensions that a verifier must support; this one supports none.
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    repository: String,
    repository_id: String,
    repository_owner_id: String,
    run_id: String,
    run_attempt: Option<String>,
    workflow_ref: Option<String>,
    job_workflow_ref: Option<String>,
    event_name: String,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    sha: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The workflow run of a verified token.
#[derive(Clone, Debug, Serialize)]
pub struct WorkflowRun {
    pub issuer: String,
    /// The repository's current name. The site's record has it already.
    #[serde(skip)]
    pub repository: Repository,
    pub repository_id: u64,
    pub owner_id: u64,
    pub run_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_attempt: Option<u64>,
    /// `owner/name/.github/workflows/file.yml@refs/…`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    pub event: String,
    /// The git ref of the run, such as `refs/heads/main`.
    #[serde(skip)]
    pub git_ref: Option<String>,
    #[serde(skip)]
    pub commit_sha: Option<String>,
}

impl WorkflowRun {
    pub fn is_push(&self) -> bool {
        self.event == "push"
    }

    /// The branch that a push of this commit was to, or why the token is for something else. `None` for a
    /// `workflow_run`: its token describes the run that uploads, not the run that tested.
    pub fn branch_of(&self, commit_sha: &str) -> Result<Option<&str>, String> {
        let git_ref = self.git_ref.as_deref().unwrap_or_default();
        let is_tested = self.commit_sha.as_deref().is_some_and(|sha| sha.eq_ignore_ascii_case(commit_sha));
        match (self.event.as_str(), git_ref.strip_prefix("refs/heads/")) {
            ("workflow_run", _) => Ok(None),
            ("push", Some(branch)) if is_tested && !branch.is_empty() => Ok(Some(branch)),
            ("push", Some(_)) if !is_tested => Err("its token is for another commit".to_owned()),
            ("push", _) => Err(format!("its token is for {}", quoted(git_ref))),
            (other, _) => Err(format!("its token is for the event {}", quoted(other))),
        }
    }

    /// The GitHub instance whose run it is, as workflows call it (`GITHUB_SERVER_URL`).
    pub fn github(&self) -> String {
        match self.issuer.strip_suffix("/_services/token") {
            Some(enterprise_server) => enterprise_server.to_ascii_lowercase(),
            None if self.issuer.starts_with(GITHUB_COM) => "https://github.com".to_owned(),
            None => self.issuer.to_ascii_lowercase(),
        }
    }
}

impl<'a> Token<'a> {
    /// Parses a token; `None` for other texts, such as an API key. A token has three parts in base64url, and the first
    /// one is a JSON object.
    pub fn split(sent: &'a [u8]) -> Option<Self> {
        let (signed, signature) = std::str::from_utf8(sent).ok()?.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = BASE64.decode(header).ok().filter(|header| header.starts_with(b"{"))?;
        Some(Self {
            signed,
            header: serde_json::from_slice(&header).ok()?,
            claims: BASE64.decode(claims).ok()?,
            signature: BASE64.decode(signature).ok()?,
        })
    }

    /// The claimed issuer.
    pub fn issuer(&self) -> Result<String, Rejection> {
        #[derive(Deserialize)]
        struct Issuer {
            iss: String,
        }
        let claims = serde_json::from_slice::<Issuer>(&self.claims);
        claims.map(|claims| claims.iss).map_err(|_| "it has no issuer (iss)".to_owned())
    }

    /// The claimed key ID. Only RS256 is accepted.
    pub fn key_id(&self) -> Result<&str, Rejection> {
        let Header { alg, kid, crit } = &self.header;
        match alg.as_deref() {
            Some("RS256") => {}
            Some(other) => return Err(format!("alg is {}, expected \"RS256\"", quoted(other))),
            None => return Err("it has no alg, expected \"RS256\"".to_owned()),
        }
        if crit.is_some() {
            return Err("it has crit, which this server does not support".to_owned());
        }
        kid.as_deref().ok_or_else(|| "it has no key ID (kid)".to_owned())
    }

    /// Verifies signature, audience and validity at `now`.
    pub fn verify(
        &self,
        issuer: &str,
        key: &RsaPublicKey,
        audience: &str,
        now: Timestamp,
    ) -> Result<WorkflowRun, Rejection> {
        let RsaPublicKey { n, e } = key;
        RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, self.signed.as_bytes(), &self.signature)
            .map_err(|_| format!("its signature does not match the key that it names, as published by {issuer}"))?;
        let claims: Claims = serde_json::from_slice(&self.claims)
            .map_err(|error| format!("its claims are not valid for a GitHub workflow: {error}"))?;
        claims.aud.check(audience)?;
        claims.check_times(now)?;
        claims.into_run(issuer)
    }
}

impl Audience {
    fn check(&self, expected: &str) -> Result<(), Rejection> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        if all.iter().any(|one| normalized_url(one) == normalized_url(expected)) {
            return Ok(());
        }
        let sent = quoted(&all.join(", "));
        Err(format!(
            "aud is {sent}, expected {expected:?}: use that address as api-url, or ask the server's operator to set OIDC_AUDIENCE"
        ))
    }
}

/// Normalizes a URL: `HTTPS://Covered.example:443/` becomes `https://covered.example`.
fn normalized_url(text: &str) -> String {
    let url = Url::parse(text).map_or_else(|_| text.to_owned(), String::from);
    url.trim_end_matches('/').to_owned()
}

impl Claims {
    fn check_times(&self, now: Timestamp) -> Result<(), Rejection> {
        let seconds = now.as_second();
        let not_yet = |at: i64| at.saturating_sub(LEEWAY) > seconds;
        let refusal = |claim: &str, at: i64, what: &str| {
            let at = Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string());
            let now = Timestamp::from_second(seconds).unwrap_or(now);
            Err(format!("{claim} is {at}, and by the server's clock it is {now}: {what}"))
        };
        match self {
            Self { exp, .. } if exp.saturating_add(LEEWAY) <= seconds => {
                refusal("exp", *exp, "it has expired, ask for a new one")
            }
            Self { nbf: Some(nbf), .. } if not_yet(*nbf) => refusal("nbf", *nbf, "it is not valid yet"),
            Self { iat, .. } if not_yet(*iat) => refusal("iat", *iat, "it was issued in the future"),
            _ => Ok(()),
        }
    }

    fn into_run(self, issuer: &str) -> Result<WorkflowRun, Rejection> {
        let id = |claim: &str, text: &str| {
            text.parse().map_err(|_| format!("{claim} is {}, expected a number", quoted(text)))
        };
        Ok(WorkflowRun {
            issuer: issuer.to_owned(),
            repository: self.repository.parse().map_err(|why| format!("repository: {why}"))?,
            repository_id: id("repository_id", &self.repository_id)?,
            owner_id: id("repository_owner_id", &self.repository_owner_id)?,
            run_id: id("run_id", &self.run_id)?,
            run_attempt: self.run_attempt.map(|text| id("run_attempt", &text)).transpose()?,
            workflow: self.workflow_ref.or(self.job_workflow_ref),
            event: self.event_name,
            git_ref: self.git_ref,
            commit_sha: self.sha,
        })
    }
}

/// A claim as a quoted and shortened text, safe for logs and responses.
pub fn quoted(text: &str) -> String {
    let end = text.char_indices().nth(MAX_QUOTED).map_or(text.len(), |(end, _)| end);
    let more = if end < text.len() { "…" } else { "" };
    format!("{:?}{more}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.{}", BASE64.encode(header), BASE64.encode(claims), BASE64.encode("signature"))
    }

    #[test]
    fn only_well_formed_tokens_are_recognized() {
        let whole = token(r#"{"alg":"RS256","kid":"k"}"#, "{}");
        let unsigned = format!("{}.", whole.rsplit_once('.').unwrap().0);
        for (sent, is_token) in [
            (whole.as_str(), true),
            (&unsigned, true),
            ("a.b.c", false),
            ("hunter2", false),
            ("", false),
            ("..", false),
            (&format!("{whole}.x"), false),
            (&format!("{whole}="), false),
            (&token("[]", "{}"), false),
            (&token(r#"{"alg":"RS256","alg":"none"}"#, "{}"), false),
        ] {
            assert_eq!(Token::split(sent.as_bytes()).is_some(), is_token, "{sent}");
        }
    }

    #[test]
    fn token_headers_with_unsupported_fields_are_rejected() {
        for (header, why) in [
            (r#"{"alg":"none","kid":"k"}"#, "alg is \"none\", expected \"RS256\""),
            (r#"{"alg":"rs256","kid":"k"}"#, "alg is \"rs256\""),
            (r#"{"kid":"k"}"#, "it has no alg"),
            (r#"{"alg":"RS256"}"#, "(kid)"),
            (r#"{"alg":"RS256","kid":"k","crit":["b64"]}"#, "crit"),
        ] {
            let token = token(header, "{}");
            let refused = Token::split(token.as_bytes()).unwrap().key_id().unwrap_err();
            assert!(refused.contains(why), "{header}: {refused}");
        }
    }

    #[test]
    fn token_times_have_a_minute_of_leeway_and_never_overflow() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |exp: i64, nbf: i64, iat: i64| {
            let claims = serde_json::json!({
                "aud": "a", "exp": exp, "nbf": nbf, "iat": iat, "repository": "o/r", "repository_id": "1",
                "repository_owner_id": "2", "run_id": "3", "event_name": "push",
            });
            let claims: Claims = serde_json::from_value(claims).unwrap();
            claims.check_times(now).map_err(|why| why[..3].to_owned())
        };
        let (past, future) = (1_000_000 - 60, 1_000_000 + 60);
        assert_eq!(at(past + 1, future, future), Ok(()));
        assert_eq!(at(past, 0, 0), Err("exp".to_owned()));
        assert_eq!(at(i64::MAX, future + 1, 0), Err("nbf".to_owned()));
        assert_eq!(at(i64::MAX, i64::MIN, future + 1), Err("iat".to_owned()));
        assert_eq!(at(i64::MIN, i64::MAX, i64::MAX), Err("exp".to_owned()));
    }

    #[test]
    fn one_of_several_audiences_must_match() {
        let check = |aud: &str, expected: &str| serde_json::from_str::<Audience>(aud).unwrap().check(expected).is_ok();
        assert!(check(r#""https://c.example""#, "https://c.example/"));
        assert!(check(r#"["https://x.example", "https://c.example/"]"#, "https://c.example"));
        for spelling in [r#""HTTPS://C.example:443/""#, r#""https://c.example//""#] {
            assert!(check(spelling, "https://c.example"), "{spelling}");
        }
        for other in ["https://c.example.org", "http://c.example", "https://c.example:8443", "https://c.example/C", ""]
        {
            assert!(!check(&format!("{other:?}"), "https://c.example"), "{other}");
        }
        assert!(check(r#""covered""#, "covered") && !check(r#""Covered""#, "covered"));
        assert!(!check("[]", "https://c.example"));
    }

    #[test]
    fn quoted_claims_are_escaped_and_truncated() {
        assert_eq!(quoted("a\n\"b\""), r#""a\n\"b\"""#);
        assert_eq!(quoted(&"ä".repeat(200)), format!("\"{}\"…", "ä".repeat(MAX_QUOTED)));
    }
}
