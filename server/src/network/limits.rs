//! The settings that limit connections and transfers.

use std::time::Duration;

/// Limits for connections and transfers.
#[derive(Clone, Debug)]
pub struct NetworkLimits {
    /// `HEADER_TIMEOUT`: the time to receive a request head, a JSON body or a TLS handshake.
    pub header: Duration,
    /// `REQUEST_TIMEOUT`: the time to prepare a response. Uploads are limited by [`Self::stall`] only.
    pub request: Duration,
    /// `IDLE_TIMEOUT`: how long an idle connection stays open.
    pub idle: Duration,
    /// `STALL_TIMEOUT`: how long a transfer may be slower than [`Self::MIN_RATE`].
    pub stall: Duration,
    /// `MAX_CONNECTIONS`: open connections in total.
    pub connections: usize,
    /// `MAX_CONNECTIONS_PER_ADDRESS`: open connections from one IPv4 address or IPv6 /64 network.
    pub connections_per_address: usize,
    /// `MAX_UPLOADS`: uploads in progress through the server.
    pub uploads: usize,
    /// `SEND_BUFFER_BYTES`: memory for responses that wait to be sent, in addition to the cache.
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
    /// The minimum transfer rate in bytes per second, which a poor mobile connection exceeds.
    const MIN_RATE: f64 = 1024.0;

    /// The minimum number of bytes per [`Self::stall`].
    pub fn stall_bytes(&self) -> u64 {
        (self.stall.as_secs_f64() * Self::MIN_RATE).max(1.0) as u64
    }
}
