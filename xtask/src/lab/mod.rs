//! The lab: the real parts and the stubs that Covered is tested against.
//!
//! Everything listens on loopback, on a port that the system picks, and is gone when its value is dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "support for tests: what fails here must stop the test")]

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
