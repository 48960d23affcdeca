//! What would fill the log under attack is said once in a while.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two lines on the same matter.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one line through every [`PAUSE`].
#[derive(Default)]
pub struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Whether it is time for a line.
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
