//! GitHub's API: artifacts, statuses, and the badges in a README.

pub mod api;
pub mod artifact;
pub mod badge;
mod images;
pub mod status;
