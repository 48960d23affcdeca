//! An upload's body with a minimum transfer rate.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Incoming};
use tokio::time::{Instant, timeout};

use crate::error::Error;
use crate::network::limits::NetworkLimits;

/// A body, and the time waited since it last received [`NetworkLimits::stall_bytes`].
pub struct StallTimeoutBody {
    body: Incoming,
    limit: Duration,
    step: u64,
    waited: Duration,
    received: u64,
}

impl StallTimeoutBody {
    pub fn new(body: Incoming, limits: &NetworkLimits) -> Self {
        Self { body, limit: limits.stall, step: limits.stall_bytes(), waited: Duration::ZERO, received: 0 }
    }

    /// The announced size in bytes.
    pub fn size(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let started = Instant::now();
            let frame = timeout(self.limit.saturating_sub(self.waited), self.body.frame()).await;
            self.waited += started.elapsed();
            match frame {
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Error::bad_request("the upload ended early: nothing was stored")),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.count(bytes.len() as u64);
                        return Ok(Some(bytes));
                    }
                }
                Err(_) => {
                    return Err(Error::timeout(format!(
                        "received fewer than {} bytes in {} s: nothing was stored",
                        self.step,
                        self.limit.as_secs_f64()
                    )));
                }
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.received += bytes;
        if self.received >= self.step {
            (self.received, self.waited) = (0, Duration::ZERO);
        }
    }

    /// Reads the rest of the body: a client that reads only after it sent all gets the error response, not a broken
    /// pipe.
    pub async fn drain(&mut self, limit: u64) {
        let mut size = 0;
        while let Ok(Some(bytes)) = self.next().await {
            size += bytes.len() as u64;
            if size > limit {
                return;
            }
        }
    }
}
