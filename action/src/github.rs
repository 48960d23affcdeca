//! GitHub's API: artifacts, statuses, pull requests, and the badges in a README.

pub mod annotations;
pub mod api;
pub mod artifact;
pub mod changes;
pub mod comment;
mod images;
pub mod readme;
pub mod status;
