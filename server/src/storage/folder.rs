//! What is particular to a folder as a store: who may look into it, whether it can be written, what a crash left.

use std::path::Path;
use std::time::Duration;

use crate::key::STAGING;

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

/// Makes a folder that its owner alone can look into: the names in it are the keys to the reports.
pub fn make(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What a folder has to be like, where it is not.
pub fn unusable(folder: &Path) -> String {
    #[cfg(unix)]
    let user = format!(" by uid {}", rustix::process::geteuid().as_raw());
    #[cfg(not(unix))]
    let user = "";
    format!("the folder {} (STORAGE_URL) cannot be used: it must be writable{user}", folder.display())
}

/// Writes a file where uploads wait. It makes no folder: one that is gone, or not mounted, is a fault.
pub fn probe(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(STAGING).join("probe");
    std::fs::write(&probe, b"probe")?;
    std::fs::remove_file(&probe)
}

/// Removes what a crash left of uploads; another server on the same folder may be receiving the younger ones.
pub fn sweep(staging: &Path) {
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
