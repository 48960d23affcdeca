//! What people read about a run: log lines, progress, and the job summary.

pub mod actions_log;
pub mod progress;
pub mod summary;
