//! Everything fred: the link to Redis, what goes over it, and what happens while it fails.
//!
//! A link is two connections, one of them for messages. It is made by a task in the background, which watches it by
//! a heartbeat, and makes a new one when it breaks. A command that takes too long takes the link away from the
//! requests at once, until a heartbeat comes back in time: in an outage no request waits.

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

use super::groups::Groups;
use super::scripts;
use super::{SHOWN, SharedKey};
use crate::base::random::{hex, random};
use crate::telemetry::metrics::{self, Lookup, metrics};
use crate::telemetry::trace;
pub use url::RedisUrl;

mod link;
mod url;

/// The longest that a request waits for Redis, in all: the commands that it waits for are one, and a second one on
/// another instance's answer.
pub const COMMAND_TIME: Duration = Duration::from_millis(40);
/// How long a claim holds that is not renewed: that of an instance that died.
pub const CLAIM: Duration = Duration::from_millis(500);
/// How often a claim is renewed.
pub const RENEW: Duration = Duration::from_millis(120);
/// An epoch outlives the values that name it.
const EPOCH_LIFE: Duration = Duration::from_secs(2 * SHOWN.as_secs());
/// Groups that are forgotten when Redis is back, at most; the values of others are stale after a minute anyway.
const MAX_PENDING: usize = 10_000;

/// Whether Redis is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisState {
    Up,
    /// It is gone, or too slow: values are shown without it.
    Down,
}

/// What instances share.
pub struct Shared {
    /// The connection for commands, while it answers in time.
    client: RwLock<Option<Client>>,
    /// Rung when a command took too long.
    tripped: Notify,
    /// `covered:` and what only instances have in common whose values are the same.
    prefix: String,
    /// This instance: its own messages are no news to it.
    id: String,
    numbers: AtomicU64,
    /// Groups that were forgotten here while Redis could not be told.
    pending: Mutex<HashSet<String>>,
    groups: Arc<Groups>,
}

/// What Redis has under a key.
pub enum Fetched {
    Entry {
        bytes: Bytes,
        at: Timestamp,
        epoch: String,
    },
    /// Nothing that will do: this instance asks. Without a claim where Redis is full.
    Claimed {
        claim: Option<Claim>,
        epoch: String,
    },
    /// Another instance asks.
    Held,
    /// Redis is no help.
    Nothing,
}

/// The right of one instance to ask; given back when it is dropped.
pub struct Claim {
    shared: Arc<Shared>,
    lock: String,
    token: String,
}

impl Shared {
    /// Connects in the background: a Redis that is down keeps nobody from starting.
    pub fn start(url: RedisUrl, namespace: &str, groups: Arc<Groups>) -> Arc<Self> {
        let shared = Self::new(namespace, groups);
        tokio::spawn(link::keep(shared.clone(), url));
        shared
    }

    /// Connects as [`Self::start`] would, once.
    pub async fn check(url: &RedisUrl) -> anyhow::Result<()> {
        link::check(&Self::new("check", Arc::default()), url).await
    }

    fn new(namespace: &str, groups: Arc<Groups>) -> Arc<Self> {
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

    /// What is there, unless it is older than that; else the right to ask for it, unless another instance has that.
    pub async fn fetch(self: &Arc<Self>, shared_key: &SharedKey, oldest: Timestamp) -> Fetched {
        let token = self.token();
        let keys = [self.epoch_key(&shared_key.group), self.value_key(shared_key), self.lock_key(shared_key)];
        let arguments = [text(oldest.as_millisecond()), text(&token), millis(CLAIM), millis(EPOCH_LIFE)];
        let answer: Option<Vec<Bytes>> = self.run(scripts::FETCH, keys, arguments).await;
        let Some([epoch, value, outcome]) = answer.and_then(|answer| <[Bytes; 3]>::try_from(answer).ok()) else {
            metrics().lookup(metrics::Cache::Redis, Lookup::Error);
            return Fetched::Nothing;
        };
        let lookup = if &outcome[..] == b"found" { Lookup::Hit } else { Lookup::Miss };
        metrics().lookup(metrics::Cache::Redis, lookup);
        let epoch = String::from_utf8_lossy(&epoch).into_owned();
        match &outcome[..] {
            // What cannot be read has no time; it is written over.
            b"found" => {
                let (at, bytes) = entry(&value).unwrap_or((Timestamp::MAX, Bytes::new()));
                Fetched::Entry { bytes, at, epoch }
            }
            b"claimed" => {
                let claim = Claim { shared: self.clone(), lock: self.lock_key(shared_key), token };
                Fetched::Claimed { claim: Some(claim), epoch }
            }
            b"held" => Fetched::Held,
            _ => Fetched::Claimed { claim: None, epoch },
        }
    }

    /// Keeps what was found, unless its group was forgotten since; then gives the claim back. Nobody waits for it.
    pub fn keep(
        self: Arc<Self>,
        shared_key: &SharedKey,
        epoch: &str,
        bytes: Vec<u8>,
        life: Duration,
        claim: Option<Claim>,
    ) {
        let keys = [self.epoch_key(&shared_key.group), self.value_key(shared_key)];
        let arguments = [text(epoch), now(), Value::Bytes(bytes.into()), millis(life), millis(EPOCH_LIFE)];
        tokio::spawn(async move {
            let _: Option<i64> = self.run(scripts::KEEP, keys, arguments).await;
            drop(claim);
        });
    }

    /// The epoch of a group; `None`: Redis is no help.
    pub async fn epoch(&self, group: &str) -> Option<String> {
        let arguments = [text(self.token()), millis(EPOCH_LIFE)];
        let epoch: Option<String> = self.run(scripts::EPOCH, [self.epoch_key(group)], arguments).await;
        epoch.filter(|epoch| !epoch.is_empty())
    }

    /// Forgets a group, and puts a new value into it unless somebody else did so since `epoch`.
    pub async fn replace(&self, shared_key: &SharedKey, epoch: Option<&str>, bytes: Vec<u8>, life: Duration) {
        let keys = [self.epoch_key(&shared_key.group), self.value_key(shared_key)];
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
        self.or_later(&shared_key.group, done);
    }

    pub async fn forget(&self, group: &str) {
        let arguments = [text(&self.prefix), self.message("forget", group)];
        let done: Option<i64> = self.run(scripts::FORGET, [self.epoch_key(group)], arguments).await;
        self.or_later(group, done);
    }

    /// Tells the others that a group may be there now.
    pub async fn appeared(&self, group: &str) {
        use fred::interfaces::PubsubInterface;
        let message = self.message("appeared", group);
        let _: Option<i64> =
            self.within(async |client: Client| client.publish(self.prefix.as_str(), message).await).await;
    }

    fn or_later(&self, group: &str, done: Option<i64>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if done.is_none() && pending.len() < MAX_PENDING {
            pending.insert(group.to_owned());
        }
    }

    /// A message of another instance.
    fn hear(&self, message: &str) {
        let mut words = message.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(id), ..) if id == self.id => {}
            (_, Some("forget"), Some(group)) => {
                self.groups.forget(group);
            }
            (_, Some("appeared"), Some(group)) => self.groups.appeared(group),
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

    /// A command, where Redis answers it in time.
    async fn within<R>(&self, command: impl AsyncFnOnce(Client) -> Result<R, Error>) -> Option<R> {
        let client = self.client()?;
        match tokio::time::timeout(COMMAND_TIME, trace::client("Redis", command(client))).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!("Redis refused: {error}");
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

    fn client(&self) -> Option<Client> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_client(&self, client: Option<Client>) {
        metrics().set_redis_up(client.is_some());
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Takes the link away from the requests.
    fn trip(&self) {
        self.set_client(None);
        self.tripped.notify_one();
    }

    fn token(&self) -> String {
        format!("{}-{}", self.id, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    fn message(&self, what: &str, group: &str) -> Value {
        text(format!("{} {what} {group}", self.id))
    }

    /// The braces put a group's keys on one node of a cluster.
    fn epoch_key(&self, group: &str) -> String {
        format!("{}:{{{group}}}:epoch", self.prefix)
    }

    fn value_key(&self, shared_key: &SharedKey) -> String {
        format!("{}:{{{}}}:value:{}", self.prefix, shared_key.group, shared_key.name)
    }

    fn lock_key(&self, shared_key: &SharedKey) -> String {
        format!("{}:{{{}}}:lock:{}", self.prefix, shared_key.group, shared_key.name)
    }
}

impl Claim {
    /// Holds the claim for longer; nobody waits for it.
    pub fn renew(&self) {
        self.send(scripts::RENEW, vec![text(&self.token), millis(CLAIM)]);
    }

    fn send(&self, script: &'static str, arguments: Vec<Value>) {
        let (shared, lock) = (self.shared.clone(), self.lock.clone());
        // Where the runtime is gone, the claim ends by itself.
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

/// Whether the connection is at fault, and not what was asked.
fn is_broken(error: &Error) -> bool {
    use ErrorKind::{Backpressure, Canceled, IO, Protocol, Routing, Timeout};
    matches!(error.kind(), IO | Canceled | Timeout | Routing | Protocol | Backpressure)
}

fn text(value: impl ToString) -> Value {
    Value::from(value.to_string())
}

fn millis(time: Duration) -> Value {
    text(time.as_millis())
}

fn now() -> Value {
    text(Timestamp::now().as_millisecond())
}
