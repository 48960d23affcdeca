//! Delays requests to GitHub: for as long as GitHub requests, and exponentially after failures.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::base::retry;
use crate::telemetry::metrics::metrics;

/// The delay after the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The delay after a rate limit without a time, as GitHub recommends for its secondary limits.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(60);
/// The maximum delay after a rate limit: GitHub's quotas reset every hour.
const MAX_RATE_LIMIT_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The token's quota in points of the GraphQL API. A look-up costs one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    limit: u64,
    remaining: u64,
}

impl Quota {
    fn read(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            limit: number(headers, "x-ratelimit-limit")?,
            remaining: number(headers, "x-ratelimit-remaining")?,
        })
    }

    /// A tenth or less is left.
    fn is_low(self) -> bool {
        self.remaining.saturating_mul(10) <= self.limit
    }
}

/// The back-off state of this process.
#[derive(Default)]
pub struct Backoff(Mutex<BackoffState>);

#[derive(Default)]
struct BackoffState {
    /// No request before this time.
    until: Option<Instant>,
    failures: u32,
    /// When the last failure was.
    failed_at: Option<Instant>,
    quota: Option<Quota>,
}

impl Backoff {
    /// Begins a request, or returns for how long none is allowed. After a failure, one request at a time may try, with
    /// `time` as its limit.
    pub fn try_begin(&self, time: Duration) -> Result<(), Duration> {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(left) = state.until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
        {
            return Err(left);
        }
        state.until = (state.failures > 0).then(|| now + time);
        Ok(())
    }

    /// Records a response, which ends the delay.
    pub fn record_success(&self) {
        let mut state = self.state();
        (state.until, state.failures) = (None, 0);
    }

    /// Records the failure of a request that was sent at `started`, and returns the delay before the next one.
    /// Concurrent failures count as one.
    pub fn record_failure(&self, started: Instant) -> Duration {
        let mut state = self.state();
        let counts = state.failed_at.replace(Instant::now()).is_none_or(|last| last <= started);
        let before = if counts { state.failures } else { state.failures.saturating_sub(1) };
        let pause = retry::delay(before, FIRST_PAUSE, MAX_PAUSE);
        state.failures += u32::from(counts);
        state.pause(pause)
    }

    /// Records that GitHub limited requests.
    pub fn record_rate_limit(&self, headers: &HeaderMap, now: Timestamp) {
        metrics().count_github_limit();
        let time = pause_of(headers, now);
        tracing::warn!("GitHub's rate limit is reached: no request for {} s", time.as_secs());
        let mut state = self.state();
        state.failures += 1;
        state.pause(time);
    }

    /// Records the quota in a response.
    pub fn record_quota(&self, headers: &HeaderMap) {
        let Some(quota) = Quota::read(headers) else { return };
        let reset = number(headers, "x-ratelimit-reset").unwrap_or_default();
        metrics().set_github_quota(quota.remaining, quota.limit, reset);
        let was_low = self.state().quota.replace(quota).is_some_and(Quota::is_low);
        if quota.is_low() && !was_low {
            let Quota { limit, remaining } = quota;
            tracing::warn!(
                remaining,
                limit,
                "the GitHub rate limit of this token is nearly exhausted: badges will show their last values"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, BackoffState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackoffState {
    /// Extends the delay; it never shortens it.
    fn pause(&mut self, time: Duration) -> Duration {
        let now = Instant::now();
        let until = self.until.map_or(now + time, |until| until.max(now + time));
        self.until = Some(until);
        until - now
    }
}

/// The delay that GitHub asks for: `retry-after` in seconds, or until its quota resets.
fn pause_of(headers: &HeaderMap, now: Timestamp) -> Duration {
    let spent = number(headers, "x-ratelimit-remaining") == Some(0);
    let reset = number(headers, "x-ratelimit-reset").filter(|_| spent);
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    let seconds = number(headers, "retry-after").or_else(|| reset.map(|reset| reset.saturating_sub(now)));
    // Wait one more second, as clocks differ.
    seconds.map_or(RATE_LIMIT_PAUSE, |seconds| Duration::from_secs(seconds.saturating_add(1))).min(MAX_RATE_LIMIT_PAUSE)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn github_rate_limit_headers_set_the_pause() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (pairs, seconds) in [
            (vec![("retry-after", "30")], 31),
            (vec![("retry-after", "30"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000900")], 31),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000900")], 901),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "999000")], 1),
            (vec![("x-ratelimit-remaining", "4000"), ("x-ratelimit-reset", "1000900")], 60),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "4102444800")], 3600),
            (vec![("retry-after", "18446744073709551615")], 3600),
            (vec![("retry-after", "soon")], 60),
            (vec![], 60),
        ] {
            assert_eq!(pause_of(&headers(&pairs), now), Duration::from_secs(seconds), "{pairs:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_retries_after_a_failure_and_success_ends_the_pause() {
        let (backoff, time) = (Backoff::default(), Duration::from_secs(1));
        assert!(backoff.try_begin(time).is_ok() && backoff.try_begin(time).is_ok());
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let pause = backoff.record_failure(Instant::now());
            assert!(backoff.try_begin(time).is_err());
            tokio::time::advance(pause).await;
            assert!(backoff.try_begin(time).is_ok(), "after {pause:?}");
            assert!(backoff.try_begin(time).is_err(), "only one request retries");
            tokio::time::advance(time).await;
            pauses.push(pause.as_secs_f64());
        }
        assert!((0.75..1.25).contains(&pauses[0]) && (6.0..10.0).contains(&pauses[3]), "{pauses:?}");
        assert!((45.0..75.0).contains(&pauses[9]), "{pauses:?}");
        backoff.record_success();
        assert!(backoff.try_begin(time).is_ok() && backoff.try_begin(time).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_failures_count_once() {
        let backoff = Backoff::default();
        let started = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let pauses: Vec<f64> = (0..25).map(|_| backoff.record_failure(started).as_secs_f64()).collect();
        assert!(pauses.iter().all(|pause| *pause < 1.25), "{pauses:?}");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(backoff.record_failure(Instant::now()) > Duration::from_millis(1490), "a later failure counts");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_do_not_shorten_the_pause_that_github_requested() {
        let backoff = Backoff::default();
        backoff.record_rate_limit(&headers(&[("retry-after", "600")]), Timestamp::now());
        assert!(backoff.record_failure(Instant::now()) > Duration::from_secs(599));
        tokio::time::advance(Duration::from_secs(500)).await;
        assert!(backoff.try_begin(Duration::from_secs(1)).is_err());
    }

    #[test]
    fn the_quota_is_from_githubs_last_response() {
        let backoff = Backoff::default();
        assert_eq!(backoff.state().quota, None);
        backoff.record_quota(&headers(&[("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "4999")]));
        backoff.record_quota(&headers(&[]));
        let quota = backoff.state().quota.unwrap();
        assert_eq!((quota.limit, quota.remaining, quota.is_low()), (5000, 4999, false));
        assert!(Quota { limit: 5000, remaining: 500 }.is_low());
    }
}
