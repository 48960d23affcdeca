//! Stale values and shared look-ups with a paused clock; sharing between instances with a real Redis.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use tokio::time::advance;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::redis::{Nonsense, Redis};

use super::*;

/// A source that returns a configured value and counts requests.
#[derive(Default)]
struct Oracle {
    says: Mutex<Option<u32>>,
    fails: AtomicBool,
    absent: AtomicBool,
    takes: Duration,
    asked: AtomicUsize,
}

type Key = (&'static str, u32);

impl Source for Oracle {
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

    async fn ask(&self, question: Question<'_, Self>) -> Answer<Option<u32>> {
        if question.absent {
            return Answer { value: None, fresh: FRESH, sure: false, absent: false };
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let value = *self.says.lock().unwrap();
        tokio::time::sleep(self.takes).await;
        if self.fails.load(Ordering::SeqCst) {
            return Answer {
                value: question.known.flatten(),
                fresh: Duration::from_secs(10),
                sure: false,
                absent: false,
            };
        }
        let absent = self.absent.load(Ordering::SeqCst);
        Answer { value: value.filter(|_| !absent), fresh: FRESH, sure: !absent, absent }
    }
}

impl Oracle {
    fn saying(value: u32, takes: Duration) -> Arc<Self> {
        Arc::new(Self { says: Mutex::new(Some(value)), takes, ..Self::default() })
    }

    fn say(&self, value: u32) {
        *self.says.lock().unwrap() = Some(value);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

const KEY: Key = ("octo/app", 1);
const SOON: Duration = Duration::from_millis(100);

/// Lets background tasks finish, on a paused clock.
async fn settle() {
    tokio::time::sleep(2 * SOON).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_value_is_shown_at_once_while_one_request_refreshes_it() {
    let oracle = Oracle::saying(1, SOON);
    let cache = Cache::new(oracle.clone(), None);
    assert_eq!(cache.get(KEY).await, Some(1));
    oracle.say(2);
    advance(FRESH - 2 * SOON).await;
    assert_eq!((cache.get(KEY).await, oracle.asked()), (Some(1), 1), "fresh");
    advance(2 * SOON).await;
    let before = Instant::now();
    for _ in 0..100 {
        assert_eq!(cache.get(KEY).await, Some(1), "stale");
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody waited");
    settle().await;
    assert_eq!((cache.get(KEY).await, oracle.asked()), (Some(2), 2));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_leaves_the_old_value_for_a_day() {
    let oracle = Oracle::saying(1, SOON);
    let cache = Cache::new(oracle.clone(), None);
    assert_eq!(cache.get(KEY).await, Some(1));
    oracle.fails.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    while begun.elapsed() < SHOWN - 2 * FRESH {
        advance(FRESH).await;
        let before = Instant::now();
        assert_eq!((cache.get(KEY).await, before.elapsed()), (Some(1), Duration::ZERO));
        settle().await;
    }
    advance(2 * FRESH).await;
    let before = Instant::now();
    oracle.fails.store(false, Ordering::SeqCst);
    oracle.say(2);
    assert_eq!(cache.get(KEY).await, Some(2), "too old to be shown");
    assert!(before.elapsed() >= SOON, "it was waited for");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_value_is_waited_for_again() {
    let oracle = Arc::new(Oracle { takes: SOON, ..Oracle::default() });
    let cache = Cache::new(oracle.clone(), None);
    assert_eq!(cache.get(KEY).await, None);
    oracle.say(1);
    advance(FRESH).await;
    assert_eq!(cache.get(KEY).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_while_the_source_is_asked_is_not_kept() {
    let oracle = Oracle::saying(1, SOON);
    let cache = Cache::new(oracle.clone(), None);
    let (old, ()) = tokio::join!(cache.get(KEY), async {
        tokio::time::sleep(SOON / 2).await;
        cache.forget("octo/app").await;
        oracle.say(2);
    });
    assert_eq!((old, cache.get(KEY).await), (Some(1), Some(2)));
    cache.forget("octo/app").await;
    oracle.fails.store(true, Ordering::SeqCst);
    assert_eq!(cache.get(KEY).await, Some(2), "the last that is known, while the source fails");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_there_is_not_asked_about_for_a_while_under_any_name() {
    let oracle = Oracle::saying(1, SOON);
    oracle.absent.store(true, Ordering::SeqCst);
    let cache = Cache::new(oracle.clone(), None);
    for name in 0..10 {
        assert_eq!(cache.get(("octo/app", name)).await, None);
    }
    assert_eq!(oracle.asked(), 1);
    oracle.absent.store(false, Ordering::SeqCst);
    cache.appeared("octo/app").await;
    assert_eq!((cache.get(KEY).await, oracle.asked()), (Some(1), 2));
}

/// Two instances on one Redis.
async fn pair(url: &str, oracle: &Arc<Oracle>) -> [Arc<Cache<Oracle>>; 2] {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = RedisUrl::parse(url).unwrap();
    let pair = [0, 1].map(|_| Cache::new(oracle.clone(), Some((url.clone(), "a test".to_owned()))));
    for cache in &pair {
        until(cache, RedisState::Up).await;
    }
    pair
}

async fn until(cache: &Cache<Oracle>, state: RedisState) {
    let reached = async {
        while cache.redis() != Some(state) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap_or_else(|_| panic!("never {state:?}"));
}

/// Waits until the cache returns `value`, for less time than a value is fresh.
async fn shows(cache: &Arc<Cache<Oracle>>, key: &Key, value: u32) {
    let begun = Instant::now();
    while cache.get(*key).await != Some(value) {
        assert!(begun.elapsed() < FRESH / 2, "{value} is never shown");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Looks up these keys; returns how many look-ups took as long as a Redis command may.
async fn slow_look_ups(cache: &Arc<Cache<Oracle>>, keys: impl Iterator<Item = Key>, value: u32) -> usize {
    let mut slow = 0;
    for key in keys {
        let begun = Instant::now();
        assert_eq!(cache.get(key).await, Some(value));
        slow += usize::from(begun.elapsed() >= redis::COMMAND_TIME);
    }
    slow
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_found_or_was_told_the_other_shows() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (redis, oracle) = (Redis::start(), Oracle::saying(1, SOON));
    let [one, other] = pair(&redis.url(), &oracle).await;
    // A cold cache, read through both instances at once.
    let mut asked = Vec::new();
    for key in (1..9).map(|name| ("octo/app", name)) {
        let before = oracle.asked();
        let readers = (0..200).map(|reader| {
            let cache = [&one, &other][reader % 2].clone();
            tokio::spawn(async move { cache.get(key).await })
        });
        for reader in readers.collect::<Vec<_>>() {
            assert_eq!(reader.await.unwrap(), Some(1));
        }
        asked.push(oracle.asked() - before);
    }
    // On a busy machine Redis may time out: then each instance asks for itself.
    assert!(asked.contains(&1) && asked.iter().all(|asked| *asked <= 2), "one of both asks: {asked:?}");
    let asked = || oracle.asked();
    let before = asked();

    oracle.say(2);
    one.forget("octo/app").await;
    shows(&other, &KEY, 2).await;
    shows(&one, &KEY, 2).await;
    assert!((1..=2).contains(&(asked() - before)));

    // A value set on one instance reaches the other through Redis: the source has another value.
    let mut shared = 0;
    for value in 30..35 {
        let ticket = other.write_ticket("octo/app").await;
        other.put(KEY, Some(value), ticket).await;
        let begun = Instant::now();
        while one.get(KEY).await != Some(value) && begun.elapsed() < 10 * SOON {
            tokio::time::sleep(SOON / 10).await;
        }
        shared += usize::from((one.get(KEY).await, other.get(KEY).await) == (Some(value), Some(value)));
    }
    // On a busy machine Redis may time out now and then.
    assert!(shared >= 3, "{shared} of 5 values were shared");

    oracle.say(4);
    let tickets = [one.write_ticket("octo/app").await, other.write_ticket("octo/app").await];
    let [first, second] = tickets;
    one.put(KEY, Some(33), first).await;
    other.put(KEY, Some(34), second).await;
    // Nobody knows which of the two is newer.
    shows(&one, &KEY, 4).await;
    shows(&other, &KEY, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_costs_no_look_up_more_than_its_bound_and_is_used_again_when_it_is_back() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (mut redis, oracle) = (Redis::start(), Oracle::saying(1, Duration::ZERO));
    let [one, other] = pair(&redis.url(), &oracle).await;
    assert_eq!((one.get(KEY).await, other.get(KEY).await), (Some(1), Some(1)));
    oracle.say(2);
    redis.pause();
    // The first look-up waits for the time limit. A busy machine may delay others, but not most of them.
    let slow = slow_look_ups(&one, (10..110).map(|name| ("octo/cold", name)), 2).await;
    assert!(slow < 50, "{slow} of 100 look-ups waited");
    assert_eq!(one.redis(), Some(RedisState::Down));
    one.forget("octo/app").await;
    assert_eq!(one.get(KEY).await, Some(2), "forgotten here");
    assert_eq!(other.get(KEY).await, Some(1), "the other one cannot know");
    redis.resume();
    until(&one, RedisState::Up).await;
    shows(&other, &KEY, 2).await;

    redis.kill();
    until(&one, RedisState::Down).await;
    assert_eq!(one.get(("octo/cold", 1)).await, Some(2));
    oracle.say(3);
    let ticket = one.write_ticket("octo/app").await;
    one.put(KEY, Some(3), ticket).await;
    assert_eq!(one.get(KEY).await, Some(3));
    redis.start_again();
    until(&one, RedisState::Up).await;
    until(&other, RedisState::Up).await;
    shows(&other, &KEY, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_keeps_nothing_new_and_still_tells_what_is_forgotten() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let redis = Redis::with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let oracle = Oracle::saying(1, Duration::ZERO);
    let [one, other] = pair(&redis.url(), &oracle).await;
    assert_eq!((one.get(KEY).await, other.get(KEY).await), (Some(1), Some(1)));
    let junk = "x".repeat(10_000);
    let full = (0..1000).any(|number| redis.command(&["SET", &format!("junk{number}"), &junk]).starts_with("-OOM"));
    assert!(full, "it never was full");
    oracle.say(2);
    assert_eq!(one.get(("octo/new", 1)).await, Some(2));
    one.forget("octo/app").await;
    shows(&other, &KEY, 2).await;
    assert_eq!((one.redis(), other.redis()), (Some(RedisState::Up), Some(RedisState::Up)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_value_of_ours_is_a_miss_and_written_over() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (redis, oracle) = (Redis::start(), Oracle::saying(1, Duration::ZERO));
    let [one, _other] = pair(&redis.url(), &oracle).await;
    assert_eq!(one.get(KEY).await, Some(1));
    let key = |what: &str| {
        let keys = redis.keys();
        keys.iter().find(|key| key.contains(what)).cloned().unwrap_or_else(|| panic!("no {what} in {keys:?}"))
    };
    // Values are stored in the background.
    let kept = || {
        redis.keys().iter().any(|key| key.contains(":value:")) && !redis.keys().iter().any(|key| key.contains(":lock:"))
    };
    for time in 0.. {
        tokio::time::sleep(SOON).await;
        if kept() {
            break;
        }
        assert!(time < 50, "nothing is kept: {:?}", redis.keys());
        one.forget("octo/app").await;
        assert_eq!(one.get(KEY).await, Some(1));
    }
    let (epoch, value) = (key(":epoch"), key(":value:"));
    assert!(value.starts_with("covered:") && epoch.starts_with("covered:"), "{epoch} {value}");
    let lock = value.replace(":value:", ":lock:");
    let made_in = redis.command(&["GET", &epoch]);
    let now = Timestamp::now().as_millisecond();
    let huge = format!("{made_in} {now} {}", "9".repeat(10_000));
    for (number, (key, text)) in [
        (&value, "nonsense".to_owned()),
        (&value, String::new()),
        (&value, huge),
        (&value, format!("{made_in} {now} no number")),
        (&value, format!("{made_in} 99999999999999999999 7")),
        (&value, format!("{made_in} {} 7", now + 3_600_000)),
        (&value, format!("{made_in} {} 7", now - 100_000_000)),
        (&value, format!("another {now} 7")),
        (&epoch, "no epoch".to_owned()),
        (&lock, "nobody's".to_owned()),
        (&value, "LIST".to_owned()),
        (&epoch, "LIST".to_owned()),
        (&lock, "LIST".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        redis.command(&["DEL", key]);
        let wrote = match text.as_str() {
            "LIST" => redis.command(&["RPUSH", key, "7", "8"]),
            _ => redis.command(&["SET", key, &text]),
        };
        assert!(!wrote.starts_with('-'), "{wrote}");
        if *key == lock {
            redis.command(&["DEL", &value]);
        }
        let says = number as u32 + 10;
        oracle.say(says);
        let ends = format!(" {says}");
        for time in 0.. {
            // A new instance.
            let [new, _] = pair(&redis.url(), &oracle).await;
            let begun = Instant::now();
            assert_eq!(new.get(KEY).await, Some(says), "{key} {text:.40}");
            let in_time = begun.elapsed() < WAIT;
            while begun.elapsed() < Duration::from_secs(1) && !redis.command(&["GET", &value]).ends_with(&ends) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if in_time && redis.command(&["GET", &value]).ends_with(&ends) {
                break;
            }
            // On a busy machine, Redis or this task may have timed out once.
            assert!(time < 10, "{key} {text:.40} is not written over, or somebody is waited for who does not ask");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_died_while_it_asked_is_not_waited_for_long() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (redis, oracle) = (Redis::start(), Oracle::saying(1, Duration::ZERO));
    let [one, other] = pair(&redis.url(), &oracle).await;
    assert_eq!(one.get(("octo/app", 2)).await, Some(1));
    let keys = redis.keys();
    let epoch = keys.iter().find(|key| key.ends_with(":epoch")).unwrap();
    let held = format!("{} dead-1", redis.command(&["GET", epoch]));
    let mut times = Vec::new();
    for name in 10..15 {
        let lock = epoch.replace(":epoch", &format!(":lock:{name}"));
        redis.command(&["SET", &lock, &held, "PX", &CLAIM_MILLIS.to_string()]);
        let begun = Instant::now();
        assert_eq!(other.get(("octo/app", name)).await, Some(1));
        times.push(begun.elapsed());
    }
    // A busy machine may delay some of them.
    assert!(times.iter().filter(|time| **time < WAIT).count() >= 3, "{times:?}");
}

/// The TTL of a real claim.
const CLAIM_MILLIS: u128 = redis::CLAIM.as_millis();

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_talks_nonsense_instead_of_redis_is_no_help_and_no_harm() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for bytes in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b"+PONG\r\n", b"*-7\r\n", b"$9\r\nhalf", b"\0\0\0\0"]
    {
        let (server, oracle) = (Nonsense::start(bytes), Oracle::saying(1, Duration::ZERO));
        let url = RedisUrl::parse(&server.url()).unwrap();
        let cache = Cache::new(oracle.clone(), Some((url, String::new())));
        let slow = slow_look_ups(&cache, (0..20).map(|name| ("octo/app", name)), 1).await;
        assert!(slow < 10, "{slow} of 20 look-ups waited");
        assert_eq!(cache.redis(), Some(RedisState::Down));
    }
}
