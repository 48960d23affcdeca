//! README, badge and report in a real browser.

use serde_json::json;
use xtask::lab::http::{Serving, full};
use xtask::lab::node::{Step, browse};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::{paths, report};

use crate::{SHA, World, setting};

const BROWSER: [Part; 2] = [Part::Node, Part::Chromium];

fn world() -> World {
    World::new(&setting("STORAGE_URL", "memory://"))
}

/// A page with the badge, like a README.
fn readme(server: &str) -> Serving {
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>octo/app</title>\
         <link rel=\"icon\" href=\"data:,\"></head><body><h1>app</h1>\
         <a href=\"{server}/badge/redirect/octo/app/\"><img src=\"{server}/badge/octo/app.svg\" alt=\"Coverage\"></a>\
         </body></html>"
    );
    Serving::start(move |_| {
        let mut response = hyper::Response::new(full(html.clone()));
        response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/html"));
        async move { Ok(response) }
    })
}

#[test]
fn a_click_on_the_badge_opens_the_report() {
    if skip_without(&BROWSER) {
        return;
    }
    let world = world();
    // A real coverage.py report, with its scripts and styles.
    world.upload(&paths::root().join("xtask/sample/report"), SHA);
    let readme = readme(&world.server.url);
    let report = format!("{}{}", world.server.url, world.report_path());
    let seen = browse(&[
        Step::Open(&readme.url()),
        Step::Evaluate("(({complete, naturalWidth}) => complete && naturalWidth > 50)(document.images[0])"),
        Step::Screenshot("readme.png"),
        Step::Click("a"),
        Step::Evaluate("document.querySelector('.pc_cov').innerText"),
        Step::Screenshot("report.png"),
        Step::Click("text=temperature.py"),
        Step::Evaluate("document.querySelectorAll('p.run, p.mis').length > 10"),
        Step::Screenshot("report-page.png"),
    ]);
    assert_eq!(seen.results[1], true, "the badge is a broken image");
    assert_eq!(seen.results[3], report);
    assert_eq!(seen.results[4], "88%");
    assert_eq!(seen.results[7], true, "the page of a file shows no lines");
    assert_eq!(seen.problems, [json!(null); 0]);
}

#[test]
fn the_badge_has_an_accessible_name() {
    if skip_without(&BROWSER) {
        return;
    }
    let world = world();
    world.upload_small("87.5", SHA);
    let badge = format!("{}/badge/octo/app.svg", world.server.url);
    let seen = browse(&[
        Step::Open(&badge),
        Step::Evaluate("document.documentElement.getAttribute('role')"),
        Step::Evaluate("document.documentElement.getAttribute('aria-label')"),
        Step::Evaluate("document.querySelector('title').textContent"),
        Step::Screenshot("badge.png"),
    ]);
    assert_eq!(seen.results[1..4], ["img", "coverage: 87%", "coverage: 87%"]);
    assert_eq!(seen.problems, [json!(null); 0]);
}

#[test]
fn the_servers_pages_open_without_errors() {
    if skip_without(&BROWSER) {
        return;
    }
    let world = world();
    let folder = world.folder.path().join("no-index");
    report::large(&folder, 60);
    // All pages with a total: the link would open one of them.
    for index in ["index.html", "class_index.html", "function_index.html"] {
        std::fs::remove_file(folder.join(index)).unwrap();
    }
    let log = world.upload(&folder, SHA).text();
    let link = log.lines().find_map(|line| line.strip_prefix("Report: ")).expect("the log has no link");
    let home = format!("{}/", world.server.url);
    let missing = format!("{home}coverage/{}/", "0".repeat(32));
    let seen = browse(&[
        Step::Open(&home),
        Step::Screenshot("home.png"),
        Step::Open(link),
        Step::Evaluate("document.querySelectorAll('a').length > 40"),
        Step::Screenshot("list.png"),
        Step::Click("text=what?.html"),
    ]);
    assert_eq!((&seen.results[0], &seen.results[2]), (&json!(200), &json!(200)));
    assert_eq!(seen.results[3], true, "the list shows no files");
    assert_eq!(seen.results[5], format!("{link}what%3F.html"));
    assert_eq!(seen.problems, [json!(null); 0]);

    let seen =
        browse(&[Step::Open(&missing), Step::Evaluate("document.body.innerText"), Step::Screenshot("not-found.png")]);
    assert_eq!(seen.results[0], 404);
    assert!(seen.results[1].as_str().unwrap().contains("the link may be wrong"), "{:?}", seen.results[1]);
    // The browser reports the 404 of the page itself; there must be no other error.
    let others = seen.problems.iter().filter(|problem| !problem.to_string().contains("404"));
    assert_eq!(others.count(), 0, "{:?}", seen.problems);
}
