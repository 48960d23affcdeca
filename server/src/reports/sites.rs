//! Reads reports from the store, and caches indexes and files.

mod cache;
mod error;
mod index;
mod single;
mod zip;

pub use cache::{CachedFile, Site, Sites, file_cache_bytes};
pub use error::IndexError;
pub use single::SingleFile;
pub use zip::{FileContent, FoundFile};
