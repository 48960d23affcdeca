//! `covered-server check` and `healthcheck` without other services.

use std::path::Path;
use std::process::{Command, Output};

use xtask::lab::github::{Fault, Github};
use xtask::lab::oidc::Issuer;
use xtask::lab::parts::{Part, skip_without};

use crate::support::*;

fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covered-server"));
    command.env_clear().envs(environment.iter().copied()).args(arguments).current_dir(folder);
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn check_tests_the_folder_and_creates_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = run(folder.path(), &["check"], &[]);
    assert_eq!(code, Some(0), "{text}");
    for expected in ["storage     ok", "GiB free in covered-data", "\nnothing to fix, 4 notes\n"] {
        assert!(text.contains(expected), "{expected:?} in\n{text}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path().join("covered-data/uploads")).unwrap().collect();
    assert!(left.is_empty() && !folder.path().join("covered-data/api-key").exists(), "{left:?}");
}

#[cfg(unix)]
#[test]
fn an_open_folder_is_a_note_and_an_invalid_one_a_failure() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("covered-data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, text) = run(folder.path(), &["check"], &[]);
    assert!(code == Some(0) && text.contains("has mode 755: every user of this machine"), "{code:?}\n{text}");
    let (code, text) = run(folder.path(), &["check", "--storage-url", "file:///dev/null/x"], &[]);
    assert!(
        code == Some(1)
            && text.contains("FAIL  the folder /dev/null/x (STORAGE_URL) cannot be used: it must be writable by uid "),
        "{code:?}\n{text}"
    );
}

#[test]
fn check_lists_key_scopes_and_warns_of_short_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = run(folder.path(), &["check"], &[("API_KEY", "0123456789abcdef,hunter2=octo/*")]);
    assert!(
        code == Some(0) && text.contains("API_KEY     ok    2 keys: one for all repositories, one for octo/*"),
        "{text}"
    );
    assert!(text.contains("note  API_KEY: key 2 has fewer than 16 characters") && !text.contains("hunter"), "{text}");
}

#[test]
fn shared_domains_and_unrestricted_proxies_are_notes() {
    let folder = tempfile::tempdir().unwrap();
    let shared = [
        ("PUBLIC_URL", "https://covered.example.com"),
        ("REPORT_HOST", "*.reports.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::/0"),
        ("API_KEY", "0123456789abcdef0123456789abcdef"),
        ("STORAGE_URL", "memory://"),
    ];
    let (_, text) = run(folder.path(), &["check"], &shared);
    for warning in [
        "REPORT_HOST *.reports.example.com and PUBLIC_URL are both below example.com: scripts of reports",
        "TRUSTED_PROXIES contains ::/0: any client",
    ] {
        assert!(text.contains(&format!("note  {warning}")), "{warning:?} in\n{text}");
    }
}

#[test]
fn check_reports_invalid_settings_like_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = run(folder.path(), &["check", "--listen", "nonsense"], &[]);
    assert!(
        code == Some(2) && text.contains("LISTEN \"nonsense\" is not a valid address and port"),
        "{code:?}\n{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_succeeds_only_if_a_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let (code, text) = run(folder.path(), &["healthcheck"], &[("LISTEN", &address)]);
    assert_eq!((code, text.as_str()), (Some(0), ""));
    server.stop().await;
    let (code, text) = run(folder.path(), &["healthcheck"], &[("LISTEN", &address)]);
    assert!(code == Some(1) && text.contains("no healthy server on"), "{code:?}\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_verifies_certificates_and_healthcheck_accepts_any() {
    let folder = tempfile::tempdir().unwrap();
    // A certificate for another name, from an unknown authority.
    let pair = rcgen::generate_simple_self_signed(["covered.example.com".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let files = [("TLS_CERT", cert.as_str()), ("TLS_KEY", key.as_str())];
    let server = Server::with(&[&files[..], &[("STORAGE_URL", "memory://")]].concat()).await;
    let address = server.address();
    let (code, text) = run(folder.path(), &["healthcheck", "--listen", &address.to_string()], &files);
    assert_eq!((code, text.as_str()), (Some(0), ""));
    let (code, text) = run(folder.path(), &["check"], &files);
    assert!(code == Some(0) && text.contains("certificate and key match"), "{code:?}\n{text}");
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let (code, text) = run(folder.path(), &["check"], &files);
    assert!(code == Some(1) && text.contains("TLS         FAIL  TLS_KEY="), "{code:?}\n{text}");
}

#[test]
fn check_requests_the_keys_of_oidc_issuers() {
    if skip_without(&[Part::Openssl]) {
        return;
    }
    let (issuer, folder) = (Issuer::start(), tempfile::tempdir().unwrap());
    let url = issuer.url();
    let environment = [("OIDC_ISSUERS", url.as_str()), ("ALLOWED_REPOSITORIES", "octo/*")];
    issuer.rotate(2048);
    let (code, text) = run(folder.path(), &["check"], &environment);
    assert!(code == Some(0) && text.contains(&format!("OIDC        ok    {url} has 2 keys")), "{text}");
    issuer.set_down(true);
    let (code, text) = run(folder.path(), &["check"], &environment);
    let failed = format!("OIDC        FAIL  cannot read the keys of {url}: {url}/.well-known/openid-configuration: ");
    assert!(code == Some(1) && text.contains(&failed), "{text}");
    let (code, text) = run(folder.path(), &["check"], &environment[..1]);
    assert!(code == Some(0) && text.contains("has no effect: set ALLOWED_REPOSITORIES too"), "{text}");
    // GitHub's issuer cannot be reached through this proxy: that is a failure only without an API key.
    let proxied = [("HTTPS_PROXY", "http://127.0.0.1:9"), ("ALLOWED_REPOSITORIES", "octo/*")];
    let (code, text) = run(folder.path(), &["check"], &proxied);
    assert!(code == Some(0) && text.contains("until this is fixed, each upload needs an API key"), "{text}");
    assert!(text.ends_with("\nnothing to fix, 4 notes\n"), "{text}");
    let (code, text) = run(folder.path(), &["check", "--storage-url", "memory://"], &proxied);
    assert!(
        code == Some(1)
            && text.contains("OIDC        FAIL  cannot read the keys of https://token.actions.githubusercontent.com"),
        "{text}"
    );
    assert!(text.contains("API_KEY     ok    is not set: only workflows of ALLOWED_REPOSITORIES"), "{text}");
    let (code, text) = run(folder.path(), &["check"], &[("OIDC_ISSUERS", "http://192.0.2.1"), ("OIDC_AUDIENCE", "x")]);
    assert!(code == Some(2) && text.contains("OIDC_ISSUERS \"http://192.0.2.1\" must begin with https://"), "{text}");
}

#[test]
fn each_failure_of_github_is_explained() {
    let (github, folder) = (Github::start(), tempfile::tempdir().unwrap());
    github.add_repository("octo/app", "main");
    let url = github.url();
    let environment = [
        ("GITHUB_TOKEN", "tok"),
        ("GITHUB_API_URL", url.as_str()),
        ("ALLOWED_REPOSITORIES", "octo/app"),
        ("OIDC_ISSUERS", "none"),
    ];
    let (_, text) = run(folder.path(), &["check"], &environment);
    for line in [
        "GitHub        ok    GITHUB_TOKEN is valid, for github-actions[bot]\n",
        "GitHub quota  ok    4999 of 5000 points left until ",
        "repository    ok    octo/app (public) can be read\n",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
    let status = |code| Fault::Status { code, headers: Vec::new(), body: "{}".into() };
    for (fault, line) in [
        (status(401), "GitHub rejected GITHUB_TOKEN: it is invalid, expired or revoked; create a new one\n".to_owned()),
        (status(403), "GitHub rejected GITHUB_TOKEN (403): check whether its organization requires single".to_owned()),
        (status(404), format!("{url}/graphql returned 404: check GITHUB_API_URL; on Enterprise Server")),
        (Fault::RateLimited, "the rate limit of GITHUB_TOKEN is exhausted: wait, or use a token".to_owned()),
        (Fault::Garbage, format!("{url}/graphql did not return a GraphQL response of GitHub: check GITHUB_API_URL\n")),
        (Fault::Drop, format!("cannot reach {url}/graphql: ")),
    ] {
        github.set_fault(fault);
        let (code, text) = run(folder.path(), &["check"], &environment);
        assert!(code == Some(1) && text.contains(&format!("FAIL  {line}")), "{line:?} in\n{text}");
        assert_eq!(text.matches(&url).count(), usize::from(line.contains(&url)), "the URL appears once\n{text}");
    }
}
