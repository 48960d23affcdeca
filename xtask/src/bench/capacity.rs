//! Measures the storage, memory and Redis memory that reports and badges need.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use xtask::lab::covered::{API_KEY, Server, clean};
use xtask::lab::http;
use xtask::lab::proxy::Proxy;
use xtask::lab::redis::Redis;
use xtask::lab::report;
use xtask::lab::s3::MiniStack;

use super::programs::{COMMIT, Load, pinned, release, upload};
use super::serving::resident;
use super::table::{Goal, Row};
use super::uploading::{DistantGithub, ORIGINAL, original};

/// The number of badges whose values are set and requested.
const BADGES: usize = 5000;

pub fn run_all(_: &Load, rows: &mut Vec<Row>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    bucket(folder.path(), rows)?;
    values(folder.path(), rows)
}

/// Counts the S3 requests and the stored bytes of a report.
fn bucket(folder: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let s3 = MiniStack::start();
    let proxy = Proxy::start(&s3.url());
    let mut settings = s3.settings(&proxy.url());
    settings.push(("AWS_UPLOAD_ROLE_ARN".to_owned(), s3.upload_role.clone()));
    let server = Server::with(clean(&release("covered-server")), &settings)?;
    let github = DistantGithub::start(false);
    for (count, goal) in [(75, 0.1), (3600, 0.01)] {
        let report = folder.join(count.to_string());
        let files = report::large(&report, count);
        // The first upload of a server makes additional requests.
        upload(&report, &server.url, &[])?;
        proxy.take();
        let site = upload(&report, &server.url, &[])?;
        let ours = proxy.take().len() as f64;
        original(&report, &server.url, &proxy.url(), &github)?;
        let theirs = Some((ORIGINAL, proxy.take().len() as f64));
        let name = format!("requests to S3 for an upload of {count} files");
        rows.push(Row { name, unit: "requests", ours, peer: theirs, goal: Goal::AtMost(goal) });

        let zip = s3.signed(&format!("sites/{}.zip", site.replace("/coverage/", "").trim_end_matches('/')));
        let zip = http::request("GET", &zip, &[], "")?;
        ensure!(zip.status == 200, "the report's zip: {}", zip.status);
        let plain: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let (name, peer) = (format!("kept for a report of {count} files"), Some((ORIGINAL, plain as f64 / 1e3)));
        rows.push(Row { name, unit: "kB", ours: zip.body.len() as f64 / 1e3, peer, goal: Goal::AtMost(0.5) });
    }
    Ok(())
}

/// Measures the memory that the values of many badges need.
fn values(folder: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let redis = Redis::start();
    let storage = format!("file://{}", folder.join("data").display());
    fs::create_dir(folder.join("data"))?;
    let settings = [("STORAGE_URL", storage.as_str()), ("REDIS_URL", &redis.url()), ("LOG_LEVEL", "warn")];
    let server = Server::with(pinned("0", &release("covered-server")), &settings)?;
    // The first badges also allocate memory that is needed only once.
    badges(&server, 0..BADGES / 10)?;
    let before = (resident(&server)? * 1024.0 * 1024.0, used(&redis)?);
    badges(&server, BADGES / 10..BADGES / 10 + BADGES)?;
    let each = |before: f64, after: f64| (after - before) / BADGES as f64;
    let ours = each(before.0, resident(&server)? * 1024.0 * 1024.0);
    rows.push(Row::without_peer("server's memory for a badge's value", "bytes", ours, Goal::AtMost(4000.0)));
    rows.push(Row::without_peer(
        "Redis's memory for a badge's value",
        "bytes",
        each(before.1, used(&redis)?),
        Goal::AtMost(600.0),
    ));
    Ok(())
}

/// Sets the values of numbered repositories, and requests their badges.
fn badges(server: &Server, numbers: std::ops::Range<usize>) -> Result<()> {
    for number in numbers {
        let value = json!({"site_id": format!("{number:032x}"), "percent": 87.5, "state": "success", "commit_sha": COMMIT, "run_id": number});
        let url = format!("{}/coverage/invalidate-cache/octo/repository-{number}/", server.url);
        let set = http::request("POST", &url, &[("token", API_KEY)], value.to_string())?;
        ensure!(set.status == 200, "{url}: {} {}", set.status, set.text());
        let badge = http::get(&format!("{}/badge/octo/repository-{number}.svg", server.url))?;
        ensure!(badge.text().contains("87%"), "the badge does not show 87%: {}", badge.text());
    }
    Ok(())
}

/// The bytes that Redis uses.
fn used(redis: &Redis) -> Result<f64> {
    let info = redis.command(&["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.context("INFO of Redis contains no used_memory")?.trim().parse()?)
}
