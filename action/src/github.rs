//! GitHub's API: artifacts, statuses, and the badges in a README.

pub mod api;
pub mod artifact;
mod images;
pub mod readme;
pub mod status;
