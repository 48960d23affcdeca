//! The server's memory while a 500 MB report is uploaded and served, and while clients don't read their responses.

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
/// The limit of the server's memory without its cache.
const OWN_KIB: u64 = 32 << 10;

#[test]
fn memory_stays_small_while_500_mb_are_uploaded_and_served() {
    // In the target folder, because the system's temporary folder may be in memory.
    let folder = tempfile::tempdir_in(paths::lab()).unwrap();
    let mut settings = files_in(&folder.path().join("data"));
    settings.extend(setting("CACHE_BYTES", &(CACHE_KIB << 10).to_string()));
    settings.extend(setting("MAX_REPORT_BYTES", &(1_u64 << 30).to_string()));
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let world = World::new(&settings);
    if world.server.peak_memory().is_none() {
        return skip("this system does not report the peak memory of a process");
    }
    let peak = |when: &str| {
        let peak = world.server.peak_memory().unwrap();
        println!("peak {when}: {peak} KiB");
        assert!(peak < OWN_KIB + CACHE_KIB, "the peak memory {when} is {peak} KiB");
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
                    assert!(reply.body == wanted, "{name} differs from the uploaded file");
                }
            });
        }
    });
    peak("after serving the whole report");
}

/// The number of stalled clients of each kind, and the limit of the server's memory with them: its own, the send buffer and
/// the cache.
const READERS: usize = 1_000;
const SEND_KIB: u64 = 16 << 10;
const SLOW_KIB: u64 = (40 << 10) + SEND_KIB + CACHE_KIB;
/// More different files than fit into the send buffer.
const PAGES: usize = 600;

#[test]
fn a_thousand_stalled_readers_stay_within_the_memory_budget() {
    let folder = tempfile::tempdir_in(paths::lab()).unwrap();
    let (data, files) = (folder.path().join("data"), folder.path().join("report"));
    std::fs::create_dir(&data).unwrap();
    let mut settings = files_in(&data);
    for (name, value) in [("CACHE_BYTES", CACHE_KIB << 10), ("SEND_BUFFER_BYTES", SEND_KIB << 10)] {
        settings.extend(setting(name, &value.to_string()));
    }
    // Longer than the test, so that the server disconnects clients only to free memory.
    settings.extend(setting("STALL_TIMEOUT", "300"));
    settings.extend(setting("MAX_CONNECTIONS_PER_ADDRESS", "2000"));
    let mut world = World::new(&settings);
    if world.server.peak_memory().is_none() {
        return skip("this system does not report the peak memory of a process");
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
        assert_eq!(world.badge().status, 200, "a badge needs no memory of the send buffer");
        // Served after all of them, as the server disconnects them for it.
        let get = || http::get(&format!("{}{}", world.server.url, large[0])).ok().filter(|reply| reply.status == 200);
        assert!(poll("the large file", get).unwrap().body == noise, "an active client gets the whole file");
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
