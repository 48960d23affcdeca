//! All use of object_store: S3, GCS, Azure, files and memory.

mod absence;
pub mod error;
mod folder;
mod measured;
pub mod object;
pub mod presigner;
mod ranged;
pub mod settings;
pub mod storage;
pub mod sts;
mod vendors;
