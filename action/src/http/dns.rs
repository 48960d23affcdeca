//! A DNS cache. ureq resolves the host of each request, even if a connection exists.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Long enough for one step, and short enough to find a host that moved within the retries of a request.
const TTL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct DnsCache<R = DefaultResolver> {
    resolver: R,
    /// By scheme, host and port.
    hosts: Mutex<HashMap<String, Arc<Entry>>>,
}

/// When the addresses were resolved. Locked while resolving, so that concurrent requests share the result.
type Entry = Mutex<Option<(Instant, ResolvedSocketAddrs)>>;

impl<R: Resolver> Resolver for DnsCache<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = format!("{:?}://{:?}", uri.scheme(), uri.authority());
        let host = lock(&self.hosts).entry(host).or_default().clone();
        let mut known = lock(&host);
        if let Some((since, addresses)) = &*known
            && since.elapsed() < TTL
        {
            return Ok(addresses.clone());
        }
        let addresses = self.resolver.resolve(uri, config, timeout)?;
        *known = Some((Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Counts look-ups.
    #[derive(Debug, Default)]
    struct CountingResolver(AtomicUsize);

    impl Resolver for CountingResolver {
        fn resolve(
            &self,
            uri: &Uri,
            config: &Config,
            timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            DefaultResolver::default().resolve(uri, config, timeout)
        }
    }

    #[test]
    fn each_host_and_port_is_resolved_once() {
        let cache = DnsCache::<CountingResolver>::default();
        let resolve =
            |url: &str| cache.resolve(&url.parse().unwrap(), &Config::default(), NextTimeout::default()).unwrap();
        let first = resolve("http://localhost:81/a");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(resolve("http://localhost:81/b?c"), first));
            }
        });
        assert_eq!(cache.resolver.0.load(Ordering::SeqCst), 1);
        assert!(resolve("http://localhost:82/").iter().all(|address| address.port() == 82));
        assert!(resolve("https://localhost/").iter().all(|address| address.port() == 443));
        assert_eq!(cache.resolver.0.load(Ordering::SeqCst), 3);
    }
}
