//! What the server tells its operator: metrics, the log, traces.

mod labels;
pub mod listen;
pub mod metrics;
mod otel;
mod process;
pub mod trace;
