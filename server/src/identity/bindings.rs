//! `repositories/{owner}/{repo}.json`: which repository a name belongs to, by the first token that had it.
//!
//! Names can be taken over by strangers, after an account was renamed or deleted; GitHub's ids cannot.

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
use crate::store::storage::Storage;

/// How long a server may go on with a binding that an operator changed.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Names that are remembered.
const MAX_NAMES: u64 = 10_000;
/// Tries to write where others write too.
const TRIES: usize = 3;

/// The object. Without `bound_to`, the name is free: the next token binds it.
#[derive(Serialize, Deserialize)]
struct Binding {
    // Has to be there: what another version wrote frees no name.
    #[serde(deserialize_with = "Option::deserialize")]
    bound_to: Option<Bound>,
    changed_at: Timestamp,
}

/// Whom a name belongs to.
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
        let known = Cache::builder().max_capacity(MAX_NAMES).time_to_live(REMEMBERED).build();
        Self { storage, known }
    }

    /// Whom a name belongs to, as far as a token told.
    pub async fn get(&self, name: &Repository) -> Result<Option<Arc<Bound>>, StorageError> {
        let read =
            async { Ok(read(&self.storage, name).await?.and_then(|(binding, _)| binding.bound_to).map(Arc::new)) };
        self.known.try_get_with_by_ref(name, read).await.map_err(|error: Arc<StorageError>| error.shared("a binding"))
    }

    /// Binds the name of a run's repository to its id, or refuses a name that belongs to another.
    pub async fn bind(&self, run: &WorkflowRun) -> Result<(), Error> {
        let name = &run.repository;
        if let Some(Some(known)) = self.known.get(name).await
            && known.is(run)
        {
            return Ok(());
        }
        let bound = bind(&self.storage, run).await.map_err(unreadable)?;
        let result = if bound.is(run) { Ok(()) } else { Err(bound.refusal(run)) };
        self.known.insert(name.clone(), Some(Arc::new(bound))).await;
        result
    }
}

/// Why whom a name belongs to cannot be told. Without a binding, an upload without a key would be safe from nobody who
/// takes the name over, so that it is refused.
pub fn unreadable(error: StorageError) -> Error {
    match error {
        StorageError::Denied(_) => Error::unavailable(
            "this server may not read and write repositories/* in its storage, where it keeps which id a repository's \
             name belongs to: uploads without an API key need that; its operator can allow it (on S3: s3:GetObject and \
             s3:PutObject) or give the workflow an API key",
            error,
        ),
        error => Error::storage(error),
    }
}

impl Bound {
    fn is(&self, run: &WorkflowRun) -> bool {
        self.repository_id == run.repository_id && self.issuer == run.issuer
    }

    fn refusal(&self, run: &WorkflowRun) -> Error {
        let WorkflowRun { issuer, repository, repository_id, .. } = run;
        let issuers = if self.issuer == *issuer { String::new() } else { format!(" ({} and {issuer})", self.issuer) };
        Error::forbidden(format!(
            "{repository} belongs to the repository with the id {} here, and repository_id of the token is {repository_id}{issuers}: \
             if it was made anew, the server's operator runs `covered-server rebind {repository}`",
            self.repository_id
        ))
    }
}

/// The binding and its version in the store, where there is one.
async fn read(
    storage: &Storage,
    name: &Repository,
) -> Result<Option<(Binding, crate::store::storage::Version)>, StorageError> {
    match storage.get(&binding_key(name)).await {
        Ok(stored) => {
            let key = binding_key(name);
            let binding = serde_json::from_slice(&stored.bytes).map_err(|error| {
                StorageError::unexpected(format_args!("{key}: {error}; whoever deletes it frees the name"))
            })?;
            Ok(Some((binding, stored.version)))
        }
        Err(StorageError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whom the name belongs to, which is the run's repository where it was free. What counts is what is read in the end:
/// two runs may write at once.
async fn bind(storage: &Storage, run: &WorkflowRun) -> Result<Bound, StorageError> {
    let name = &run.repository;
    let own = Bound { issuer: run.issuer.clone(), repository_id: run.repository_id, owner_id: run.owner_id };
    for _ in 0..TRIES {
        let version = match read(storage, name).await? {
            Some((Binding { bound_to: Some(bound), .. }, _)) => return Ok(bound),
            Some((_, version)) => Some(version),
            None => None,
        };
        match write(storage, name, Some(own.clone()), version).await {
            Ok(()) => {
                tracing::info!(repository = %name, id = own.repository_id, "the name is bound to this repository now")
            }
            Err(StorageError::Exists) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StorageError::Failed(anyhow::anyhow!("{} is written again and again", binding_key(name))))
}

/// Writes over `version`, or only if nothing is there.
async fn write(
    storage: &Storage,
    name: &Repository,
    bound_to: Option<Bound>,
    version: Option<crate::store::storage::Version>,
) -> Result<(), StorageError> {
    let binding = Binding { bound_to, changed_at: Timestamp::now() };
    let bytes = serde_json::to_vec(&binding).map_err(|error| StorageError::Failed(error.into()))?;
    match version {
        Some(version) => storage.replace(&binding_key(name), bytes, version).await,
        None => storage.create(&binding_key(name), bytes).await,
    }
}

/// Frees a name, and says what became of it. It is written over, as the server's rights need not let it delete.
pub async fn rebind(storage: &Storage, name: &Repository) -> anyhow::Result<String> {
    let rights = "repositories/* in the storage must be readable and writable (on S3: s3:GetObject and s3:PutObject)";
    let Some((Binding { bound_to: Some(bound), changed_at }, version)) = read(storage, name).await.context(rights)?
    else {
        return Ok(format!(
            "{name} is bound to no repository in {}: nothing was changed; is that the server's storage?",
            storage.name()
        ));
    };
    write(storage, name, None, Some(version)).await.context(rights)?;
    Ok(format!(
        "{name} was bound to the repository with the id {} of {} since {changed_at}; it is free now, and the next token \
         that has this name binds it; running servers know within {} s",
        bound.repository_id,
        bound.issuer,
        REMEMBERED.as_secs()
    ))
}
