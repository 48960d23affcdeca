//! Exponential delays between attempts.

use std::time::Duration;

use crate::base::random::random;

/// `first`, doubled with each failure up to `last`, with 25 % jitter, so that clients do not all retry at once.
pub fn delay(failures: u32, first: Duration, last: Duration) -> Duration {
    let time = first.saturating_mul(1 << failures.min(16)).min(last);
    let [byte] = random::<1>().unwrap_or_default();
    time.mul_f64(0.75 + f64::from(byte) / 512.0)
}
