//! Hosts' addresses: a host is looked up once in a while. ureq asks for each request, also where a connection is there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer holds: a host that moved is found again, within the tries of a request.
const KEPT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Names<R = DefaultResolver> {
    resolver: R,
    /// By scheme, host and port.
    known: Mutex<HashMap<String, (Instant, ResolvedSocketAddrs)>>,
}

impl<R: Resolver> Resolver for Names<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = format!("{:?}://{:?}", uri.scheme(), uri.authority());
        // Held meanwhile: requests that begin at once are for few hosts.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, addresses)) = known.get(&host)
            && since.elapsed() < KEPT
        {
            return Ok(addresses.clone());
        }
        let addresses = self.resolver.resolve(uri, config, timeout)?;
        known.insert(host, (Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Counts what is really looked up.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Resolver for Counting {
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
    fn a_host_is_looked_up_once_whoever_asks_and_another_port_is_another_address() {
        let names = Names::<Counting>::default();
        let ask = |url: &str| names.resolve(&url.parse().unwrap(), &Config::default(), NextTimeout::default()).unwrap();
        let first = ask("http://localhost:81/a");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(ask("http://localhost:81/b?c"), first));
            }
        });
        assert_eq!(names.resolver.0.load(Ordering::SeqCst), 1);
        assert!(ask("http://localhost:82/").iter().all(|address| address.port() == 82));
        assert!(ask("https://localhost/").iter().all(|address| address.port() == 443));
        assert_eq!(names.resolver.0.load(Ordering::SeqCst), 3);
    }
}
