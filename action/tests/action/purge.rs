use crate::peer::{Peer, Reply};
use crate::run::{Covered, KEY, SHA, SITE, TOKEN};

const INVALIDATE: &str = "/coverage/invalidate-cache/octo/app/";
const README: &str = "/repos/octo/app/readme";

#[test]
fn the_server_receives_the_new_badge_value() {
    let peer = Peer::new();
    Covered::new(&peer)
        .run()
        .succeeds()
        .stdout_contains("Updated the badge (")
        .stdout_contains("Found no README: no badge image to refresh");
    let request = peer.one("POST", INVALIDATE);
    assert_eq!(request.header("token"), Some(KEY));
    let expected = serde_json::json!({"site_id": SITE, "percent": 84.62, "state": "success", "commit_sha": SHA,
        "run_id": 1_658_821_493, "issuer": peer.url});
    assert_eq!(request.json(), expected);
    let readme = peer.one("GET", README);
    assert_eq!(readme.header("accept"), Some("application/vnd.github.html+json"));
    assert_eq!(readme.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
}

#[test]
fn only_badges_of_this_repository_are_purged_once_each() {
    let (peer, other) = (Peer::new(), Peer::new());
    let url = &peer.url;
    let image =
        |cache: &str, source: &str| format!("<p><img src=\"{cache}\" alt=\"x\" data-canonical-src=\"{source}\"></p>\n");
    let html = [
        image(&format!("{url}/camo/1"), &format!("{url}/badge/octo/app.svg")),
        image(&format!("{url}/camo/1"), &format!("{url}/badge/octo/app.svg")),
        image(&format!("{url}/camo/2?a&amp;b"), &format!("{url}/badge/Octo/App.svg?name=x&amp;style=flat")),
        image(&format!("{url}/camo/3"), &format!("{url}/badge/octo/other.svg")),
        image(&format!("{url}/camo/4"), "https://img.shields.io/badge/octo/app.svg"),
        image(&format!("{}/camo/5", other.url), &format!("{url}/badge/octo/app.svg")),
    ];
    peer.on("GET", README, [Reply::new(200, html.concat())]);
    peer.on("PURGE", "/camo/1", [Reply::new(200, "")]).on("PURGE", "/camo/2", [Reply::new(200, "")]);
    Covered::new(&peer).run().succeeds().stdout_contains("Refreshed 2 images of the README (");
    let purged: Vec<String> =
        peer.received().into_iter().filter(|request| request.method == "PURGE").map(|request| request.target).collect();
    assert_eq!(purged, ["/camo/1", "/camo/2?a&b"]);
    let sends_token = peer
        .received()
        .iter()
        .filter(|request| request.method == "PURGE")
        .any(|request| request.header("authorization").is_some());
    assert!(!sends_token && other.received().is_empty());
}

#[test]
fn badges_with_the_servers_public_url_are_purged() {
    let peer = Peer::new();
    let (url, public) = (&peer.url, "https://covered.example.com");
    let session = peer.session().replace(&format!("{url}/coverage"), &format!("{public}/coverage"));
    let html = format!("<img src=\"{url}/camo/1\" data-canonical-src=\"{public}/badge/octo/app.svg\">");
    peer.on("POST", "/coverage/create-site/", [Reply::new(200, &session)])
        .on("GET", README, [Reply::new(200, &html)])
        .on("PURGE", "/camo/1", [Reply::new(200, "")]);
    Covered::new(&peer).run().succeeds().outputs(&format!("badge-url={public}/badge/octo/app.svg"));
    peer.one("PURGE", "/camo/1");
}

#[test]
fn images_are_purged_only_after_the_server_accepts_the_value() {
    let peer = Peer::new();
    let url = &peer.url;
    let image = |number: usize| {
        peer.on("PURGE", &format!("/camo/{number}"), [Reply::new(200, "")]);
        format!("<img src=\"{url}/camo/{number}\" data-canonical-src=\"{url}/badge/octo/app.svg\">")
    };
    let html: String = (0..6).map(image).collect();
    peer.on("GET", README, [Reply::new(200, html)]);
    let later = Reply::new(503, "").with("retry-after", "0");
    peer.on("POST", INVALIDATE, [later, Reply::new(200, "{}")]);
    Covered::new(&peer).run().succeeds().stdout_contains("Refreshed 6 images of the README (");
    let requests = peer.requests();
    let last_try = requests.iter().rposition(|request| request.contains(INVALIDATE)).unwrap();
    let first_purge = requests.iter().position(|request| request.contains("PURGE")).unwrap();
    assert!(last_try < first_purge, "{requests:?}");
    assert_eq!(requests.iter().filter(|request| request.contains("PURGE")).count(), 6);
    peer.on("POST", INVALIDATE, [Reply::new(400, "{}")]);
    Covered::new(&peer).run().fails("did not accept the badge's new value").omits("README");
    assert_eq!(peer.requests().iter().filter(|request| request.contains("PURGE")).count(), 6);
}

#[test]
fn concurrent_steps_are_logged_in_a_fixed_order() {
    let peer = Peer::new();
    let lines = ["Uploaded ", "Posted the status ", "Updated the badge ", "Found no README", "Report: "];
    for _ in 0..5 {
        Covered::new(&peer).run().succeeds().stdout_contains_in_order(&lines);
    }
    peer.on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [Reply::new(403, "{}")]);
    let run = Covered::new(&peer).run().fails("the token may not write statuses");
    run.stdout_contains_in_order(&["Uploaded ", "Updated the badge ", "Found no README", "Report: "]);
}

#[test]
fn a_failed_image_purge_is_a_warning() {
    let peer = Peer::new();
    let url = &peer.url;
    let html = format!("<img src=\"{url}/camo/1\" data-canonical-src=\"{url}/badge/octo/app.svg\">");
    peer.on("GET", README, [Reply::new(200, &html)]).on(
        "PURGE",
        "/camo/1",
        [Reply::new(503, "").with("retry-after", "0")],
    );
    Covered::new(&peer)
        .run()
        .succeeds()
        .stdout_contains("Refreshed 0 images of the README")
        .stderr_contains("warning: GitHub's image cache did not purge the badge (503 Service Unavailable");
}

#[test]
fn an_unreadable_readme_is_a_warning() {
    let peer = Peer::new();
    peer.on("GET", README, [Reply::new(403, r#"{"message":"Resource not accessible"}"#)]);
    let run = Covered::new(&peer).run();
    run.succeeds().stderr_contains(
        "warning: the README's images were not refreshed: GitHub did not return the README of octo/app (403",
    );
}

#[test]
fn a_rejected_badge_value_fails_the_run() {
    let peer = Peer::new();
    peer.on("POST", INVALIDATE, [Reply::new(400, r#"{"detail":"no such site"}"#)]);
    let run = Covered::new(&peer).run();
    run.fails("error: the covered server did not accept the badge's new value (400 Bad Request: no such site)")
        .outputs("uploaded=true");
}

#[test]
fn purge_cache_overrides_the_event() {
    let peer = Peer::new();
    Covered::new(&peer)
        .arg("--purge-cache=false")
        .run()
        .succeeds()
        .stdout_contains("Badge not updated: purge-cache is false");
    assert!(!peer.requests().iter().any(|request| request.contains("invalidate")));
    Covered::new(&peer).event("schedule", "{}").arg("--purge-cache").run().succeeds();
    peer.one("POST", INVALIDATE);
}

/// The request of the seed's workflow after a fork's tests on a branch `main`.
fn after_a_fork(peer: &Peer) -> Covered {
    let event = format!(
        r#"{{"workflow_run":{{"id":42,"event":"pull_request","head_sha":"{SHA}","head_branch":"main",
        "head_repository":{{"full_name":"evil/app"}}}},"repository":{{"full_name":"octo/app","default_branch":"main"}}}}"#
    );
    Covered::new(peer).event("workflow_run", &event).env("COVERED_PURGE_CACHE", "true")
}

#[test]
fn runs_of_forks_set_no_badge_value_even_with_purge_cache() {
    let peer = Peer::new();
    let url = &peer.url;
    let html = format!("<img src=\"{url}/camo/1\" data-canonical-src=\"{url}/badge/octo/app.svg\">");
    peer.on("GET", README, [Reply::new(200, &html)]).on("PURGE", "/camo/1", [Reply::new(200, "")]);
    after_a_fork(&peer)
        .run()
        .succeeds()
        .stdout_contains(
            "Asked the server to refresh the badge; its value was not set, because this run is not a push to the",
        )
        .stdout_contains("Refreshed 1 image of the README")
        .omits("Updated the badge");
    let request = peer.one("POST", INVALIDATE);
    assert_eq!(
        (request.body.len(), request.header("content-length"), request.header("token")),
        (0, Some("0"), Some(KEY))
    );
    // The server reads the status for the dropped value.
    let requests = peer.requests();
    let at = |part: &str| requests.iter().position(|request| request.contains(part)).unwrap();
    assert!(at("/statuses/") < at(INVALIDATE) && at(INVALIDATE) < at("PURGE"), "{requests:?}");

    after_a_fork(&peer)
        .arg("--dry-run")
        .run()
        .succeeds()
        .stdout_contains("Would ask the server to refresh the badge, without a value");
    peer.on("POST", INVALIDATE, [Reply::new(400, "{}")]);
    after_a_fork(&peer).run().fails("the covered server did not refresh the badge (400 Bad Request");
}

#[test]
fn a_run_in_a_terminal_sets_the_badge_value_with_purge_cache() {
    let peer = Peer::new();
    let in_terminal = || Covered::new(&peer).env("GITHUB_EVENT_NAME", "").env("GITHUB_RUN_ID", "");
    let hint = "Badge not updated: no GitHub event names the branch; on the default branch, add --purge-cache\n";
    in_terminal().run().succeeds().stdout_contains(hint);
    in_terminal()
        .in_actions()
        .run()
        .succeeds()
        .stdout_contains("Badge not updated: this run is not a push to the default branch");
    assert!(!peer.requests().iter().any(|request| request.contains(INVALIDATE)));
    in_terminal().arg("--purge-cache").run().succeeds().stdout_contains("Updated the badge (");
    let value = peer.one("POST", INVALIDATE).json();
    assert_eq!((&value["percent"], value.get("run_id"), value.get("issuer")), (&84.62.into(), None, None));
}

#[test]
fn badge_values_name_the_github_instance() {
    let peer = Peer::new();
    Covered::new(&peer).env("GITHUB_SERVER_URL", "https://GHE.Example.com/").run().succeeds();
    assert_eq!(peer.one("POST", INVALIDATE).json()["issuer"], "https://ghe.example.com");
}

#[test]
fn the_servers_reason_for_keeping_the_badge_is_logged() {
    let peer = Peer::new();
    let url = &peer.url;
    let html = format!("<img src=\"{url}/camo/1\" data-canonical-src=\"{url}/badge/octo/app.svg\">");
    let detail = format!("the value of run 12 stays: it is a newer one\\n::error::{}", "x".repeat(1_000));
    let unchanged = Reply::new(200, format!(r#"{{"status":"success","detail":"{detail}"}}"#));
    peer.on("GET", README, [Reply::new(200, &html)]).on("POST", INVALIDATE, [unchanged]);
    let run = Covered::new(&peer).run().succeeds();
    let line = run.stdout.lines().find(|line| line.starts_with("The server did not")).unwrap();
    let text = "The server did not change the badge: the value of run 12 stays: it is a newer one ::error::xx";
    assert!(line.starts_with(text) && line.chars().count() < 350, "{line}");
    run.omits("Updated the badge");
    assert!(!peer.requests().iter().any(|request| request.contains("PURGE")), "{:?}", peer.requests());
}
