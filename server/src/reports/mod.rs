//! Stored reports: zips and their indexes, cached files, content types, addresses.

pub mod address;
pub mod archive;
pub mod media;
pub mod sites;
