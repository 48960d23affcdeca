//! HTTPS: protocols and certificate reloads.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use reqwest::Version;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xtask::lab::slow::Readers;

use crate::support::*;

/// Far more time than anything here needs.
const LONG: Duration = Duration::from_secs(60);

fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

fn write(folder: &Path, pair: &CertifiedKey<KeyPair>) {
    std::fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), pair.cert.pem()).unwrap();
}

/// A server, its certificate, and their folder.
async fn start(settings: &[(&str, &str)]) -> (Server, CertifiedKey<KeyPair>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pair = certificate();
    write(folder.path(), &pair);
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let mut all = vec![("STORAGE_URL", "memory://"), ("TLS_CERT", &cert), ("TLS_KEY", &key)];
    all.extend_from_slice(settings);
    let mut server = Server::with(&all).await;
    server.client = client(&pair);
    (server, pair, folder)
}

/// A client that trusts one certificate.
fn client(pair: &CertifiedKey<KeyPair>) -> reqwest::Client {
    let root = reqwest::Certificate::from_der(pair.cert.der()).unwrap();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([root]).build().unwrap()
}

/// A connection that trusts `pairs`, or its error.
async fn connect(
    server: &Server,
    pairs: &[&CertifiedKey<KeyPair>],
    versions: &[&'static SupportedProtocolVersion],
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.cert.der().clone()).unwrap();
    }
    let mut config =
        ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let stream = TcpStream::connect(server.address()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

fn peer_certificate(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn get_health(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.ends_with('}') {
        let read = timeout(LONG, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {text:?}");
        text += &String::from_utf8_lossy(&buffer[..read]);
    }
    text
}

/// Connects until the server uses this certificate.
async fn until_used(server: &Server, pair: &CertifiedKey<KeyPair>) {
    let used = async {
        while connect(server, &[pair], rustls::ALL_VERSIONS, "http/1.1").await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(LONG, used).await.expect("the server does not use the new certificate");
}

#[tokio::test]
async fn reports_and_badges_are_served_over_http_2_with_hsts() {
    let (server, _, _folder) = start(&[]).await;
    let large = noise(2 << 20, 9);
    let site = server.upload(zip(&[("index.html", b"<h1>report</h1>"), ("large.bin", &large)])).await;
    assert!(server.url.starts_with("https://"), "upload URLs and links use HTTPS");
    for path in [site.as_str(), "/badge/octo/app.svg", "/"] {
        let response = server.get(path).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2), "{path}");
        assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
    }
    let etag = server.get(&site).send().await.unwrap().headers()["etag"].clone();
    let known = server.get(&site).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(known.status(), 304);
    assert_eq!(known.headers()["strict-transport-security"], "max-age=31536000");
    assert_eq!(server.get(&format!("{site}large.bin")).send().await.unwrap().bytes().await.unwrap(), large);
}

#[tokio::test]
async fn tls_1_2_and_1_3_work_with_http_1_and_http_2() {
    let (server, pair, _folder) = start(&[]).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for protocol in ["http/1.1", "h2"] {
            let mut stream = connect(&server, &[&pair], &[version], protocol).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.alpn_protocol(), Some(protocol.as_bytes()));
            if protocol == "http/1.1" {
                assert!(get_health(&mut stream).await.starts_with("HTTP/1.1 200"));
            }
        }
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_and_open_connections_continue() {
    let (server, old, folder) = start(&[]).await;
    let mut open = connect(&server, &[&old], rustls::ALL_VERSIONS, "http/1.1").await.unwrap();
    get_health(&mut open).await;
    let new = certificate();
    // One after the other, like certbot.
    std::fs::write(folder.path().join("cert.pem"), new.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), new.signing_key.serialize_pem()).unwrap();
    until_used(&server, &new).await;
    assert!(get_health(&mut open).await.starts_with("HTTP/1.1 200"));
    assert_eq!(&peer_certificate(&open), old.cert.der());
}

#[cfg(unix)]
#[tokio::test]
async fn certificates_are_reloaded_after_a_symlink_swap() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [certificate(), certificate()];
    for (name, pair) in ["one", "two"].iter().zip(&pairs) {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        write(&folder.path().join(name), pair);
    }
    let link = folder.path().join("data");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| link.join(name).to_str().unwrap().to_owned());
    let server = Server::with(&[("STORAGE_URL", "memory://"), ("TLS_CERT", &cert), ("TLS_KEY", &key)]).await;
    until_used(&server, &pairs[0]).await;
    std::os::unix::fs::symlink("two", folder.path().join("new")).unwrap();
    std::fs::rename(folder.path().join("new"), &link).unwrap();
    until_used(&server, &pairs[1]).await;
}

#[tokio::test]
async fn plain_http_on_the_https_port_is_explained() {
    let (server, _, _folder) = start(&[]).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut text = String::new();
    timeout(LONG, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 400") && text.contains("this port uses HTTPS"), "{text}");
}

#[tokio::test]
async fn handshakes_have_the_header_timeout() {
    let (server, _, _folder) = start(&[("HEADER_TIMEOUT", "0.3")]).await;
    for sent in [&b""[..], &[22, 3, 1, 2, 0]] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(LONG, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the connection is still open after {sent:?}");
    }
}

#[tokio::test]
async fn idle_http_2_connections_are_closed_despite_pings() {
    let (server, pair, _folder) = start(&[("HEADER_TIMEOUT", "0.3"), ("IDLE_TIMEOUT", "0.3")]).await;
    let mut stream = connect(&server, &[&pair], rustls::ALL_VERSIONS, "h2").await.unwrap();
    // The preface and its settings; then pings, which the server answers, but no request.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let pings = async {
        while writing.write_all(b"\0\0\x08\x06\0\0\0\0\0pingpong").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let responses = async { while reading.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
    timeout(LONG, async { tokio::join!(pings, responses) }).await.expect("pings keep the connection open");
}

#[tokio::test]
async fn shutdown_waits_for_http_2_downloads() {
    let (server, _, _folder) = start(&[]).await;
    let bytes = noise(24 << 20, 7);
    let site = server.upload(zip_of(&[File { path: "large.bin", bytes: &bytes, deflated: false }])).await;
    let mut response = server.get(&format!("{site}large.bin")).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let mut received = response.chunk().await.unwrap().unwrap().len();
    let stopping = tokio::spawn(server.stop());
    while let Some(chunk) = response.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received, bytes.len());
    timeout(LONG, stopping).await.unwrap().unwrap();
}

/// A running server and its log.
struct Running {
    child: std::process::Child,
    log: std::io::Lines<BufReader<std::process::ChildStdout>>,
    output: String,
}

impl Running {
    fn new(folder: &Path) -> Self {
        let mut child = command(folder).stdout(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut running = Self { child, log, output: String::new() };
        running.wait_for("\"listening\"");
        running
    }

    fn wait_for(&mut self, text: &str) {
        loop {
            let line = self.log.next().unwrap_or_else(|| panic!("no {text:?} in\n{}", self.output)).unwrap();
            self.output += &format!("{line}\n");
            if line.contains(text) {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covered-server"));
    let settings =
        [("LISTEN", "127.0.0.1:0"), ("LOG_FORMAT", "json"), ("TLS_CERT", "cert.pem"), ("TLS_KEY", "key.pem")];
    command.env_clear().envs(settings).current_dir(folder);
    command
}

#[cfg(unix)]
#[test]
fn an_invalid_certificate_keeps_the_old_one_and_sighup_reloads() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &certificate());
    let mut server = Running::new(folder.path());
    let hang_up = |server: &Running| {
        assert!(Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap().success());
    };
    std::fs::write(folder.path().join("key.pem"), certificate().signing_key.serialize_pem()).unwrap();
    server.wait_for("cannot use the new certificate, the old one stays in use: TLS_KEY=key.pem is not the key");
    hang_up(&server);
    server.wait_for("cannot use the new certificate");
    write(folder.path(), &certificate());
    hang_up(&server);
    server.wait_for("reloaded the certificate");
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let (now, day) = (std::time::SystemTime::now(), Duration::from_secs(24 * 60 * 60));
    for (end, message) in [(now + 3 * day, "expires soon"), (now - day, "has expired")] {
        params.not_after = end.into();
        let cert = params.self_signed(&key).unwrap();
        write(folder.path(), &CertifiedKey { cert, signing_key: KeyPair::from_pem(&key.serialize_pem()).unwrap() });
        server.wait_for(message);
    }
}

#[test]
fn invalid_certificates_are_reported_at_start() {
    let (one, other) = (certificate(), certificate());
    let (cert, key, other_key) = (one.cert.pem(), one.signing_key.serialize_pem(), other.signing_key.serialize_pem());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (cert, key, expected) in [
        (
            cert.as_str(),
            other_key.as_str(),
            "TLS_KEY=key.pem is not the key of the first certificate in TLS_CERT=cert.pem",
        ),
        (&key, &cert, "TLS_CERT=cert.pem contains no certificate"),
        (&cert, &cert, "TLS_KEY=key.pem contains no private key"),
        (&cert, encrypted, "TLS_KEY=key.pem is encrypted"),
        (&cert, "", "TLS_KEY=key.pem contains no private key"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            "TLS_CERT=cert.pem does not begin with a valid X.509 certificate",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        let output = command(folder.path()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && errors.contains(expected), "{expected:?}\n{errors}");
    }
    let folder = tempfile::tempdir().unwrap();
    let errors = String::from_utf8(command(folder.path()).output().unwrap().stderr).unwrap();
    assert!(errors.contains("TLS_CERT=cert.pem cannot be read"), "{errors}");
}

#[tokio::test]
async fn http_2_requests_beyond_the_memory_budget_are_rejected() {
    // Requests beyond the first 8 of a connection share a quarter of it, with 4 KiB for each.
    let (server, pair, _folder) = start(&[("SEND_BUFFER_BYTES", "65536")]).await;
    let (address, certificate) = (server.address(), pair.cert.der().clone());
    let badge = ["/badge/octo/app.svg".to_owned()];
    let readers = tokio::task::spawn_blocking(move || Readers::http2(address, certificate, &badge, 2, 15));
    let readers = readers.await.unwrap().unwrap();
    assert_eq!(readers.statuses().into_iter().collect::<Vec<_>>(), [(200, 2 * 8 + 4)]);
    tokio::task::spawn_blocking(move || drop(readers)).await.unwrap();
    let recovered = async {
        while server.get("/badge/octo/app.svg").send().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, recovered).await.expect("the memory of closed requests was not released");
}
