//! A server on a free port, a client, and zips to upload.

use std::io::Write;
use std::sync::Arc;

use covered_server::app::App;
use covered_server::config::{self, Command};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const KEY: &str = "test-key";
pub const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A running server; it stops with the test's runtime, or by [`Server::stop`].
pub struct Server {
    pub url: String,
    pub client: Client,
    stop: oneshot::Sender<&'static str>,
    serving: JoinHandle<()>,
}

impl Server {
    /// In memory.
    pub async fn start() -> Self {
        Self::with(&[("STORAGE_URL", "memory://")]).await
    }

    /// In a folder.
    pub async fn on(folder: &TempDir, settings: &[(&str, &str)]) -> Self {
        let url = format!("file://{}", folder.path().display());
        let mut all = vec![("STORAGE_URL", url.as_str())];
        all.extend_from_slice(settings);
        Self::with(&all).await
    }

    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings: Vec<(String, String)> = [("API_KEY", KEY)]
            .iter()
            .chain(settings)
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let look_up = |name: &str| settings.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.into());
        let Ok(Command::Serve(config)) = config::command([], look_up, None) else {
            panic!("invalid settings: {settings:?}")
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Arc::new(App::new(*config, address).unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving =
            tokio::spawn(covered_server::serve::serve(listener, app, async { stopped.await.unwrap_or("dropped") }));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let scheme = if settings.iter().any(|(name, _)| name == "TLS_CERT") { "https" } else { "http" };
        Self { url: format!("{scheme}://{address}"), client, stop, serving }
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.url.rsplit_once('/').unwrap().1.parse().unwrap()
    }

    pub async fn stop(self) {
        self.stop.send("test").unwrap();
        self.serving.await.unwrap();
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).header("token", KEY)
    }

    /// Creates a site; returns the response of create-site.
    pub async fn create(&self) -> Value {
        let body = json!({"repository": "octo/app", "commit_sha": SHA});
        let response = self.post("/coverage/create-site/").body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    /// Uploads a body to the address from create-site.
    pub async fn put(&self, session: &Value, body: impl Into<reqwest::Body>) -> Response {
        let mut request = self.client.put(session["upload"]["url"].as_str().unwrap());
        for (name, value) in session["upload"]["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        request.body(body).send().await.unwrap()
    }

    /// Uploads a report; returns its path: `/coverage/{site_id}/`.
    pub async fn upload(&self, zip: Vec<u8>) -> String {
        let session = self.create().await;
        let response = self.put(&session, zip).await;
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        session["url"].as_str().unwrap().strip_prefix(&self.url).unwrap().to_owned()
    }

    /// Posts the value of the default branch.
    pub async fn set_value(&self, site: &str, percent: Option<f64>, state: &str, run_id: u64) {
        let body = json!({"site_id": site, "percent": percent, "state": state, "commit_sha": SHA, "run_id": run_id});
        let response = self.post("/coverage/invalidate-cache/octo/app/").body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let response: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(response["status"], "success");
    }

    /// The text of a badge: its SVG title.
    pub async fn badge(&self, path: &str) -> String {
        let response = self.get(path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let svg = response.text().await.unwrap();
        let title = svg.split_once("<title>").unwrap().1;
        title.split_once("</title>").unwrap().0.to_owned()
    }
}

/// Asserts status and `detail` of an error.
pub async fn assert_error(response: Response, status: u16, detail: &str) {
    let got = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{got}, not JSON: {text}"));
    let detail_sent = body["detail"].as_str().unwrap();
    assert!(
        got == status && detail_sent.contains(detail),
        "expected {status} with {detail:?}, got {got} with {detail_sent:?}"
    );
}

/// One file of a zip.
pub struct File<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
    pub deflated: bool,
}

/// A zip of deflated files.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let files: Vec<File<'_>> = files.iter().map(|(path, bytes)| File { path, bytes, deflated: true }).collect();
    zip_of(&files)
}

pub fn zip_of(files: &[File<'_>]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for file in files {
        let method = if file.deflated { rawzip::CompressionMethod::DEFLATE } else { rawzip::CompressionMethod::STORE };
        let name = rawzip::path::EntryPath::verbatim(file.path.as_bytes());
        let (mut entry, config) = archive.new_file(name).compression_method(method).start().unwrap();
        let descriptor = if file.deflated {
            let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
            let mut writer = config.wrap(encoder);
            writer.write_all(file.bytes).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(file.bytes).unwrap();
            writer.finish().unwrap().1
        };
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

/// A report in a server's folder in each format; returns the paths of a deflated zip, a stored zip, and single files.
pub async fn in_each_format(server: &Server, folder: &TempDir, files: &[(&str, &[u8])]) -> [String; 3] {
    let site = "0123456789ab";
    let stored: Vec<File<'_>> = files.iter().map(|(path, bytes)| File { path, bytes, deflated: false }).collect();
    for (path, bytes) in files {
        let path = folder.path().join("sites").join(site).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    [server.upload(zip(files)).await, server.upload(zip_of(&stored)).await, format!("/coverage/{site}/")]
}

/// Deterministic bytes that do not compress.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Unpacks a gzip member, and checks CRC-32 and size.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut plain).unwrap();
    plain
}
