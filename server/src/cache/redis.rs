//! All use of fred: the link to Redis, its commands, and its failures.
//!
//! A link is two connections, one for commands and one for messages. A background task opens it, monitors it with a
//! heartbeat, and reconnects. After a slow command, requests stop using the link until a heartbeat returns in time: no
//! request waits during an outage.

mod link;
pub mod shared;
pub mod url;

use std::sync::Arc;

use crate::cache::groups::Groups;
use crate::cache::redis::shared::SharedCache;
use crate::cache::redis::url::RedisUrl;

/// Connects in the background, so the server starts without Redis too.
pub fn start(url: RedisUrl, namespace: &str, groups: Arc<Groups>) -> Arc<SharedCache> {
    let shared = SharedCache::new(namespace, groups);
    tokio::spawn(link::run(shared.clone(), url));
    shared
}

/// Connects once, as [`start`] does.
pub async fn check(url: &RedisUrl) -> anyhow::Result<()> {
    link::check(&SharedCache::new("check", Arc::default()), url).await
}
