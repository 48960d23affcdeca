//! `ALLOWED_REPOSITORIES`: whose reports are taken, whose tokens do for a key, and whom GitHub is asked about.

use std::sync::Arc;

use crate::identity::bindings::Bindings;
use crate::identity::token::WorkflowRun;
use crate::names::repository::Repository;
use crate::names::rule::Rule;
use crate::store::error::StorageError;

/// The rules, and what is known of the ids behind names.
pub struct Allowed {
    rules: Vec<Rule>,
    pub bindings: Bindings,
}

impl Allowed {
    pub fn new(rules: Vec<Rule>, bindings: Bindings) -> Arc<Self> {
        Arc::new(Self { rules, bindings })
    }

    /// Whether nobody said who is allowed: then anybody with a key is, and nobody without.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a name is allowed, by itself or by the ids that it is bound to.
    pub async fn has_name(&self, repository: &Repository) -> Result<bool, StorageError> {
        if self.is_open() || self.rules.iter().any(|rule| rule.allows_name(repository)) {
            return Ok(true);
        }
        if self.rules.iter().all(|rule| matches!(rule, Rule::Name(_))) {
            return Ok(false);
        }
        let bound = self.bindings.get(repository).await?;
        Ok(bound
            .is_some_and(|bound| self.rules.iter().any(|rule| rule.allows_ids(bound.repository_id, bound.owner_id))))
    }

    /// Whether the repository of a run is allowed.
    pub fn has_run(&self, run: &WorkflowRun) -> bool {
        let ids = |rule: &Rule| rule.allows_ids(run.repository_id, run.owner_id);
        self.rules.iter().any(|rule| rule.allows_name(&run.repository) || ids(rule))
    }
}
