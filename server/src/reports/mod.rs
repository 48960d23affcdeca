//! The reports: the zips in the store, their files in memory, and the addresses that they are at.

pub mod address;
pub mod archive;
pub mod media;
pub mod sites;
