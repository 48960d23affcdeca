//! The progress of a long step: a line now and then in a log, a bar on a terminal.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::text::bytes;
use crate::log::actions_log::ActionsLog;

/// Interval of log lines.
const LINE: Duration = Duration::from_secs(10);
/// Interval of redrawing the bar.
const REDRAW: Duration = Duration::from_millis(200);
const BAR_WIDTH: u64 = 30;

/// Processed and total bytes.
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

    /// Starts at zero again, for a retry.
    pub fn restart(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    /// Starts at zero and counts the bytes read.
    pub fn read<'a>(&'a self, inner: impl Read + 'a) -> impl Read + 'a {
        self.restart();
        CountingReader { inner, progress: self }
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

struct CountingReader<'a, R> {
    inner: R,
    progress: &'a Progress,
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// Runs `work` on `total` bytes and reports its progress. `step` is a word like `Uploading`.
pub fn track<T>(log: &ActionsLog, step: &str, total: u64, work: impl FnOnce(&Progress) -> T) -> T {
    let (progress, started) = (Progress::new(total), Instant::now());
    if !log.is_terminal() {
        let report = || log.info(&format!("{step}: {}", progress.line(started.elapsed())));
        return every(LINE, report, || work(&progress));
    }
    let result =
        every(REDRAW, || log.show_bar(&format!("{step} {}", progress.bar(started.elapsed()))), || work(&progress));
    log.clear_bar();
    result
}

/// Runs `work` and calls `report` at each interval.
fn every<T>(interval: Duration, report: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    let (working, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Dropped when the work ends, even by a panic.
        let _working = working;
        scope.spawn(|| {
            let ended = ended;
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                report();
            }
        });
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_long_steps_is_reported_periodically() {
        let (sender, receiver) = mpsc::channel();
        let wait = || receiver.recv_timeout(Duration::from_secs(60)).is_ok();
        assert!(every(Duration::from_millis(1), || sender.send(()).unwrap(), || wait() && wait()));
    }

    #[test]
    fn progress_of_short_steps_is_not_reported() {
        every(Duration::from_secs(3600), || panic!("reported"), || ());
    }

    #[test]
    fn progress_lines_and_bars_show_size_and_rate() {
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
    fn progress_restarts_with_each_attempt() {
        let progress = Progress::new(10);
        for _ in 0..2 {
            io::copy(&mut progress.read(&b"0123456"[..]), &mut io::sink()).unwrap();
        }
        assert_eq!(progress.done.load(Ordering::Relaxed), 7);
    }
}
