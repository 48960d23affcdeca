//! Names and where they lead: sites, repositories, paths → object keys, cache policies.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::base::random::{hex, random};

/// A site's id: 32 lower-case hex characters, or the 12 of the Python original. Whoever knows it can read the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteId {
    bits: u128,
    is_short: bool,
}

impl SiteId {
    /// 128 random bits: the link is the key to a report, so it cannot be guessed.
    pub fn random() -> anyhow::Result<Self> {
        Ok(Self { bits: u128::from_be_bytes(random()?), is_short: false })
    }

    /// The first characters: enough to find a site in the store, too few to read it.
    pub fn short(text: &str) -> &str {
        text.get(..8).unwrap_or_default()
    }

    /// A text with every id in it cut short.
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

    /// `sites/{id}.json`: who made the site, when, and for which commit.
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

    /// Where an upload through the server waits until it is known to be a whole zip.
    pub fn staging_key(&self, attempt: &str) -> String {
        format!("{STAGING}/{self}-{attempt}.zip")
    }
}

/// The folder of reports.
pub const SITES: &str = "sites";
/// The folder of badge values.
pub const VALUES: &str = "values";
/// The folder of names and the ids that they belong to.
pub const BINDINGS: &str = "repositories";

/// `{folder}/readyz`: an object that shows whether the folder can be written and read. It holds nothing.
pub fn probe_key(folder: &str) -> String {
    format!("{folder}/readyz")
}

/// The folder of uploads that have not ended yet.
pub const STAGING: &str = "uploads";

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

/// `owner/name` on GitHub, in lower case: GitHub does not tell case apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository(Box<str>);

impl Repository {
    /// An owner and a repository as GitHub allows them, or what is wrong.
    pub fn new(owner: &str, name: &str) -> Result<Self, String> {
        let letters = |text: &str, more: &[u8]| text.bytes().all(|c| c.is_ascii_alphanumeric() || more.contains(&c));
        if owner.is_empty() || owner.len() > 39 || !letters(owner, b"-_") {
            return Err(format!("{owner:?} is not a valid owner name on GitHub"));
        }
        if name.is_empty() || name.len() > 100 || matches!(name, "." | "..") || !letters(name, b"-_.") {
            return Err(format!("{name:?} is not a valid repository name on GitHub"));
        }
        let mut both = [owner, "/", name].concat();
        both.make_ascii_lowercase();
        Ok(Self(both.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The owner, and the name below it.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or_default()
    }
}

impl FromStr for Repository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (owner, name) =
            text.split_once('/').ok_or_else(|| format!("{text:?} is not a valid repository: write owner/name"))?;
        Self::new(owner, name)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Repositories by name, in `ALLOWED_REPOSITORIES` or behind a key: `owner/*` or `owner/name`.
#[derive(Clone, Debug)]
pub enum RepositoryRule {
    All(Box<str>),
    One(Repository),
}

impl RepositoryRule {
    pub fn allows(&self, repository: &Repository) -> bool {
        match self {
            Self::All(owner) => **owner == *repository.parts().0,
            Self::One(one) => one == repository,
        }
    }

    /// The repository, where the rule is for one alone.
    pub fn exact(&self) -> Option<Repository> {
        match self {
            Self::All(_) => None,
            Self::One(one) => Some(one.clone()),
        }
    }
}

impl fmt::Display for RepositoryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(owner) => write!(f, "{owner}/*"),
            Self::One(one) => write!(f, "{one}"),
        }
    }
}

impl FromStr for RepositoryRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = match text.split_once('/') {
            Some((owner, "*")) => Repository::new(owner, "any").map(|any| Self::All(any.parts().0.into())),
            Some((owner, name)) => Repository::new(owner, name).map(Self::One),
            None => return Err(format!("{text:?} is not a valid repository: write owner/* or owner/name")),
        };
        rule.map_err(|why| format!("{why}: write owner/* or owner/name"))
    }
}

/// The name that tells several reports of one repository apart, in lower case as status contexts do not tell case apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReportName(Box<str>);

impl FromStr for ReportName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits && text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(format!(
                "{text:?} is not a valid report name: use up to 64 letters, digits, dots, dashes and underscores, a letter or a digit first"
            ))
        }
    }
}

impl fmt::Display for ReportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `values/{owner}/{repo}/{name}.json`: the last value seen; `_` stands for the report without a name, which no name can be.
pub fn value_key(repository: &Repository, name: Option<&ReportName>) -> String {
    match name {
        Some(name) => format!("values/{repository}/{name}.json"),
        None => format!("values/{repository}/_.json"),
    }
}

/// `repositories/{owner}/{repo}.json`: which repository the name belongs to.
pub fn binding_key(repository: &Repository) -> String {
    format!("repositories/{repository}.json")
}

/// A path inside a report, decoded: no empty, `.` or `..` part, no backslash, no control character.
/// `""` and paths that end with a slash are folders. Slashes that follow one another are one, as file servers have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPath(String);

impl ReportPath {
    /// The path as it stands in a request's URL.
    pub fn from_url(encoded: &str) -> Option<Self> {
        let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
        Self::of(&decoded).or_else(|| Self::of(&without_empty_parts(&decoded)))
    }

    fn of(decoded: &str) -> Option<Self> {
        let folder = decoded.strip_suffix('/').unwrap_or(decoded);
        (decoded.is_empty() || is_file_path(folder)).then(|| Self(decoded.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_folder(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('/')
    }
}

/// `/a//b/` is `a/b/`.
fn without_empty_parts(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    parts.join("/") + end
}

/// Whether a text is the path of a file inside a report, as a zip may name it.
pub fn is_file_path(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
    text.len() <= 4096 && text.split('/').all(part) && !text.contains(|c: char| c == '\\' || c.is_control())
}

/// The file that reserves a site, and that no reader sees.
pub const RESERVATION: &str = ".keep";

/// What must be asked for again each time.
pub const NEVER: &str = "no-store";

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
    fn ids_are_cut_short_wherever_they_stand() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            SiteId::mask(&format!("GET http://s3/b/sites/{id}.zip failed")),
            "GET http://s3/b/sites/01234567….zip failed"
        );
        assert_eq!(SiteId::mask("a 0123 é {id}"), "a 0123 é {id}");
    }

    #[test]
    fn repositories_are_case_insensitive_and_checked() {
        assert_eq!("Octo/App.rs".parse::<Repository>().unwrap().to_string(), "octo/app.rs");
        for wrong in ["octo", "octo/", "/app", "octo/..", "octo/a/b", "oc to/app", "octo/a?b", "octo/ä"] {
            assert!(wrong.parse::<Repository>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rules_allow_an_owner_or_one_repository() {
        let app: Repository = "octo/app".parse().unwrap();
        for (rule, allowed) in [("octo/*", true), ("Octo/App", true), ("octo/other", false), ("acme/*", false)] {
            assert_eq!(rule.parse::<RepositoryRule>().unwrap().allows(&app), allowed, "{rule}");
        }
        assert!("*".parse::<RepositoryRule>().unwrap_err().contains("write owner/* or owner/name"));
    }

    #[test]
    fn report_paths_stay_inside_the_report() {
        for (encoded, decoded) in
            [("", ""), ("a/", "a/"), ("a%20b/%C3%A4%3F.html", "a b/ä?.html"), (".gitignore", ".gitignore")]
        {
            assert_eq!(ReportPath::from_url(encoded).unwrap().as_str(), decoded);
        }
        for wrong in ["..", "a/../b", "%2e%2e/a", "a//../b", "//..", "a%2F%2f..", "a%00b", "%ff", "a//%5cb", "a/%2e"] {
            assert!(ReportPath::from_url(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn slashes_that_follow_one_another_are_one() {
        for (encoded, path) in
            [("a//b", "a/b"), ("/a", "a"), ("//", ""), ("/", ""), ("a%2F/%2fb//", "a/b/"), ("///a///", "a/")]
        {
            assert_eq!(ReportPath::from_url(encoded).unwrap().as_str(), path, "{encoded:?}");
        }
    }

    #[test]
    fn the_nameless_report_shares_no_key_with_a_named_one() {
        let app: Repository = "octo/app".parse().unwrap();
        assert_eq!(value_key(&app, None), "values/octo/app/_.json");
        assert_eq!(value_key(&app, Some(&"Back".parse().unwrap())), "values/octo/app/back.json");
        for wrong in ["_", "", "a/b", ".hidden", "-x", "a b"] {
            assert!(wrong.parse::<ReportName>().is_err(), "{wrong:?}");
        }
    }
}
