//! What finds a report's total: a library, so that fuzz targets reach it too.

pub mod totals;
