//! Between the program and a server: proxies, and TLS with a private CA.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::peer::Peer;
use crate::run::{Covered, SITE};

/// A proxy that supports only CONNECT; its address, and the requested targets.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, targets) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let received = Arc::clone(&targets);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let target =
                head(&mut BufReader::new(client.try_clone().unwrap()))[0].split(' ').nth(1).unwrap().to_owned();
            received.lock().unwrap().push(target.clone());
            let server = TcpStream::connect(target).unwrap();
            write!(&client, "HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            pipe(client.try_clone().unwrap(), server.try_clone().unwrap());
            pipe(server, client);
        }
    });
    (format!("http://{address}"), targets)
}

fn pipe(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// The lines of a request's head.
fn head(reader: &mut impl BufRead) -> Vec<String> {
    reader.lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect()
}

/// A TLS server with a certificate of a private CA in front of `peer`; its address, and the CA's certificate.
fn tls_in_front_of(peer: &Peer) -> (String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let shown = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![shown.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let peer = peer.url.trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (config, peer) = (Arc::clone(&config), peer.clone());
            // A client that does not trust the certificate hangs up.
            thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                relay(BufReader::new(StreamOwned::new(connection, stream)), &peer)
            });
        }
    });
    (url, ca)
}

/// Forwards one request, and its response.
fn relay(mut client: BufReader<impl Read + Write>, peer: &str) -> io::Result<()> {
    client.fill_buf()?;
    let head = head(&mut client);
    let length =
        head.iter().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let mut server = TcpStream::connect(peer)?;
    write!(server, "{}\r\n\r\n", head.join("\r\n"))?;
    server.write_all(&body)?;
    server.shutdown(Shutdown::Write)?;
    io::copy(&mut server, client.get_mut())?;
    client.get_mut().flush()
}

#[test]
fn private_cas_are_accepted_only_from_ssl_cert_file() {
    let peer = Peer::new();
    let (url, ca) = tls_in_front_of(&peer);
    let run = |covered: Covered| covered.env("COVERED_API_URL", &url).run();
    run(Covered::new(&peer))
        .fails(&format!("error: {url}/coverage/create-site/ has an untrusted certificate: "))
        .stderr_contains("; for a private CA, set SSL_CERT_FILE to its certificates");
    assert!(peer.received().is_empty());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    run(Covered::new(&peer).env("SSL_CERT_FILE", file.to_str().unwrap()))
        .succeeds()
        .outputs(&format!("site-id={SITE}"));
}

#[test]
fn errors_name_an_unreadable_ssl_cert_file() {
    let peer = Peer::new();
    let (url, _) = tls_in_front_of(&peer);
    let run = Covered::new(&peer).env("COVERED_API_URL", &url).env("SSL_CERT_FILE", "/none/ca.pem").run();
    run.fails("SSL_CERT_FILE is /none/ca.pem, which cannot be read: No such file");
}

/// A proxy with this response to every request.
fn rejecting_proxy(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            head(&mut BufReader::new(client.try_clone().unwrap()));
            let _ = write!(&client, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
    });
    address.to_string()
}

#[test]
fn proxy_errors_name_the_proxy_without_its_password() {
    let peer = Peer::new();
    let run = |proxy: &str| {
        let proxy = format!("http://me:hunter2@{proxy}");
        let run = Covered::new(&peer).env("HTTP_PROXY", &proxy).env("NO_PROXY", "").arg("--timeout=1").run();
        assert!(!format!("{}{}", run.stdout, run.stderr).contains("hunter2"));
        run
    };
    let proxy = rejecting_proxy("407 Proxy Authentication Required");
    let start = format!("{}/coverage/create-site/ cannot be reached: the proxy", peer.url);
    run(&proxy)
        .fails(&format!("error: {start} {proxy} of HTTP_PROXY requires valid credentials (407): "))
        .stderr_contains("correct HTTP_PROXY, or list the host in NO_PROXY");
    run(&rejecting_proxy("403 Forbidden")).fails("refuses to connect to the host (403): allow the host in the proxy");
    run(&rejecting_proxy("502 Bad Gateway")).fails("could not connect to the host").stderr_contains("502");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    run(&gone).fails(&format!("{start} {gone} of HTTP_PROXY refused the connection"));
    assert!(peer.received().is_empty());
}

#[test]
fn using_http_for_https_or_the_reverse_is_reported() {
    let peer = Peer::new();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in plain.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let run = Covered::new(&peer).env("COVERED_API_URL", &url).run();
    run.fails("failed the TLS handshake: the server does not speak TLS: is it an http:// address?");
    let (url, _) = tls_in_front_of(&peer);
    let run = Covered::new(&peer).env("COVERED_API_URL", &url.replace("https", "http")).arg("--timeout=2").run();
    run.fails("check the address and whether it is http or https");
}

#[test]
fn the_schemes_proxy_is_used_except_for_no_proxy_hosts() {
    let peer = Peer::new();
    let (url, targets) = proxy();
    let run = |no_proxy: &str| Covered::new(&peer).env("http_proxy", &url).env("NO_PROXY", no_proxy).run().succeeds();
    run("127.0.0.0/8");
    assert!(targets.lock().unwrap().is_empty());
    run("example.com");
    let host = peer.url.trim_start_matches("http://");
    assert!(!targets.lock().unwrap().is_empty() && targets.lock().unwrap().iter().all(|target| target == host));
    // No request here is https.
    targets.lock().unwrap().clear();
    Covered::new(&peer).env("HTTPS_PROXY", &url).run().succeeds();
    assert!(targets.lock().unwrap().is_empty());
}

#[test]
fn invalid_and_unreachable_proxies_are_reported() {
    let peer = Peer::new();
    let wrong = Covered::new(&peer).env("ALL_PROXY", "socks5://me:hunter2@127.0.0.1:1").run();
    wrong.rejects("error: ALL_PROXY must be the address of an HTTP proxy").omits("hunter2");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = Covered::new(&peer).env("ALL_PROXY", &format!("http://{address}")).arg("--timeout=1").run();
    unreachable.fails("; correct ALL_PROXY, or list the host in NO_PROXY if it needs no proxy");
    assert!(peer.received().is_empty());
}
