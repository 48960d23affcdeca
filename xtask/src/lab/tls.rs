//! TLS in front of a service without TLS, with a self-signed certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A TLS proxy; it stops when it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    certificate: NamedTempFile,
    _runtime: Runtime,
}

impl TlsFront {
    /// Forwards to a port of this machine.
    pub fn start(to: u16) -> TlsFront {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = NamedTempFile::new().unwrap();
        std::fs::write(&certificate, pair.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor =
            TlsAcceptor::from(Arc::new(config.with_single_cert(vec![pair.cert.der().clone()], key).unwrap()));
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let mut service = TcpStream::connect(("127.0.0.1", to)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut service).await
                });
            }
        });
        TlsFront { port, certificate, _runtime: runtime }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// For `SSL_CERT_FILE`.
    pub fn certificate(&self) -> &Path {
        self.certificate.path()
    }
}
