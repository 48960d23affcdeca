//! How far a long step is: a line now and then in a log, a bar on a terminal.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::text::bytes;
use crate::log::actions_log::ActionsLog;

/// Between two lines of a log.
const LINE: Duration = Duration::from_secs(10);
/// Between two pictures of the bar.
const REDRAW: Duration = Duration::from_millis(200);
const BAR_WIDTH: u64 = 30;

/// Bytes that are done, of how many.
pub struct Progress {
    done: AtomicU64,
    total: u64,
}

impl Progress {
    pub fn new(total: u64) -> Self {
        Self { done: AtomicU64::new(0), total }
    }

    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts from nothing again, as another try does.
    pub fn restart(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    /// Reads from the start, and counts what is read.
    pub fn read<'a>(&'a self, inner: impl Read + 'a) -> impl Read + 'a {
        self.restart();
        Counted { inner, progress: self }
    }

    fn line(&self, elapsed: Duration) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
        format!("{} of {}, {}/s", bytes(done), bytes(self.total), bytes(rate as u64))
    }

    fn bar(&self, elapsed: Duration) -> String {
        let done = self.done.load(Ordering::Relaxed).min(self.total);
        let full = (u128::from(done) * u128::from(BAR_WIDTH) / u128::from(self.total.max(1))) as usize;
        format!("[{:.<width$}] {}", "#".repeat(full), self.line(elapsed), width = BAR_WIDTH as usize)
    }
}

struct Counted<'a, R> {
    inner: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// Does the work on `total` bytes, and tells how far it is. `step`: as in `Uploading`.
pub fn watch<T>(log: &ActionsLog, step: &str, total: u64, work: impl FnOnce(&Progress) -> T) -> T {
    let (progress, started) = (Progress::new(total), Instant::now());
    if !log.is_terminal() {
        let tell = || log.info(&format!("{step}: {}", progress.line(started.elapsed())));
        return every(LINE, tell, || work(&progress));
    }
    let result = every(REDRAW, || log.draw(&format!("{step} {}", progress.bar(started.elapsed()))), || work(&progress));
    log.clear();
    result
}

/// Does the work, and tells each time that so long has passed.
fn every<T>(interval: Duration, tell: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    let (working, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Dropped when the work is over, however it ends.
        let _working = working;
        scope.spawn(|| {
            let ended = ended;
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                tell();
            }
        });
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_step_is_told_of_until_it_ends() {
        let (told, heard) = mpsc::channel();
        let wait = || heard.recv_timeout(Duration::from_secs(60)).is_ok();
        assert!(every(Duration::from_millis(1), || told.send(()).unwrap(), || wait() && wait()));
    }

    #[test]
    fn a_short_step_is_not_told_of() {
        every(Duration::from_secs(3600), || panic!("told"), || ());
    }

    #[test]
    fn the_line_and_the_bar_say_how_far_and_how_fast() {
        let progress = Progress::new(80_000_000);
        progress.add(20_000_000);
        let elapsed = Duration::from_secs(10);
        assert_eq!(progress.line(elapsed), "20.0 MB of 80.0 MB, 2.0 MB/s");
        assert_eq!(progress.bar(elapsed), "[#######.......................] 20.0 MB of 80.0 MB, 2.0 MB/s");
        progress.add(60_000_000);
        assert!(progress.bar(elapsed).starts_with("[##############################] 80.0 MB of 80.0 MB"));
        assert!(Progress::new(0).bar(Duration::ZERO).starts_with("[......"));
    }

    #[test]
    fn another_try_starts_from_nothing() {
        let progress = Progress::new(10);
        for _ in 0..2 {
            io::copy(&mut progress.read(&b"0123456"[..]), &mut io::sink()).unwrap();
        }
        assert_eq!(progress.done.load(Ordering::Relaxed), 7);
    }
}
