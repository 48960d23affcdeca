//! Limits how often a log line repeats, so that an attack cannot fill the log.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The time between two lines on the same subject.
const INTERVAL: Duration = Duration::from_secs(10);

/// Allows one line per [`INTERVAL`].
#[derive(Default)]
pub struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Returns true if a line may be logged now; further calls return false for [`INTERVAL`].
    pub fn try_acquire(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now - last >= INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}
