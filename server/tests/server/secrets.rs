//! Secrets are read from files, and never shown.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use xtask::lab::oidc::Issuer;
use xtask::lab::parts::{Part, skip_without};

use crate::support::SHA;

/// Unique texts that a server never prints otherwise.
const SECRETS: [(&str, &str); 5] = [
    ("API_KEY", "kkkSECRETkkk1,kkkSECRETkkk2=octo/*"),
    ("GITHUB_TOKEN", "tttSECRETttt"),
    ("AWS_SECRET_ACCESS_KEY", "aaaSECRETaaa"),
    ("AWS_SESSION_TOKEN", "sssSECRETsss"),
    ("REDIS_URL", "redis://user:rrrSECRETrrr@127.0.0.1:9"),
];

struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covered-server"));
    command.env_clear().env("LISTEN", "127.0.0.1:0").current_dir(folder).envs(settings.iter().copied());
    command
}

/// Starts a server that writes its output to `folder`.
async fn start(folder: &Path, settings: &[(&str, &str)]) -> Running {
    let output = folder.join("output");
    let file = File::create(&output).unwrap();
    let mut command = command(folder, settings);
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut running = Running { child: command.spawn().unwrap(), url: String::new() };
    loop {
        let text = std::fs::read_to_string(&output).unwrap();
        assert!(running.child.try_wait().unwrap().is_none(), "the server exited:\n{text}");
        let address = text.split_once("http://127.0.0.1:").map(|(_, rest)| rest);
        let port: Option<&str> = address.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        if let Some(port) = port.filter(|_| text.ends_with('\n')) {
            running.url = format!("http://127.0.0.1:{port}");
            return running;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends valid and invalid requests to all routes; returns all responses.
async fn request_all_routes(url: &str) -> String {
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut responses = String::new();
    let site = "0".repeat(32);
    let paths = [
        "/",
        "/healthz",
        "/readyz",
        "/robots.txt",
        "/none",
        "/badge/octo/app.svg",
        "/badge/octo/app.json",
        "/badge/redirect/octo/app/",
        "/coverage/create-site/",
        "/coverage/invalidate-cache/octo/app/",
    ];
    let of_site = ["/", "/a.html", ".zip", ".zip?expires=1&signature=00"].map(|end| format!("/coverage/{site}{end}"));
    let value = json!({"site_id": site, "percent": 1, "state": "success", "commit_sha": SHA}).to_string();
    let new = json!({"repository": "octo/app", "commit_sha": SHA}).to_string();
    let other = json!({"repository": "acme/app", "commit_sha": SHA}).to_string();
    for path in paths.into_iter().chain(of_site.iter().map(String::as_str)) {
        for method in ["GET", "PUT", "POST"] {
            for key in [None, Some("wrong"), Some("kkkSECRETkkk1"), Some("kkkSECRETkkk2")] {
                for body in ["", "{", &value, &new, &other] {
                    let mut request =
                        client.request(method.parse().unwrap(), format!("{url}{path}")).body(body.to_owned());
                    if let Some(key) = key {
                        request = request.header("authorization", format!("Bearer {key}"));
                    }
                    let response = request.send().await.unwrap();
                    responses += &format!("{method} {path}: {response:?}\n");
                    responses += &String::from_utf8_lossy(&response.bytes().await.unwrap());
                    // Only some routes accept a body.
                    if method != "POST" || !path.starts_with("/coverage/") || key.is_none() || key == Some("wrong") {
                        break;
                    }
                }
            }
        }
    }
    responses
}

#[tokio::test]
async fn responses_and_logs_contain_no_secrets() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Store, GitHub and Redis are unreachable: their errors are logged.
    let unreachable = [
        ("AWS_BUCKET", "b"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_UPLOAD_ROLE_ARN", "arn:aws:iam::123456789012:role/upload"),
    ];
    let memory = [("STORAGE_URL", "memory://")];
    for (storage, format) in [(unreachable.as_slice(), "json"), (&memory, "text")] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings =
            vec![("LOG_LEVEL", "debug"), ("LOG_FORMAT", format), ("GITHUB_API_URL", "http://127.0.0.1:9")];
        settings.extend(SECRETS);
        settings.extend(storage);
        let server = start(folder.path(), &settings).await;
        let responses = request_all_routes(&server.url).await;
        drop(server);
        let log = std::fs::read_to_string(folder.path().join("output")).unwrap();
        // Both contain errors.
        assert!(log.contains("rejected") && responses.contains("the API key is not valid for acme/app"), "{log}");
        for output in [&responses, &log] {
            let line = output.lines().find(|line| line.contains("SECRET"));
            assert!(line.is_none(), "{line:?}");
        }
    }
}

#[tokio::test]
async fn responses_logs_and_metrics_contain_no_tokens() {
    if skip_without(&[Part::Openssl]) {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (issuer, folder) = (Issuer::start(), tempfile::tempdir().unwrap());
    let (url, client) = (issuer.url(), Client::new());
    let settings = [
        ("STORAGE_URL", "memory://"),
        ("OIDC_ISSUERS", url.as_str()),
        ("OIDC_AUDIENCE", "covered"),
        ("ALLOWED_REPOSITORIES", "octo/app"),
        ("LOG_LEVEL", "debug"),
        ("METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let server = start(folder.path(), &settings).await;
    let right = issuer.token("covered");
    issuer.set_claims(json!({"repository": "octo/other"}));
    let tokens = [right.clone(), issuer.token("other"), issuer.token("covered"), right.replace('.', ".e30.")];
    let mut output = String::new();
    for (token, repository, status) in [
        (&tokens[0], "octo/app", 200),
        (&tokens[0], "octo/other", 403),
        (&tokens[1], "octo/app", 401),
        (&tokens[2], "octo/other", 403),
        (&tokens[3], "octo/app", 403),
    ] {
        let create = client.post(format!("{}/coverage/create-site/", server.url)).bearer_auth(token);
        let body = json!({"repository": repository, "commit_sha": SHA}).to_string();
        let response = create.body(body).send().await.unwrap();
        assert_eq!(response.status(), status);
        output += &format!("{response:?}\n");
        output += &response.text().await.unwrap();
    }
    let log = std::fs::read_to_string(folder.path().join("output")).unwrap();
    let metrics = log.split_once("metrics: ").unwrap().1.lines().next().unwrap();
    let metrics = client.get(metrics).send().await.unwrap().text().await.unwrap();
    for expected in [
        r#"covered_keyless_requests_total{result="ok"} 1"#,
        r#"covered_keyless_requests_total{result="forbidden"} 2"#,
        r#"covered_keyless_requests_total{result="refused"} 1"#,
        r#"covered_oidc_issuer_requests_total{result="ok"} 1"#,
    ] {
        assert!(metrics.contains(expected), "{expected} in\n{metrics}");
    }
    assert!(log.contains("rejected: the OIDC token was rejected: aud is"), "{log}");
    output = [output, log, metrics].concat();
    for part in tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 10) {
        assert!(!output.contains(part), "{part} in\n{output}");
    }
}

#[tokio::test]
async fn secrets_are_read_from_files() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let path = file.to_str().unwrap();
    let server = start(folder.path(), &[("STORAGE_URL", "memory://"), ("API_KEY_FILE", path)]).await;
    let purge = Client::new().post(format!("{}/coverage/invalidate-cache/octo/app/", server.url));
    assert_eq!(purge.header("token", "from-a-file").send().await.unwrap().status(), 200);
}

#[test]
fn errors_name_unusable_secret_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (key, empty, token) = (write("key", "hunter2\n"), write("empty", "\n"), write("token", "a-token\n"));
    let s3 = [("AWS_BUCKET", "b"), ("API_KEY", "k")];
    for (settings, expected) in [
        (
            vec![("API_KEY", "other"), ("API_KEY_FILE", &key)],
            "API_KEY_FILE is set, and so is API_KEY: set only one of them",
        ),
        (
            vec![("GITHUB_TOKEN_FILE", "/none/token")],
            "GITHUB_TOKEN_FILE is /none/token, which cannot be read: No such file",
        ),
        (vec![("API_KEY_FILE", &empty)], "/empty, which is empty"),
        (
            vec![("REPORT_HOST", "reports.example.net")],
            "REPORT_HOST \"reports.example.net\" is not a valid host pattern",
        ),
        (
            [s3.as_slice(), &[("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token)]].concat(),
            "/token, which contains a line break",
        ),
    ] {
        let output = command(folder.path(), &settings).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && errors.contains(expected), "{settings:?}\n{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
    let flag = command(folder.path(), &[]).args(["--api-key-file", "/none/key"]).output().unwrap();
    assert!(String::from_utf8_lossy(&flag.stderr).contains("API_KEY_FILE is /none/key, which cannot be read"));
    let no_secret = command(folder.path(), &[]).args(["--listen-file", "/none"]).output().unwrap();
    assert!(String::from_utf8_lossy(&no_secret.stderr).contains("invalid option '--listen-file'"));
}
