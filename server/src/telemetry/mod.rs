//! Metrics, log and traces.

mod labels;
pub mod listen;
pub mod metrics;
mod otel;
mod process;
pub mod trace;
