//! Stale values and shared look-ups with a paused clock; sharing between instances with a real Redis.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use tokio::time::advance;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::redis::{InvalidServer, Redis};

use super::*;

/// A source that returns a configured value and counts requests.
#[derive(Default)]
struct TestSource {
    value: Mutex<Option<u32>>,
    fails: AtomicBool,
    absent: AtomicBool,
    takes: Duration,
    requests: AtomicUsize,
}

type Key = (&'static str, u32);

impl Source for TestSource {
    type Key = Key;
    type Value = Option<u32>;

    fn group(key: &Key) -> &str {
        key.0
    }

    fn name(key: &Key) -> String {
        key.1.to_string()
    }

    fn write(value: &Option<u32>) -> Vec<u8> {
        value.map(|value| value.to_string()).unwrap_or_default().into_bytes()
    }

    fn read(bytes: &[u8]) -> Option<Option<u32>> {
        if bytes.is_empty() { Some(None) } else { std::str::from_utf8(bytes).ok()?.parse().ok().map(Some) }
    }

    fn is_durable(value: &Option<u32>) -> bool {
        value.is_some()
    }

    async fn look_up(&self, request: SourceRequest<'_, Self>) -> SourceAnswer<Option<u32>> {
        if request.absent {
            return SourceAnswer { value: None, fresh: FRESH, is_confirmed: false, absent: false };
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let value = *self.value.lock().unwrap();
        tokio::time::sleep(self.takes).await;
        if self.fails.load(Ordering::SeqCst) {
            return SourceAnswer {
                value: request.known.flatten(),
                fresh: Duration::from_secs(10),
                is_confirmed: false,
                absent: false,
            };
        }
        let absent = self.absent.load(Ordering::SeqCst);
        SourceAnswer { value: value.filter(|_| !absent), fresh: FRESH, is_confirmed: !absent, absent }
    }
}

impl TestSource {
    fn with_value(value: u32, takes: Duration) -> Arc<Self> {
        Arc::new(Self { value: Mutex::new(Some(value)), takes, ..Self::default() })
    }

    fn set_value(&self, value: u32) {
        *self.value.lock().unwrap() = Some(value);
    }

    fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

const KEY: Key = ("octo/app", 1);
const SOON: Duration = Duration::from_millis(100);

/// Lets background tasks finish, on a paused clock.
async fn settle() {
    tokio::time::sleep(2 * SOON).await;
}

#[tokio::test(start_paused = true)]
async fn stale_values_are_returned_while_one_request_refreshes_them() {
    let source = TestSource::with_value(1, SOON);
    let cache = Cache::new(source.clone(), None);
    assert_eq!(cache.get(KEY).await, Some(1));
    source.set_value(2);
    advance(FRESH - 2 * SOON).await;
    assert_eq!((cache.get(KEY).await, source.request_count()), (Some(1), 1), "fresh");
    advance(2 * SOON).await;
    let before = Instant::now();
    for _ in 0..100 {
        assert_eq!(cache.get(KEY).await, Some(1), "stale");
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "no look-up waited");
    settle().await;
    assert_eq!((cache.get(KEY).await, source.request_count()), (Some(2), 2));
}

#[tokio::test(start_paused = true)]
async fn stale_values_are_returned_for_a_day_if_the_source_fails() {
    let source = TestSource::with_value(1, SOON);
    let cache = Cache::new(source.clone(), None);
    assert_eq!(cache.get(KEY).await, Some(1));
    source.fails.store(true, Ordering::SeqCst);
    let started = Instant::now();
    while started.elapsed() < MAX_STALE - 2 * FRESH {
        advance(FRESH).await;
        let before = Instant::now();
        assert_eq!((cache.get(KEY).await, before.elapsed()), (Some(1), Duration::ZERO));
        settle().await;
    }
    advance(2 * FRESH).await;
    let before = Instant::now();
    source.fails.store(false, Ordering::SeqCst);
    source.set_value(2);
    assert_eq!(cache.get(KEY).await, Some(2), "too old to be returned");
    assert!(before.elapsed() >= SOON, "the look-up waited");
}

#[tokio::test(start_paused = true)]
async fn unknown_values_are_looked_up_again() {
    let source = Arc::new(TestSource { takes: SOON, ..TestSource::default() });
    let cache = Cache::new(source.clone(), None);
    assert_eq!(cache.get(KEY).await, None);
    source.set_value(1);
    advance(FRESH).await;
    assert_eq!(cache.get(KEY).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn values_invalidated_during_a_lookup_are_not_cached() {
    let source = TestSource::with_value(1, SOON);
    let cache = Cache::new(source.clone(), None);
    let (old, ()) = tokio::join!(cache.get(KEY), async {
        tokio::time::sleep(SOON / 2).await;
        cache.invalidate("octo/app").await;
        source.set_value(2);
    });
    assert_eq!((old, cache.get(KEY).await), (Some(1), Some(2)));
    cache.invalidate("octo/app").await;
    source.fails.store(true, Ordering::SeqCst);
    assert_eq!(cache.get(KEY).await, Some(2), "the last known value, while the source fails");
}

#[tokio::test(start_paused = true)]
async fn absent_groups_are_looked_up_once() {
    let source = TestSource::with_value(1, SOON);
    source.absent.store(true, Ordering::SeqCst);
    let cache = Cache::new(source.clone(), None);
    for name in 0..10 {
        assert_eq!(cache.get(("octo/app", name)).await, None);
    }
    assert_eq!(source.request_count(), 1);
    source.absent.store(false, Ordering::SeqCst);
    cache.invalidate_absent("octo/app").await;
    assert_eq!((cache.get(KEY).await, source.request_count()), (Some(1), 2));
}

/// Two instances on one Redis.
async fn pair(url: &str, source: &Arc<TestSource>) -> [Arc<Cache<TestSource>>; 2] {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = RedisUrl::parse(url).unwrap();
    let pair = [0, 1].map(|_| Cache::new(source.clone(), Some((url.clone(), "a test".to_owned()))));
    for cache in &pair {
        until(cache, RedisState::Up).await;
    }
    pair
}

async fn until(cache: &Cache<TestSource>, state: RedisState) {
    let reached = async {
        while cache.redis() != Some(state) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap_or_else(|_| panic!("never {state:?}"));
}

/// Waits until the cache returns `value`, for less time than a value is fresh.
async fn until_returned(cache: &Arc<Cache<TestSource>>, key: &Key, value: u32) {
    let started = Instant::now();
    while cache.get(*key).await != Some(value) {
        assert!(started.elapsed() < FRESH / 2, "{value} is never returned");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Looks up these keys; returns how many look-ups took as long as a Redis command may.
async fn slow_look_ups(cache: &Arc<Cache<TestSource>>, keys: impl Iterator<Item = Key>, value: u32) -> usize {
    let mut slow = 0;
    for key in keys {
        let started = Instant::now();
        assert_eq!(cache.get(key).await, Some(value));
        slow += usize::from(started.elapsed() >= shared::COMMAND_TIME);
    }
    slow
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_values_through_redis() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (redis, source) = (Redis::start(), TestSource::with_value(1, SOON));
    let [one, other] = pair(&redis.url(), &source).await;
    // A cold cache, read through both instances at once.
    let mut counts = Vec::new();
    for key in (1..9).map(|name| ("octo/app", name)) {
        let before = source.request_count();
        let readers = (0..200).map(|reader| {
            let cache = [&one, &other][reader % 2].clone();
            tokio::spawn(async move { cache.get(key).await })
        });
        for reader in readers.collect::<Vec<_>>() {
            assert_eq!(reader.await.unwrap(), Some(1));
        }
        counts.push(source.request_count() - before);
    }
    // On a busy machine Redis may time out: then both instances look it up.
    assert!(
        counts.contains(&1) && counts.iter().all(|count| *count <= 2),
        "one instance looks up for both: {counts:?}"
    );
    let requests = || source.request_count();
    let before = requests();

    source.set_value(2);
    one.invalidate("octo/app").await;
    until_returned(&other, &KEY, 2).await;
    until_returned(&one, &KEY, 2).await;
    assert!((1..=2).contains(&(requests() - before)));

    // A value set on one instance reaches the other through Redis: the source has another value.
    let mut shared = 0;
    for value in 30..35 {
        let ticket = other.write_ticket("octo/app").await;
        other.put(KEY, Some(value), ticket).await;
        let started = Instant::now();
        while one.get(KEY).await != Some(value) && started.elapsed() < 10 * SOON {
            tokio::time::sleep(SOON / 10).await;
        }
        shared += usize::from((one.get(KEY).await, other.get(KEY).await) == (Some(value), Some(value)));
    }
    // On a busy machine Redis may time out now and then.
    assert!(shared >= 3, "{shared} of 5 values were shared");

    source.set_value(4);
    let tickets = [one.write_ticket("octo/app").await, other.write_ticket("octo/app").await];
    let [first, second] = tickets;
    one.put(KEY, Some(33), first).await;
    other.put(KEY, Some(34), second).await;
    // Neither instance knows which of the two values is newer.
    until_returned(&one, &KEY, 4).await;
    until_returned(&other, &KEY, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_survive_a_hanging_and_a_restarted_redis() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (mut redis, source) = (Redis::start(), TestSource::with_value(1, Duration::ZERO));
    let [one, other] = pair(&redis.url(), &source).await;
    assert_eq!((one.get(KEY).await, other.get(KEY).await), (Some(1), Some(1)));
    source.set_value(2);
    redis.pause();
    // The first look-up waits for the time limit. A busy machine may delay others, but not most of them.
    let slow = slow_look_ups(&one, (10..110).map(|name| ("octo/cold", name)), 2).await;
    assert!(slow < 50, "{slow} of 100 look-ups waited");
    assert_eq!(one.redis(), Some(RedisState::Down));
    one.invalidate("octo/app").await;
    assert_eq!(one.get(KEY).await, Some(2), "invalidated here");
    assert_eq!(other.get(KEY).await, Some(1), "the other instance got no invalidation");
    redis.resume();
    until(&one, RedisState::Up).await;
    until_returned(&other, &KEY, 2).await;

    redis.kill();
    until(&one, RedisState::Down).await;
    assert_eq!(one.get(("octo/cold", 1)).await, Some(2));
    source.set_value(3);
    let ticket = one.write_ticket("octo/app").await;
    one.put(KEY, Some(3), ticket).await;
    assert_eq!(one.get(KEY).await, Some(3));
    redis.restart();
    until(&one, RedisState::Up).await;
    until(&other, RedisState::Up).await;
    until_returned(&other, &KEY, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_still_shares_invalidations() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let redis = Redis::with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let source = TestSource::with_value(1, Duration::ZERO);
    let [one, other] = pair(&redis.url(), &source).await;
    assert_eq!((one.get(KEY).await, other.get(KEY).await), (Some(1), Some(1)));
    let junk = "x".repeat(10_000);
    let full = (0..1000).any(|number| redis.command(&["SET", &format!("junk{number}"), &junk]).starts_with("-OOM"));
    assert!(full, "Redis never got full");
    source.set_value(2);
    assert_eq!(one.get(("octo/new", 1)).await, Some(2));
    one.invalidate("octo/app").await;
    until_returned(&other, &KEY, 2).await;
    assert_eq!((one.redis(), other.redis()), (Some(RedisState::Up), Some(RedisState::Up)));
}

/// Waits until a value is stored, which happens in the background. Returns the keys of its epoch and of the value.
async fn stored_keys(redis: &Redis, cache: &Arc<Cache<TestSource>>) -> (String, String) {
    for _ in 0..50 {
        tokio::time::sleep(SOON).await;
        let keys = redis.keys();
        let key = |what: &str| keys.iter().find(|key| key.contains(what)).cloned();
        if let (Some(epoch), Some(value), None) = (key(":epoch"), key(":value:"), key(":lock:")) {
            assert!(value.starts_with("covered:") && epoch.starts_with("covered:"), "{epoch} {value}");
            return (epoch, value);
        }
        cache.invalidate("octo/app").await;
        assert_eq!(cache.get(KEY).await, Some(1));
    }
    panic!("nothing is stored: {:?}", redis.keys());
}

/// Asserts that a new instance reads `value` from the source, and stores it under the key `stored` soon.
async fn assert_overwritten(redis: &Redis, source: &Arc<TestSource>, stored: &str, value: u32, what: &str) {
    let is_stored = || redis.command(&["GET", stored]).ends_with(&format!(" {value}"));
    source.set_value(value);
    // On a busy machine, Redis or this task may time out now and then.
    for _ in 0..10 {
        let [new, _] = pair(&redis.url(), source).await;
        let started = Instant::now();
        assert_eq!(new.get(KEY).await, Some(value), "{what}");
        let in_time = started.elapsed() < MAX_WAIT;
        while started.elapsed() < Duration::from_secs(1) && !is_stored() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if in_time && is_stored() {
            return;
        }
    }
    panic!("{what} is not overwritten, or its lock is waited for too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_values_in_redis_are_misses_and_overwritten() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (redis, source) = (Redis::start(), TestSource::with_value(1, Duration::ZERO));
    let [one, _other] = pair(&redis.url(), &source).await;
    assert_eq!(one.get(KEY).await, Some(1));
    let (epoch, value) = stored_keys(&redis, &one).await;
    let lock = value.replace(":value:", ":lock:");
    let current = redis.command(&["GET", &epoch]);
    let now = Timestamp::now().as_millisecond();
    let cases = [
        (&value, "nonsense".to_owned()),
        (&value, String::new()),
        (&value, format!("{current} {now} {}", "9".repeat(10_000))),
        (&value, format!("{current} {now} no number")),
        (&value, format!("{current} 99999999999999999999 7")),
        (&value, format!("{current} {} 7", now + 3_600_000)),
        (&value, format!("{current} {} 7", now - 100_000_000)),
        (&value, format!("another {now} 7")),
        (&epoch, "no epoch".to_owned()),
        (&lock, "nobody's".to_owned()),
        (&value, "LIST".to_owned()),
        (&epoch, "LIST".to_owned()),
        (&lock, "LIST".to_owned()),
    ];
    for ((key, text), new) in cases.into_iter().zip(10..) {
        redis.command(&["DEL", key]);
        let written = match text.as_str() {
            "LIST" => redis.command(&["RPUSH", key, "7", "8"]),
            _ => redis.command(&["SET", key, &text]),
        };
        assert!(!written.starts_with('-'), "{written}");
        if *key == lock {
            redis.command(&["DEL", &value]);
        }
        assert_overwritten(&redis, &source, &value, new, &format!("{key} {text:.40}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_of_dead_instances_delay_lookups_only_briefly() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (redis, source) = (Redis::start(), TestSource::with_value(1, Duration::ZERO));
    let [one, other] = pair(&redis.url(), &source).await;
    assert_eq!(one.get(("octo/app", 2)).await, Some(1));
    let keys = redis.keys();
    let epoch = keys.iter().find(|key| key.ends_with(":epoch")).unwrap();
    let claim = format!("{} dead-1", redis.command(&["GET", epoch]));
    let mut times = Vec::new();
    for name in 10..15 {
        let lock = epoch.replace(":epoch", &format!(":lock:{name}"));
        redis.command(&["SET", &lock, &claim, "PX", &CLAIM_MILLIS.to_string()]);
        let started = Instant::now();
        assert_eq!(other.get(("octo/app", name)).await, Some(1));
        times.push(started.elapsed());
    }
    // A busy machine may delay some of them.
    assert!(times.iter().filter(|time| **time < MAX_WAIT).count() >= 3, "{times:?}");
}

/// The TTL of a real claim.
const CLAIM_MILLIS: u128 = shared::CLAIM.as_millis();

#[tokio::test(flavor = "multi_thread")]
async fn lookups_work_without_redis_if_its_replies_are_invalid() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for bytes in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b"+PONG\r\n", b"*-7\r\n", b"$9\r\nhalf", b"\0\0\0\0"]
    {
        let (server, source) = (InvalidServer::start(bytes), TestSource::with_value(1, Duration::ZERO));
        let url = RedisUrl::parse(&server.url()).unwrap();
        let cache = Cache::new(source.clone(), Some((url, String::new())));
        let slow = slow_look_ups(&cache, (0..20).map(|name| ("octo/app", name)), 1).await;
        assert!(slow < 10, "{slow} of 20 look-ups waited");
        assert_eq!(cache.redis(), Some(RedisState::Down));
    }
}
