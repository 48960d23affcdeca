//! Shared by the project's commands and tests: cargo, releases, and the lab.

pub mod cargo;
pub mod dist;
pub mod lab;
