//! The lab: the real services and the stubs that Covered is tested with.
//!
//! Everything listens on a free port of the loopback address, and stops when its value is dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "support for tests: a failure here must stop the test")]

pub mod covered;
pub mod fault;
pub mod github;
pub mod http;
pub mod node;
pub mod oidc;
pub mod parts;
pub mod paths;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod report;
pub mod s3;
pub mod slow;
pub mod tls;
