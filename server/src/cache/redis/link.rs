//! Opens, monitors and reopens the link to Redis.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface, LuaInterface, PubsubInterface};
use fred::prelude::{Builder, Client};
use fred::types::Message;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::base::retry;
use crate::cache::redis::shared::{COMMAND_TIME, SharedCache, text};
use crate::cache::redis::url::RedisUrl;
use crate::cache::scripts;

/// Time to connect and to authenticate.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// The time between two heartbeats, normally and while Redis is not in use.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
const HEARTBEAT_INTERVAL_WHILE_DOWN: Duration = Duration::from_millis(200);
/// A link is dead after this time without a heartbeat.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest and the longest delay before reconnecting.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// Time to invalidate one group after an outage.
const CATCH_UP_TIME: Duration = Duration::from_secs(1);
/// The time between two log lines about a slow Redis.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// The maximum number of queued commands, and of queued messages.
const MAX_WAITING: usize = 1024;

/// Keeps a link open as long as the process runs.
pub async fn run(shared: Arc<SharedCache>, url: RedisUrl) {
    let mut failures = 0;
    loop {
        let opened = timeout(CONNECT_TIME, Link::open(&shared, &url)).await;
        match opened.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {CONNECT_TIME:?}"))) {
            Ok(mut link) => {
                failures = 0;
                // Messages may have been lost since the last link.
                shared.groups.invalidate_all();
                tracing::info!("connected to Redis at {url}");
                let why = link.monitor(&shared).await;
                shared.set_client(None);
                tracing::warn!("lost the connection to Redis at {url}, badges are served without it: {why}");
            }
            Err(error) if failures == 0 => {
                tracing::warn!("cannot connect to Redis at {url}, badges are served without it: {error:#}");
            }
            Err(error) => tracing::debug!("still cannot connect to Redis at {url}: {error:#}"),
        }
        sleep(retry::delay(failures, FIRST_RETRY, LAST_RETRY)).await;
        failures += 1;
    }
}

/// Opens a link once.
pub async fn check(shared: &SharedCache, url: &RedisUrl) -> anyhow::Result<()> {
    Link::open(shared, url).await.map(drop)
}

struct Link {
    commands: Client,
    messages: Receiver<Message>,
    /// The channel of this instance's heartbeats.
    own_channel: String,
    tasks: [Task; 2],
}

/// A connection's task, aborted on drop.
struct Task(JoinHandle<Result<(), Error>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    async fn open(shared: &SharedCache, url: &RedisUrl) -> anyhow::Result<Self> {
        let (commands, subscriber) = (client(url)?, client(url)?);
        let messages = subscriber.message_rx();
        let mut tasks = [Task(commands.connect()), Task(subscriber.connect())];
        let own_channel = format!("{}:{}", shared.prefix, shared.id);
        let [first, second] = &mut tasks;
        tokio::select! {
            // The connections do not reconnect by themselves: their tasks end on failure.
            ended = &mut first.0 => return Err(connection_error(ended)),
            ended = &mut second.0 => return Err(connection_error(ended)),
            ready = async {
                let _: String = commands.ping(None).await?;
                subscriber.subscribe(vec![shared.prefix.clone(), own_channel.clone()]).await
            } => ready.map_err(|error| anyhow::anyhow!("{}", message_of(&error)))?,
        }
        Ok(Self { commands, messages, own_channel, tasks })
    }

    /// Monitors the link until it breaks, and returns the reason.
    async fn monitor(&mut self, shared: &SharedCache) -> String {
        let (mut beats, mut sent, mut last_heartbeat) = (0_u64, Instant::now(), Instant::now());
        let mut last_warning: Option<Instant> = None;
        self.beat(beats);
        loop {
            let is_up = shared.client().is_some();
            let [first, second] = &mut self.tasks;
            let next = if is_up { HEARTBEAT_INTERVAL } else { HEARTBEAT_INTERVAL_WHILE_DOWN };
            tokio::select! {
                message = self.messages.recv() => match message {
                    Ok(message) if *message.channel == self.own_channel => {
                        last_heartbeat = Instant::now();
                        let last = message.value.as_string().is_some_and(|beat| beat == beats.to_string());
                        if !is_up && last && sent.elapsed() < COMMAND_TIME && self.catch_up(shared).await {
                            shared.set_client(Some(self.commands.clone()));
                        }
                    }
                    Ok(message) => shared.handle_message(&message.value.as_string().unwrap_or_default()),
                    Err(RecvError::Lagged(count)) => return format!("{count} messages were lost"),
                    Err(RecvError::Closed) => return "the connection for messages was closed".to_owned(),
                },
                () = sleep(next.saturating_sub(sent.elapsed())) => {
                    if last_heartbeat.elapsed() > HEARTBEAT_TIMEOUT {
                        return format!("no heartbeat for {HEARTBEAT_TIMEOUT:?}");
                    }
                    beats += 1;
                    sent = Instant::now();
                    self.beat(beats);
                }
                () = shared.tripped.notified() => {
                    if last_warning.is_none_or(|last_warning| last_warning.elapsed() > WARNING_INTERVAL) {
                        tracing::warn!("Redis took more than {COMMAND_TIME:?} to respond: badges are served without it until it is faster");
                        last_warning = Some(Instant::now());
                    }
                }
                ended = &mut first.0 => return connection_error(ended).to_string(),
                ended = &mut second.0 => return connection_error(ended).to_string(),
            }
        }
    }

    /// Sends a heartbeat to this instance itself through Redis, in the background.
    fn beat(&self, number: u64) {
        let (commands, channel) = (self.commands.clone(), self.own_channel.clone());
        tokio::spawn(async move {
            let _ = timeout(HEARTBEAT_TIMEOUT, commands.publish::<i64, _, _>(channel, number.to_string())).await;
        });
    }

    /// Sends the invalidations of the outage. Returns whether all were sent.
    async fn catch_up(&self, shared: &SharedCache) -> bool {
        loop {
            let next = shared.pending.lock().unwrap_or_else(PoisonError::into_inner).iter().next().cloned();
            let Some(group) = next else { return true };
            let arguments = vec![text(&shared.prefix), shared.message("forget", &group)];
            let sent =
                self.commands.eval::<i64, _, _, _>(scripts::INVALIDATE, vec![shared.epoch_key_of(&group)], arguments);
            if !matches!(timeout(CATCH_UP_TIME, sent).await, Ok(Ok(_))) {
                return false;
            }
            shared.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
        }
    }
}

fn client(url: &RedisUrl) -> anyhow::Result<Client> {
    let mut builder = Builder::from_config(url.config.clone());
    builder.with_connection_config(|connection| {
        connection.connection_timeout = CONNECT_TIME;
        connection.internal_command_timeout = CONNECT_TIME;
        connection.max_command_attempts = 1;
        connection.max_command_buffer_len = MAX_WAITING;
        connection.tcp.nodelay = Some(true);
    });
    builder.with_performance_config(|performance| performance.broadcast_channel_capacity = MAX_WAITING);
    Ok(builder.build()?)
}

fn connection_error(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Err(error)) => anyhow::anyhow!("{}", message_of(&error)),
        Ok(Ok(())) => anyhow::anyhow!("the connection was closed"),
        Err(error) => error.into(),
    }
}

/// The message of an error. For system errors the library has only the debug form: `Os { …, message: "Connection
/// refused" }`, or `Custom { …, error: "…" }`.
fn message_of(error: &Error) -> String {
    let details = error.details();
    let quoted = ["message: \"", "error: \""].iter().find_map(|mark| details.split_once(mark)?.1.split_once('"'));
    quoted.map_or_else(|| error.to_string(), |(message, _)| message.to_owned())
}
