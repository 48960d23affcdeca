//! The link to Redis: made, watched, and made anew.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface, LuaInterface, PubsubInterface};
use fred::prelude::{Builder, Client};
use fred::types::Message;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{COMMAND_TIME, RedisUrl, Shared, scripts, text};
use crate::base::random::random;

/// Time to connect, and to be let in.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Time between two heartbeats, and while requests do without Redis.
const BEAT: Duration = Duration::from_secs(1);
const BEAT_WHILE_DOWN: Duration = Duration::from_millis(200);
/// A link without a heartbeat for so long is dead.
const SILENCE: Duration = Duration::from_secs(5);
/// Time before the first and before any further try to connect.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// Time to tell Redis of one group that was forgotten while it was away.
const CATCH_UP_TIME: Duration = Duration::from_secs(1);
/// Time between two lines of the log on a Redis that is slow now and then.
const QUIET: Duration = Duration::from_secs(60);
/// Commands that wait to be sent, at most; messages that wait to be heard.
const MAX_WAITING: usize = 1024;

/// Keeps a link for as long as the process lives.
pub async fn keep(shared: Arc<Shared>, url: RedisUrl) {
    let mut failures = 0;
    loop {
        let opened = timeout(CONNECT_TIME, Link::open(&shared, &url)).await;
        match opened.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {CONNECT_TIME:?}"))) {
            Ok(mut link) => {
                failures = 0;
                // A message may have been missed since the last link.
                shared.groups.forget_all();
                tracing::info!("Redis is reached at {url}");
                let why = link.watch(&shared).await;
                shared.set_client(None);
                tracing::warn!("Redis at {url} is lost, values are shown without it: {why}");
            }
            Err(error) if failures == 0 => {
                tracing::warn!("Redis at {url} does not answer, values are shown without it: {error:#}");
            }
            Err(error) => tracing::debug!("Redis at {url} still does not answer: {error:#}"),
        }
        sleep(delay(failures)).await;
        failures += 1;
    }
}

/// Whether a link can be made.
pub async fn check(shared: &Shared, url: &RedisUrl) -> anyhow::Result<()> {
    Link::open(shared, url).await.map(drop)
}

/// Twice as long after each failure, with a quarter at random: instances shall not come back all at once.
fn delay(failures: u32) -> Duration {
    let time = FIRST_RETRY.saturating_mul(1 << failures.min(10)).min(LAST_RETRY);
    let [byte] = random::<1>().unwrap_or_default();
    time.mul_f64(0.75 + f64::from(byte) / 1024.0)
}

struct Link {
    commands: Client,
    messages: Receiver<Message>,
    /// What this instance says to itself.
    own_channel: String,
    tasks: [Task; 2],
}

/// A connection's task: it ends with the link.
struct Task(JoinHandle<Result<(), Error>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    async fn open(shared: &Shared, url: &RedisUrl) -> anyhow::Result<Self> {
        let (commands, subscriber) = (client(url)?, client(url)?);
        let messages = subscriber.message_rx();
        let mut tasks = [Task(commands.connect()), Task(subscriber.connect())];
        let own_channel = format!("{}:{}", shared.prefix, shared.id);
        let [first, second] = &mut tasks;
        tokio::select! {
            // The connections have no policy for connecting anew: where one breaks, its task ends.
            ended = &mut first.0 => return Err(broken(ended)),
            ended = &mut second.0 => return Err(broken(ended)),
            ready = async {
                let _: String = commands.ping(None).await?;
                subscriber.subscribe(vec![shared.prefix.clone(), own_channel.clone()]).await
            } => ready.map_err(|error| anyhow::anyhow!("{}", said(&error)))?,
        }
        Ok(Self { commands, messages, own_channel, tasks })
    }

    /// Looks after the link until it breaks, and says why it did.
    async fn watch(&mut self, shared: &Shared) -> String {
        let (mut beats, mut sent, mut heard) = (0_u64, Instant::now(), Instant::now());
        let mut told: Option<Instant> = None;
        self.beat(beats);
        loop {
            let is_up = shared.client().is_some();
            let [first, second] = &mut self.tasks;
            let next = if is_up { BEAT } else { BEAT_WHILE_DOWN };
            tokio::select! {
                message = self.messages.recv() => match message {
                    Ok(message) if *message.channel == self.own_channel => {
                        heard = Instant::now();
                        let last = message.value.as_string().is_some_and(|beat| beat == beats.to_string());
                        if !is_up && last && sent.elapsed() < COMMAND_TIME && self.catch_up(shared).await {
                            shared.set_client(Some(self.commands.clone()));
                        }
                    }
                    Ok(message) => shared.hear(&message.value.as_string().unwrap_or_default()),
                    Err(RecvError::Lagged(count)) => return format!("{count} messages were missed"),
                    Err(RecvError::Closed) => return "the connection for messages was closed".to_owned(),
                },
                () = sleep(next.saturating_sub(sent.elapsed())) => {
                    if heard.elapsed() > SILENCE {
                        return format!("no heartbeat for {SILENCE:?}");
                    }
                    beats += 1;
                    sent = Instant::now();
                    self.beat(beats);
                }
                () = shared.tripped.notified() => {
                    if told.is_none_or(|told| told.elapsed() > QUIET) {
                        tracing::warn!("Redis took more than {COMMAND_TIME:?}: values are shown without it until it is faster");
                        told = Some(Instant::now());
                    }
                }
                ended = &mut first.0 => return broken(ended).to_string(),
                ended = &mut second.0 => return broken(ended).to_string(),
            }
        }
    }

    /// A message to this instance itself: it goes all the way, and nobody waits for it here.
    fn beat(&self, number: u64) {
        let (commands, channel) = (self.commands.clone(), self.own_channel.clone());
        tokio::spawn(async move {
            let _ = timeout(SILENCE, commands.publish::<i64, _, _>(channel, number.to_string())).await;
        });
    }

    /// Tells Redis what was forgotten while it was away; whether it was told all.
    async fn catch_up(&self, shared: &Shared) -> bool {
        loop {
            let next = shared.pending.lock().unwrap_or_else(PoisonError::into_inner).iter().next().cloned();
            let Some(group) = next else { return true };
            let arguments = vec![text(&shared.prefix), shared.message("forget", &group)];
            let told = self.commands.eval::<i64, _, _, _>(scripts::FORGET, vec![shared.epoch_key(&group)], arguments);
            if !matches!(timeout(CATCH_UP_TIME, told).await, Ok(Ok(_))) {
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

fn broken(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Err(error)) => anyhow::anyhow!("{}", said(&error)),
        Ok(Ok(())) => anyhow::anyhow!("the connection was closed"),
        Err(error) => error.into(),
    }
}

/// What an error says. Of the system's the library tells the debug form: `Os { …, message: "Connection refused" }`, or
/// `Custom { …, error: "…" }`.
fn said(error: &Error) -> String {
    let details = error.details();
    let quoted = ["message: \"", "error: \""].iter().find_map(|mark| details.split_once(mark)?.1.split_once('"'));
    quoted.map_or_else(|| error.to_string(), |(said, _)| said.to_owned())
}
