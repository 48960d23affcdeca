//! Every file of a large report is served byte for byte, with and without gzip.

use std::io::Read;

use flate2::read::GzDecoder;
use xtask::lab::http;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::proxy::Proxy;
use xtask::lab::report::{self, File};
use xtask::lab::s3::MiniStack;

use crate::{SHA, Settings, World, files_in, keys_in};

const FILES: usize = 3600;

fn upload_and_fetch_all(settings: &Settings) -> World {
    let world = World::new(settings);
    let folder = world.folder.path().join("report");
    let files = report::large(&folder, FILES);
    assert_eq!(files.len(), FILES);
    world.upload(&folder, SHA);
    let base = format!("{}{}", world.server.url, world.report_path());
    // Two clients, so that the server serves both encodings concurrently.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for file in &files {
                let packed = fetch_and_compare(&base, file, "gzip");
                // Incompressible files are stored; pages are compressed.
                assert!(packed || !file.0.ends_with("_py.html"), "{} was sent without gzip", file.0);
            }
        });
        scope.spawn(|| files.iter().for_each(|file| _ = fetch_and_compare(&base, file, "identity")));
    });
    world
}

/// Fetches a file of the report at `base` and compares it; returns whether it was sent with gzip.
pub fn fetch_and_compare(base: &str, (name, bytes): &File, encoding: &str) -> bool {
    let url = format!("{base}{}", escaped(name));
    let reply = http::request("GET", &url, &[("accept-encoding", encoding)], "").unwrap();
    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    let packed = reply.header("content-encoding") == Some("gzip");
    assert!(encoding == "gzip" || !packed, "{name} was sent with gzip");
    let body = if packed { inflated(&reply.body) } else { reply.body };
    assert!(body == *bytes, "{name} with {encoding} differs from the uploaded file");
    packed
}

pub fn inflated(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A percent-encoded name.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(escape).collect()
}

#[test]
fn files_are_served_byte_for_byte_from_a_folder() {
    let data = tempfile::tempdir().unwrap();
    let _world = upload_and_fetch_all(&files_in(data.path()));
    let zips = keys_in(data.path()).into_iter().filter(|key| key.starts_with("sites/"));
    assert_eq!(zips.count(), 2, "expected only the record and one zip");
}

#[test]
fn files_are_served_byte_for_byte_from_s3_after_one_put() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let proxy = Proxy::start(&s3.url());
    let _world = upload_and_fetch_all(&s3.settings(&proxy.url()));
    let puts = proxy.take().into_iter().filter(|request| request.method == "PUT");
    assert_eq!(puts.filter(|put| put.path.ends_with(".zip")).count(), 1);
}
