//! Whether a run updates the badge: depends on `purge-cache` and on the tested event.

use super::check;
use super::event::Event;
use super::reader::Reader;
use crate::base::repository::Repository;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeUpdate {
    /// Set the server's badge value.
    SetValue,
    /// Drop the server's badge value: `purge-cache` is true, but the tested event is not a push to the default branch.
    DropValue,
    /// `--purge-cache=false`.
    Disabled,
    /// `auto`, and the tested event is not a push to the default branch.
    NotDefaultBranch,
    /// `auto`, and no GitHub event.
    NoEvent,
}

impl BadgeUpdate {
    /// Why the badge is not updated.
    pub fn skip_reason(self) -> Option<&'static str> {
        match self {
            Self::SetValue | Self::DropValue => None,
            Self::Disabled => Some("Badge not updated: purge-cache is false"),
            Self::NotDefaultBranch => Some("Badge not updated: this run is not a push to the default branch"),
            Self::NoEvent => {
                Some("Badge not updated: no GitHub event names the branch; on the default branch, add --purge-cache")
            }
        }
    }

    /// What a real run would do.
    pub fn plan(self) -> &'static str {
        self.skip_reason().unwrap_or(match self {
            Self::DropValue => {
                "Would ask the server to refresh the badge, without a value: this run is not a push to the default \
                 branch"
            }
            _ => "Would update the badge",
        })
    }
}

impl Reader<'_> {
    /// `purge-cache: true` alone sets no value, because a workflow's comparison of branch names is also true for a
    /// fork's `main`. Without an event, a person with the key started the command, and no fork can.
    pub fn badge(&mut self, event: &Event, repository: Option<&Repository>) -> BadgeUpdate {
        let auto = |text: &str| if text == "auto" { Ok(None) } else { check::boolean(text).map(Some) };
        let requested = self.get("purge-cache", auto).flatten();
        let deprecated = self.get("is-default-branch", check::boolean);
        if deprecated.is_some() {
            self.notes.push("is-default-branch is deprecated: use --purge-cache (COVERED_PURGE_CACHE)".to_owned());
        }
        match requested.or(deprecated) {
            Some(false) => BadgeUpdate::Disabled,
            _ if repository.is_some_and(|repository| event.is_default_branch_push(repository)) => BadgeUpdate::SetValue,
            Some(true) if event.is_outside_actions => BadgeUpdate::SetValue,
            Some(true) => BadgeUpdate::DropValue,
            None if event.is_outside_actions => BadgeUpdate::NoEvent,
            None => BadgeUpdate::NotDefaultBranch,
        }
    }
}
