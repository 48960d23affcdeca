use crate::peer::{Peer, Reply};
use crate::run::{Covered, KEY, SHA, SITE, TOKEN};

const INVALIDATE: &str = "/coverage/invalidate-cache/octo/app/";
const README: &str = "/repos/octo/app/readme";

#[test]
fn the_server_gets_the_new_value() {
    let peer = Peer::new();
    Covered::new(&peer).run().succeeds().says("Updated the badge (").says("Found no README: no badge image to refresh");
    let seen = peer.one("POST", INVALIDATE);
    assert_eq!(seen.header("token"), Some(KEY));
    let expected = serde_json::json!({"site_id": SITE, "percent": 84.62, "state": "success", "commit_sha": SHA,
        "run_id": 1_658_821_493, "issuer": peer.url});
    assert_eq!(seen.json(), expected);
    let readme = peer.one("GET", README);
    assert_eq!(readme.header("accept"), Some("application/vnd.github.html+json"));
    assert_eq!(readme.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
}

#[test]
fn this_repositorys_badges_are_purged_once_each_and_nothing_else() {
    let (peer, stranger) = (Peer::new(), Peer::new());
    let url = &peer.url;
    let image =
        |cache: &str, source: &str| format!("<p><img src=\"{cache}\" alt=\"x\" data-canonical-src=\"{source}\"></p>\n");
    let html = [
        image(&format!("{url}/camo/1"), &format!("{url}/badge/octo/app.svg")),
        image(&format!("{url}/camo/1"), &format!("{url}/badge/octo/app.svg")),
        image(&format!("{url}/camo/2?a&amp;b"), &format!("{url}/badge/Octo/App.svg?name=x&amp;style=flat")),
        image(&format!("{url}/camo/3"), &format!("{url}/badge/octo/other.svg")),
        image(&format!("{url}/camo/4"), "https://img.shields.io/badge/octo/app.svg"),
        image(&format!("{}/camo/5", stranger.url), &format!("{url}/badge/octo/app.svg")),
    ];
    peer.on("GET", README, [Reply::new(200, html.concat())]);
    peer.on("PURGE", "/camo/1", [Reply::new(200, "")]).on("PURGE", "/camo/2", [Reply::new(200, "")]);
    Covered::new(&peer).run().succeeds().says("Refreshed 2 images of the README (");
    let purged: Vec<String> =
        peer.seen().into_iter().filter(|seen| seen.method == "PURGE").map(|seen| seen.target).collect();
    assert_eq!(purged, ["/camo/1", "/camo/2?a&b"]);
    let headers_of_secrets =
        peer.seen().iter().filter(|seen| seen.method == "PURGE").any(|seen| seen.header("authorization").is_some());
    assert!(!headers_of_secrets && stranger.seen().is_empty());
}

#[test]
fn a_badge_is_known_by_the_servers_public_address_too() {
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
fn images_are_purged_once_the_server_has_the_value_and_never_where_it_has_not() {
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
    Covered::new(&peer).run().succeeds().says("Refreshed 6 images of the README (");
    let asked = peer.asked();
    let last_try = asked.iter().rposition(|asked| asked.contains(INVALIDATE)).unwrap();
    let first_purge = asked.iter().position(|asked| asked.contains("PURGE")).unwrap();
    assert!(last_try < first_purge, "{asked:?}");
    assert_eq!(asked.iter().filter(|asked| asked.contains("PURGE")).count(), 6);
    peer.on("POST", INVALIDATE, [Reply::new(400, "{}")]);
    Covered::new(&peer).run().fails("did not accept the badge's new value").says_not("README");
    assert_eq!(peer.asked().iter().filter(|asked| asked.contains("PURGE")).count(), 6);
}

#[test]
fn what_is_done_at_once_is_reported_in_one_order() {
    let peer = Peer::new();
    let lines = ["Uploaded ", "Posted the status ", "Updated the badge ", "Found no README", "Report: "];
    for _ in 0..5 {
        Covered::new(&peer).run().succeeds().says_in_order(&lines);
    }
    peer.on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [Reply::new(403, "{}")]);
    let run = Covered::new(&peer).run().fails("the token may not write statuses");
    run.says_in_order(&["Uploaded ", "Updated the badge ", "Found no README", "Report: "]);
}

#[test]
fn an_image_that_is_not_purged_is_a_warning() {
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
        .says("Refreshed 0 images of the README")
        .complains("warning: GitHub's image cache did not purge the badge (503 Service Unavailable");
}

#[test]
fn a_readme_that_cannot_be_read_is_a_warning() {
    let peer = Peer::new();
    peer.on("GET", README, [Reply::new(403, r#"{"message":"Resource not accessible"}"#)]);
    let run = Covered::new(&peer).run();
    run.succeeds().complains(
        "warning: the README's images were not refreshed: GitHub did not return the README of octo/app (403",
    );
}

#[test]
fn a_server_that_does_not_take_the_value_fails_the_run() {
    let peer = Peer::new();
    peer.on("POST", INVALIDATE, [Reply::new(400, r#"{"detail":"no such site"}"#)]);
    let run = Covered::new(&peer).run();
    run.fails("error: the covered server did not accept the badge's new value (400 Bad Request: no such site)")
        .outputs("uploaded=true");
}

#[test]
fn purge_cache_overrules_the_event() {
    let peer = Peer::new();
    Covered::new(&peer).arg("--purge-cache=false").run().succeeds().says("Badge not updated: purge-cache is false");
    assert!(!peer.asked().iter().any(|asked| asked.contains("invalidate")));
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
fn a_forks_main_gives_the_badge_no_value_though_purge_cache_is_true() {
    let peer = Peer::new();
    let url = &peer.url;
    let html = format!("<img src=\"{url}/camo/1\" data-canonical-src=\"{url}/badge/octo/app.svg\">");
    peer.on("GET", README, [Reply::new(200, &html)]).on("PURGE", "/camo/1", [Reply::new(200, "")]);
    after_a_fork(&peer)
        .run()
        .succeeds()
        .says("Asked the server to refresh the badge; its value was not set, because this run is not a push to the")
        .says("Refreshed 1 image of the README")
        .says_not("Updated the badge");
    let seen = peer.one("POST", INVALIDATE);
    assert_eq!((seen.body.len(), seen.header("content-length"), seen.header("token")), (0, Some("0"), Some(KEY)));
    // The server reads the status for the dropped value.
    let asked = peer.asked();
    let at = |part: &str| asked.iter().position(|asked| asked.contains(part)).unwrap();
    assert!(at("/statuses/") < at(INVALIDATE) && at(INVALIDATE) < at("PURGE"), "{asked:?}");

    after_a_fork(&peer)
        .arg("--dry-run")
        .run()
        .succeeds()
        .says("Would ask the server to refresh the badge, without a value");
    peer.on("POST", INVALIDATE, [Reply::new(400, "{}")]);
    after_a_fork(&peer).run().fails("the covered server did not refresh the badge (400 Bad Request");
}

#[test]
fn a_command_that_is_typed_gives_the_value() {
    let peer = Peer::new();
    let typed = || Covered::new(&peer).env("GITHUB_EVENT_NAME", "").env("GITHUB_RUN_ID", "");
    let hint = "Badge not updated: no GitHub event names the branch; on the default branch, add --purge-cache\n";
    typed().run().succeeds().says(hint);
    typed().in_actions().run().succeeds().says("Badge not updated: this run is not a push to the default branch");
    assert!(!peer.asked().iter().any(|asked| asked.contains(INVALIDATE)));
    typed().arg("--purge-cache").run().succeeds().says("Updated the badge (");
    let value = peer.one("POST", INVALIDATE).json();
    assert_eq!((&value["percent"], value.get("run_id"), value.get("issuer")), (&84.62.into(), None, None));
}

#[test]
fn the_value_names_the_github_instance_that_numbers_its_runs() {
    let peer = Peer::new();
    Covered::new(&peer).env("GITHUB_SERVER_URL", "https://GHE.Example.com/").run().succeeds();
    assert_eq!(peer.one("POST", INVALIDATE).json()["issuer"], "https://ghe.example.com");
}

#[test]
fn a_server_that_keeps_the_badge_as_it_was_is_quoted() {
    let peer = Peer::new();
    let url = &peer.url;
    let html = format!("<img src=\"{url}/camo/1\" data-canonical-src=\"{url}/badge/octo/app.svg\">");
    let detail = format!("the value of run 12 stays: it is a newer one\\n::error::{}", "x".repeat(1_000));
    let kept = Reply::new(200, format!(r#"{{"status":"success","detail":"{detail}"}}"#));
    peer.on("GET", README, [Reply::new(200, &html)]).on("POST", INVALIDATE, [kept]);
    let run = Covered::new(&peer).run().succeeds();
    let line = run.stdout.lines().find(|line| line.starts_with("The server did not")).unwrap();
    let text = "The server did not change the badge: the value of run 12 stays: it is a newer one ::error::xx";
    assert!(line.starts_with(text) && line.chars().count() < 350, "{line}");
    run.says_not("Updated the badge");
    assert!(!peer.asked().iter().any(|asked| asked.contains("PURGE")), "{:?}", peer.asked());
}
