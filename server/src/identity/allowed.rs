//! `ALLOWED_REPOSITORIES`: repositories that may upload, with tokens too, and that the server looks up on GitHub.

use std::sync::Arc;

use crate::identity::bindings::Bindings;
use crate::identity::token::WorkflowRun;
use crate::names::repository::Repository;
use crate::names::rule::Rule;
use crate::store::error::StorageError;

/// The rules, and the IDs bound to names.
pub struct Allowed {
    rules: Vec<Rule>,
    pub bindings: Bindings,
}

impl Allowed {
    pub fn new(rules: Vec<Rule>, bindings: Bindings) -> Arc<Self> {
        Arc::new(Self { rules, bindings })
    }

    /// Whether there are no rules: all repositories may upload with an API key, and none without.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a name is allowed, by itself or by its bound IDs.
    pub async fn allows_name(&self, repository: &Repository) -> Result<bool, StorageError> {
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
    pub fn allows_run(&self, run: &WorkflowRun) -> bool {
        let ids = |rule: &Rule| rule.allows_ids(run.repository_id, run.owner_id);
        self.rules.iter().any(|rule| rule.allows_name(&run.repository) || ids(rule))
    }
}
