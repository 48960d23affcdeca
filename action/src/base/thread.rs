//! Scoped threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

/// Joins the thread and propagates its panic.
pub fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
