//! Repositories on GitHub, by name.

use std::fmt;
use std::str::FromStr;

/// `owner/name` on GitHub. Lower case, as GitHub's names are case-insensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository(Box<str>);

impl Repository {
    /// Validates an owner and a name by GitHub's rules.
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

    /// Owner and name.
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

/// A rule for repositories by name, in `ALLOWED_REPOSITORIES` or `API_KEY`: `owner/*` or `owner/name`.
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

    /// The repository, if the rule is for a single one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_case_insensitive_and_validated() {
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
}
