//! Helpers that every module may use: texts, hashes, secrets, threads, the environment and the deadline.

pub mod deadline;
pub mod digest;
pub mod env;
pub mod pattern;
pub mod repository;
pub mod secret;
pub mod text;
pub mod thread;
