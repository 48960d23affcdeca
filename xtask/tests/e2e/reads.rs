//! Counts the S3 reads of pages, and checks responses while S3 fails.

use std::time::{Duration, Instant};

use xtask::lab::fault::Fault;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::proxy::Proxy;
use xtask::lab::report;
use xtask::lab::s3::MiniStack;

use crate::{SHA, World};

/// A report on S3, and a server without a cache that reads it through a proxy.
fn cold_site() -> Option<(MiniStack, Proxy, World, String)> {
    if skip_without(&[Part::Python]) {
        return None;
    }
    let s3 = MiniStack::start();
    let proxy = Proxy::start(&s3.url());
    let mut world = World::new(&s3.settings(&s3.url()));
    let folder = world.folder.path().join("report");
    report::large(&folder, 300);
    world.upload(&folder, SHA);
    let path = world.report_path();
    world.restart(&s3.settings(&proxy.url()));
    proxy.take();
    Some((s3, proxy, world, path))
}

#[test]
fn pages_cost_two_reads_of_a_cold_site_then_one_then_none() {
    let Some((_s3, proxy, world, path)) = cold_site() else { return };
    let reads_of = |page: &str| {
        let reply = world.server.get(&format!("{path}{page}"));
        assert_eq!(reply.status, 200, "{page}: {}", reply.text());
        proxy.take()
    };
    let first = reads_of("");
    assert!(first.len() <= 2, "a cold site's first page: {first:?}");
    let other = reads_of("temperature_py.html");
    assert_eq!(other.len(), 1, "another page of a known site: {other:?}");
    assert!(other[0].range.is_some(), "only the page's own bytes are read: {other:?}");
    assert_eq!(reads_of(""), [], "the same page again");
    assert_eq!(reads_of("temperature_py.html"), [], "the other page again");
}

#[test]
fn reports_return_errors_and_badges_work_while_s3_fails() {
    let Some((_s3, proxy, world, path)) = cold_site() else { return };
    proxy.fail(|_| Some(Fault::Status(503)));
    let started = Instant::now();
    assert_eq!(world.badge().status, 200);
    assert!(started.elapsed() < Duration::from_secs(2), "the badge took {:?}", started.elapsed());
    let page = world.server.get(&path);
    assert!((500..600).contains(&page.status), "{}: {}", page.status, page.text());
    assert!(
        !page.text().contains("rejected by the lab"),
        "the page must not contain the store's message: {}",
        page.text()
    );
    proxy.reset();
    assert_eq!(world.server.get(&path).status, 200, "a failure must not be cached");
}
