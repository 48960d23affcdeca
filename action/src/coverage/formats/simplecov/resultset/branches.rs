//! The branches of a file: `{"[:if, 0, 2, 2, 4, 5]": {"[:then, 1, 3, 4, 3, 13]": 1, …}}`, with kind, number and place.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::coverage::syntax::json::Hits;

/// Branches of one file.
const MAX_BRANCHES: usize = 1 << 20;
/// Branches of one condition.
const MAX_ARMS: usize = 1 << 12;

#[derive(Debug, PartialEq, Eq)]
pub struct Branch {
    /// The hash of the condition and the branch.
    pub name: u64,
    /// Where SimpleCov shows it.
    pub line: u64,
    pub is_taken: bool,
}

#[derive(Debug, Default)]
pub struct Branches(pub Vec<Branch>);

impl<'de> Deserialize<'de> for Branches {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BranchesVisitor)
    }
}

struct BranchesVisitor;

impl<'de> Visitor<'de> for BranchesVisitor {
    type Value = Branches;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("conditions")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Branches, A::Error> {
        let mut kept = Vec::new();
        while let Some((condition, Arms(arms))) = map.next_entry::<String, Arms>()? {
            kept.extend(arms.iter().filter_map(|(arm, hits)| branch(&condition, arm, *hits)));
            if kept.len() > MAX_BRANCHES {
                return Err(A::Error::custom(format!("a file has more than {MAX_BRANCHES} branches")));
            }
        }
        Ok(Branches(kept))
    }
}

/// The branches of one condition.
struct Arms(Vec<(String, Hits)>);

impl<'de> Deserialize<'de> for Arms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ArmsVisitor)
    }
}

struct ArmsVisitor;

impl<'de> Visitor<'de> for ArmsVisitor {
    type Value = Arms;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("branches")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Arms, A::Error> {
        let mut kept = Vec::new();
        while let Some(arm) = map.next_entry()? {
            kept.push(arm);
            if kept.len() > MAX_ARMS {
                return Err(A::Error::custom(format!("a condition has more than {MAX_ARMS} branches")));
            }
        }
        Ok(Arms(kept))
    }
}

/// SimpleCov shows a branch at the line before it, unless it is in the line of its condition.
fn branch(condition: &str, arm: &str, hits: Hits) -> Option<Branch> {
    let start = |name: &str| name.split(", ").nth(2)?.parse::<u64>().ok();
    let (from, to) = (start(condition)?, start(arm)?);
    let line = if from == to { to } else { to.checked_sub(1)? };
    let name = BuildHasherDefault::<DefaultHasher>::default().hash_one((condition, arm));
    Some(Branch { name, line, is_taken: hits.0? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_shown_at_the_line_before_it_or_in_the_line_of_its_condition() {
        let json = r#"{"[:if, 0, 2, 2, 4, 5]": {"[:then, 1, 3, 4, 3, 13]": 1, "[:else, 2, 9, 2, 9, 5]": 0},
                       "[:if, 3, 6, 2, 6, 9]": {"[:then, 4, 6, 2, 6, 9]": 2, "": 1, "[:else, 5, x]": 1}}"#;
        let Branches(branches) = serde_json::from_str(json).unwrap();
        let shown: Vec<_> = branches.iter().map(|branch| (branch.line, branch.is_taken)).collect();
        assert_eq!(shown, [(2, true), (8, false), (6, true)]);
    }
}
