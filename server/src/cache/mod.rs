//! What was found once is shown again: by this process, and through Redis by all that share one.
//!
//! A value is fresh for [`FRESH`]. After that it is still shown, while one request of one instance asks its
//! source again. Redis is a cache alone: its failure is a miss, and no request waits for it longer than
//! [`redis::COMMAND_TIME`]. What a value says is its source's business: here it is bytes.

mod groups;
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
use crate::telemetry::metrics::{self, Lookup, metrics};
use groups::Groups;
use redis::{Claim, Fetched, Shared};
pub use redis::{RedisState, RedisUrl};

/// How long a value is shown without asking for it again.
pub const FRESH: Duration = Duration::from_secs(60);
/// How long a value is shown while it is asked for again; an older one has to be waited for.
pub const SHOWN: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a group that its source does not know is not asked about.
pub const ABSENT: Duration = Duration::from_secs(5 * 60);
/// How long a reader waits for the source, or for another instance that asks it.
const WAIT: Duration = Duration::from_millis(1200);
/// How often an instance looks whether another one, which asks, has got its answer.
const POLL: Duration = Duration::from_millis(40);
/// Values in memory, at most.
const MAX_VALUES: u64 = 10_000;

/// Where values come from. They belong to groups, which are forgotten as a whole.
pub trait Source: Send + Sync + 'static {
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    type Value: Clone + Send + Sync + 'static;

    /// The group of a key.
    fn group(key: &Self::Key) -> &str;
    /// Its name within the group.
    fn name(key: &Self::Key) -> String;
    /// The value as bytes, for Redis.
    fn write(value: &Self::Value) -> Vec<u8>;
    /// The value, unless the bytes are none that were written.
    fn read(bytes: &[u8]) -> Option<Self::Value>;
    /// Whether the value is worth showing while it is asked for again.
    fn is_durable(value: &Self::Value) -> bool;
    /// Finds the value: a failure has an answer too.
    fn ask(&self, question: Question<'_, Self>) -> impl Future<Output = Answer<Self::Value>> + Send;
}

/// Where a value is kept for others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SharedKey {
    group: String,
    name: String,
}

impl SharedKey {
    fn of<S: Source>(key: &S::Key) -> Self {
        Self { group: S::group(key).to_owned(), name: S::name(key) }
    }
}

/// What a source is asked.
pub struct Question<'a, S: Source + ?Sized> {
    pub key: &'a S::Key,
    /// The time that is left for asking others.
    pub time: Duration,
    /// The group was not known a while ago.
    pub absent: bool,
    /// The last value that was seen in this process.
    pub known: Option<S::Value>,
    groups: &'a Groups,
    epoch: u64,
}

impl<S: Source> Question<'_, S> {
    /// Whether the group was forgotten since: what was said then is newer than the answer.
    pub fn is_overtaken(&self) -> bool {
        self.groups.epoch(S::group(self.key)) != self.epoch
    }
}

/// What a source found.
pub struct Answer<V> {
    pub value: V,
    /// How long it is shown without asking again.
    pub fresh: Duration,
    /// The source said it. Else it is the best that is known while the source fails, and stays in this process.
    pub sure: bool,
    /// The source does not know the group.
    pub absent: bool,
}

#[derive(Clone)]
struct Found<V> {
    value: V,
    fresh_until: Instant,
    shown_until: Instant,
    sure: bool,
    refreshing: Arc<AtomicBool>,
}

impl<V> Found<V> {
    fn new(value: V, fresh: Duration, shown: Duration) -> Self {
        let now = Instant::now();
        let refreshing = Arc::default();
        Self { value, fresh_until: now + fresh, shown_until: now + shown.max(fresh), sure: true, refreshing }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now < self.fresh_until
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.shown_until
    }

    /// True for one caller: it refreshes the value.
    fn begins_refresh(&self) -> bool {
        !self.refreshing.swap(true, Ordering::Relaxed)
    }
}

/// A key as it was at one epoch of its group: what was forgotten is not found any more.
type Slot<S> = (<S as Source>::Key, u64);

/// The cache of what a source says.
pub struct Cache<S: Source> {
    source: Arc<S>,
    memory: Memory<Slot<S>, Found<S::Value>>,
    /// The last value by key, whatever was forgotten since: shown where the source fails.
    last: Memory<S::Key, S::Value>,
    groups: Arc<Groups>,
    shared: Option<Arc<Shared>>,
}

/// The right to put a value that was made after this.
pub struct WriteTicket {
    epoch: u64,
    shared_epoch: Option<String>,
}

impl<S: Source> Cache<S> {
    /// `redis`: what to share by, and a name that only those have in common whose values are the same. Needs the runtime.
    pub fn new(source: Arc<S>, redis: Option<(RedisUrl, String)>) -> Arc<Self> {
        let groups = Arc::new(Groups::default());
        let shared = redis.map(|(url, namespace)| Shared::start(url, &namespace, groups.clone()));
        let memory = Memory::builder().max_capacity(MAX_VALUES).time_to_live(SHOWN).build();
        let last = Memory::builder().max_capacity(MAX_VALUES).time_to_live(SHOWN).build();
        Arc::new(Self { source, memory, last, groups, shared })
    }

    /// The value to show; however many ask at once, one look-up is made.
    pub async fn get(self: &Arc<Self>, key: S::Key) -> S::Value {
        let epoch = self.groups.epoch(S::group(&key));
        let (slot, mut now) = ((key, epoch), Instant::now());
        let (is_new, found) = match poll_once(self.memory.get(&slot)) {
            Some(found) if !found.is_over(now) => (false, found),
            // Boxed: what is seldom needed would make every request's future large, and that is moved about.
            _ => {
                let obtained = Box::pin(self.obtain(&slot, Timestamp::UNIX_EPOCH));
                let is_over = |found: &Found<_>| found.is_over(Instant::now());
                let entry = Box::pin(self.memory.entry(slot.clone()).or_insert_with_if(obtained, is_over)).await;
                now = Instant::now();
                (entry.is_fresh(), entry.into_value())
            }
        };
        let is_fresh = found.is_fresh(now);
        if !is_fresh && found.begins_refresh() {
            tokio::spawn(self.clone().refresh(slot, found.clone()));
        }
        let lookup = match (is_new, is_fresh) {
            (true, _) => Lookup::Miss,
            (false, true) => Lookup::Hit,
            (false, false) => Lookup::Stale,
        };
        metrics().lookup(metrics::Cache::Value, lookup);
        found.value
    }

    /// Forgets a group here and everywhere: the next reader's question goes to the source.
    pub async fn forget(&self, group: &str) {
        self.groups.forget(group);
        if let Some(shared) = &self.shared {
            shared.forget(group).await;
        }
    }

    /// A group that was not known may be there now.
    pub async fn appeared(&self, group: &str) {
        self.groups.appeared(group);
        if let Some(shared) = &self.shared {
            shared.appeared(group).await;
        }
    }

    /// Before a new value is decided on: what comes in between from others is noticed by [`Self::put`].
    pub async fn write_ticket(&self, group: &str) -> WriteTicket {
        let epoch = self.groups.epoch(group);
        let shared_epoch = match &self.shared {
            Some(shared) => shared.epoch(group).await,
            None => None,
        };
        WriteTicket { epoch, shared_epoch }
    }

    /// Takes a new value, and forgets the group's others. Where somebody else was there meanwhile, it cannot be told
    /// whose value is the newer one: then nobody's is kept, and the next reader's question goes to the source.
    pub async fn put(&self, key: S::Key, value: S::Value, ticket: WriteTicket) {
        let shared_key = SharedKey::of::<S>(&key);
        let alone = self.groups.epoch(&shared_key.group) == ticket.epoch;
        let epoch = self.groups.forget(&shared_key.group);
        if alone {
            self.last.insert(key.clone(), value.clone()).await;
            let found = Found::new(value.clone(), FRESH, SHOWN);
            self.memory.insert((key, epoch), found).await;
        }
        if let Some(shared) = &self.shared {
            let bytes = S::write(&value);
            shared
                .replace(&shared_key, ticket.shared_epoch.as_deref().filter(|_| alone), bytes, lifetime::<S>(&value))
                .await;
        }
    }

    /// Whether Redis answers; `None`: there is none.
    pub fn redis(&self) -> Option<RedisState> {
        self.shared.as_ref().map(|shared| shared.state())
    }

    async fn refresh(self: Arc<Self>, slot: Slot<S>, old: Found<S::Value>) {
        let oldest = Timestamp::now().checked_sub(FRESH).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut found = self.obtain(&slot, oldest).await;
        if self.groups.epoch(S::group(&slot.0)) == slot.1 {
            if !found.sure {
                // A source that fails does not make a value younger.
                found.shown_until = found.shown_until.min(old.shown_until).max(found.fresh_until);
            }
            self.memory.insert(slot, found).await;
        }
    }

    /// The value from Redis, unless it is older than that; else from the source, which one instance asks.
    async fn obtain(&self, slot: &Slot<S>, oldest: Timestamp) -> Found<S::Value> {
        let (shared_key, begun) = (&SharedKey::of::<S>(&slot.0), Instant::now());
        let (mut claim, mut shared_epoch) = (None, None);
        while let Some(shared) = &self.shared {
            match shared.fetch(shared_key, oldest).await {
                Fetched::Entry { bytes, at, epoch } => {
                    if let Some(found) = from_shared::<S>(&bytes, at) {
                        self.last.insert(slot.0.clone(), found.value.clone()).await;
                        return found;
                    }
                    // Nothing that was written here: it is written over.
                    shared_epoch = Some(epoch);
                    break;
                }
                Fetched::Claimed { claim: ours, epoch } => {
                    (claim, shared_epoch) = (ours, Some(epoch));
                    break;
                }
                Fetched::Held if begun.elapsed() < WAIT => tokio::time::sleep(POLL).await,
                Fetched::Held | Fetched::Nothing => break,
            }
        }
        let answer = self.ask(slot, WAIT.saturating_sub(begun.elapsed()), claim.as_ref()).await;
        let value = answer.value;
        if answer.absent {
            self.groups.mark_absent(&shared_key.group);
        }
        if !answer.sure {
            let shown = if S::is_durable(&value) { SHOWN } else { Duration::ZERO };
            return Found { sure: false, ..Found::new(value, answer.fresh, shown) };
        }
        if self.groups.epoch(&shared_key.group) == slot.1 {
            self.last.insert(slot.0.clone(), value.clone()).await;
        }
        if let (Some(shared), Some(epoch)) = (&self.shared, shared_epoch) {
            shared.clone().keep(shared_key, &epoch, S::write(&value), lifetime::<S>(&value), claim);
        }
        let shown = lifetime::<S>(&value);
        Found::new(value, answer.fresh, shown)
    }

    async fn ask(&self, slot: &Slot<S>, time: Duration, claim: Option<&Claim>) -> Answer<S::Value> {
        let known = self.last.get(&slot.0).await;
        let absent = self.groups.was_absent(S::group(&slot.0));
        let question = Question { key: &slot.0, time, absent, known, groups: &self.groups, epoch: slot.1 };
        let asked = self.source.ask(question);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => return answer,
                () = tokio::time::sleep(redis::RENEW) => {
                    if let Some(claim) = claim {
                        claim.renew();
                    }
                }
            }
        }
    }
}

/// Whether Redis can be reached as a server would reach it.
pub async fn check_redis(url: &RedisUrl) -> anyhow::Result<()> {
    Shared::check(url).await
}

/// How long a value is kept.
fn lifetime<S: Source>(value: &S::Value) -> Duration {
    if S::is_durable(value) { SHOWN } else { FRESH }
}

/// What another instance kept: fresh for what is left of its time.
fn from_shared<S: Source>(bytes: &[u8], at: Timestamp) -> Option<Found<S::Value>> {
    let age = Timestamp::now().duration_since(at);
    // Clocks differ; by more than that, it is no time at all.
    if age.as_secs_f64() < -FRESH.as_secs_f64() {
        return None;
    }
    let age = Duration::try_from(age).unwrap_or_default();
    let value = S::read(bytes)?;
    let life = lifetime::<S>(&value);
    (age < life).then(|| Found::new(value, FRESH.saturating_sub(age), life.saturating_sub(age)))
}

#[cfg(test)]
mod tests;
