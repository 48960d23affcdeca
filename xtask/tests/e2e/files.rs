//! Every file of a large report comes back byte for byte, by gzip and by identity.

use std::io::Read;

use flate2::read::GzDecoder;
use xtask::lab::http;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::proxy::Proxy;
use xtask::lab::report::{self, File};
use xtask::lab::s3::MiniStack;

use crate::{SHA, Settings, World, files_in, keys_in};

const FILES: usize = 3600;

fn every_file_comes_back(settings: &Settings) -> World {
    let world = World::new(settings);
    let folder = world.folder.path().join("report");
    let files = report::large(&folder, FILES);
    assert_eq!(files.len(), FILES);
    world.upload(&folder, SHA);
    let base = format!("{}{}", world.server.url, world.report_path());
    // Two readers: the server is to be busy with both encodings at once.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for file in &files {
                let packed = comes_back(&base, file, "gzip");
                // What does not get smaller is kept as it is; a page does.
                assert!(packed || !file.0.ends_with("_py.html"), "{} came inflated", file.0);
            }
        });
        scope.spawn(|| files.iter().for_each(|file| _ = comes_back(&base, file, "identity")));
    });
    world
}

/// Fetches a file of the report at `base`, compares it, and tells whether it came packed.
pub fn comes_back(base: &str, (name, bytes): &File, encoding: &str) -> bool {
    let url = format!("{base}{}", escaped(name));
    let reply = http::request("GET", &url, &[("accept-encoding", encoding)], "").unwrap();
    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    let packed = reply.header("content-encoding") == Some("gzip");
    assert!(encoding == "gzip" || !packed, "{name} came packed");
    let body = if packed { inflated(&reply.body) } else { reply.body };
    assert!(body == *bytes, "{name} by {encoding} is not what was uploaded");
    packed
}

pub fn inflated(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A name as it stands in an address.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(escape).collect()
}

#[test]
fn from_local_files() {
    let data = tempfile::tempdir().unwrap();
    let _world = every_file_comes_back(&files_in(data.path()));
    let zips = keys_in(data.path()).into_iter().filter(|key| key.starts_with("sites/"));
    assert_eq!(zips.count(), 2, "the record and one zip");
}

#[test]
fn from_s3_after_one_put() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let proxy = Proxy::start(&s3.url());
    let _world = every_file_comes_back(&s3.settings(&proxy.url()));
    let puts = proxy.take().into_iter().filter(|request| request.method == "PUT");
    assert_eq!(puts.filter(|put| put.path.ends_with(".zip")).count(), 1);
}
