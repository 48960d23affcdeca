//! `repositories/{owner}/{repo}.json`: binds a name to the repository ID of the first token with this name.
//!
//! After an account was renamed or deleted, somebody else can take its name. GitHub's IDs never change.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use moka::future::Cache;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::identity::token::WorkflowRun;
use crate::names::object::binding_key;
use crate::names::repository::Repository;
use crate::store::error::StorageError;
use crate::store::storage::{Storage, Version};

/// How long a binding is cached, even if an operator changed it.
const CACHE_TIME: Duration = Duration::from_secs(60);
/// The maximum number of cached names.
const MAX_NAMES: u64 = 10_000;
/// The maximum number of attempts if others write at the same time.
const MAX_ATTEMPTS: usize = 3;

/// The stored object. Without `bound_to`, the name is free, and the next token binds it.
#[derive(Serialize, Deserialize)]
struct Binding {
    // Required, so that an object of another version never frees a name.
    #[serde(deserialize_with = "Option::deserialize")]
    bound_to: Option<Bound>,
    changed_at: Timestamp,
}

/// The owner of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    pub issuer: String,
    pub repository_id: u64,
    pub owner_id: u64,
}

/// The bindings in the store.
pub struct Bindings {
    storage: Arc<Storage>,
    known: Cache<Repository, Option<Arc<Bound>>>,
}

impl Bindings {
    pub fn new(storage: Arc<Storage>) -> Self {
        let known = Cache::builder().max_capacity(MAX_NAMES).time_to_live(CACHE_TIME).build();
        Self { storage, known }
    }

    /// The repository that a name is bound to, if there is one.
    pub async fn get(&self, name: &Repository) -> Result<Option<Arc<Bound>>, StorageError> {
        let read =
            async { Ok(read(&self.storage, name).await?.and_then(|(binding, _)| binding.bound_to).map(Arc::new)) };
        self.known.try_get_with_by_ref(name, read).await.map_err(|error: Arc<StorageError>| error.shared("a binding"))
    }

    /// Binds the name of a run's repository to its ID, or rejects a name that is bound to another ID.
    pub async fn bind(&self, run: &WorkflowRun) -> Result<(), Error> {
        let name = &run.repository;
        if let Some(Some(known)) = self.known.get(name).await
            && known.matches(run)
        {
            return Ok(());
        }
        let bound = bind(&self.storage, run).await.map_err(unreadable)?;
        let result = if bound.matches(run) { Ok(()) } else { Err(bound.mismatch_error(run)) };
        self.known.insert(name.clone(), Some(Arc::new(bound))).await;
        result
    }
}

/// The error if a binding cannot be read. Without bindings, anybody who takes over a name could upload, so the upload
/// is rejected.
pub fn unreadable(error: StorageError) -> Error {
    match error {
        StorageError::Denied(_) => Error::unavailable(
            "the server has no access to repositories/* in its storage, where it binds repository names to IDs: \
             uploads without an API key need this; ask the server's operator to grant it (on S3: s3:GetObject and \
             s3:PutObject), or use an API key",
            error,
        ),
        error => Error::storage(error),
    }
}

impl Bound {
    fn matches(&self, run: &WorkflowRun) -> bool {
        self.repository_id == run.repository_id && self.issuer == run.issuer
    }

    fn mismatch_error(&self, run: &WorkflowRun) -> Error {
        let WorkflowRun { issuer, repository, repository_id, .. } = run;
        let issuers = if self.issuer == *issuer { String::new() } else { format!(" ({} and {issuer})", self.issuer) };
        Error::forbidden(format!(
            "{repository} is bound to the repository ID {} on this server, but repository_id of the token is {repository_id}{issuers}: \
             if the repository was created again, ask the server's operator to run `covered-server rebind {repository}`",
            self.repository_id
        ))
    }
}

/// The binding and its version in the store, if there is one.
async fn read(storage: &Storage, name: &Repository) -> Result<Option<(Binding, Version)>, StorageError> {
    let key = binding_key(name);
    let Some(stored) = storage.find(&key).await? else { return Ok(None) };
    let binding = serde_json::from_slice(&stored.bytes)
        .map_err(|error| StorageError::unexpected(format_args!("{key}: {error}; delete it to free the name")))?;
    Ok(Some((binding, stored.version)))
}

/// Binds a free name to the run's repository. Returns the stored binding, which may be another run's that was written
/// at the same time.
async fn bind(storage: &Storage, run: &WorkflowRun) -> Result<Bound, StorageError> {
    let name = &run.repository;
    let own = Bound { issuer: run.issuer.clone(), repository_id: run.repository_id, owner_id: run.owner_id };
    for _ in 0..MAX_ATTEMPTS {
        let version = match read(storage, name).await? {
            Some((Binding { bound_to: Some(bound), .. }, _)) => return Ok(bound),
            Some((_, version)) => Some(version),
            None => None,
        };
        match write(storage, name, Some(own.clone()), version).await {
            Ok(()) => {
                tracing::info!(repository = %name, id = own.repository_id, "bound the name to the repository")
            }
            Err(StorageError::Exists) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StorageError::Failed(anyhow::anyhow!(
        "{} was changed by others {MAX_ATTEMPTS} times in a row",
        binding_key(name)
    )))
}

/// Overwrites `version`; without one, creates the object.
async fn write(
    storage: &Storage,
    name: &Repository,
    bound_to: Option<Bound>,
    version: Option<Version>,
) -> Result<(), StorageError> {
    let binding = Binding { bound_to, changed_at: Timestamp::now() };
    let bytes = serde_json::to_vec(&binding).map_err(|error| StorageError::Failed(error.into()))?;
    storage.write(&binding_key(name), bytes, version).await
}

/// Releases a name, and describes the result. The object is overwritten, as the server needs no right to delete.
pub async fn rebind(storage: &Storage, name: &Repository) -> anyhow::Result<String> {
    let rights = "repositories/* in the storage must be readable and writable (on S3: s3:GetObject and s3:PutObject)";
    let Some((Binding { bound_to: Some(bound), changed_at }, version)) = read(storage, name).await.context(rights)?
    else {
        return Ok(format!(
            "{name} is not bound in {}, nothing was changed: check that this is the server's storage",
            storage.name()
        ));
    };
    write(storage, name, None, Some(version)).await.context(rights)?;
    Ok(format!(
        "released {name}, which was bound to the repository ID {} of {} since {changed_at}: the next token \
         with this name binds it; running servers notice within {} s",
        bound.repository_id,
        bound.issuer,
        CACHE_TIME.as_secs()
    ))
}
