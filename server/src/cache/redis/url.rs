//! `REDIS_URL`.

use std::fmt;

use fred::types::config::Config;
use url::Url;

const SCHEMES: &str = "redis, rediss, valkey, valkeys, or one of these with -cluster or -sentinel";

/// A validated Redis URL.
#[derive(Clone)]
pub struct RedisUrl {
    pub(super) config: Config,
    /// Without user and password.
    redacted: String,
}

impl RedisUrl {
    /// Errors do not contain the URL, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|why| {
            format!("is not a valid URL ({why}): write redis://HOST:6379; a password in it is percent-encoded")
        })?;
        let (kind, suffix) = url.scheme().split_once('-').unwrap_or((url.scheme(), ""));
        if !["redis", "rediss", "valkey", "valkeys"].contains(&kind) || !["", "cluster", "sentinel"].contains(&suffix) {
            return Err(format!("begins with the unknown scheme {}://: use {SCHEMES}", url.scheme()));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("has no host")?;
        if suffix == "cluster" && !matches!(url.path(), "" | "/") {
            return Err("has a path: a cluster has no numbered databases".to_owned());
        }
        let service = url.query_pairs().any(|(name, _)| name == "sentinelServiceName");
        if suffix == "sentinel" && !service {
            return Err("has no service name: add ?sentinelServiceName=NAME".to_owned());
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let redacted = format!("{}://{host}{port}{}", url.scheme(), url.path());
        let config = Config::from_url(text).map_err(|error| format!("cannot be used: {}", error.details()))?;
        Ok(Self { config, redacted })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_redis_setup_are_accepted_and_redacted() {
        for (url, redacted) in [
            ("redis://127.0.0.1", "redis://127.0.0.1"),
            ("redis://user:hunter2@redis.example.com:6380/3", "redis://redis.example.com:6380/3"),
            ("valkey://:hunter2@[::1]:6379", "valkey://[::1]:6379"),
            ("redis-cluster://:hunter2@a:7000?node=b:7001&node=c:7002", "redis-cluster://a:7000"),
            (
                "redis-sentinel://:hunter2@a/1?sentinelServiceName=main&node=b:26379&sentinelPassword=hunter2",
                "redis-sentinel://a/1",
            ),
            ("rediss://:hunter2@redis.example.com", "rediss://redis.example.com"),
        ] {
            let parsed = RedisUrl::parse(url).unwrap();
            assert_eq!(parsed.to_string(), redacted);
            assert!(!format!("{parsed:?}").contains("hunter2"));
            assert_eq!(parsed.config.password.is_some(), url.contains("hunter2"));
        }
    }

    #[test]
    fn errors_for_invalid_redis_urls_omit_the_password() {
        for (url, why) in [
            ("redis", "is not a valid URL"),
            ("http://:hunter2@a", "unknown scheme http://"),
            ("redis-ring://:hunter2@a", "unknown scheme redis-ring://"),
            ("redis:///hunter2", "has no host"),
            ("redis://:hunter2@a:99999", "is not a valid URL (invalid port number)"),
            ("redis://:hunter2@a/many", "cannot be used"),
            ("redis://:hunter2@a/0/1", "cannot be used"),
            ("redis-cluster://:hunter2@a/1", "a cluster has no numbered databases"),
            ("redis-cluster://:hunter2@a?node=b", "cannot be used"),
            ("redis-sentinel://:hunter2@a", "add ?sentinelServiceName=NAME"),
        ] {
            let error = RedisUrl::parse(url).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
