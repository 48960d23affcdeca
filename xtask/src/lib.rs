//! What the project's commands and tests share: cargo, what a release is made of, and the lab.

pub mod cargo;
pub mod dist;
pub mod lab;
