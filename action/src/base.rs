//! What every part builds on: texts, hashes, secrets, and where values of the environment come from.

pub mod deadline;
pub mod digest;
pub mod env;
pub mod repository;
pub mod secret;
pub mod text;
pub mod thread;
