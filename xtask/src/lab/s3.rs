//! MiniStack: S3 and STS that check signatures and enforce session policies.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, free_port, poll, run};
use super::{http, paths};

const ROOT_KEY: &str = "AKIAROOTROOTROOTROOT";
const ROOT_SECRET: &str = "rootsecret";
pub const BUCKET: &str = "covered";

/// A running S3 with one bucket and its own user; dropping it removes everything.
#[derive(Debug)]
pub struct MiniStack {
    endpoint: String,
    key: String,
    secret: String,
    /// The keys of a user with the policy of the Python original.
    original: (String, String),
    /// The role that the server assumes for the Python CLI's uploads.
    pub upload_role: String,
    _process: Process,
    _folder: TempDir,
}

impl MiniStack {
    pub fn start() -> MiniStack {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(paths::python("ministack"));
        command
            .current_dir(&folder)
            .env("HOME", folder.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("SERVICES", "s3,sts,iam")
            .env("AUTH", "true")
            .env("AWS_ACCESS_KEY_ID", ROOT_KEY)
            .env("AWS_SECRET_ACCESS_KEY", ROOT_SECRET);
        let process = Process::spawn(&mut command).unwrap();
        let health = format!("{endpoint}/_ministack/health");
        poll("ministack", || http::get(&health).ok().filter(|reply| reply.status == 200)).unwrap();
        let output = script("up", &endpoint, ROOT_KEY, ROOT_SECRET);
        let output: Value = serde_json::from_str(&output).unwrap();
        let text = |key: &str| output[key].as_str().unwrap().to_owned();
        MiniStack {
            endpoint,
            key: text("key"),
            secret: text("secret"),
            original: (text("original_key"), text("original_secret")),
            upload_role: text("role"),
            _process: process,
            _folder: folder,
        }
    }

    pub fn url(&self) -> String {
        self.endpoint.clone()
    }

    /// The server's settings for this bucket at `endpoint`: its own URL or a proxy's.
    pub fn settings(&self, endpoint: &str) -> Vec<(String, String)> {
        settings(endpoint, &self.key, &self.secret)
    }

    /// The same with the policy of the Python original, which allows only to get and put `sites/*`, and to assume the
    /// upload role. The emulator does not return 403 for missing objects then: see [`super::fault::Fault::Hide`].
    pub fn settings_of_the_original(&self, endpoint: &str) -> Vec<(String, String)> {
        let (key, secret) = &self.original;
        let mut settings = settings(endpoint, key, secret);
        settings.push(("AWS_UPLOAD_ROLE_ARN".to_owned(), self.upload_role.clone()));
        settings
    }

    /// Tries operations on `sites/{own}/` and `sites/{other}/` with temporary credentials; returns the result of each.
    pub fn try_operations(&self, credentials: &Value, own: &str, other: &str) -> Value {
        let mut command = Command::new(paths::python("python"));
        command.arg(paths::script("s3.py")).args(["try", &self.endpoint]);
        for name in ["access_key_id", "secret_access_key", "bucket", "session_token"] {
            command.arg(credentials[name].as_str().unwrap());
        }
        let output = run(command.args([own, other])).unwrap().succeeded().stdout;
        serde_json::from_str(&output).unwrap()
    }

    /// A signed URL to read this object, valid for an hour.
    pub fn signed(&self, key: &str) -> String {
        let mut command = Command::new(paths::python("python"));
        command.arg(paths::script("s3.py")).args(["sign", &self.endpoint, &self.key, &self.secret, BUCKET, key]);
        run(&mut command).unwrap().succeeded().stdout.trim().to_owned()
    }

    /// All keys in the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
        let listed = script("list", &self.endpoint, &self.key, &self.secret);
        listed.lines().map(ToOwned::to_owned).collect()
    }
}

fn settings(endpoint: &str, key: &str, secret: &str) -> Vec<(String, String)> {
    let settings = [
        ("AWS_BUCKET", BUCKET),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_ENDPOINT_URL", endpoint),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn script(what: &str, endpoint: &str, key: &str, secret: &str) -> String {
    let mut command = Command::new(paths::python("python"));
    command.arg(paths::script("s3.py"));
    command.args([what, endpoint, key, secret, BUCKET]);
    run(&mut command).unwrap().succeeded().stdout
}
