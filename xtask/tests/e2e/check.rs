//! `covered-server check` with real services, working and broken.

use std::process::Command;

use xtask::lab::covered::{API_KEY, clean};
use xtask::lab::fault::Fault;
use xtask::lab::github::{self, Github};
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::proxy::Proxy;
use xtask::lab::redis::Redis;
use xtask::lab::s3::MiniStack;

use crate::{REPOSITORY, Settings, setting};

const TOKEN: &str = "ghp_a-token-that-nobody-may-see";

/// The exit code, and the output of both streams.
fn check(settings: &Settings) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command: Command = clean(&paths::binary("covered-server"));
    command.arg("check").current_dir(&folder).env("HOME", folder.path()).env("API_KEY", API_KEY);
    let output = command.envs(settings.iter().cloned()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    for secret in [API_KEY, TOKEN] {
        assert!(!text.contains(secret), "the output contains a secret:\n{text}");
    }
    (output.status.code(), text)
}

/// Expects a line of the table with these columns.
#[track_caller]
fn assert_line(text: &str, part: &str, verdict: &str, what: &str) {
    let fits = |line: &str| {
        let rest = line.strip_prefix(part).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(verdict) && rest.contains(what))
    };
    assert!(text.lines().any(fits), "no {part} {verdict} … {what} in:\n{text}");
}

fn all_of(github: &Github, s3: &MiniStack) -> Settings {
    let mut settings = s3.settings(&s3.url());
    settings.extend(setting("AWS_UPLOAD_ROLE_ARN", &s3.upload_role));
    settings.extend(setting("GITHUB_API_URL", &github.url()));
    settings.extend(setting("GITHUB_TOKEN", TOKEN));
    settings.extend(setting("ALLOWED_REPOSITORIES", &format!("acme/*, {REPOSITORY}")));
    settings
}

#[test]
fn check_reports_working_parts_and_removes_its_test_objects() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, s3, redis) = (Github::start(), MiniStack::start(), Redis::start());
    github.add_repository(REPOSITORY, "main");
    let (code, text) = check(&[all_of(&github, &s3), setting("REDIS_URL", &redis.url())].concat());
    assert_line(&text, "Redis", "ok", "responds");
    assert_line(&text, "storage", "ok", "wrote and read a test object");
    assert_line(&text, "upload address", "ok", "uploaded a test object by a signed address");
    assert_line(&text, "upload role", "ok", "can write to one site's folder only");
    assert_line(&text, "GitHub", "ok", "GITHUB_TOKEN is valid, for github-actions[bot]");
    assert_line(&text, "GitHub quota", "ok", "4999 of 5000 points left");
    assert_line(&text, "repository", "ok", "octo/app (public) can be read");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(s3.keys(), [""; 0]);
    assert_eq!(redis.keys(), [""; 0]);
}

#[test]
fn check_reports_permissions_that_the_originals_policy_lacks() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, s3) = (Github::start(), MiniStack::start());
    let proxy = Proxy::start(&s3.url());
    proxy.fail(|_| Some(Fault::Hide));
    let settings = s3.settings_of_the_original(&proxy.url());
    let with_github = [setting("GITHUB_API_URL", &github.url()), setting("GITHUB_TOKEN", TOKEN)].concat();
    let (code, text) = check(&[settings.clone(), with_github].concat());
    assert_line(&text, "storage", "ok", "wrote and read a test object");
    assert_line(&text, "storage", "note", "(on S3: allow s3:ListBucket on the bucket)");
    assert_line(
        &text,
        "storage",
        "note",
        "values/* cannot be used (on S3: s3:PutObject on values/*), so that badge values",
    );
    assert_line(&text, "storage", "note", "repositories/* cannot be used (on S3: s3:PutObject on repositories/*)");
    assert_line(&text, "upload address", "ok", "uploaded a test object by a signed address");
    assert_line(&text, "upload role", "ok", "can write to one site's folder only");
    assert_eq!(code, Some(0), "{text}");
    let keyless = [setting("ALLOWED_REPOSITORIES", "octo/*"), setting("OIDC_AUDIENCE", "covered")].concat();
    let (code, text) = check(&[settings, keyless].concat());
    assert_line(&text, "storage", "FAIL", "so that badges are lost with a restart, as GITHUB_TOKEN is not set either");
    assert_line(&text, "storage", "FAIL", "so that uploads without an API key are refused");
    assert_eq!(code, Some(1), "{text}");
}

#[test]
fn check_reports_failures_with_what_to_do() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let (github, s3) = (Github::start(), MiniStack::start());
    let changed = |name: &str, value: &str| {
        let (code, text) = check(&[all_of(&github, &s3), setting(name, value)].concat());
        assert_eq!(code, Some(1), "{text}");
        text
    };
    let text = changed("AWS_BUCKET", "missing");
    assert_line(&text, "storage", "FAIL", "create the bucket, or correct its name");
    let text = changed("AWS_SECRET_ACCESS_KEY", "wrong");
    assert_line(&text, "storage", "FAIL", "correct the credentials");
    let text = changed("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    assert_line(&text, "storage", "FAIL", "cannot reach the store");
    let text = changed("REDIS_URL", "redis://user:hunter2@127.0.0.1:1");
    assert_line(&text, "Redis", "FAIL", "cannot use redis://127.0.0.1:1: Connection refused; check REDIS_URL");
    assert!(!text.contains("hunter2"), "{text}");
    let text = changed("AWS_UPLOAD_ROLE_ARN", "arn:aws:iam::000000000000:role/missing");
    assert_line(&text, "upload role", "FAIL", "role/missing");
    assert_line(&text, "repository", "FAIL", "octo/app of ALLOWED_REPOSITORIES cannot be read");
    for (fault, what) in [
        (github::Fault::Status { code: 401, headers: Vec::new(), body: "{}".into() }, "GitHub rejected GITHUB_TOKEN"),
        (github::Fault::Status { code: 403, headers: Vec::new(), body: "{}".into() }, "single sign-on"),
        (github::Fault::Status { code: 404, headers: Vec::new(), body: "{}".into() }, "check GITHUB_API_URL"),
        (github::Fault::RateLimited, "the rate limit of GITHUB_TOKEN is exhausted"),
        (github::Fault::Garbage, "did not return a GraphQL response of GitHub"),
        (github::Fault::Drop, "cannot reach"),
    ] {
        github.set_fault(fault);
        let settings = [setting("GITHUB_API_URL", &github.url()), setting("GITHUB_TOKEN", TOKEN)].concat();
        let (code, text) = check(&settings);
        assert_line(&text, "GitHub", "FAIL", what);
        assert_eq!(code, Some(1), "{text}");
    }
}
