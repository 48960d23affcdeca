//! Reads a report, finds its total and packs it. A library, so that fuzz targets and benches can use it.

pub mod archive;
pub mod base;
pub mod coverage;
pub mod report;
