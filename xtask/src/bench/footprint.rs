//! Measures memory, start time and size of the programs.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use xtask::lab::covered::{API_KEY, SecureServer, Server, clean};
use xtask::lab::github::{Artifact, Github};
use xtask::lab::process::poll;
use xtask::lab::slow::Readers;
use xtask::lab::{http, report};

use super::programs::{COMMIT, Load, REPOSITORY, built, pinned, release, upload};
use super::serving::{request_pages, resident};
use super::table::{Goal, Row, median};

/// The server's cache, which the load fills.
const CACHE_MB: u32 = 64;
const STARTS: usize = 20;
const SLOW_READERS: usize = 1000;
/// The server's memory for unsent responses.
const SEND_MB: u32 = 32;

pub fn run_all(load: &Load, rows: &mut Vec<Row>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    rows.push(Row::without_peer("start to first answer", "ms", start(folder)?, Goal::AtMost(20.0)));
    memory(load, folder, rows)?;
    slow_readers(folder, rows)?;
    let server = fs::metadata(release("covered-server"))?.len() as f64 / 1e6;
    rows.push(Row::without_peer("server's binary", "MB", server, Goal::AtMost(12.0)));
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&fs::read(built("action", "covered"))?)?;
    let action = packed.finish()?.len() as f64 / 1e6;
    rows.push(Row::without_peer("action's binary, compressed", "MB", action, Goal::AtMost(1.0)));
    Ok(())
}

/// The time from the start of the process to the end of its first response, in milliseconds.
fn start(folder: &Path) -> Result<f64> {
    let mut samples = Vec::new();
    for _ in 0..STARTS {
        let port = xtask::lab::process::free_port();
        let mut command = pinned("0", &release("covered-server"));
        command.env("LISTEN", format!("127.0.0.1:{port}")).env("API_KEY", API_KEY).env("STORAGE_URL", "memory://");
        command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let healthy = format!("http://127.0.0.1:{port}/healthz");
        while http::get(&healthy).is_err() {
            std::thread::sleep(Duration::from_micros(200));
            ensure!(started.elapsed() < Duration::from_secs(10), "the server did not start within 10 s");
        }
        samples.push(started.elapsed().as_secs_f64() * 1e3);
        child.kill()?;
        child.wait()?;
    }
    Ok(median(samples))
}

/// Measures the server's memory, idle and under load with a full cache, and the action's for a report of 540 MB.
fn memory(load: &Load, folder: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let data = folder.join("data");
    fs::create_dir(&data)?;
    let storage = format!("file://{}", data.display());
    let cache = (CACHE_MB << 20).to_string();
    let settings = [("STORAGE_URL", storage.as_str()), ("CACHE_BYTES", &cache), ("LOG_LEVEL", "warn")];
    let server = Server::with(pinned("0", &release("covered-server")), &settings)?;
    rows.push(Row::without_peer("server's memory, idle", "MB", resident(&server)?, Goal::AtMost(12.0)));

    let large = folder.join("large");
    let files = report::large(&large, 3600);
    let site = upload(&large, &server.url, &[])?;
    let pages: Vec<String> = files
        .iter()
        .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)))
        .map(|(name, _)| format!("{site}{name}"))
        .collect();
    for _ in 0..load.rounds {
        request_pages(load, &server.url, &pages, folder)?;
    }
    let name = format!("server's memory under load, with {CACHE_MB} MB of cache");
    rows.push(Row::without_peer(&name, "MB", resident(&server)?, Goal::AtMost(f64::from(CACHE_MB + 40))));
    drop(server);

    let huge = folder.join("huge");
    report::huge(&huge, 540);
    let mut command = clean(&built("action", "covered"));
    let peak = peak(command.arg(&huge).arg("--dry-run"))?;
    rows.push(Row::without_peer("action's peak memory, 540 MB report", "MB", peak, Goal::AtMost(64.0)));
    artifact(folder, rows)
}

/// Measures the server's memory while many clients request a large file and read nothing.
fn slow_readers(folder: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let (data, report) = (folder.join("slow"), folder.join("one"));
    fs::create_dir(&data)?;
    let storage = format!("file://{}", data.display());
    let (sending, readers) = ((SEND_MB << 20).to_string(), (2 * SLOW_READERS).to_string());
    let settings = [
        ("STORAGE_URL", storage.as_str()),
        ("SEND_BUFFER_BYTES", &sending),
        ("MAX_CONNECTIONS_PER_ADDRESS", &readers),
        ("LOG_LEVEL", "error"),
    ];
    let goal = Goal::AtMost(f64::from(SEND_MB + 40));
    let server = Server::with(pinned("0", &release("covered-server")), &settings)?;
    report::one_huge(&report, 30);
    let file = [format!("{}video.bin", upload(&report, &server.url, &[])?)];
    let stalled = Readers::http1(server.address(), &file, SLOW_READERS)?;
    // The server responds to this request after the readers' requests, so their memory is allocated.
    poll("the file", || http::get(&format!("{}{}", server.url, file[0])).ok().filter(|reply| reply.status == 200))?;
    rows.push(Row::without_peer("server's peak memory, 1,000 slow readers", "MB", peak_of(server.process.id())?, goal));
    drop((stalled, server));

    let server = SecureServer::with(pinned("0", &release("covered-server")), &settings)?;
    let stalled = Readers::http2(server.address, server.certificate.clone(), &file, SLOW_READERS, 1)?;
    let peak = peak_of(server.process.id())?;
    rows.push(Row::without_peer("server's peak memory, 1,000 slow readers by HTTP/2", "MB", peak, goal));
    drop(stalled);
    Ok(())
}

/// Measures the action's memory for a report from an artifact.
fn artifact(folder: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let (pages, zip) = (folder.join("pages"), folder.join("artifact.zip"));
    report::pages(&pages, 540, 3300);
    let zipped = Command::new("zip").current_dir(&pages).args(["-1", "-q", "-r"]).arg(&zip).arg(".").status()?;
    ensure!(zipped.success(), "zip ended with {zipped}");
    let github = Github::start();
    github.add_repository(REPOSITORY, "main");
    let (name, head_sha) = ("coverage-html".to_owned(), COMMIT.to_owned());
    github.add_artifact(REPOSITORY, Artifact { run_id: 7, name, head_sha, zip: fs::read(&zip)? });
    let mut command = clean(&built("action", "covered"));
    command.args(["--artifact", "coverage-html", "--run-id", "7", "--dry-run"]);
    command.env("GITHUB_REPOSITORY", REPOSITORY).env("GITHUB_API_URL", github.url()).env("COVERED_GH_TOKEN", "a-token");
    let peak = peak(&mut command)?;
    rows.push(Row::without_peer(
        "action's peak memory, 540 MB artifact of 3,300 files",
        "MB",
        peak,
        Goal::AtMost(64.0),
    ));
    Ok(())
}

/// Runs a command; returns its peak memory in MB.
fn peak(command: &mut Command) -> Result<f64> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak = 0.0_f64;
    let ended = loop {
        peak = peak.max(peak_of(child.id()).unwrap_or(0.0));
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    ensure!(ended.success() && peak > 0.0, "the command ended with {ended}");
    Ok(peak)
}

/// The peak memory of a process so far, in MB.
fn peak_of(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("/proc does not report the memory")? / 1024.0)
}
