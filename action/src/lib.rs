//! What reads a report, finds its total and packs it: a library, so that fuzz targets reach it too.

pub mod archive;
pub mod base;
pub mod coverage;
pub mod report;
