//! S3 is slow, throttles, disconnects, or sends wrong data: the server sends no wrong byte, responds in time, and recovers.

use std::time::{Duration, Instant};

use xtask::lab::covered::API_KEY;
use xtask::lab::fault::Fault;
use xtask::lab::http;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::proxy::{Forwarded, Proxy};
use xtask::lab::report::{self, File};
use xtask::lab::s3::MiniStack;

use crate::files::{escaped, inflated};
use crate::{NEXT_SHA, REPOSITORY, SHA, Settings, World};

/// The time limit of a request, for the index and then the file, on a machine that is busy with other tests.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Longer than that.
const SLOW: Duration = Duration::from_secs(60);

struct Store {
    s3: MiniStack,
    proxy: Proxy,
    world: World,
    path: String,
    files: Vec<File>,
}

/// The result of one request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Complete,
    Error(u16),
    Aborted,
}

impl Store {
    /// A report of `count` files on S3, and a server that reads it through the proxy.
    fn new(count: usize) -> Option<Store> {
        if skip_without(&[Part::Python]) {
            return None;
        }
        let s3 = MiniStack::start();
        let proxy = Proxy::start(&s3.url());
        let world = World::new(&s3.settings(&s3.url()));
        let folder = world.folder.path().join("report");
        let files = report::large(&folder, count);
        world.upload(&folder, SHA);
        let path = world.report_path();
        let mut store = Store { s3, proxy, world, path, files };
        store.restart_server();
        Some(store)
    }

    fn settings(&self) -> Settings {
        self.s3.settings(&self.proxy.url())
    }

    /// Starts a new server, without a cache.
    fn restart_server(&mut self) {
        let settings = self.settings();
        self.world.restart(&settings);
        self.proxy.take();
    }

    fn fail_always(&self, fault: &Fault) {
        let fault = fault.clone();
        self.proxy.fail(move |forwarded| reads_report(forwarded).then(|| fault.clone()));
    }

    /// Fetches a file; a complete response must equal the uploaded file.
    #[track_caller]
    fn fetch(&self, (name, wanted): &File, encoding: &str) -> Outcome {
        let url = format!("{}{}{}", self.world.server.url, self.path, escaped(name));
        let started = Instant::now();
        let reply = http::request("GET", &url, &[("accept-encoding", encoding)], "");
        assert!(started.elapsed() < REQUEST_LIMIT, "{name} took {:?}", started.elapsed());
        let Ok(reply) = reply else { return Outcome::Aborted };
        if reply.status != 200 {
            assert!((500..600).contains(&reply.status), "{name}: {} {}", reply.status, reply.text());
            let waits = reply.header("retry-after").is_some();
            assert!(waits || reply.status != 503, "{name}: 503 without Retry-After");
            assert!(
                !reply.text().contains("SlowDown"),
                "the response must not contain the store's message: {}",
                reply.text()
            );
            return Outcome::Error(reply.status);
        }
        let packed = reply.header("content-encoding") == Some("gzip");
        let body = if packed { inflated(&reply.body) } else { reply.body };
        assert!(body == *wanted, "{name} with {encoding} differs from the uploaded file");
        Outcome::Complete
    }

    /// A page of more than 4 KB, by its number.
    fn page(&self, number: usize) -> &File {
        self.files.iter().filter(|(name, bytes)| name.ends_with("_py.html") && bytes.len() > 4000).nth(number).unwrap()
    }
}

fn reads_report(forwarded: &Forwarded) -> bool {
    forwarded.method == "GET" && forwarded.path.ends_with(".zip")
}

#[test]
fn lasting_store_faults_return_errors_in_time_and_recover() {
    let Some(mut store) = Store::new(120) else { return };
    let cases = [
        (Fault::Status(503), 503),
        (Fault::Status(429), 503),
        (Fault::Status(500), 502),
        (Fault::Drop, 502),
        (Fault::Delay(SLOW), 504),
        (Fault::Stall(100), 504),
        (Fault::Reset(100), 502),
        (Fault::Shorter, 502),
        (Fault::Longer, 502),
        (Fault::OtherRange, 502),
        (Fault::Whole, 502),
        (Fault::ErrorPage, 502),
        (Fault::Corrupt, 502),
    ];
    for (number, (fault, status)) in cases.into_iter().enumerate() {
        store.restart_server();
        let page = store.page(number);
        for when in ["the directory", "the page"] {
            store.fail_always(&fault);
            assert_eq!(store.fetch(page, "gzip"), Outcome::Error(status), "{fault:?} for {when}");
            assert_eq!(store.world.badge().status, 200, "{fault:?}");
            store.proxy.reset();
            // Another page needs the directory, but does not cache this one.
            assert_eq!(store.fetch(store.page(number + 20), "identity"), Outcome::Complete, "{fault:?} is over");
        }
        assert_eq!(store.fetch(page, "gzip"), Outcome::Complete, "{fault:?} is over");
    }
}

#[test]
fn single_store_faults_are_retried() {
    let Some(mut store) = Store::new(120) else { return };
    let once = [
        Fault::Status(503),
        Fault::Status(500),
        Fault::Drop,
        Fault::Stall(100),
        Fault::Reset(100),
        Fault::Shorter,
        Fault::OtherRange,
        Fault::Whole,
        Fault::ErrorPage,
        Fault::OtherTag,
    ];
    for (number, fault) in once.into_iter().enumerate() {
        store.restart_server();
        // One fault for the directory, and one for the page.
        for page in [number, number + 20] {
            let mut next = Some(fault.clone());
            store.proxy.fail(move |forwarded| if reads_report(forwarded) { next.take() } else { None });
            assert_eq!(store.fetch(store.page(page), "gzip"), Outcome::Complete, "{fault:?}");
        }
    }
}

#[test]
fn interrupted_reads_of_large_files_are_resumed_or_abort_the_response() {
    const MEGABYTES: usize = 6;
    let Some(mut store) = Store::new(20) else { return };
    let folder = store.world.folder.path().join("huge");
    report::one_huge(&folder, MEGABYTES);
    let huge = ("video.bin".to_owned(), std::fs::read(folder.join("video.bin")).unwrap());
    store.world.github.push(REPOSITORY, "main", NEXT_SHA);
    store.world.restart(&store.s3.settings(&store.s3.url()));
    store.world.upload(&folder, NEXT_SHA);
    store.path = store.world.report_path();
    store.restart_server();
    assert_eq!(store.fetch(&huge, "gzip"), Outcome::Complete);
    let is_huge = |forwarded: &Forwarded| {
        reads_report(forwarded) && forwarded.range.as_deref().is_some_and(|range| range.len() > 8)
    };
    for fault in [Fault::Reset(2 << 20), Fault::Stall(3 << 20), Fault::Shorter] {
        for encoding in ["gzip", "identity"] {
            let mut next = Some(fault.clone());
            store.proxy.fail(move |forwarded| if is_huge(forwarded) { next.take() } else { None });
            assert_eq!(store.fetch(&huge, encoding), Outcome::Complete, "{fault:?} once, by {encoding}");
        }
    }
    for fault in [Fault::Reset(100_000), Fault::Corrupt, Fault::Longer] {
        for encoding in ["gzip", "identity"] {
            store.fail_always(&fault);
            assert_eq!(store.fetch(&huge, encoding), Outcome::Aborted, "{fault:?} always, by {encoding}");
            store.proxy.reset();
            assert_eq!(store.fetch(&huge, encoding), Outcome::Complete, "{fault:?} is over");
        }
    }
}

#[test]
fn complete_responses_are_right_under_load_with_random_store_faults() {
    const READERS: u64 = 8;
    const REQUESTS: u64 = 60;
    let Some(store) = Store::new(50) else { return };
    let mut random = 7_u64;
    store.proxy.fail(move |forwarded| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let faults = [
            Fault::Status(503),
            Fault::Drop,
            Fault::Delay(Duration::from_millis(300)),
            Fault::Reset(50),
            Fault::Shorter,
            Fault::Longer,
            Fault::OtherRange,
            Fault::Whole,
            Fault::ErrorPage,
            Fault::OtherTag,
            Fault::Corrupt,
        ];
        let number = (random >> 33) as usize;
        let is_faulty = reads_report(forwarded) && number.is_multiple_of(2);
        is_faulty.then(|| faults[number / 2 % faults.len()].clone())
    });
    let store = &store;
    let complete: usize = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                scope.spawn(move || {
                    let files = (0..REQUESTS).map(|turn| (reader * 17 + turn * 7) as usize % store.files.len());
                    let encodings = ["gzip", "identity"];
                    files.filter(|at| store.fetch(&store.files[*at], encodings[at % 2]) == Outcome::Complete).count()
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    println!("{complete} of {} responses were complete", READERS * REQUESTS);
    assert!(complete > 0, "no response was complete, so the test proves nothing");
    store.proxy.reset();
    for file in &store.files {
        assert_eq!(store.fetch(file, "gzip"), Outcome::Complete, "{} afterwards", file.0);
    }
}

#[test]
fn concurrent_readers_of_a_page_share_its_failure() {
    const READERS: usize = 100;
    let Some(store) = Store::new(20) else { return };
    store.fail_always(&Fault::Stall(10));
    let (store, page) = (&store, store.page(0));
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(move || assert_eq!(store.fetch(page, "gzip"), Outcome::Error(504)));
        }
    });
    let reads = store.proxy.take().into_iter().filter(reads_report).count();
    assert!(reads < READERS / 4, "{reads} reads for {READERS} readers");
}

#[test]
fn failed_writes_return_errors_in_time_and_can_be_retried() {
    let Some(store) = Store::new(20) else { return };
    let sha = "0".repeat(40);
    let site = store.path.trim_matches('/').rsplit('/').next().unwrap().to_owned();
    let new_site = format!(r#"{{"repository":"octo/app","commit_sha":"{sha}"}}"#);
    let new_value = format!(r#"{{"site_id":"{site}","percent":91.5,"state":"success","commit_sha":"{sha}"}}"#);
    let posts = [("create-site/", new_site), ("invalidate-cache/octo/app/", new_value)];
    let post = |(route, body): &(&str, String)| {
        let started = Instant::now();
        let url = format!("{}/coverage/{route}", store.world.server.url);
        let reply = http::request("POST", &url, &[("token", API_KEY)], body.clone()).unwrap();
        assert!(started.elapsed() < REQUEST_LIMIT, "{route} took {:?}", started.elapsed());
        reply
    };
    for (fault, status) in [
        (Fault::Status(503), 503),
        (Fault::Status(500), 502),
        (Fault::Status(403), 503),
        (Fault::Drop, 502),
        (Fault::Delay(SLOW), 504),
    ] {
        for what in &posts {
            let next = fault.clone();
            store.proxy.fail(move |forwarded| (forwarded.method == "PUT").then(|| next.clone()));
            let reply = post(what);
            // A value that the store denies is kept in memory.
            let stays_in_memory = fault == Fault::Status(403) && what.0 != "create-site/";
            let status = if stays_in_memory { 200 } else { status };
            assert_eq!(reply.status, status, "{fault:?} for {}: {}", what.0, reply.text());
            store.proxy.reset();
            let reply = post(what);
            assert_eq!(reply.status, 200, "{fault:?} is over, for {}: {}", what.0, reply.text());
        }
    }
    assert!(store.world.badge().text().contains("coverage: 91%"));
}
