//! Two servers share one Redis and one store: values that one receives are shown by the other, even if Redis fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use xtask::lab::covered::{API_KEY, Server};
use xtask::lab::github::{Fault, Github, Status};
use xtask::lab::http;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::process::poll;
use xtask::lab::redis::Redis;
use xtask::lab::s3::MiniStack;
use xtask::lab::tls::TlsFront;

use crate::{REPOSITORY, SHA, Settings, files_in, server, setting};

const BADGE: &str = "/badge/octo/app.svg";
const SITE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const PASSWORD: &str = "correct-horse-battery";
/// The time limit for a badge.
const BADGE_LIMIT: Duration = Duration::from_secs(2);

fn github() -> Github {
    let github = Github::start();
    github.add_repository(REPOSITORY, "main");
    github.push(REPOSITORY, "main", SHA);
    github
}

fn post_status(github: &Github, percent: u32) {
    let status = Status {
        context: "covered".into(),
        state: "success".into(),
        description: format!("{percent}%"),
        target_url: String::new(),
    };
    github.set_status(REPOSITORY, SHA, status);
}

/// Two servers with one public URL, like behind a load balancer.
fn pair(github: &Github, redis: &str, store: &Settings) -> [Server; 2] {
    let mut settings = store.clone();
    settings.extend(setting("PUBLIC_URL", "https://covered.example.com"));
    settings.extend(setting("REDIS_URL", redis));
    [server(github, &settings), server(github, &settings)]
}

fn wait_for_redis_state(server: &Server, state: &str) {
    let expected = format!("\"redis\":\"{state}\"");
    poll(&format!("{expected} in /readyz"), || server.get("/readyz").text().contains(&expected).then_some(())).unwrap();
}

/// Posts the value of the default branch, like an upload.
#[track_caller]
fn set_value(server: &Server, percent: u32) {
    let body = json!({"site_id": SITE, "percent": percent, "state": "success", "commit_sha": SHA, "run_id": percent});
    let url = format!("{}/coverage/invalidate-cache/octo/app/", server.url);
    let reply = http::request("POST", &url, &[("token", API_KEY)], body.to_string()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn percent(text: &str) -> Option<u32> {
    text.split_once("coverage: ")?.1.split_once('%')?.0.parse().ok()
}

/// Waits until a badge shows this total; returns the waiting time.
#[track_caller]
fn time_until_shown(server: &Server, expected: u32) -> Duration {
    let started = Instant::now();
    poll("the badge", || (percent(&server.get(BADGE).text()) == Some(expected)).then_some(())).unwrap();
    started.elapsed()
}

#[test]
fn values_set_on_one_server_are_shown_by_the_other_within_a_second() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, redis, s3) = (github(), Redis::start(), MiniStack::start());
    post_status(&github, 41);
    let [one, other] = pair(&github, &redis.url(), &s3.settings(&s3.url()));
    wait_for_redis_state(&one, "ok");
    wait_for_redis_state(&other, "ok");
    // Slow enough that all requests arrive before the response.
    github.set_fault(Fault::Stall(Duration::from_millis(300)));
    let cold = |badge: &str| {
        let before = github.requests().len();
        thread::scope(|scope| {
            for reader in 0..200 {
                let server = [&one, &other][reader % 2];
                scope.spawn(move || assert_eq!(server.get(badge).status, 200));
            }
        });
        github.requests().len() - before
    };
    assert!(cold(BADGE) <= 2, "each server sends at most one request");
    assert_eq!([&one, &other].map(|server| time_until_shown(server, 41) < BADGE_LIMIT), [true, true]);
    // On a busy machine Redis may exceed its time limit of 40 ms: then both servers send a request.
    let counts: Vec<_> = (0..8).map(|number| cold(&format!("{BADGE}?name=n{number}"))).collect();
    assert!(counts.contains(&1) && counts.iter().all(|count| *count <= 2), "200 requests to two servers: {counts:?}");
    let before = github.requests().len();
    for (number, to) in [(50, &one), (51, &other), (52, &one)] {
        set_value(to, number);
        let took = [&one, &other].map(|server| time_until_shown(server, number));
        assert!(took.iter().max() < Some(&Duration::from_secs(1)), "{number}: {took:?}");
    }
    // The value of an older run, sent to the other server.
    set_value(&other, 49);
    assert_eq!([&one, &other].map(|server| time_until_shown(server, 52) < BADGE_LIMIT), [true, true]);
    assert!(github.requests().len() - before <= 1, "a set value needs no request, except if Redis was too slow");
}

#[test]
fn badges_stay_available_while_redis_is_killed_restarted_and_paused() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, mut redis, store) = (github(), Redis::start(), tempfile::tempdir().unwrap());
    let servers = pair(&github, &redis.url(), &files_in(store.path()));
    post_status(&github, 60);
    set_value(&servers[0], 60);
    servers.iter().for_each(|server| wait_for_redis_state(server, "ok"));
    servers.iter().for_each(|server| assert!(time_until_shown(server, 60) < BADGE_LIMIT));
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for server in servers.iter().cycle().take(8) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    let reply = server.get(BADGE);
                    assert_eq!((reply.status, percent(&reply.text())), (200, Some(60)));
                    assert!(started.elapsed() < BADGE_LIMIT, "{:?}", started.elapsed());
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The clients must stop even if this panics.
        let changes = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // Only badges that are not cached in memory need Redis.
            let all = |state: &str| {
                for server in &servers {
                    let cold = format!("/badge/octo/cold-{}.svg", served.load(Ordering::Relaxed));
                    assert_eq!(server.get(&cold).status, 200);
                    wait_for_redis_state(server, state);
                }
            };
            redis.kill();
            all("down");
            redis.restart();
            all("ok");
            redis.pause();
            all("down");
            redis.resume();
            all("ok");
        }));
        stop.store(true, Ordering::Relaxed);
        changes.unwrap();
    });
    assert!(served.load(Ordering::Relaxed) > 100, "too few requests");
    set_value(&servers[0], 61);
    assert!(time_until_shown(&servers[1], 61) < BADGE_LIMIT, "the server must use Redis again without a restart");
}

#[test]
fn killing_one_server_does_not_affect_the_other() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, redis, s3) = (github(), Redis::start(), MiniStack::start());
    post_status(&github, 70);
    let [one, other] = pair(&github, &redis.url(), &s3.settings(&s3.url()));
    wait_for_redis_state(&one, "ok");
    wait_for_redis_state(&other, "ok");
    set_value(&one, 70);
    let (stop, failed, colds) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let killed = one.url.clone();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Also badges without a cached value: the other server may wait for a look-up of the killed one.
                    let cold = format!("{BADGE}?name=n{}", colds.fetch_add(1, Ordering::Relaxed) / 20);
                    for path in [BADGE, &cold] {
                        let started = Instant::now();
                        assert_eq!(other.get(path).status, 200);
                        assert!(started.elapsed() < BADGE_LIMIT, "{:?}", started.elapsed());
                    }
                }
            });
            scope.spawn(|| {
                let cold = || format!("{killed}{BADGE}?name=n{}", colds.load(Ordering::Relaxed) / 20);
                while http::get(&cold()).is_ok() {}
                failed.fetch_add(1, Ordering::Relaxed);
            });
        }
        github.set_fault(Fault::Stall(Duration::from_millis(200)));
        let started = poll("load", || (github.requests().len() > 3).then_some(()));
        // SIGKILL.
        drop(one);
        let seen = poll("its clients to notice", || (failed.load(Ordering::Relaxed) == 4).then_some(()));
        stop.store(true, Ordering::Relaxed);
        started.unwrap();
        seen.unwrap();
    });
    github.set_fault(Fault::None);
    assert!(time_until_shown(&other, 70) < BADGE_LIMIT);
}

#[test]
fn a_server_starts_without_redis_and_connects_later_without_logging_the_password() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, store) = (github(), tempfile::tempdir().unwrap());
    let mut redis = Redis::with(&["--requirepass", PASSWORD]);
    redis.kill();
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{}/0", redis.port());
    let mut settings = files_in(store.path());
    settings.extend(setting("LOG_LEVEL", "debug"));
    let [one, other] = pair(&github, &url, &settings);
    wait_for_redis_state(&one, "down");
    set_value(&one, 80);
    assert!(time_until_shown(&one, 80) < BADGE_LIMIT);
    redis.restart();
    wait_for_redis_state(&one, "ok");
    wait_for_redis_state(&other, "ok");
    set_value(&one, 81);
    assert!(time_until_shown(&other, 81) < BADGE_LIMIT);
    // A server with a wrong password works without Redis.
    let wrong = format!("redis://:wrong-{PASSWORD}@127.0.0.1:{}", redis.port());
    let [refused, _] = pair(&github, &wrong, &settings);
    wait_for_redis_state(&refused, "down");
    assert!(time_until_shown(&refused, 81) < BADGE_LIMIT);
    let log = [&one, &other, &refused].map(|server| server.process.output()).join("\n");
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(log.contains("cannot connect to Redis at redis://127.0.0.1"), "{log}");
}

#[test]
fn cluster_sentinel_and_tls_connections_work() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, cluster, single) = (github(), Redis::cluster(), Redis::start());
    let (sentinel, tls) = (single.sentinel("covered"), TlsFront::start(single.port()));
    let certificate = tls.certificate().display().to_string();
    let through_sentinel = format!("redis-sentinel://127.0.0.1:{}/0?sentinelServiceName=covered", sentinel.port());
    for (number, url) in [
        (90, format!("redis-cluster://127.0.0.1:{}", cluster.port())),
        (91, format!("valkey-cluster://127.0.0.1:{}", cluster.port())),
        (92, through_sentinel),
        (93, format!("rediss://localhost:{}", tls.port())),
        (94, format!("valkey://127.0.0.1:{}", single.port())),
    ] {
        let store = tempfile::tempdir().unwrap();
        let mut settings = files_in(store.path());
        settings.extend(setting("SSL_CERT_FILE", &certificate));
        let [one, other] = pair(&github, &url, &settings);
        wait_for_redis_state(&one, "ok");
        wait_for_redis_state(&other, "ok");
        assert_eq!(percent(&other.get(BADGE).text()), None, "{url}");
        set_value(&one, number);
        assert!(time_until_shown(&other, number) < BADGE_LIMIT, "{url}");
    }
    // An untrusted certificate is rejected.
    let [untrusting, _] =
        pair(&github, &format!("rediss://localhost:{}", tls.port()), &setting("STORAGE_URL", "memory://"));
    wait_for_redis_state(&untrusting, "down");
}

#[test]
fn stale_values_in_redis_are_shown_while_github_is_requested() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, redis, store) = (github(), Redis::start(), tempfile::tempdir().unwrap());
    post_status(&github, 90);
    let [one, _other] = pair(&github, &redis.url(), &files_in(store.path()));
    wait_for_redis_state(&one, "ok");
    assert!(time_until_shown(&one, 90) < BADGE_LIMIT);
    let key = poll("the value in Redis", || redis.keys().into_iter().find(|key| key.contains(":value:"))).unwrap();
    let stored = redis.command(&["GET", &key]);
    let [epoch, at, value] = stored.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    let two_minutes_ago = at.parse::<u64>().unwrap() - 120_000;
    redis.command(&["SET", &key, &format!("{epoch} {two_minutes_ago} {value}")]);
    post_status(&github, 91);
    github.set_fault(Fault::Stall(Duration::from_millis(700)));
    let [new, newer] = pair(&github, &redis.url(), &files_in(store.path()));
    wait_for_redis_state(&new, "ok");
    wait_for_redis_state(&newer, "ok");
    let before = github.requests().len();
    assert_eq!(percent(&new.get(BADGE).text()), Some(90), "the stale value, while GitHub has not responded yet");
    assert_eq!(percent(&newer.get(BADGE).text()), Some(90));
    assert!(time_until_shown(&new, 91) < BADGE_LIMIT);
    assert!(time_until_shown(&newer, 91) < BADGE_LIMIT);
    assert_eq!(github.requests().len() - before, 1, "one of both servers sent a request");
}

#[test]
fn retry_after_of_github_is_honored() {
    let (github, store) = (github(), tempfile::tempdir().unwrap());
    post_status(&github, 33);
    let server = server(&github, &files_in(store.path()));
    assert_eq!(percent(&server.get(BADGE).text()), Some(33));
    let headers = vec![("retry-after".to_owned(), "3600".to_owned())];
    github.set_fault(Fault::Status { code: 429, headers, body: "{}".into() });
    github.add_repository("octo/other", "main");
    for number in 0..20 {
        assert_eq!(server.get(&format!("/badge/octo/other.svg?name=n{number}")).status, 200);
    }
    assert_eq!(github.requests().len(), 2, "one request before, and one that was rejected");
    github.set_fault(Fault::None);
    assert_eq!(server.get("/badge/octo/other.svg?name=later").status, 200);
    assert_eq!(github.requests().len(), 2, "GitHub requested a pause of an hour");
    assert_eq!(percent(&server.get(BADGE).text()), Some(33), "the known value is shown");
}
