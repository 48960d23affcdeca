//! Tests over HTTP: one module per route, as in `src/routes/`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod badge;
mod check;
mod files;
mod keyless;
mod limits;
mod media;
mod ops;
mod process;
mod purge;
mod random_requests;
mod range;
mod report;
mod rights;
mod secrets;
mod security;
mod support;
mod tls;
#[cfg(unix)]
mod traces;
mod upload;
mod zips;
