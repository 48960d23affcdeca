//! Limits connections, in total and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::log_throttle::LogThrottle;
use crate::network::client::rate_limit_key;

const ALL_TAKEN: &str = "the server has too many open connections: try again in a few seconds";
const TAKEN_BY_ADDRESS: &str =
    "too many connections are open from your address: close some, or try again in a few seconds";

/// Counts the open connections.
///
/// A few connections above the limit receive 503, but can check the server's health. Further ones are closed at once.
pub struct Admission {
    limit: usize,
    limit_by_client: usize,
    open: Mutex<ConnectionCounts>,
    log_throttle: LogThrottle,
}

#[derive(Default)]
struct ConnectionCounts {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// An open connection, until it is dropped.
pub struct ConnectionPermit {
    admission: Arc<Admission>,
    client: Option<IpAddr>,
    /// The error for its requests, if it is beyond a limit.
    pub rejection: Option<&'static str>,
}

impl Admission {
    pub fn new(limit: usize, limit_by_client: usize) -> Self {
        Self { limit, limit_by_client, open: Mutex::default(), log_throttle: LogThrottle::default() }
    }

    /// Admits a connection. `address`: its peer; `None` for a trusted proxy, which has many clients.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<ConnectionPermit> {
        let client = address.map(rate_limit_key);
        let mut open = self.lock();
        let by_client = client.map_or(0, |client| open.by_client.get(&client).copied().unwrap_or_default());
        let rejection = if open.all >= self.limit {
            Some(ALL_TAKEN)
        } else {
            (by_client >= self.limit_by_client).then_some(TAKEN_BY_ADDRESS)
        };
        let none_left = open.all >= with_spare(self.limit) || by_client >= with_spare(self.limit_by_client);
        if !none_left {
            open.all += 1;
            if let Some(client) = client {
                *open.by_client.entry(client).or_default() += 1;
            }
        }
        let all = open.all;
        drop(open);
        if let Some(why) = rejection
            && self.log_throttle.try_acquire()
        {
            let name = if why == ALL_TAKEN { "MAX_CONNECTIONS" } else { "MAX_CONNECTIONS_PER_ADDRESS" };
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            tracing::warn!(connections = all, address, "rejecting connections: {name} is reached");
        }
        (!none_left).then(|| ConnectionPermit { admission: self.clone(), client, rejection })
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionCounts> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of connections that fit into the limit of file descriptors, which is raised as far as possible. A quarter
/// is reserved for files and outgoing requests.
pub fn within_file_limit(requested: usize) -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).ok().and_then(|files| usize::try_from(files).ok());
    let Some(files) = files else {
        return requested;
    };
    let usable = files / 4 * 3;
    let possible = usable.saturating_sub(usable / 16 + 16).max(1);
    if with_spare(requested) <= usable {
        return requested;
    }
    tracing::warn!(
        "MAX_CONNECTIONS={requested} exceeds the file descriptors of this process: it can open {files} files \
         (ulimit -n, LimitNOFILE=), so the limit is {possible} connections"
    );
    possible
}

/// The limit and the spare connections beyond it.
fn with_spare(limit: usize) -> usize {
    limit.saturating_add(limit / 16 + 16)
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.admission.lock();
        open.all -= 1;
        if let Some(client) = self.client
            && let Some(count) = open.by_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn connections_above_the_limit_get_an_error_and_then_are_closed() {
        let admission = Arc::new(Admission::new(2, 100));
        let mut permits: Vec<ConnectionPermit> =
            (0..2).map(|_| admission.admit(address("192.0.2.1")).unwrap()).collect();
        assert!(permits.iter().all(|permit| permit.rejection.is_none()));
        for _ in 0..16 {
            let permit = admission.admit(address("192.0.2.2")).unwrap();
            assert_eq!(permit.rejection, Some(ALL_TAKEN));
            permits.push(permit);
        }
        assert!(admission.admit(None).is_none());
        permits.truncate(1);
        assert!(admission.admit(None).unwrap().rejection.is_none());
        drop(permits);
        assert!(admission.lock().by_client.is_empty() && admission.lock().all == 0);
    }

    #[test]
    fn connections_are_limited_per_address_except_for_trusted_proxies() {
        let admission = Arc::new(Admission::new(100, 1));
        let _one = admission.admit(address("2001:db8::1")).unwrap();
        let same_network = admission.admit(address("2001:db8::2")).unwrap();
        assert_eq!(same_network.rejection, Some(TAKEN_BY_ADDRESS));
        let _other = admission.admit(address("2001:db8:0:1::1")).unwrap();
        assert!(_other.rejection.is_none());
        let proxied: Vec<Option<ConnectionPermit>> = (0..50).map(|_| admission.admit(None)).collect();
        assert!(proxied.iter().all(|permit| permit.as_ref().is_some_and(|permit| permit.rejection.is_none())));
    }
}
