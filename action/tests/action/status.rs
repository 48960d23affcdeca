use crate::peer::{Peer, Reply};
use crate::run::{Covered, Outcome, SHA, SITE, TOKEN};

fn path() -> String {
    format!("/repos/octo/app/statuses/{SHA}")
}

/// A run with this response to its status; the badge is updated anyway.
fn run_with(status: u16, body: &str) -> Outcome {
    let peer = Peer::new();
    peer.on("POST", &path(), [Reply::new(status, body)]);
    let outcome = Covered::new(&peer).run();
    peer.one("POST", "/coverage/invalidate-cache/octo/app/");
    outcome.outputs("uploaded=true").outputs("coverage=84.62").stdout_contains("Report: ")
}

#[test]
fn the_status_contains_the_total_and_the_link() {
    let peer = Peer::new();
    Covered::new(&peer)
        .run()
        .succeeds()
        .stdout_contains("Posted the status `covered`: success, 84.62% (")
        .outputs("state=success");
    let request = peer.one("POST", "/repos/");
    let link = format!("{}/coverage/{SITE}/", peer.url);
    let expected =
        serde_json::json!({"state": "success", "description": "84.62%", "target_url": link, "context": "covered"});
    assert_eq!(request.json(), expected);
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(request.header("accept"), Some("application/vnd.github+json"));
    assert_eq!(request.header("x-github-api-version"), Some("2022-11-28"));
    assert_eq!(request.header("token"), None);
}

#[test]
fn a_total_below_the_threshold_fails_the_status_but_not_the_run() {
    let peer = Peer::new();
    Covered::new(&peer).arg("--coverage-threshold=90").run().succeeds().outputs("state=failure");
    let status = peer.one("POST", "/repos/").json();
    assert_eq!(
        (&status["state"], &status["description"]),
        (&"failure".into(), &"84.62%, below the threshold of 90%".into())
    );
}

#[test]
fn a_total_equal_to_the_threshold_passes() {
    let peer = Peer::new();
    // 11 of 13.
    Covered::new(&peer).arg("--coverage-threshold=84.615384615384").run().succeeds().outputs("state=success");
}

#[test]
fn a_total_that_only_rounds_up_to_the_threshold_fails() {
    let peer = Peer::new();
    let outcome = Covered::new(&peer).arg("--coverage-threshold=84.62").run().succeeds();
    outcome
        .outputs("state=failure")
        .stdout_contains("Found 84.62% of lines and branches (coverage.py, index.html): 11 of 13, 84.6153…%");
    let description = &peer.one("POST", "/repos/").json()["description"];
    assert_eq!(description, "84.62% (84.6153…%), below the threshold of 84.62%");
}

#[test]
fn a_named_report_has_its_own_context() {
    let peer = Peer::new();
    Covered::new(&peer)
        .arg("--name=backend")
        .run()
        .succeeds()
        .outputs(&format!("badge-url={}/badge/octo/app.svg?name=backend", peer.url));
    assert_eq!(peer.one("POST", "/repos/").json()["context"], "covered/backend");
}

#[test]
fn without_a_token_no_status_is_posted_and_the_run_succeeds() {
    let peer = Peer::new();
    let run = Covered::new(&peer).env("COVERED_GH_TOKEN", "").run();
    run.succeeds().stderr_contains(
        "warning: no status was posted (it would be: success, 84.62%): set github-token (--gh-token) to a token that \
         may write commit statuses",
    );
    assert!(!peer.requests().iter().any(|request| request.contains("/repos/")));
}

#[test]
fn a_total_below_the_threshold_is_logged_once_though_no_status_is_posted() {
    let peer = Peer::new();
    let below = "(it would be: failure, 84.62%, below the threshold of 99%)";
    let run = |token: &str| Covered::new(&peer).env("COVERED_GH_TOKEN", token).arg("--coverage-threshold=99");
    run("").run().succeeds().stderr_contains(&format!("no status was posted {below}: set github-token"));
    run("")
        .arg("--dry-run")
        .run()
        .succeeds()
        .stdout_contains(&format!("Would post no status {below}: set github-token"));
    run("none")
        .run()
        .succeeds()
        .stdout_contains(&format!("Posted no status {below}: github-token (--gh-token) is none"));
    peer.on("POST", &path(), [Reply::new(403, "{}")]);
    run(TOKEN).run().fails("the token may not write statuses").stdout_contains(&format!("Posted no status {below}\n"));
    peer.on("POST", "/coverage/create-site/", [Reply::new(400, "{}")]);
    for token in ["", TOKEN] {
        let outcome = run(token).run().fails("created no site");
        assert_eq!(outcome.stdout.matches(&format!("Posted no status {below}\n")).count(), 1, "{}", outcome.stdout);
    }
    Covered::new(&peer).without_file("index.html").arg("--dry-run").env("COVERED_GH_TOKEN", "").run().stdout_contains(
        "Would post no status (it would be: failure, no total found; a total of at least 80 is required): set",
    );
}

#[test]
fn token_none_posts_no_status() {
    let peer = Peer::new();
    let run = |token: &str| {
        let covered = Covered::new(&peer).env("COVERED_GH_TOKEN", "").env("ACTION_DEFAULT_GITHUB_TOKEN", TOKEN);
        covered.env("INPUT_GITHUB_TOKEN", token)
    };
    for none in ["none", "None", "NONE"] {
        let outcome = run(none).in_actions().run().succeeds();
        outcome
            .stdout_contains("Posted no status (it would be: success, 84.62%): github-token (--gh-token) is none\n")
            .omits("::warning")
            .omits("no status was posted");
        let would = "Would post no status (it would be: success, 84.62%): github-token (--gh-token) is none\n";
        run(none).arg("--dry-run").run().succeeds().stdout_contains(would);
    }
    assert!(!peer.requests().iter().any(|request| request.contains("/repos/")));
    run("").run().succeeds().stdout_contains("Posted the status");
}

#[test]
fn a_token_without_write_access_is_reported_with_the_permission() {
    run_with(403, r#"{"message":"Resource not accessible by integration"}"#)
        .fails(
            "error: the token may not write statuses in octo/app (403 Forbidden: Resource not accessible by \
             integration)",
        )
        .stderr_contains("give the job `permissions: statuses: write`");
}

#[test]
fn a_repository_the_token_cannot_access_is_reported() {
    run_with(404, r#"{"message":"Not Found"}"#)
        .fails(
            "error: the token has no access to octo/app, or may not write commit statuses there (404 Not Found: Not \
             Found)",
        )
        .stderr_contains("`permissions: statuses: write`");
}

#[test]
fn an_invalid_token_is_reported() {
    run_with(401, r#"{"message":"Bad credentials"}"#).fails(
        "error: GitHub does not accept the token (401 Unauthorized: Bad credentials): check github-token (--gh-token)",
    );
}

#[test]
fn an_unknown_commit_is_reported() {
    run_with(422, r#"{"message":"No commit found for SHA: 0123"}"#).fails(&format!(
        "error: GitHub has no commit {SHA} in octo/app (422 Unprocessable Entity: No commit found for SHA: 0123): \
         check commit-sha"
    ));
}

#[test]
fn a_commit_with_the_maximum_of_statuses_is_reported() {
    let errors = r#"[{"resource":"Status","code":"custom","message":"This SHA and context has reached the maximum number of statuses."}]"#;
    run_with(422, &format!(r#"{{"message":"Validation Failed","errors":{errors}}}"#))
        .fails(&format!("error: commit {SHA} of octo/app already has 1000 statuses of context `covered`, which is"))
        .stderr_contains(
            "(422 Unprocessable Entity: Validation Failed: This SHA and context has reached the maximum number",
        )
        .stderr_contains("push a new commit, or set another context");
}

#[test]
fn other_validation_errors_quote_github() {
    let errors = r#"[{"resource":"Status","field":"target_url","code":"invalid"}]"#;
    run_with(422, &format!(r#"{{"message":"Validation Failed","errors":{errors}}}"#))
        .fails(&format!(
            "error: GitHub did not accept the status for commit {SHA} of octo/app (422 Unprocessable Entity: "
        ))
        .stderr_contains("Validation Failed: Status target_url invalid)")
        .omits("check commit-sha");
}

#[test]
fn an_archived_repository_is_reported() {
    run_with(403, r#"{"message":"Repository was archived so is read-only."}"#)
        .fails("error: octo/app is archived, so GitHub accepts no changes (403 Forbidden: Repository was archived")
        .omits("permissions: statuses: write");
}

#[test]
fn an_ip_allow_list_is_reported() {
    let message = "Although you appear to have the correct authorization credentials, the `octo` organization has an IP \
                allow list enabled, and your IP address is not permitted to access this resource.";
    run_with(403, &format!(r#"{{"message":"{message}"}}"#))
        .fails("error: the organization of octo/app accepts only listed IP addresses (403 Forbidden: Although you")
        .stderr_contains("use a runner with a listed address, or add this runner's address to the list")
        .omits("permissions: statuses: write");
}

/// GitHub's response for a renamed or transferred repository.
fn moved(status: u16, url: &str) -> Reply {
    let body =
        format!(r#"{{"message":"Moved Permanently","url":"{url}","documentation_url":"https://docs.github.com"}}"#);
    Reply::new(status, body).with("location", url)
}

#[test]
fn a_renamed_repository_is_followed_and_reported_once() {
    let peer = Peer::new();
    let to = |rest: &str| format!("{}/repositories/1296269/{rest}", peer.url);
    peer.on("POST", &path(), [moved(307, &to(&format!("statuses/{SHA}")))])
        .on("POST", &format!("/repositories/1296269/statuses/{SHA}"), [Reply::new(201, "{}")])
        .on("GET", "/repos/octo/app/readme", [moved(301, &to("readme"))])
        .on("GET", "/repositories/1296269/readme", [Reply::new(404, r#"{"message":"Not Found"}"#)]);
    let outcome = Covered::new(&peer).run().succeeds().stdout_contains("Posted the status `covered`: success, 84.62%");
    let outcome =
        outcome.stdout_contains("Note: GitHub has renamed or transferred octo/app; this run uses its ID 1296269. ");
    assert_eq!(outcome.stdout.matches("renamed").count(), 1);
    let posted = peer.one("POST", "/repositories/1296269/statuses/");
    assert_eq!(posted.json(), peer.one("POST", "/repos/octo/app/statuses/").json());
    assert_eq!(posted.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
}

#[test]
fn other_redirects_of_github_are_not_followed() {
    let other = Peer::new();
    for url in [
        format!("{}/repositories/7/statuses/{SHA}", other.url),
        "https://evil.example/repositories/7/statuses/1".to_owned(),
    ] {
        let peer = Peer::new();
        peer.on("POST", &path(), [moved(307, &url)]);
        Covered::new(&peer)
            .run()
            .fails("error: GitHub has moved octo/app (307 Temporary Redirect: Moved Permanently; redirects to http")
            .stderr_contains(": start a new run, or set --repo-owner and --repo-name");
    }
    assert!(other.received().is_empty());
    let peer = Peer::new();
    peer.on("POST", &path(), [Reply::new(301, "").with("location", "https://ghe.example/api/v3/repos/octo/app")]);
    let wrong = format!("error: GitHub's API is not at {} (301 Moved Permanently: redirects to https://ghe.", peer.url);
    Covered::new(&peer).run().fails(&wrong);
    let peer = Peer::new();
    let again = format!("/repositories/7/statuses/{SHA}");
    let url = format!("{}{again}", peer.url);
    peer.on("POST", &path(), [moved(307, &url)]).on("POST", &again, [moved(307, &url)]);
    Covered::new(&peer).run().fails("error: GitHub has moved octo/app");
    peer.one("POST", &again);
}

#[test]
fn required_single_sign_on_is_reported() {
    let peer = Peer::new();
    let sso = Reply::new(403, r#"{"message":"Resource protected by organization SAML enforcement."}"#);
    peer.on("POST", &path(), [sso.with("x-github-sso", "required; url=https://github.com/orgs/octo/sso?x=1")]);
    let outcome =
        Covered::new(&peer).run().fails("error: the organization of octo/app requires single sign-on (403 Forbidden");
    outcome.stderr_contains("authorize github-token for SSO");
}

#[test]
fn githubs_hourly_limit_is_an_outage() {
    let peer = Peer::new();
    let limit = Reply::new(403, r#"{"message":"API rate limit exceeded"}"#);
    let limit = limit.with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", "99999999999");
    peer.on("POST", &path(), [limit]);
    Covered::new(&peer).in_actions().arg("--fail-on-error=false").run().succeeds().stdout_contains(
        "::warning::GitHub did not accept the status (403 Forbidden: rate limit exceeded: API rate limit exceeded; the \
         server asks to wait ",
    );
    assert_eq!(peer.requests().iter().filter(|request| request.contains("/statuses/")).count(), 1);
}

#[test]
fn githubs_secondary_limit_is_retried() {
    let peer = Peer::new();
    peer.on(
        "POST",
        &path(),
        [Reply::new(403, r#"{"message":"slow down"}"#).with("retry-after", "0"), Reply::new(201, "{}")],
    );
    Covered::new(&peer).run().succeeds().stdout_contains("answered 403 Forbidden, retrying in 0.0 s");
}
