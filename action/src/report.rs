//! The files of a report, in a folder or in a zip.

mod external_hosts;
mod files;
mod folder;
mod zip;
mod zipped;

pub use external_hosts::note as external_hosts_note;
pub use files::{Content, Entry, Report};
pub use folder::walk;
pub use zip::unzip;
pub use zipped::Zipped;
