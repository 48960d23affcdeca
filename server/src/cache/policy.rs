//! How long cached values are valid.

use std::time::Duration;

/// How long a value is fresh.
pub const FRESH: Duration = Duration::from_secs(60);
/// How long a stale value is served while it is refreshed; for an older one, the request waits.
pub const MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a group counts as unknown after the source did not know it.
pub const ABSENT: Duration = Duration::from_secs(5 * 60);
