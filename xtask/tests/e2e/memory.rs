//! The server stays small: while a 500 MB report goes up and comes back, and while readers take nothing of what they asked
//! for.

use std::fs::File;
use std::io::Read;

use xtask::lab::covered::{self, SecureServer};
use xtask::lab::parts::skip;
use xtask::lab::process::poll;
use xtask::lab::slow::Readers;
use xtask::lab::{http, paths, report};

use crate::{SHA, World, files_in, setting};

const MEGABYTES: usize = 500;
const CACHE_KIB: u64 = 8 << 10;
/// What the server may need besides its cache.
const OWN_KIB: u64 = 32 << 10;

#[test]
fn memory_stays_small_while_500_mb_go_up_and_come_back() {
    // In the target folder: the system's folder for temporary files may be in memory.
    let folder = tempfile::tempdir_in(paths::lab()).unwrap();
    let mut settings = files_in(&folder.path().join("data"));
    settings.extend(setting("CACHE_BYTES", &(CACHE_KIB << 10).to_string()));
    settings.extend(setting("MAX_REPORT_BYTES", &(1_u64 << 30).to_string()));
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let world = World::new(&settings);
    if world.server.peak_memory().is_none() {
        return skip("this system does not tell a process's peak memory");
    }
    let peak = |when: &str| {
        let peak = world.server.peak_memory().unwrap();
        println!("peak {when}: {peak} KiB");
        assert!(peak < OWN_KIB + CACHE_KIB, "{when} the server once had {peak} KiB");
    };
    peak("at start");
    let files = report::huge(&folder.path().join("report"), MEGABYTES);
    world.upload(&folder.path().join("report"), SHA);
    peak("after the upload");

    let base = format!("{}{}", world.server.url, world.report_path());
    let readers = 4;
    std::thread::scope(|scope| {
        for reader in 0..readers {
            let (files, base, local) = (&files, &base, folder.path().join("report"));
            scope.spawn(move || {
                for name in files.iter().skip(reader).step_by(readers) {
                    let reply = http::get(&format!("{base}{name}")).unwrap();
                    let mut wanted = Vec::new();
                    File::open(local.join(name)).unwrap().read_to_end(&mut wanted).unwrap();
                    assert!(reply.body == wanted, "{name} is not what was uploaded");
                }
            });
        }
    });
    peak("after serving it whole");
}

/// Slow readers of each kind, and what the server may need with them: what it may have by itself, the memory for what
/// waits to be sent, and the cache.
const READERS: usize = 1_000;
const SEND_KIB: u64 = 16 << 10;
const SLOW_KIB: u64 = (40 << 10) + SEND_KIB + CACHE_KIB;
/// More different files than fit into the memory for them.
const PAGES: usize = 600;

#[test]
fn a_thousand_readers_who_take_nothing_cost_no_more_than_the_memory_for_them() {
    let folder = tempfile::tempdir_in(paths::lab()).unwrap();
    let (data, files) = (folder.path().join("data"), folder.path().join("report"));
    std::fs::create_dir(&data).unwrap();
    let mut settings = files_in(&data);
    for (name, value) in [("CACHE_BYTES", CACHE_KIB << 10), ("SEND_BUFFER_BYTES", SEND_KIB << 10)] {
        settings.extend(setting(name, &value.to_string()));
    }
    // They are there for as long as the test looks, if they don't have to make way.
    settings.extend(setting("STALL_TIMEOUT", "300"));
    settings.extend(setting("MAX_CONNECTIONS_PER_ADDRESS", "2000"));
    let mut world = World::new(&settings);
    if world.server.peak_memory().is_none() {
        return skip("this system does not tell a process's peak memory");
    }
    report::one_huge(&files, 30);
    let noise = std::fs::read(files.join("video.bin")).unwrap();
    for (number, page) in noise.chunks(50_000).take(PAGES).enumerate() {
        std::fs::write(files.join(format!("page{number}.bin")), page).unwrap();
    }
    world.upload(&files, SHA);
    let report = world.report_path();
    let large = [format!("{report}video.bin")];
    let pages: Vec<String> = (0..PAGES).map(|number| format!("{report}page{number}.bin")).collect();

    let of_http1: [(&str, &[String]); 2] = [("a large file", &large), ("pages", &pages)];
    for (what, paths) in of_http1 {
        world.restart(&settings);
        let readers = Readers::http1(world.server.address(), paths, READERS).unwrap();
        assert_eq!(world.badge().status, 200, "what needs no memory of its own waits for nothing");
        // Behind all of them, who make way.
        let get = || http::get(&format!("{}{}", world.server.url, large[0])).ok().filter(|reply| reply.status == 200);
        assert!(poll("the large file", get).unwrap().body == noise, "a reader who reads has the file");
        let peak = world.server.peak_memory().unwrap();
        println!("{READERS} readers of {what} by HTTP/1.1: {peak} KiB");
        assert!(peak < SLOW_KIB, "with {READERS} readers of {what} by HTTP/1.1 the server had {peak} KiB");
        drop(readers);
    }
    for (what, paths, streams) in [("a large file", &large[..], 1), ("pages", &pages[..], 10)] {
        let server = SecureServer::with(covered::clean(&paths::binary("covered-server")), &settings).unwrap();
        let certificate = server.certificate.clone();
        let readers = Readers::http2(server.address, certificate, paths, READERS / streams, streams).unwrap();
        let (peak, statuses) = (server.peak_memory().unwrap(), readers.statuses());
        println!("{READERS} readers of {what} by HTTP/2: {peak} KiB, {statuses:?}");
        assert!(peak < SLOW_KIB, "with {READERS} readers of {what} by HTTP/2 the server had {peak} KiB");
        assert!(statuses[&200] >= READERS / 4, "{statuses:?}");
    }
}
