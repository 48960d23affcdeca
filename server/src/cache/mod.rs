//! A cache of the source's values in this process, shared between instances through Redis.
//!
//! A value is fresh for [`FRESH`]. A stale value is still served, while one request of one instance refreshes it. Redis
//! is optional: its failure is a miss, and no request waits for it longer than [`shared::COMMAND_TIME`]. The cache
//! treats values as bytes.

mod groups;
mod policy;
mod redis;
mod scripts;

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache as Memory;
use tokio::time::Instant;

use crate::base::poll::poll_once;
use crate::cache::groups::Groups;
use crate::cache::policy::MAX_STALE;
pub use crate::cache::policy::{ABSENT, FRESH};
pub use crate::cache::redis::shared::RedisState;
use crate::cache::redis::shared::{self, Claim, RedisLookup, SharedCache, SharedKey};
pub use crate::cache::redis::url::RedisUrl;
use crate::telemetry::metrics::{self, Lookup, metrics};

/// How long a request waits for the source, or for another instance's look-up.
const MAX_WAIT: Duration = Duration::from_millis(1200);
/// How often an instance polls Redis for the result of another instance's look-up.
const POLL_INTERVAL: Duration = Duration::from_millis(40);
/// The maximum number of values in memory.
const MAX_VALUES: u64 = 10_000;

/// A source of values. Values belong to groups, which are invalidated as a whole.
pub trait Source: Send + Sync + 'static {
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    type Value: Clone + Send + Sync + 'static;

    /// The group of a key.
    fn group(key: &Self::Key) -> &str;
    /// The name of a key within its group.
    fn name(key: &Self::Key) -> String;
    /// The value as bytes, for Redis.
    fn write(value: &Self::Value) -> Vec<u8>;
    /// Decodes a value; `None` if the bytes are invalid.
    fn read(bytes: &[u8]) -> Option<Self::Value>;
    /// Whether a stale value may be served.
    fn is_durable(value: &Self::Value) -> bool;
    /// Looks up a value; a failure returns the best known value.
    fn look_up(&self, request: SourceRequest<'_, Self>) -> impl Future<Output = SourceAnswer<Self::Value>> + Send;
}

/// A request to a source.
pub struct SourceRequest<'a, S: Source + ?Sized> {
    pub key: &'a S::Key,
    /// The time limit.
    pub time: Duration,
    /// The source recently did not know the group.
    pub absent: bool,
    /// The last value seen in this process.
    pub known: Option<S::Value>,
    groups: &'a Groups,
    epoch: u64,
}

impl<S: Source> SourceRequest<'_, S> {
    /// Whether the group was invalidated meanwhile, so that the answer is outdated.
    pub fn is_outdated(&self) -> bool {
        self.groups.epoch(S::group(self.key)) != self.epoch
    }
}

/// The answer of a source.
pub struct SourceAnswer<V> {
    pub value: V,
    /// How long the value is fresh.
    pub fresh: Duration,
    /// Whether the source returned it. Otherwise it is the best known value while the source fails, and is not shared.
    pub is_confirmed: bool,
    /// The source does not know the group.
    pub absent: bool,
}

#[derive(Clone)]
struct CachedValue<V> {
    value: V,
    fresh_until: Instant,
    stale_until: Instant,
    is_confirmed: bool,
    refreshing: Arc<AtomicBool>,
}

impl<V> CachedValue<V> {
    fn new(value: V, fresh: Duration, stale: Duration) -> Self {
        let now = Instant::now();
        let refreshing = Arc::default();
        Self { value, fresh_until: now + fresh, stale_until: now + stale.max(fresh), is_confirmed: true, refreshing }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now < self.fresh_until
    }

    fn is_expired(&self, now: Instant) -> bool {
        now >= self.stale_until
    }

    /// Returns true for one caller, which then refreshes the value.
    fn try_begin_refresh(&self) -> bool {
        !self.refreshing.swap(true, Ordering::Relaxed)
    }
}

/// A key at one epoch of its group: values of older epochs are never found.
type Slot<S> = (<S as Source>::Key, u64);

/// The cache in front of a source.
pub struct Cache<S: Source> {
    source: Arc<S>,
    memory: Memory<Slot<S>, CachedValue<S::Value>>,
    /// The last value by key, also after an invalidation: a fallback while the source fails.
    last: Memory<S::Key, S::Value>,
    groups: Arc<Groups>,
    shared: Option<Arc<SharedCache>>,
}

/// The epochs before a write; [`Cache::put`] uses them to detect concurrent changes.
pub struct WriteTicket {
    epoch: u64,
    shared_epoch: Option<String>,
}

impl<S: Source> Cache<S> {
    /// `redis`: the URL, and a namespace for instances with the same values. Must run inside the runtime.
    pub fn new(source: Arc<S>, redis: Option<(RedisUrl, String)>) -> Arc<Self> {
        let groups = Arc::new(Groups::default());
        let shared = redis.map(|(url, namespace)| redis::start(url, &namespace, groups.clone()));
        let memory = Memory::builder().max_capacity(MAX_VALUES).time_to_live(MAX_STALE).build();
        let last = Memory::builder().max_capacity(MAX_VALUES).time_to_live(MAX_STALE).build();
        Arc::new(Self { source, memory, last, groups, shared })
    }

    /// The value; concurrent requests share one look-up.
    pub async fn get(self: &Arc<Self>, key: S::Key) -> S::Value {
        let epoch = self.groups.epoch(S::group(&key));
        let (slot, mut now) = ((key, epoch), Instant::now());
        let (is_new, found) = match poll_once(self.memory.get(&slot)) {
            Some(found) if !found.is_expired(now) => (false, found),
            // Boxed to keep the future of the common path small.
            _ => {
                let obtained = Box::pin(self.obtain(&slot, Timestamp::UNIX_EPOCH));
                let is_expired = |found: &CachedValue<_>| found.is_expired(Instant::now());
                let entry = Box::pin(self.memory.entry(slot.clone()).or_insert_with_if(obtained, is_expired)).await;
                now = Instant::now();
                (entry.is_fresh(), entry.into_value())
            }
        };
        let is_fresh = found.is_fresh(now);
        if !is_fresh && found.try_begin_refresh() {
            tokio::spawn(self.clone().refresh(slot, found.clone()));
        }
        let lookup = match (is_new, is_fresh) {
            (true, _) => Lookup::Miss,
            (false, true) => Lookup::Hit,
            (false, false) => Lookup::Stale,
        };
        metrics().count_lookup(metrics::CacheLabel::Value, lookup);
        found.value
    }

    /// Invalidates a group on all instances: the next request asks the source.
    pub async fn invalidate(&self, group: &str) {
        self.groups.invalidate(group);
        if let Some(shared) = &self.shared {
            shared.invalidate(group).await;
        }
    }

    /// Invalidates a group that was unknown and may exist now.
    pub async fn invalidate_absent(&self, group: &str) {
        self.groups.invalidate_absent(group);
        if let Some(shared) = &self.shared {
            shared.invalidate_absent(group).await;
        }
    }

    /// Call this before you decide on a new value: [`Self::put`] then detects concurrent changes.
    pub async fn write_ticket(&self, group: &str) -> WriteTicket {
        let epoch = self.groups.epoch(group);
        let shared_epoch = match &self.shared {
            Some(shared) => shared.epoch(group).await,
            None => None,
        };
        WriteTicket { epoch, shared_epoch }
    }

    /// Stores a new value and invalidates the group's others. After a concurrent change, keeps neither value, as it is
    /// unknown which one is newer: the next request asks the source.
    pub async fn put(&self, key: S::Key, value: S::Value, ticket: WriteTicket) {
        let shared_key = shared_key::<S>(&key);
        let epoch = self.groups.invalidate_since(&shared_key.group, ticket.epoch);
        if let Some(epoch) = epoch {
            self.last.insert(key.clone(), value.clone()).await;
            let found = CachedValue::new(value.clone(), FRESH, MAX_STALE);
            self.memory.insert((key, epoch), found).await;
        }
        if let Some(shared) = &self.shared {
            let bytes = S::write(&value);
            shared
                .replace(
                    &shared_key,
                    ticket.shared_epoch.as_deref().filter(|_| epoch.is_some()),
                    bytes,
                    lifetime::<S>(&value),
                )
                .await;
        }
    }

    /// Whether Redis is up; `None` if it is not configured.
    pub fn redis(&self) -> Option<RedisState> {
        self.shared.as_ref().map(|shared| shared.state())
    }

    async fn refresh(self: Arc<Self>, slot: Slot<S>, old: CachedValue<S::Value>) {
        let oldest = Timestamp::now().checked_sub(FRESH).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut found = self.obtain(&slot, oldest).await;
        if self.groups.epoch(S::group(&slot.0)) == slot.1 {
            if !found.is_confirmed {
                // A failure must not extend the value's life.
                found.stale_until = found.stale_until.min(old.stale_until).max(found.fresh_until);
            }
            self.memory.insert(slot, found).await;
        }
    }

    /// Reads the value from Redis if it is not older than `oldest`, otherwise from the source. Only one instance asks
    /// the source.
    async fn obtain(&self, slot: &Slot<S>, oldest: Timestamp) -> CachedValue<S::Value> {
        let (shared_key, started) = (&shared_key::<S>(&slot.0), Instant::now());
        let (mut claim, mut shared_epoch) = (None, None);
        while let Some(shared) = &self.shared {
            match shared.fetch(shared_key, oldest).await {
                RedisLookup::Entry { bytes, at, epoch } => {
                    if let Some(found) = from_shared::<S>(&bytes, at) {
                        self.last.insert(slot.0.clone(), found.value.clone()).await;
                        return found;
                    }
                    // Invalid data: overwrite it.
                    shared_epoch = Some(epoch);
                    break;
                }
                RedisLookup::Claimed { claim: own_claim, epoch } => {
                    (claim, shared_epoch) = (own_claim, Some(epoch));
                    break;
                }
                RedisLookup::ClaimedByOther if started.elapsed() < MAX_WAIT => tokio::time::sleep(POLL_INTERVAL).await,
                RedisLookup::ClaimedByOther | RedisLookup::Unavailable => break,
            }
        }
        let answer = self.look_up(slot, MAX_WAIT.saturating_sub(started.elapsed()), claim.as_ref()).await;
        let value = answer.value;
        if answer.absent {
            self.groups.mark_absent(&shared_key.group);
        }
        if !answer.is_confirmed {
            let stale = if S::is_durable(&value) { MAX_STALE } else { Duration::ZERO };
            return CachedValue { is_confirmed: false, ..CachedValue::new(value, answer.fresh, stale) };
        }
        if self.groups.epoch(&shared_key.group) == slot.1 {
            self.last.insert(slot.0.clone(), value.clone()).await;
        }
        if let (Some(shared), Some(epoch)) = (&self.shared, shared_epoch) {
            shared.clone().store(shared_key, &epoch, S::write(&value), lifetime::<S>(&value), claim);
        }
        let stale = lifetime::<S>(&value);
        CachedValue::new(value, answer.fresh, stale)
    }

    async fn look_up(&self, slot: &Slot<S>, time: Duration, claim: Option<&Claim>) -> SourceAnswer<S::Value> {
        let known = self.last.get(&slot.0).await;
        let absent = self.groups.is_absent(S::group(&slot.0));
        let request = SourceRequest { key: &slot.0, time, absent, known, groups: &self.groups, epoch: slot.1 };
        let look_up = self.source.look_up(request);
        tokio::pin!(look_up);
        loop {
            tokio::select! {
                answer = &mut look_up => return answer,
                () = tokio::time::sleep(shared::RENEW) => {
                    if let Some(claim) = claim {
                        claim.renew();
                    }
                }
            }
        }
    }
}

/// Connects to Redis once, as the server does.
pub async fn check_redis(url: &RedisUrl) -> anyhow::Result<()> {
    redis::check(url).await
}

/// The key of a value in Redis.
fn shared_key<S: Source>(key: &S::Key) -> SharedKey {
    SharedKey { group: S::group(key).to_owned(), name: S::name(key) }
}

/// How long a value is stored.
fn lifetime<S: Source>(value: &S::Value) -> Duration {
    if S::is_durable(value) { MAX_STALE } else { FRESH }
}

/// A value of another instance, fresh for the rest of its time.
fn from_shared<S: Source>(bytes: &[u8], at: Timestamp) -> Option<CachedValue<S::Value>> {
    let age = Timestamp::now().duration_since(at);
    // Tolerate clock differences of up to [`FRESH`].
    if age.as_secs_f64() < -FRESH.as_secs_f64() {
        return None;
    }
    let age = Duration::try_from(age).unwrap_or_default();
    let value = S::read(bytes)?;
    let stored_for = lifetime::<S>(&value);
    (age < stored_for).then(|| CachedValue::new(value, FRESH.saturating_sub(age), stored_for.saturating_sub(age)))
}

#[cfg(test)]
mod tests;
