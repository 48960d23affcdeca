//! SIGTERM: the server finishes requests in progress, and accepts no new ones.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;
use xtask::lab::process::poll;
use xtask::lab::report;

use crate::{SHA, World, files_in};

/// More than the socket buffers hold, so that the download cannot finish at once.
const MEGABYTES: usize = 50;

#[test]
fn shutdown_waits_for_downloads_in_progress() {
    let data = tempfile::tempdir().unwrap();
    let mut world = World::new(&files_in(data.path()));
    let folder = world.folder.path().join("report");
    report::one_huge(&folder, MEGABYTES);
    world.upload(&folder, SHA);

    let address = world.server.url.strip_prefix("http://").unwrap().to_owned();
    let mut reader = TcpStream::connect(&address).unwrap();
    let path = format!("{}video.bin", world.report_path());
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept-encoding: gzip\r\n\r\n");
    reader.write_all(request.as_bytes()).unwrap();
    let mut response = vec![0; 1 << 16];
    reader.read_exact(&mut response).unwrap();

    world.server.process.terminate();
    poll("the server to take no more connections", || TcpStream::connect(&address).err()).unwrap();
    reader.read_to_end(&mut response).unwrap();

    let end = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&response[..end]).to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length:"), "{head}");
    let mut body = &response[end + 4..];
    let mut inflated = Vec::new();
    match head.contains("content-encoding: gzip") {
        true => GzDecoder::new(body).read_to_end(&mut inflated).unwrap(),
        false => body.read_to_end(&mut inflated).unwrap(),
    };
    assert!(inflated == std::fs::read(folder.join("video.bin")).unwrap(), "the download is incomplete");
    let status = world.server.process.wait_for_exit().unwrap();
    assert!(status.success(), "{status}");
}
