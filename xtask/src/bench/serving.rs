//! Measures the server under load, compared with nginx and with bare hyper, which return the same bytes. The servers run
//! on one core, the load generator on another.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::lab::covered::{Server, listening};
use xtask::lab::http;
use xtask::lab::process::{Process, free_port, poll, run};

use super::programs::{Load, REPOSITORY, pinned, release, upload};
use super::table::{Goal, Row, median};

/// The core of the server under test; the load generator has the other one.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
const CONNECTIONS: u32 = 32;
/// The size of a coverage report's page: 145 KB, or 16 KB with gzip.
const PAGE_BYTES: usize = 145_000;
const GZIP: &str = "accept-encoding: gzip";

/// One request, and its goals compared with nginx and bare hyper.
struct Case {
    name: &'static str,
    /// The path on our server.
    path: String,
    /// The path on nginx.
    file: &'static str,
    header: &'static str,
    /// Sends the ETag in `If-None-Match`.
    conditional: bool,
    nginx: f64,
    bare: Option<f64>,
}

pub fn run_all(load: &Load, rows: &mut Vec<Row>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, report) = start(folder.path())?;
    let badge = format!("/badge/{REPOSITORY}.svg");
    let page = format!("{report}page.html");
    let nginx = Nginx::start(folder.path(), &server, &badge, &page)?;
    let case = |name, path: &str, file, header, nginx, bare| Case {
        name,
        path: path.to_owned(),
        file,
        header,
        conditional: false,
        nginx,
        bare,
    };
    let cases = [
        case("cached badge", &badge, "/badge.svg", "accept: */*", 1.3, Some(0.85)),
        case("hot page, gzipped", &page, "/page.html", GZIP, 1.1, Some(0.85)),
        Case { conditional: true, ..case("not modified", &page, "/page.html", GZIP, 1.3, None) },
        case("hot page, not gzipped", &page, "/page.html", "accept-encoding: identity", 0.5, None),
    ];
    for case in &cases {
        throughput(load, case, &server, &nginx, folder.path(), rows)?;
    }
    latency(load, &cases[0], &server, &nginx, folder.path(), rows)
}

/// Starts our server and uploads a report; returns the server and the report's path.
fn start(folder: &Path) -> Result<(Server, String)> {
    let report = folder.join("report");
    xtask::lab::report::small(&report, "87.5");
    fs::write(report.join("page.html"), page())?;
    let command = pinned(SERVER_CORE, &release("covered-server"));
    let storage = format!("file://{}", folder.join("data").display());
    fs::create_dir(folder.join("data"))?;
    // nginx writes no access log, so the server must not either.
    let server = Server::with(command, &[("STORAGE_URL", storage.as_str()), ("LOG_LEVEL", "warn")])?;
    let path = upload(&report, &server.url, &[])?;
    Ok((server, path))
}

/// A page like a coverage report's: many similar lines with some different words.
fn page() -> String {
    let mut html = "<!DOCTYPE html>\n<html><head><title>Coverage</title></head><body><main>\n".to_owned();
    let mut number: u32 = 1;
    while html.len() < PAGE_BYTES {
        number += 1;
        let word = number.wrapping_mul(2_654_435_761) >> 12;
        html += &format!(
            "<p class=\"run\"><span class=\"n\"><a id=\"t{number}\" href=\"#t{number}\">{number}</a></span>\
             <span class=\"t\"><span class=\"nam\">value_{word:x}</span> <span class=\"op\">=</span> f()&nbsp;</span></p>\n"
        );
    }
    html + "</main></body></html>\n"
}

/// nginx with one worker, and files with the same bytes as our responses.
struct Nginx {
    url: String,
    _process: Process,
}

impl Nginx {
    fn start(folder: &Path, server: &Server, badge: &str, page: &str) -> Result<Nginx> {
        let (root, port) = (folder.join("www"), free_port());
        fs::create_dir_all(&root)?;
        let get = |path: &str, header: &str| {
            let (name, value) = header.split_once(": ").unwrap_or_default();
            http::request("GET", &format!("{}{path}", server.url), &[(name, value)], "")
        };
        fs::write(root.join("badge.svg"), get(badge, "accept: */*")?.body)?;
        fs::write(root.join("page.html"), get(page, "accept-encoding: identity")?.body)?;
        fs::write(root.join("page.html.gz"), get(page, GZIP)?.body)?;
        // One process, because a killed master leaves its worker running. open_file_cache, sendfile and no access log
        // are what nginx recommends for speed.
        let configuration = format!(
            "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.log; user root;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000;\n\
             types {{ image/svg+xml svg; text/html html; }} open_file_cache max=100 inactive=60s;\n\
             server {{ listen 127.0.0.1:{port}; root {0}/www; gzip_static on; }} }}\n",
            folder.display()
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration)?;
        let mut command = pinned(SERVER_CORE, "nginx".as_ref());
        let process = Process::spawn(command.arg("-p").arg(folder).arg("-c").arg(&file))?;
        let url = format!("http://127.0.0.1:{port}");
        let ready = format!("{url}/badge.svg");
        poll("nginx", || http::get(&ready).ok().filter(|reply| reply.status == 200))?;
        Ok(Nginx { url, _process: process })
    }
}

/// Starts a hyper server that returns the same response without routing: the upper limit for this stack.
fn bare(folder: &Path, server: &Server, case: &Case) -> Result<(String, Process)> {
    let (name, value) = case.header.split_once(": ").unwrap_or_default();
    let response = http::request("GET", &format!("{}{}", server.url, case.path), &[(name, value)], "")?;
    let body = folder.join("bare");
    fs::write(&body, &response.body)?;
    let mut command = pinned(SERVER_CORE, &release("examples/bare"));
    command.arg(&body);
    let own = ["date", "content-length"];
    let headers = response.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    command.args(headers.map(|(name, value)| format!("{name}:{value}")));
    let process = Process::spawn(&mut command)?;
    Ok((process.wait_for_line(listening)?, process))
}

fn throughput(
    load: &Load,
    case: &Case,
    server: &Server,
    nginx: &Nginx,
    folder: &Path,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let bare = case.bare.map(|_| bare(folder, server, case)).transpose()?;
    let mut sides =
        vec![("Covered", format!("{}{}", server.url, case.path)), ("nginx", format!("{}{}", nginx.url, case.file))];
    sides.extend(bare.iter().map(|(url, _)| ("bare hyper", format!("{url}{}", case.path))));
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..load.rounds {
        for (side, url) in &sides {
            rates.entry(side).or_default().push(rate(load, url, case)?);
        }
    }
    let mut medians = rates.into_iter().map(|(side, rates)| (side, median(rates))).collect::<BTreeMap<_, _>>();
    let ours = medians.remove("Covered").context("nothing was measured")?;
    for (peer, goal) in [("nginx", Some(case.nginx)), ("bare hyper", case.bare)] {
        let (Some(theirs), Some(goal)) = (medians.get(peer), goal) else { continue };
        let peer = Some((peer, *theirs));
        rows.push(Row { name: case.name.to_owned(), unit: "requests/s", ours, peer, goal: Goal::AtLeast(goal) });
    }
    Ok(())
}

/// Responses per second, measured by wrk.
fn rate(load: &Load, url: &str, case: &Case) -> Result<f64> {
    let mut command = pinned(LOAD_CORE, "wrk".as_ref());
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", load.seconds), "-H", case.header]);
    if case.conditional {
        let (name, value) = case.header.split_once(": ").unwrap_or_default();
        let first = http::request("GET", url, &[(name, value)], "")?;
        let etag = first.header("etag").context("the response has no ETag")?;
        command.args(["-H", &format!("if-none-match: {etag}")]);
    }
    let finished = run(command.arg(url))?;
    ensure!(finished.ok && !finished.stdout.contains("Non-2xx"), "wrk of {url}: {}", finished.text());
    ensure!(!finished.stdout.contains("Socket errors"), "wrk of {url}: {}", finished.text());
    word_after(&finished.stdout, "Requests/sec:").with_context(|| format!("wrk printed no rate: {}", finished.text()))
}

fn word_after(text: &str, label: &str) -> Option<f64> {
    text.split(label).nth(1)?.split_whitespace().next()?.parse().ok()
}

/// Compares the 99th percentile of response times at half of the lower peak rate, the same rate for both.
fn latency(load: &Load, case: &Case, server: &Server, nginx: &Nginx, folder: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let (own, other) = (format!("{}{}", server.url, case.path), format!("{}{}", nginx.url, case.file));
    let peak = rate(load, &own, case)?.min(rate(load, &other, case)?);
    let each = (peak / 2.0 / f64::from(CONNECTIONS)) as u64;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..load.rounds {
        ours.push(percentile_99(load, &own, each, folder)?);
        theirs.push(percentile_99(load, &other, each, folder)?);
    }
    let peer = Some(("nginx", median(theirs)));
    rows.push(Row {
        name: "p99 of cached badges at half the peak rate".to_owned(),
        unit: "ms",
        ours: median(ours),
        peer,
        goal: Goal::AtMost(1.5),
    });
    Ok(())
}

/// The 99th percentile in milliseconds, measured by h2load, which sends at a fixed rate and logs each response time.
fn percentile_99(load: &Load, url: &str, each: u64, folder: &Path) -> Result<f64> {
    let log = folder.join("h2load.log");
    let _ = fs::remove_file(&log);
    let mut command: Command = pinned(LOAD_CORE, "h2load".as_ref());
    command.args(["--h1", "-t1", &format!("-c{CONNECTIONS}"), &format!("--rps={each}")]);
    command.arg(format!("-D{}", load.seconds)).arg(format!("--log-file={}", log.display()));
    let finished = run(command.arg(url))?;
    ensure!(finished.ok, "h2load of {url}: {}", finished.text());
    // The columns are start time, status code, and microseconds.
    let text = fs::read_to_string(&log)?;
    let times = text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<f64>().ok());
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    let slow = times.get(times.len() * 99 / 100).context("h2load logged no response")?;
    Ok(slow / 1e3)
}

/// The resident memory of a server in MB.
pub fn resident(server: &Server) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id()))?;
    let kib = word_after(&status, "VmRSS:").context("/proc does not report the memory")?;
    Ok(kib / 1024.0)
}

/// Requests many pages with a wrk script, so that the cache gets full.
pub fn request_pages(load: &Load, url: &str, paths: &[String], folder: &Path) -> Result<()> {
    let script = folder.join("pages.lua");
    let list: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
    fs::write(
        &script,
        format!(
            "local paths = {{{}}}\nlocal at = 0\nrequest = function()\n  at = at % #paths + 1\n  \
             return wrk.format('GET', paths[at], {{['accept-encoding'] = 'gzip'}})\nend\n",
            list.join(",")
        ),
    )?;
    let mut command = pinned(LOAD_CORE, "wrk".as_ref());
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", load.seconds), "-s"]);
    let finished = run(command.arg(&script).arg(url))?;
    ensure!(finished.ok && !finished.stdout.contains("Non-2xx"), "wrk of {url}: {}", finished.text());
    Ok(())
}
