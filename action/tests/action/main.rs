//! The built binary against scripted peers, step by step.

// Helpers of tests may panic; clippy's exception covers only `#[test]` functions.
#![allow(clippy::unwrap_used)]

mod artifact;
mod baseline;
mod comment;
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
