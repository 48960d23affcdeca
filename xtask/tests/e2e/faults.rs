//! GitHub is down, slow, rate-limited, or returns garbage: badges still work.

use std::time::{Duration, Instant};

use xtask::lab::covered::API_KEY;
use xtask::lab::github::Fault;
use xtask::lab::http;

use crate::{SHA, World, files_in};

/// Longer than any client waits.
const SLOW: Duration = Duration::from_secs(10);
const BADGE_LIMIT: Duration = Duration::from_secs(2);

fn faults() -> Vec<Fault> {
    let unavailable = Fault::Status { code: 502, headers: Vec::new(), body: "{}".into() };
    vec![Fault::Drop, Fault::Stall(SLOW), Fault::RateLimited, Fault::Garbage, unavailable]
}

#[track_caller]
fn assert_last_value(world: &World, when: &str) {
    let started = Instant::now();
    let badge = world.badge();
    let took = started.elapsed();
    assert_eq!(badge.status, 200, "{when}");
    assert!(badge.text().contains("coverage: 87%"), "{when}: {}", badge.text());
    assert!(took < BADGE_LIMIT, "{when}: the badge took {took:?}");
    let report = world.server.get(&world.report_path());
    assert_eq!(report.status, 200, "{when}");
}

#[test]
fn the_badge_shows_the_last_value_within_two_seconds_and_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let settings = files_in(data.path());
    let mut world = World::new(&settings);
    world.upload_small("87.5", SHA);
    for fault in faults() {
        world.github.set_fault(fault.clone());
        // A new server: one that got the fault before pauses its requests to GitHub.
        world.restart(&settings);
        // Purges the value, so that the server must request it from GitHub again.
        let purge = format!("{}/coverage/invalidate-cache/octo/app/", world.server.url);
        let reply = http::request("POST", &purge, &[("token", API_KEY)], "").unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let before = world.github.requests().len();
        assert_last_value(&world, &format!("with {fault:?}"));
        assert!(world.github.requests().len() > before, "the server did not send a request to GitHub");
        world.restart(&settings);
        assert_last_value(&world, &format!("after a restart with {fault:?}"));
    }
}

#[test]
fn an_unknown_badge_is_grey_within_two_seconds() {
    let data = tempfile::tempdir().unwrap();
    let world = World::new(&files_in(data.path()));
    world.github.set_fault(Fault::Stall(SLOW));
    let started = Instant::now();
    let badge = world.badge();
    assert!(started.elapsed() < BADGE_LIMIT, "the badge took {:?}", started.elapsed());
    assert_eq!(badge.status, 200);
    assert!(badge.text().contains("coverage: ??"), "{}", badge.text());
}
