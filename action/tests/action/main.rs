//! The built binary against scripted peers, step by step.

// A test's helpers may panic as its tests do; clippy's own exception covers `#[test]` functions alone.
#![allow(clippy::unwrap_used)]

mod artifact;
mod baseline;
mod failures;
mod files;
mod identity;
mod inputs;
mod network;
mod peer;
mod purge;
mod report;
mod requests;
mod run;
mod session;
mod status;
mod summary;
mod totals;
mod upload;
