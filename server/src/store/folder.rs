//! What is particular to a folder as a store: who may look into it, whether it can be written, what a crash left.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::names::object::STAGING;

/// Unfinished uploads in a folder that are older than this are left over from a crash.
const LEFT_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a folder says that a name can be no file's: below a file, too long, or as the library's own temporary files.
pub fn names_no_file(error: &object_store::Error) -> bool {
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
    /// Its device and its number there, where the system tells them.
    identity: Option<(u64, u64)>,
}

impl Folder {
    /// Makes it where it is missing, and tries it: now, and not at the first upload, is told that it cannot be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        let unusable = || unusable(&path);
        let staging = path.join(STAGING);
        make(&path).and_then(|()| make(&staging)).with_context(unusable)?;
        sweep(&staging);
        let folder = Self { identity: identity(&path).with_context(unusable)?, path: path.clone() };
        folder.probe().with_context(unusable)?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// That it is the folder of the start: else what is written would be gone once the right one is mounted again.
    pub fn check_identity(&self) -> io::Result<()> {
        if identity(&self.path)? == self.identity {
            return Ok(());
        }
        let what = format!("{} is not the folder that was there at the start: is it mounted?", self.path.display());
        Err(io::Error::other(what))
    }

    /// Writes a file where uploads wait. It makes no folder: one that is gone is a fault.
    pub fn probe(&self) -> io::Result<()> {
        self.check_identity()?;
        let probe = self.path.join(STAGING).join("probe");
        std::fs::write(&probe, b"probe").inspect_err(|_| {
            let _ = std::fs::remove_file(&probe);
        })?;
        match std::fs::remove_file(&probe) {
            // Somebody else's probe, at the same moment.
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

/// Makes a folder that its owner alone can look into: the names in it are the keys to the reports.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What a folder has to be like, where it is not.
fn unusable(folder: &Path) -> String {
    #[cfg(unix)]
    let user = format!(" by uid {}", rustix::process::geteuid().as_raw());
    #[cfg(not(unix))]
    let user = "";
    format!("the folder {} (STORAGE_URL) cannot be used: it must be writable{user}", folder.display())
}

/// Removes what a crash left of uploads; another server on the same folder may be receiving the younger ones.
fn sweep(staging: &Path) {
    let Ok(files) = std::fs::read_dir(staging) else {
        return;
    };
    for file in files.flatten() {
        let age = file.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > LEFT_OVER) {
            let removed = std::fs::remove_file(file.path());
            tracing::info!(file = %file.path().display(), removed = removed.is_ok(), "left over from an upload that did not end");
        }
    }
}
