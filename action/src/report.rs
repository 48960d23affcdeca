//! The files of a report, in a folder or in a zip.

mod external_hosts;
mod files;
mod folder;
mod part_names;
mod parts;
mod zip;
mod zipped;

pub use external_hosts::note as external_hosts_note;
pub use files::{Content, Entry, Report};
pub use folder::{Folder, expand, walk};
pub use part_names::part_names;
pub use parts::{MAX_PARTS, Part, join_parts};
pub use zip::unzip;
pub use zipped::Zipped;
