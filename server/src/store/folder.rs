//! A folder as a store: permissions, write test, and leftovers of a crash.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::names::object::STAGING;

/// Older unfinished uploads are leftovers of a crash.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether an error means that no file can have this name: it is below a file, too long, or reserved by the library.
pub fn is_impossible_name(error: &object_store::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory};
    let error: &dyn std::error::Error = error;
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(NotADirectory | InvalidFilename | IsADirectory))
            || error.to_string().starts_with("Filenames containing trailing '/#\\d+/'")
    })
}

/// The folder of a store.
pub struct Folder {
    path: PathBuf,
    /// Its device and inode, on systems that have them.
    identity: Option<(u64, u64)>,
}

impl Folder {
    /// Creates the folder if it is missing, and tests it at the start instead of at the first upload.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        let unusable = || unusable(&path);
        let staging = path.join(STAGING);
        create_private(&path).and_then(|()| create_private(&staging)).with_context(unusable)?;
        remove_leftovers(&staging);
        let folder = Self { identity: identity(&path).with_context(unusable)?, path: path.clone() };
        folder.probe().with_context(unusable)?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that this is still the folder that was opened: files in another one would disappear after a mount.
    pub fn check_identity(&self) -> io::Result<()> {
        if identity(&self.path)? == self.identity {
            return Ok(());
        }
        let what =
            format!("{} is not the folder that was used at the start: check that it is mounted", self.path.display());
        Err(io::Error::other(what))
    }

    /// Writes a test file into the staging folder. It does not create the folder: a missing one is an error.
    pub fn probe(&self) -> io::Result<()> {
        self.check_identity()?;
        let probe = self.path.join(STAGING).join("probe");
        std::fs::write(&probe, b"probe").inspect_err(|_| {
            let _ = std::fs::remove_file(&probe);
        })?;
        match std::fs::remove_file(&probe) {
            // Another process removed its test file at the same time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|meta| Some((meta.dev(), meta.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    std::fs::metadata(path).map(|_| None)
}

/// Creates a folder that only its owner can list, as its names grant access to the reports.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The error text with the requirements for the folder.
fn unusable(folder: &Path) -> String {
    #[cfg(unix)]
    let user = format!(" by uid {}", rustix::process::geteuid().as_raw());
    #[cfg(not(unix))]
    let user = "";
    format!("the folder {} (STORAGE_URL) cannot be used: it must be writable{user}", folder.display())
}

/// Removes leftovers of a crash. Another server on the same folder may be writing younger files.
fn remove_leftovers(staging: &Path) {
    let Ok(files) = std::fs::read_dir(staging) else {
        return;
    };
    for file in files.flatten() {
        let age = file.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > LEFTOVER_AGE) {
            let removed = std::fs::remove_file(file.path());
            tracing::info!(file = %file.path().display(), removed = removed.is_ok(), "removed the leftover of an unfinished upload");
        }
    }
}
