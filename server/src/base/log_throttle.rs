//! Limits how often a log line repeats, so that an attack cannot fill the log.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The time between two lines on the same subject.
const PAUSE: Duration = Duration::from_secs(10);

/// Allows one line per [`PAUSE`].
#[derive(Default)]
pub struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Whether a line may be logged now.
    pub fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.is_none_or(|last| now - last >= PAUSE);
        if due {
            *last = Some(now);
        }
        due
    }
}
