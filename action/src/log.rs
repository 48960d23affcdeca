//! What people see of a run: log lines, progress, and the job's summary.

pub mod actions_log;
pub mod progress;
pub mod summary;
