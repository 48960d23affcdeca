//! What a page costs in reads of S3, and what a reader sees when S3 fails.

use std::time::{Duration, Instant};

use xtask::lab::fault::Fault;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::proxy::Proxy;
use xtask::lab::report;
use xtask::lab::s3::MiniStack;

use crate::{SHA, World};

/// A report on S3, and a proxy before it that saw nothing yet.
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
fn a_cold_site_costs_two_reads_a_known_one_one_and_the_same_page_none() {
    let Some((_s3, proxy, world, path)) = cold_site() else { return };
    let cost = |page: &str| {
        let reply = world.server.get(&format!("{path}{page}"));
        assert_eq!(reply.status, 200, "{page}: {}", reply.text());
        proxy.take()
    };
    let first = cost("");
    assert!(first.len() <= 2, "a cold site's first page: {first:?}");
    let other = cost("temperature_py.html");
    assert_eq!(other.len(), 1, "another page of a known site: {other:?}");
    assert!(other[0].range.is_some(), "only the page's own bytes are read: {other:?}");
    assert_eq!(cost(""), [], "the same page again");
    assert_eq!(cost("temperature_py.html"), [], "the other page again");
}

#[test]
fn while_s3_fails_reports_say_so_and_badges_answer() {
    let Some((_s3, proxy, world, path)) = cold_site() else { return };
    proxy.fail(|_| Some(Fault::Status(503)));
    let started = Instant::now();
    assert_eq!(world.badge().status, 200);
    assert!(started.elapsed() < Duration::from_secs(2), "the badge took {:?}", started.elapsed());
    let page = world.server.get(&path);
    assert!((500..600).contains(&page.status), "{}: {}", page.status, page.text());
    assert!(!page.text().contains("refused"), "the store's own words are no business of a reader: {}", page.text());
    proxy.mend();
    assert_eq!(world.server.get(&path).status, 200, "a failure is not remembered");
}
