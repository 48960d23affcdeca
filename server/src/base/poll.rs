//! Futures that are usually ready at once.

use std::future::Future;

use futures_util::FutureExt;

/// Polls a cache look-up once, so that callers need not store a suspended future. Returns `None` if the look-up would
/// block (during the cache's housekeeping); the caller's slow path retries.
pub fn poll_once<T>(look_up: impl Future<Output = Option<T>>) -> Option<T> {
    look_up.now_or_never().flatten()
}
