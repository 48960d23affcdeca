//! The Python original's CLI with this server, and this uploader with the original's backend.

use std::process::Command;

use hyper::Response;
use serde_json::{Value, json};
use xtask::lab::covered::{API_KEY, Server, clean, covered};
use xtask::lab::fault::Fault;
use xtask::lab::github::Github;
use xtask::lab::http::{self, Serving, full};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::run;
use xtask::lab::proxy::Proxy;
use xtask::lab::report::{self, File};
use xtask::lab::s3::MiniStack;

use crate::files::fetch_and_compare;
use crate::{NEXT_SHA, REPOSITORY, SHA, Settings, World, setting};

/// The settings of a server that returns temporary credentials, with enforced session policies.
pub fn with_role(s3: &MiniStack) -> Settings {
    let mut settings = s3.settings(&s3.url());
    settings.extend(setting("AWS_UPLOAD_ROLE_ARN", &s3.upload_role));
    settings
}

/// The unmodified CLI of the original, like its users run it.
fn original(version: &str, world: &World, s3: &MiniStack, report: &str, sha: &str) -> Command {
    let (owner, name) = REPOSITORY.split_once('/').unwrap();
    let mut command = clean(&paths::program(&paths::original(version), "python"));
    command.arg(paths::script("original.py")).arg(world.folder.path().join(report));
    command.env("GITHUB_STUB", world.github.url()).env("AWS_ENDPOINT_URL", s3.url());
    command.env("COVERED_API_URL", &world.server.url).env("COVERED_API_KEY", API_KEY);
    command.env("COVERED_REPO_OWNER", owner).env("COVERED_REPO_NAME", name).env("COVERED_COMMIT_SHA", sha);
    command.env("COVERED_GH_TOKEN", "a-token").env("COVERED_COVERAGE_THRESHOLD", "80");
    command
}

/// Checks status, badge and redirect after an upload by the original; returns the report's path.
fn assert_uploaded(world: &World, sha: &str, badge: &str) -> String {
    let statuses = world.github.statuses(REPOSITORY, sha);
    let [status] = statuses.as_slice() else { panic!("expected one status: {statuses:?}") };
    assert_eq!((status.context.as_str(), status.state.as_str()), ("coverage", "success"));
    assert!(world.badge().text().contains(&format!("coverage: {badge}")), "{}", world.badge().text());
    let path = world.report_path();
    assert_eq!(status.target_url, format!("{}{path}", world.server.url));
    path
}

fn assert_files_served(world: &World, path: &str, files: &[File]) {
    let base = format!("{}{path}", world.server.url);
    std::thread::scope(|scope| {
        scope.spawn(|| files.iter().for_each(|file| _ = fetch_and_compare(&base, file, "gzip")));
        scope.spawn(|| files.iter().for_each(|file| _ = fetch_and_compare(&base, file, "identity")));
    });
    let reservation = world.server.get(&format!("{path}.keep"));
    assert_eq!(reservation.status, 404, "the reservation must not be served");
}

#[test]
fn the_python_cli_uploads_to_this_server() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let world = World::new(&with_role(&s3));
    let badge_url = format!("{}/badge/{REPOSITORY}.svg", world.server.url);
    world.github.set_readme(REPOSITORY, &[&badge_url]);

    let small = report::small(&world.folder.path().join("small"), "87.5");
    let log = run(original("0.1.1", &world, &s3, "small", SHA).arg("--purge-cache")).unwrap().succeeded().text();
    assert!(log.contains("Camo cache purged successfully"), "{log}");
    assert_eq!(world.github.purged(), [badge_url]);
    let path = assert_uploaded(&world, SHA, "87%");
    assert_files_served(&world, &path, &small);

    world.github.push(REPOSITORY, "main", NEXT_SHA);
    let large = report::large(&world.folder.path().join("large"), 3600);
    run(original("0.1.1", &world, &s3, "large", NEXT_SHA).arg("--purge-cache")).unwrap().succeeded();
    let path = assert_uploaded(&world, NEXT_SHA, "87%");
    assert_files_served(&world, &path, &large);
}

#[test]
fn the_previous_python_cli_uploads_to_this_server() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let world = World::new(&with_role(&s3));
    let files = report::small(&world.folder.path().join("small"), "91");
    run(original("0.1.0", &world, &s3, "small", SHA).arg("--is-default-branch")).unwrap().succeeded();
    let path = assert_uploaded(&world, SHA, "91%");
    assert_files_served(&world, &path, &files);
}

#[test]
fn both_uploaders_and_old_reports_work_with_the_originals_policy() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let proxy = Proxy::start(&s3.url());
    proxy.fail(|_| Some(Fault::Hide));
    let settings = s3.settings_of_the_original(&proxy.url());
    let mut world = World::new(&settings);
    let files = report::large(&world.folder.path().join("small"), 60);
    run(original("0.1.1", &world, &s3, "small", SHA).arg("--purge-cache")).unwrap().succeeded();
    let path = assert_uploaded(&world, SHA, "87%");
    assert_files_served(&world, &path, &files);
    world.restart(&settings);
    assert_files_served(&world, &path, &files);
    for missing in [format!("{path}none.html"), "/coverage/0123456789ab/".to_owned()] {
        assert_eq!(world.server.get(&missing).status, 404, "{missing}");
    }

    world.github.push(REPOSITORY, "main", NEXT_SHA);
    let next = world.folder.path().join("next");
    report::small(&next, "91");
    let mut upload = covered(&next, &world.server.url, &world.github.url(), REPOSITORY, NEXT_SHA);
    upload.args(["--coverage-threshold", "80", "--purge-cache"]).env("RUNNER_DEBUG", "1");
    let log = run(&mut upload).unwrap().succeeded().text();
    assert!(log.contains("Updated the badge (") && log.contains(", try 1, "), "{log}");
    assert!(!log.contains(", try 2, "), "a request was retried: {log}");
    assert!(world.badge().text().contains("coverage: 91%"), "{}", world.badge().text());
    assert_eq!(world.server.get(&world.report_path()).status, 200);
    let other = s3.keys().into_iter().find(|key| !key.starts_with("sites/"));
    assert_eq!(other, None, "the policy allows no other keys");
}

#[test]
fn the_badge_links_to_the_originals_report_after_the_url_changed() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let mut world = World::new(&with_role(&s3));
    let files = report::small(&world.folder.path().join("small"), "91");
    run(original("0.1.1", &world, &s3, "small", SHA).arg("--purge-cache")).unwrap().succeeded();
    let (path, former) = (assert_uploaded(&world, SHA, "91%"), world.server.url.clone());
    // Another port: the link in the status is not reachable any more.
    world.restart(&with_role(&s3));
    assert_ne!(world.server.url, former);
    assert_eq!(world.report_path(), path);
    assert_files_served(&world, &path, &files);
    // The links of a new upload work as well after a restart.
    world.github.push(REPOSITORY, "main", NEXT_SHA);
    world.upload_small("87.5", NEXT_SHA);
    let path = world.report_path();
    world.restart(&with_role(&s3));
    assert_eq!(world.report_path(), path);
}

/// The server's response to the original: credentials for one new site.
fn credentials(server: &Server) -> Value {
    let url = format!("{}/coverage/create-site/", server.url);
    let reply = http::request("POST", &url, &[("token", API_KEY)], "").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn temporary_credentials_can_write_only_their_own_site() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let server = Server::start(&with_role(&s3));
    let (own, other) = (credentials(&server), credentials(&server));
    let site = |session: &Value| session["site_id"].as_str().unwrap().to_owned();
    let results = s3.try_operations(&own, &site(&own), &site(&other));
    let expected = json!({
        "put into its own": "done",
        "put into another": "AccessDenied",
        "put its zip": "AccessDenied",
        "get": "AccessDenied",
        "list": "AccessDenied",
        "delete": "AccessDenied",
    });
    assert_eq!(results, expected);
}

#[test]
fn errors_name_a_role_that_cannot_be_assumed() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let mut settings = s3.settings(&s3.url());
    let role = "arn:aws:iam::000000000000:role/absent";
    settings.extend(setting("AWS_UPLOAD_ROLE_ARN", role));
    let server = Server::start(&settings);
    let url = format!("{}/coverage/create-site/", server.url);
    let reply = http::request("POST", &url, &[("token", API_KEY)], "").unwrap();
    assert_eq!(reply.status, 502, "{}", reply.text());
    let message = format!("AWS does not let this server assume the role {role}: ");
    assert!(reply.text().contains(&message), "{}", reply.text());

    // STS is unreachable.
    settings.extend(setting("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9"));
    let server = Server::start(&settings);
    let url = format!("{}/coverage/create-site/", server.url);
    let reply = http::request("POST", &url, &[("token", API_KEY)], "").unwrap();
    let failed = format!("AWS STS returned no credentials for the role {role}: try again later");
    assert!(reply.status == 502 && reply.text().contains(&failed), "{}", reply.text());
}

/// A backend with only the original's protocol. It gets real credentials from `server`.
pub fn backend(server: &Server) -> Serving {
    let url = server.url.clone();
    Serving::start(move |request| {
        let url = url.clone();
        async move {
            let body = match request.uri().path() {
                "/coverage/create-site/" => {
                    let create = move || {
                        http::request("POST", &format!("{url}/coverage/create-site/"), &[("token", API_KEY)], "")
                    };
                    tokio::task::spawn_blocking(create).await.unwrap().unwrap().body
                }
                _ => br#"{"status":"success"}"#.to_vec(),
            };
            Ok(Response::new(full(body)))
        }
    })
}

#[test]
fn this_uploader_uploads_to_the_originals_backend() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let world = World::new(&with_role(&s3));
    let backend = backend(&world.server);
    let folder = world.folder.path().join("report");
    let files = report::large(&folder, 400);
    let upload = |github: &Github, context: &str| {
        let mut command = covered(&folder, &backend.url(), &github.url(), REPOSITORY, SHA);
        command.env("AWS_ENDPOINT_URL", s3.url()).env("COVERED_CONTEXT", context);
        command.args(["--coverage-threshold", "80", "--purge-cache"]);
        run(&mut command).unwrap().succeeded().text()
    };
    let warning = "which reads only statuses whose context contains `coverage`";
    let log = upload(&world.github, "coverage");
    assert!(!log.contains(warning), "{log}");
    let statuses = world.github.statuses(REPOSITORY, SHA);
    assert_eq!((statuses[0].context.as_str(), statuses[0].state.as_str()), ("coverage", "success"));
    let path = statuses[0].target_url.strip_prefix(&backend.url()).unwrap();
    let prefix = format!("{}/", path.trim_matches('/').replacen("coverage", "sites", 1));
    let mut expected: Vec<String> = files.iter().map(|(name, _)| format!("{prefix}{name}")).collect();
    expected.push(format!("{prefix}.keep"));
    expected.sort();
    let arrived: Vec<String> = s3.keys().into_iter().filter(|key| key.starts_with(&prefix)).collect();
    assert_eq!(arrived, expected);
    assert_files_served(&world, path, &files);

    let log = upload(&world.github, "");
    assert!(log.contains(warning) && log.contains("set `context: coverage`"), "{log}");
}

#[test]
fn this_uploader_uploads_single_files_to_this_server() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let world = World::new(&with_role(&s3));
    let folder = world.folder.path().join("report");
    let files = report::large(&folder, 100);
    let mut command = covered(&folder, &world.server.url, &world.github.url(), REPOSITORY, SHA);
    command.env("AWS_ENDPOINT_URL", s3.url());
    command.args(["--coverage-threshold", "80", "--purge-cache", "--files"]);
    let log = run(&mut command).unwrap().succeeded().text();
    assert!(!log.contains("Packed") && !log.contains("warning"), "{log}");
    let path = world.report_path();
    assert_files_served(&world, &path, &files);
    let prefix = path.trim_matches('/').replacen("coverage", "sites", 1);
    let mut expected: Vec<String> = files.iter().map(|(name, _)| format!("{prefix}/{name}")).collect();
    expected.push(format!("{prefix}/.keep"));
    expected.sort();
    let sites: Vec<String> = s3.keys().into_iter().filter(|key| key.starts_with("sites/")).collect();
    assert_eq!(sites, expected, "expected single files and no zip");
}

#[test]
fn uploading_single_files_without_a_role_reports_the_missing_settings() {
    let world = World::new(&Settings::new());
    let folder = world.folder.path().join("report");
    report::small(&folder, "87.5");
    let mut command = covered(&folder, &world.server.url, &world.github.url(), REPOSITORY, SHA);
    let failed = run(command.arg("--files")).unwrap();
    assert!(!failed.ok && failed.text().contains("an S3 bucket and AWS_UPLOAD_ROLE_ARN"), "{}", failed.text());
}
