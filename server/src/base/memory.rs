//! The memory budget of responses, shared by all connections and streams. It covers files that the server reads from the
//! store and bytes that wait to be sent, so that slow readers cannot use more memory than the operator allows.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::log_throttle::LogThrottle;

/// Bytes that a stream needs while it is sent: the inflater's state (44 KiB), a waiting chunk, a chunk that is being
/// sent, and the read-ahead.
pub const STREAM_BYTES: usize = 128 << 10;
/// Bytes of a permit.
const UNIT: usize = 1 << 10;
/// Streams may use 1 / this of the memory for sending; the rest is for files that are read completely.
const STREAMS_SHARE: u64 = 2;
/// HTTP/2 requests may use 1 / this of it. Their part is separate, as a request keeps it while its response waits for
/// memory.
const REQUESTS_SHARE: u64 = 4;
/// Bytes of an HTTP/2 request and its response without the body. Measured: 2 KB, or 4.5 KB with an error page.
const REQUEST_BYTES: usize = 4 << 10;
/// The maximum number of responses that wait for memory: each keeps its request in memory.
const MAX_WAITING: usize = 1000;
/// The maximum wait, shorter than the default `REQUEST_TIMEOUT`, so that the client receives the reason.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The memory budget.
pub struct MemoryBudget {
    /// Permits of [`UNIT`] bytes each.
    all: Part,
    /// The part of `all` that streams may use.
    streams: Part,
    requests: Part,
    waiting: AtomicUsize,
    warned: LogThrottle,
}

struct Part {
    size: u32,
    free: Arc<Semaphore>,
}

/// No memory became free in time, or too many responses wait for it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server's memory for sending is used up: try again in a few seconds")]
pub struct OutOfMemory;

impl Part {
    fn new(bytes: u64) -> Self {
        let max = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let size = usize::try_from(bytes / UNIT as u64).unwrap_or(max).clamp(1, max);
        Self { size: size as u32, free: Arc::new(Semaphore::new(size)) }
    }

    /// The number of permits for so many bytes, at most all permits of this part.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.size)
    }

    fn try_reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_many_owned(self.permits(bytes)).ok()
    }

    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, OutOfMemory> {
        let permits = self.free.clone().acquire_many_owned(self.permits(bytes));
        tokio::time::timeout(MAX_WAIT, permits).await.map_err(|_| OutOfMemory)?.map_err(|_| OutOfMemory)
    }
}

impl MemoryBudget {
    /// `file_cache`: bytes of the file cache. `sending`: further bytes, for what waits to be sent.
    pub fn new(file_cache: u64, sending: u64) -> Self {
        Self {
            all: Part::new(file_cache.saturating_add(sending - sending / REQUESTS_SHARE)),
            streams: Part::new(sending / STREAMS_SHARE),
            requests: Part::new(sending / REQUESTS_SHARE),
            waiting: AtomicUsize::new(0),
            warned: LogThrottle::default(),
        }
    }

    /// Reserves memory for an HTTP/2 request, or returns `None`: a waiting request would need as much memory.
    pub fn try_reserve_for_request(&self) -> Option<Reservation> {
        self.requests.try_reserve(REQUEST_BYTES).map(|permits| Reservation { permits, _stream_permits: None })
    }

    /// Reserves memory for so many bytes, or returns `None`.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        self.all.try_reserve(bytes).map(|permits| Reservation { permits, _stream_permits: None })
    }

    /// Reserves memory for so many bytes; waits until it is free.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation, OutOfMemory> {
        if let Some(reservation) = self.try_reserve(bytes) {
            return Ok(reservation);
        }
        let _waiting = self.enter_queue()?;
        Ok(Reservation { permits: self.all.reserve(bytes).await?, _stream_permits: None })
    }

    /// Reserves memory for a stream that needs so many bytes while it is sent; waits until it is free.
    pub async fn reserve_for_stream(&self, bytes: usize) -> Result<Reservation, OutOfMemory> {
        let _waiting;
        let stream_permits = match self.streams.try_reserve(bytes) {
            Some(permits) => permits,
            None => {
                _waiting = self.enter_queue()?;
                self.streams.reserve(bytes).await?
            }
        };
        let reservation = self.reserve(bytes).await?;
        Ok(Reservation { _stream_permits: Some(stream_permits), ..reservation })
    }

    /// Whether responses wait for memory, or requests are refused. The server then disconnects slow readers earlier.
    pub fn is_short(&self) -> bool {
        let one_request = self.requests.permits(REQUEST_BYTES) as usize;
        self.waiting.load(Relaxed) > 0 || self.requests.free.available_permits() < one_request
    }

    /// Counts a waiting response until the returned guard is dropped. Fails if too many responses wait.
    fn enter_queue(&self) -> Result<Waiting<'_>, OutOfMemory> {
        let before = self.waiting.fetch_add(1, Relaxed);
        let waiting = Waiting(self);
        if self.warned.try_acquire() {
            tracing::warn!(
                waiting = before + 1,
                "the memory for sending (SEND_BUFFER_BYTES) is used up: responses wait for it, and slow readers are disconnected"
            );
        }
        if before < MAX_WAITING { Ok(waiting) } else { Err(OutOfMemory) }
    }
}

struct Waiting<'a>(&'a MemoryBudget);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// Reserved memory; dropping it returns it.
pub struct Reservation {
    permits: OwnedSemaphorePermit,
    _stream_permits: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Ties the reservation to `bytes`: their size is returned when their last clone is dropped, the rest at once.
    pub fn attach(mut self, bytes: Bytes) -> Bytes {
        let needed = bytes.len().div_ceil(UNIT);
        if let Some(own) = self.permits.split(needed) {
            self.permits = own;
        }
        attached(bytes, Arc::new(self))
    }

    /// Ties the reservation to a stream: it is returned when the stream and the last of its chunks are dropped.
    pub fn attach_stream<S, E>(self, bytes: S) -> Pin<Box<dyn Stream<Item = Result<Bytes, E>> + Send>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: 'static,
    {
        let reservation = Arc::new(self);
        bytes.map(move |item| item.map(|bytes| attached(bytes, reservation.clone()))).boxed()
    }
}

/// Bytes with the reservation for their memory.
struct AttachedBytes {
    bytes: Bytes,
    _reservation: Arc<Reservation>,
}

impl AsRef<[u8]> for AttachedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn attached(bytes: Bytes, reservation: Arc<Reservation>) -> Bytes {
    Bytes::from_owner(AttachedBytes { bytes, _reservation: reservation })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, stream};

    use super::*;

    fn free(memory: &MemoryBudget) -> usize {
        memory.all.free.available_permits()
    }

    #[tokio::test]
    async fn memory_of_bytes_is_released_with_their_last_clone() {
        let memory = MemoryBudget::new(55 << 10, 60 << 10);
        let bytes = memory.reserve(30 << 10).await.unwrap().attach(Bytes::from(vec![7; 10_000]));
        assert_eq!(free(&memory), 90);
        let part = bytes.slice(9_000..);
        drop(bytes);
        assert_eq!((free(&memory), &part[..]), (90, &[7; 1_000][..]));
        drop(part);
        assert_eq!(free(&memory), 100);
    }

    #[tokio::test]
    async fn memory_of_a_stream_is_released_with_its_last_bytes() {
        let memory = MemoryBudget::new(50 << 10, 200 << 10);
        let pieces = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"piece"))]);
        let mut stream = memory.reserve_for_stream(60 << 10).await.unwrap().attach_stream(pieces);
        let piece = stream.next().await.unwrap().unwrap();
        assert!(stream.next().await.is_none());
        drop(stream);
        assert_eq!((free(&memory), &piece[..]), (140, &b"piece"[..]));
        drop(piece);
        assert_eq!(free(&memory), 200);
    }

    #[tokio::test]
    async fn streams_leave_room_for_files_that_are_read_whole() {
        let memory = MemoryBudget::new(50 << 10, 200 << 10);
        let _streams = [memory.reserve_for_stream(50 << 10).await, memory.reserve_for_stream(50 << 10).await];
        let mut third = Box::pin(memory.reserve_for_stream(50 << 10));
        assert!((&mut third).now_or_never().is_none());
        assert!(memory.is_short());
        assert!(memory.reserve(100 << 10).now_or_never().is_some());
        drop(third);
        assert!(!memory.is_short());
    }

    #[tokio::test]
    async fn waiting_responses_get_released_memory() {
        let memory = MemoryBudget::new(100 << 10, 0);
        let first = memory.reserve(1 << 30).await.unwrap();
        assert_eq!(free(&memory), 0);
        let mut second = Box::pin(memory.reserve(1));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[test]
    fn http_2_requests_use_memory_until_it_is_short() {
        let memory = MemoryBudget::new(0, 32 << 10);
        let first = memory.try_reserve_for_request();
        assert!(first.is_some() && !memory.is_short());
        let _second = memory.try_reserve_for_request();
        assert!(memory.try_reserve_for_request().is_none() && memory.is_short());
        drop(first);
        assert!(!memory.is_short());
    }

    #[tokio::test(start_paused = true)]
    async fn responses_that_wait_too_long_for_memory_fail() {
        let memory = MemoryBudget::new(100 << 10, 100 << 10);
        let _all = memory.reserve(1 << 30).await.unwrap();
        assert!(matches!(memory.reserve(1).await, Err(OutOfMemory)));
        assert!(!memory.is_short());
    }

    #[tokio::test]
    async fn the_number_of_waiting_responses_is_limited() {
        let memory = MemoryBudget::new(100 << 10, 100 << 10);
        let _all = memory.reserve(175 << 10).await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(memory.reserve(1))).collect();
        assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
        assert!(matches!(memory.reserve(1).now_or_never(), Some(Err(OutOfMemory))));
        waiting.pop();
        assert!(memory.reserve(1).now_or_never().is_none());
    }
}
