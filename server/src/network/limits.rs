//! How much the server takes at once, and for how long.

use std::time::Duration;

/// How much is taken at once, and how long it may take.
#[derive(Clone, Debug)]
pub struct NetworkLimits {
    /// `HEADER_TIMEOUT`: for the head of a request, a small body, or a TLS handshake to come in.
    pub header: Duration,
    /// `REQUEST_TIMEOUT`: for an answer to be ready; uploads have [`Self::stall`] alone.
    pub request: Duration,
    /// `IDLE_TIMEOUT`: for the next request on an open connection.
    pub idle: Duration,
    /// `STALL_TIMEOUT`: how long a transfer may be slower than [`Self::stall_bytes`] says.
    pub stall: Duration,
    /// `MAX_CONNECTIONS`, from everywhere.
    pub connections: usize,
    /// `MAX_CONNECTIONS_PER_ADDRESS`: from one address, or one /64 of IPv6.
    pub connections_per_address: usize,
    /// `MAX_UPLOADS`: reports that the server itself takes at once.
    pub uploads: usize,
    /// `SEND_BUFFER_BYTES`: memory for what waits to be sent, in addition to the cache.
    pub send_buffer: u64,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            connections: 10_000,
            connections_per_address: 1_000,
            uploads: 64,
            send_buffer: 32 << 20,
        }
    }
}

impl NetworkLimits {
    /// Bytes a second that keep a transfer going: a phone at the edge of its network has more.
    const MIN_RATE: f64 = 1024.0;

    /// Bytes that a transfer has to move within [`Self::stall`].
    pub fn stall_bytes(&self) -> u64 {
        (self.stall.as_secs_f64() * Self::MIN_RATE).max(1.0) as u64
    }
}
