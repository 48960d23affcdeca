//! Temporary files. Errors name their folder and say what to do.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Result, anyhow};

/// Creates an unnamed file in `folder`.
pub fn temporary_file(folder: &Path) -> Result<File> {
    tempfile::tempfile_in(folder).map_err(|error| {
        anyhow!("cannot create a temporary file in {}: {error}; {}", folder.display(), advice(error.kind()))
    })
}

/// Explains why a file in `folder` could not be written.
pub fn write_error(folder: &Path, error: &io::Error) -> String {
    format!("cannot write to a temporary file in {}: {error}; {}", folder.display(), advice(error.kind()))
}

/// Replaces an error of writing, such as a full disk, with its explanation. Reading never fails with these kinds.
pub fn explain(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    match error.downcast_ref::<io::Error>() {
        Some(error) if is_write_error(error.kind()) => anyhow!(write_error(folder, error)),
        _ => error,
    }
}

fn is_write_error(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge | ErrorKind::ReadOnlyFilesystem
    )
}

/// `RUNNER_TEMP` sets the folder; the default is the system's.
fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free some space there, or set RUNNER_TEMP to a folder with more space"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "make it writable, or set RUNNER_TEMP to another folder"
        }
        ErrorKind::NotFound => "create it, or set RUNNER_TEMP to a folder that exists",
        _ => "set RUNNER_TEMP to another folder",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_for_full_or_read_only_folders_say_what_to_do() {
        let message = |kind| explain(io::Error::from(kind).into(), Path::new("/runner/_temp")).to_string();
        let start = "cannot write to a temporary file in /runner/_temp: ";
        let full = message(ErrorKind::StorageFull);
        assert!(full.starts_with(start), "{full}");
        assert!(full.ends_with("; free some space there, or set RUNNER_TEMP to a folder with more space"), "{full}");
        assert!(message(ErrorKind::QuotaExceeded).contains("free some space there"));
        assert!(
            message(ErrorKind::ReadOnlyFilesystem)
                .ends_with("; make it writable, or set RUNNER_TEMP to another folder")
        );
        assert_eq!(message(ErrorKind::UnexpectedEof), io::Error::from(ErrorKind::UnexpectedEof).to_string());
    }

    #[test]
    fn errors_for_missing_folders_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let message = |folder: &Path| temporary_file(folder).unwrap_err().to_string();
        let missing = message(&folder.path().join("missing"));
        assert!(missing.ends_with("; create it, or set RUNNER_TEMP to a folder that exists"), "{missing}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(message(&file).starts_with(&format!("cannot create a temporary file in {}: ", file.display())));
    }
}
