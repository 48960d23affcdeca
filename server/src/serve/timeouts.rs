//! The time limits of a connection, by its current phase.
//!
//! The socket and the requests record their progress in counters of a [`ConnectionActivity`]. One timer per connection
//! checks them when the earliest limit could be exceeded, so a request needs no timer.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::base::memory::{MemoryBudget, Reservation};
use crate::network::limits::NetworkLimits;

/// While responses wait for memory, a peer must read [`SHORT_BYTES`] of each response to it within this time.
const SHORT_STALL: Duration = Duration::from_secs(3);
const SHORT_BYTES: u64 = 64 << 10;
/// Time for the graceful shutdown of an idle connection.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// The progress of one connection.
#[derive(Default)]
pub struct ConnectionActivity {
    /// The number of requests so far.
    requests: AtomicUsize,
    /// Requests whose response is being prepared.
    preparing: AtomicUsize,
    /// Responses that are being sent.
    sending: AtomicUsize,
    /// Bytes written to the socket.
    written: AtomicU64,
    /// The socket is full: the peer does not read.
    blocked: AtomicBool,
    /// A part of the next request head was received. Not recorded for HTTP/2, which then counts as idle.
    head_begun: AtomicBool,
    multiplexed: AtomicBool,
    /// The peer is too slow: close the socket without sending the rest.
    given_up: AtomicBool,
}

/// The current phase of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Waiting for a request head.
    Head,
    /// Preparing a response or receiving an upload, which have their own limits.
    Preparing,
    /// Sending a response.
    Sending,
    /// Waiting for the next request.
    Idle,
}

impl ConnectionActivity {
    /// Marks the connection as HTTP/2, which has concurrent requests.
    pub fn set_multiplexed(&self) {
        self.multiplexed.store(true, Relaxed);
    }

    /// Records that a request head was received. `reservation`: the memory of the request, if it is counted.
    pub fn begin_request(self: &Arc<Self>, reservation: Option<Reservation>) -> ActiveRequest {
        self.preparing.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.head_begun.store(false, Relaxed);
        ActiveRequest { activity: self.clone(), is_sending: false, _reservation: reservation }
    }

    /// The number of requests that are being prepared or sent.
    pub fn active_requests(&self) -> usize {
        self.preparing.load(Relaxed) + self.sending.load(Relaxed)
    }

    fn phase(&self) -> Phase {
        if self.sending.load(Relaxed) > 0 || self.blocked.load(Relaxed) {
            Phase::Sending
        } else if self.preparing.load(Relaxed) > 0 {
            Phase::Preparing
        } else if self.head_begun.load(Relaxed) || self.requests.load(Relaxed) == 0 {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    fn record_read(&self) {
        let between_requests = self.preparing.load(Relaxed) == 0 && self.sending.load(Relaxed) == 0;
        if between_requests && !self.multiplexed.load(Relaxed) {
            self.head_begun.store(true, Relaxed);
        }
    }

    fn record_write(&self, written: &Poll<io::Result<usize>>) {
        self.blocked.store(written.is_pending(), Relaxed);
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.fetch_add(*bytes as u64, Relaxed);
        }
    }
}

/// A request that is being prepared or sent.
pub struct ActiveRequest {
    activity: Arc<ConnectionActivity>,
    is_sending: bool,
    /// Its memory, if it is counted.
    _reservation: Option<Reservation>,
}

impl ActiveRequest {
    /// Records that the response is ready and is being sent.
    pub fn begin_sending<B>(mut self, body: B) -> SendingBody<B> {
        self.activity.sending.fetch_add(1, Relaxed);
        self.activity.preparing.fetch_sub(1, Relaxed);
        self.is_sending = true;
        SendingBody { body, _request: self }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let ConnectionActivity { preparing, sending, .. } = &*self.activity;
        if self.is_sending { sending } else { preparing }.fetch_sub(1, Relaxed);
    }
}

/// A response body that is being sent.
pub struct SendingBody<B> {
    body: B,
    _request: ActiveRequest,
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for SendingBody<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that records its progress.
pub struct Socket {
    stream: TcpStream,
    activity: Arc<ConnectionActivity>,
}

impl Socket {
    pub fn new(stream: TcpStream, activity: Arc<ConnectionActivity>) -> Self {
        Self { stream, activity }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.activity.given_up.load(Relaxed) {
            // Otherwise the kernel would keep the unread bytes for minutes.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.record_read();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.record_write(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.activity.record_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("{0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    #[error("the client took too long: {0:?}")]
    TooSlow(Phase),
}

/// Drives a connection until it ends, the server stops, or a time limit is exceeded.
pub async fn with_timeouts<C>(
    connection: C,
    activity: &ConnectionActivity,
    limits: &NetworkLimits,
    memory: &MemoryBudget,
    mut stop: watch::Receiver<()>,
) -> Result<(), ConnectionError>
where
    C: GracefulConnection,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = pin!(connection);
    let mut stopping = pin!(stop.changed());
    let (mut stopped, mut closing) = (false, false);
    let mut clock = Clock::new(activity, limits);
    let mut timer = pin!(sleep_until(clock.deadline(closing)));
    poll_fn(|context| {
        if !stopped && stopping.as_mut().poll(context).is_ready() {
            stopped = true;
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended.map_err(|error| ConnectionError::Broken(error.into())));
            }
            clock.update();
            let deadline = clock.deadline(closing);
            std::task::ready!(poll_until(timer.as_mut(), deadline, context));
            if clock.phase == Phase::Idle && !closing {
                // Gracefully, so that the client knows whether a request in transit was accepted.
                closing = true;
                clock.since = Instant::now();
                connection.as_mut().graceful_shutdown();
            } else if clock.phase == Phase::Preparing {
                clock.since = Instant::now();
            } else if clock.phase == Phase::Sending && !clock.is_too_slow(memory) {
                clock.begin_step();
            } else {
                activity.given_up.store(clock.phase == Phase::Sending, Relaxed);
                return Poll::Ready(Err(ConnectionError::TooSlow(clock.phase)));
            }
        }
    })
    .await
}

/// Ready after `deadline`. The timer may be set earlier: it is moved when it fires, not on each extension.
fn poll_until(mut timer: Pin<&mut Sleep>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
    if deadline < timer.deadline() {
        timer.as_mut().reset(deadline);
    }
    while timer.as_mut().poll(context).is_ready() {
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
    Poll::Pending
}

/// The current phase and its start.
struct Clock<'a> {
    activity: &'a ConnectionActivity,
    limits: &'a NetworkLimits,
    phase: Phase,
    since: Instant,
    requests: usize,
    written: u64,
    /// The time and the bytes at the last check of the peer's speed.
    step_since: Instant,
    step_written: u64,
}

impl<'a> Clock<'a> {
    fn new(activity: &'a ConnectionActivity, limits: &'a NetworkLimits) -> Self {
        let (written, now) = (activity.written.load(Relaxed), Instant::now());
        let (phase, requests) = (Phase::Head, 0);
        Self { activity, limits, phase, since: now, requests, written, step_since: now, step_written: written }
    }

    /// Reads the activity, and restarts the clock after progress.
    fn update(&mut self) {
        let (phase, requests) = (self.activity.phase(), self.activity.requests.load(Relaxed));
        let written = self.activity.written.load(Relaxed);
        let moved = written - self.written >= self.limits.stall_bytes();
        if moved || phase != self.phase || requests != self.requests {
            let is_new = phase != self.phase;
            *self = Self { phase, requests, written, since: Instant::now(), ..*self };
            if is_new {
                self.begin_step();
            }
        }
    }

    fn begin_step(&mut self) {
        (self.step_since, self.step_written) = (Instant::now(), self.activity.written.load(Relaxed));
    }

    /// Whether a peer that has to read is disconnected: after `STALL_TIMEOUT`, or earlier if others wait for memory.
    fn is_too_slow(&self, memory: &MemoryBudget) -> bool {
        let responses = self.activity.sending.load(Relaxed).max(1) as u64;
        let step = self.activity.written.load(Relaxed) - self.step_written;
        self.since.elapsed() >= self.limits.stall || memory.is_short() && step < responses * SHORT_BYTES
    }

    fn deadline(&self, closing: bool) -> Instant {
        match self.phase {
            Phase::Head => self.since + self.limits.header,
            Phase::Preparing => self.since + self.limits.stall,
            Phase::Sending => (self.since + self.limits.stall).min(self.step_since + SHORT_STALL),
            Phase::Idle if closing => self.since + CLOSE_TIME,
            Phase::Idle => self.since + self.limits.idle,
        }
    }
}
