//! An entry of `ALLOWED_REPOSITORIES`: a name or a GitHub ID.

use std::str::FromStr;

use crate::names::repository::{Repository, RepositoryRule};

/// One entry.
#[derive(Clone, Debug)]
pub enum Rule {
    /// `owner/*` or `owner/name`: the current holder of the name.
    Name(RepositoryRule),
    /// `id:1296269`: one repository, whatever its name.
    Repository(u64),
    /// `owner-id:583231`: all repositories of an account, whatever its name.
    Owner(u64),
}

impl Rule {
    /// The repository, if the rule names a single one.
    pub fn exact(&self) -> Option<Repository> {
        match self {
            Self::Name(rule) => rule.exact(),
            Self::Repository(_) | Self::Owner(_) => None,
        }
    }

    pub fn allows_ids(&self, repository: u64, owner: u64) -> bool {
        match self {
            Self::Name(_) => false,
            Self::Repository(id) => *id == repository,
            Self::Owner(id) => *id == owner,
        }
    }

    pub fn allows_name(&self, repository: &Repository) -> bool {
        matches!(self, Self::Name(rule) if rule.allows(repository))
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |id: &str| {
            id.parse().map_err(|_| format!("{text:?} is not a valid GitHub ID: write a number, such as id:1296269"))
        };
        match text.split_once(':') {
            Some(("id", repository)) => id(repository).map(Self::Repository),
            Some(("owner-id", owner)) => id(owner).map(Self::Owner),
            _ => text.parse().map(Self::Name).map_err(|why: String| format!("{why}, id:NUMBER or owner-id:NUMBER")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_name_or_an_id() {
        assert_eq!("octo/app".parse::<Rule>().unwrap().exact().unwrap().to_string(), "octo/app");
        assert!("octo/*".parse::<Rule>().unwrap().exact().is_none());
        assert!("id:1296269".parse::<Rule>().unwrap().allows_ids(1_296_269, 0));
        assert!("owner-id:583231".parse::<Rule>().unwrap().allows_ids(0, 583_231));
        assert!(!"id:583231".parse::<Rule>().unwrap().allows_ids(0, 583_231));
        for (wrong, why) in [
            ("id:octo/app", "not a valid GitHub ID"),
            ("id:-1", "not a valid GitHub ID"),
            ("owner:1", "owner-id:NUMBER"),
        ] {
            let error = wrong.parse::<Rule>().unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
