//! A 500 MB report goes up and comes back, and the server stays small.

use std::fs::File;
use std::io::Read;

use xtask::lab::parts::skip;
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
