//! The part of the cache in Redis: commands with a time limit, and claims.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::interfaces::LuaInterface;
use fred::prelude::{Client, Value};
use fred::types::FromValue;
use jiff::Timestamp;
use ring::digest;
use tokio::sync::Notify;

use crate::base::random::{hex, random};
use crate::cache::groups::Groups;
use crate::cache::policy::MAX_STALE;
use crate::cache::scripts;
use crate::telemetry::metrics::{self, Lookup, metrics};
use crate::telemetry::trace;

/// The time limit of a command. A request waits for one, or for two if another instance asks the source.
pub const COMMAND_TIME: Duration = Duration::from_millis(40);
/// How long a claim is valid without renewal, such as after a crash of its instance.
pub const CLAIM: Duration = Duration::from_millis(500);
/// How often a claim is renewed.
pub const RENEW: Duration = Duration::from_millis(120);
/// An epoch must outlive the values that refer to it.
const EPOCH_LIFE: Duration = Duration::from_secs(2 * MAX_STALE.as_secs());
/// The maximum number of groups to invalidate after an outage; the values of others are stale after a minute.
const MAX_PENDING: usize = 10_000;

/// Whether Redis is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisState {
    Up,
    /// Unreachable or too slow: the cache works without it.
    Down,
}

/// The shared cache in Redis.
pub struct SharedCache {
    /// The connection for commands; `None` while Redis is down.
    client: RwLock<Option<Client>>,
    /// Signals that a command took too long.
    pub(super) tripped: Notify,
    /// `covered:` and a hash of the namespace.
    pub(super) prefix: String,
    /// The ID of this instance, which ignores its own messages.
    pub(super) id: String,
    numbers: AtomicU64,
    /// Groups that were invalidated while Redis was down.
    pub(super) pending: Mutex<HashSet<String>>,
    pub(super) groups: Arc<Groups>,
}

/// The key of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    pub group: String,
    pub name: String,
}

/// The result of a look-up in Redis.
pub enum RedisLookup {
    Entry {
        bytes: Bytes,
        at: Timestamp,
        epoch: String,
    },
    /// No usable value: this instance asks the source. There is no claim if Redis is full.
    Claimed {
        claim: Option<Claim>,
        epoch: String,
    },
    /// Another instance is asking the source.
    ClaimedByOther,
    /// Redis is down.
    Unavailable,
}

/// The right of one instance to ask the source; released on drop.
pub struct Claim {
    shared: Arc<SharedCache>,
    lock: String,
    token: String,
}

impl SharedCache {
    /// Without a connection yet. `namespace`: the same for instances with the same values.
    pub fn new(namespace: &str, groups: Arc<Groups>) -> Arc<Self> {
        let hash = digest::digest(&digest::SHA256, namespace.as_bytes());
        Arc::new(Self {
            client: RwLock::default(),
            tripped: Notify::new(),
            prefix: format!("covered:{}", hex(hash.as_ref().get(..8).unwrap_or_default())),
            id: hex(&random::<8>().unwrap_or_else(|_| u64::from(std::process::id()).to_be_bytes())),
            numbers: AtomicU64::new(0),
            pending: Mutex::default(),
            groups,
        })
    }

    pub fn state(&self) -> RedisState {
        if self.client().is_some() { RedisState::Up } else { RedisState::Down }
    }

    /// Reads a value that is not older than `oldest`, or claims the right to ask the source.
    pub async fn fetch(self: &Arc<Self>, shared_key: &SharedKey, oldest: Timestamp) -> RedisLookup {
        let token = self.token();
        let keys = [self.epoch_key_of(&shared_key.group), self.value_key_of(shared_key), self.lock_key_of(shared_key)];
        let arguments = [text(oldest.as_millisecond()), text(&token), millis(CLAIM), millis(EPOCH_LIFE)];
        let reply: Option<Vec<Bytes>> = self.run(scripts::FETCH, keys, arguments).await;
        let Some([epoch, value, outcome]) = reply.and_then(|reply| <[Bytes; 3]>::try_from(reply).ok()) else {
            metrics().count_lookup(metrics::CacheLabel::Redis, Lookup::Error);
            return RedisLookup::Unavailable;
        };
        let lookup = if &outcome[..] == b"found" { Lookup::Hit } else { Lookup::Miss };
        metrics().count_lookup(metrics::CacheLabel::Redis, lookup);
        let epoch = String::from_utf8_lossy(&epoch).into_owned();
        match &outcome[..] {
            // Invalid data has no time and is overwritten.
            b"found" => {
                let (at, bytes) = entry(&value).unwrap_or((Timestamp::MAX, Bytes::new()));
                RedisLookup::Entry { bytes, at, epoch }
            }
            b"claimed" => {
                let claim = Claim { shared: self.clone(), lock: self.lock_key_of(shared_key), token };
                RedisLookup::Claimed { claim: Some(claim), epoch }
            }
            b"held" => RedisLookup::ClaimedByOther,
            _ => RedisLookup::Claimed { claim: None, epoch },
        }
    }

    /// Stores a value in the background, unless its group was invalidated meanwhile, and releases the claim.
    pub fn store(
        self: Arc<Self>,
        shared_key: &SharedKey,
        epoch: &str,
        bytes: Vec<u8>,
        life: Duration,
        claim: Option<Claim>,
    ) {
        let keys = [self.epoch_key_of(&shared_key.group), self.value_key_of(shared_key)];
        let arguments = [text(epoch), now(), Value::Bytes(bytes.into()), millis(life), millis(EPOCH_LIFE)];
        tokio::spawn(async move {
            let _: Option<i64> = self.run(scripts::STORE, keys, arguments).await;
            drop(claim);
        });
    }

    /// The epoch of a group; `None` if Redis is down.
    pub async fn epoch(&self, group: &str) -> Option<String> {
        let arguments = [text(self.token()), millis(EPOCH_LIFE)];
        let epoch: Option<String> = self.run(scripts::EPOCH, [self.epoch_key_of(group)], arguments).await;
        epoch.filter(|epoch| !epoch.is_empty())
    }

    /// Invalidates a group, and stores a new value unless another instance did so since `epoch`.
    pub async fn replace(&self, shared_key: &SharedKey, epoch: Option<&str>, bytes: Vec<u8>, life: Duration) {
        let keys = [self.epoch_key_of(&shared_key.group), self.value_key_of(shared_key)];
        let arguments = [
            text(&self.prefix),
            self.message("forget", &shared_key.group),
            text(epoch.unwrap_or_default()),
            text(self.token()),
            millis(EPOCH_LIFE),
            now(),
            Value::Bytes(bytes.into()),
            millis(life),
        ];
        let done: Option<i64> = self.run(scripts::REPLACE, keys, arguments).await;
        self.queue_if_failed(&shared_key.group, done);
    }

    pub async fn invalidate(&self, group: &str) {
        let arguments = [text(&self.prefix), self.message("forget", group)];
        let done: Option<i64> = self.run(scripts::INVALIDATE, [self.epoch_key_of(group)], arguments).await;
        self.queue_if_failed(group, done);
    }

    /// Notifies the other instances that a group may exist now.
    pub async fn invalidate_absent(&self, group: &str) {
        use fred::interfaces::PubsubInterface;
        let message = self.message("appeared", group);
        let _: Option<i64> =
            self.within(async |client: Client| client.publish(self.prefix.as_str(), message).await).await;
    }

    /// If the invalidation of a group failed, queues it until the link works again.
    fn queue_if_failed(&self, group: &str, done: Option<i64>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if done.is_none() && pending.len() < MAX_PENDING {
            pending.insert(group.to_owned());
        }
    }

    /// Handles a message of another instance.
    pub(super) fn handle_message(&self, message: &str) {
        let mut words = message.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(id), ..) if id == self.id => {}
            (_, Some("forget"), Some(group)) => {
                self.groups.invalidate(group);
            }
            (_, Some("appeared"), Some(group)) => self.groups.invalidate_absent(group),
            _ => {}
        }
    }

    async fn run<R, const K: usize, const A: usize>(
        &self,
        script: &'static str,
        keys: [String; K],
        arguments: [Value; A],
    ) -> Option<R>
    where
        R: FromValue + Send,
    {
        let (keys, arguments) = (keys.to_vec(), arguments.to_vec());
        self.within(async |client: Client| client.eval(script, keys, arguments).await).await
    }

    /// Runs a command with the time limit.
    async fn within<R>(&self, command: impl AsyncFnOnce(Client) -> Result<R, Error>) -> Option<R> {
        let client = self.client()?;
        match tokio::time::timeout(COMMAND_TIME, trace::client("Redis", command(client))).await {
            Ok(Ok(reply)) => Some(reply),
            Ok(Err(error)) => {
                tracing::debug!("Redis returned an error: {error}");
                if is_broken(&error) {
                    self.trip();
                }
                None
            }
            Err(_) => {
                self.trip();
                None
            }
        }
    }

    pub(super) fn client(&self) -> Option<Client> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_client(&self, client: Option<Client>) {
        metrics().set_redis_up(client.is_some());
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Stops the use of the link.
    fn trip(&self) {
        self.set_client(None);
        self.tripped.notify_one();
    }

    fn token(&self) -> String {
        format!("{}-{}", self.id, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn message(&self, what: &str, group: &str) -> Value {
        text(format!("{} {what} {group}", self.id))
    }

    /// The braces keep a group's keys on one node of a cluster.
    pub(super) fn epoch_key_of(&self, group: &str) -> String {
        format!("{}:{{{group}}}:epoch", self.prefix)
    }

    fn value_key_of(&self, shared_key: &SharedKey) -> String {
        format!("{}:{{{}}}:value:{}", self.prefix, shared_key.group, shared_key.name)
    }

    fn lock_key_of(&self, shared_key: &SharedKey) -> String {
        format!("{}:{{{}}}:lock:{}", self.prefix, shared_key.group, shared_key.name)
    }
}

impl Claim {
    /// Extends the claim in the background.
    pub fn renew(&self) {
        self.send(scripts::RENEW, vec![text(&self.token), millis(CLAIM)]);
    }

    fn send(&self, script: &'static str, arguments: Vec<Value>) {
        let (shared, lock) = (self.shared.clone(), self.lock.clone());
        // Without a runtime, the claim expires by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _: Option<i64> =
                    shared.within(async |client: Client| client.eval(script, vec![lock], arguments).await).await;
            });
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.send(scripts::RELEASE, vec![text(&self.token)]);
    }
}

/// `EPOCH MILLISECONDS VALUE`.
fn entry(bytes: &Bytes) -> Option<(Timestamp, Bytes)> {
    let mut parts = bytes.splitn(3, |byte| *byte == b' ');
    let (_, at, value) = (parts.next()?, parts.next()?, parts.next()?);
    let at = std::str::from_utf8(at).ok()?.parse().ok()?;
    let fits = value.len() <= scripts::MAX_BYTES;
    fits.then_some((Timestamp::from_millisecond(at).ok()?, bytes.slice_ref(value)))
}

/// Whether the connection failed, not the command.
fn is_broken(error: &Error) -> bool {
    use ErrorKind::{Backpressure, Canceled, IO, Protocol, Routing, Timeout};
    matches!(error.kind(), IO | Canceled | Timeout | Routing | Protocol | Backpressure)
}

pub(super) fn text(value: impl ToString) -> Value {
    Value::from(value.to_string())
}

fn millis(time: Duration) -> Value {
    text(time.as_millis())
}

fn now() -> Value {
    text(Timestamp::now().as_millisecond())
}
