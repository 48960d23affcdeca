//! Measures the first page of a site on S3 that is not cached, compared with the two reads that it needs at least.

use std::time::Instant;

use anyhow::{Result, ensure};
use xtask::lab::covered::Server;
use xtask::lab::http;
use xtask::lab::report;
use xtask::lab::s3::MiniStack;

use super::programs::{Load, pinned, release, upload};
use super::table::{Goal, Row, median};

/// The number of bytes that the server reads at the end of a zip.
const TAIL: u64 = 64 << 10;
/// New sites per round.
const SITES: usize = 4;

pub fn run_all(load: &Load, rows: &mut Vec<Row>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let s3 = MiniStack::start();
    let settings = s3.settings(&s3.url());
    let server = || Server::with(pinned("0", &release("covered-server")), &settings);
    let uploader = server()?;
    let report = folder.path().join("report");
    report::large(&report, 300);
    let mut sites = Vec::new();
    for _ in 0..load.rounds * SITES {
        sites.push(upload(&report, &uploader.url, &[])?);
    }
    // A new server, which has cached none of them.
    drop(uploader);
    let server = server()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for site in &sites {
        ours.push(timed(|| page(&server, site))?);
        let signed = s3.signed(&format!("sites/{}.zip", site.replace("/coverage/", "").trim_end_matches('/')));
        theirs.push(timed(|| two_reads(&signed))?);
    }
    let peer = Some(("two reads of S3", median(theirs)));
    let name = "first page of a cold site on S3".to_owned();
    rows.push(Row { name, unit: "ms", ours: median(ours), peer, goal: Goal::AtMost(1.2) });
    Ok(())
}

fn page(server: &Server, site: &str) -> Result<()> {
    let url = format!("{}{site}temperature_py.html", server.url);
    let response = http::request("GET", &url, &[("accept-encoding", "gzip")], "")?;
    ensure!(response.status == 200, "{url}: {} {}", response.status, response.text());
    Ok(())
}

/// Reads the end of the zip, then some of its bytes: in sequence, because the first read determines the second.
fn two_reads(signed: &str) -> Result<()> {
    for range in [format!("bytes=-{TAIL}"), "bytes=0-4095".to_owned()] {
        let response = http::request("GET", signed, &[("range", &range)], "")?;
        ensure!(response.status == 206, "S3 returned {}: {}", response.status, response.text());
    }
    Ok(())
}

/// Runs `work`; returns its duration in milliseconds.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
