//! The deadline of the whole run. Long work without network access checks it regularly.

use std::io::{self, Read};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    pub const NEVER: Self = Self(None);

    pub fn new(started: Instant, timeout: Duration) -> Self {
        Self(Some((started + timeout, timeout)))
    }

    /// Fails if the deadline has passed.
    pub fn check(self) -> io::Result<()> {
        match self.0 {
            Some((end, timeout)) if Instant::now() >= end => {
                let text = format!("the run exceeded its time limit of {} s: raise --timeout", timeout.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
            _ => Ok(()),
        }
    }

    /// A reader that fails once the deadline has passed.
    pub fn read(self, inner: impl Read) -> impl Read {
        DeadlineReader { inner, deadline: self }
    }
}

struct DeadlineReader<R> {
    inner: R,
    deadline: Deadline,
}

impl<R: Read> Read for DeadlineReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.deadline.check()?;
        self.inner.read(buffer)
    }
}
