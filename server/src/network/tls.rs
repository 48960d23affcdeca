//! TLS with the certificate of `TLS_CERT` and `TLS_KEY`, which is reloaded when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode;

/// How often the files are checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Warn if the certificate expires in fewer days.
pub const WARN_DAYS: i64 = 14;

/// The PEM files of `TLS_CERT` and `TLS_KEY`.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The TLS configuration of the listener.
pub struct Tls {
    files: TlsFiles,
    current: Arc<CurrentKey>,
    config: Arc<ServerConfig>,
    /// The content of the files at the start.
    initial: (Vec<u8>, Vec<u8>),
    hangup: tokio::sync::Mutex<Hangup>,
}

/// The current certificate. Open connections keep theirs.
#[derive(Debug)]
struct CurrentKey(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The content of the two files, or the error of reading them.
type PemFiles = Result<(Vec<u8>, Vec<u8>), String>;

impl Tls {
    /// Must run inside the runtime. From then on, SIGHUP reloads the files.
    pub fn new(files: TlsFiles) -> anyhow::Result<Self> {
        let content = Self::read(&files).map_err(|why| anyhow!(why))?;
        let (key, _) = certified_key(&files, &content.0, &content.1)?;
        let current = Arc::new(CurrentKey(RwLock::new(Arc::new(key))));
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Stateless session resumption by tickets.
        config.ticketer = ring::Ticketer::new()?;
        Ok(Self {
            files,
            current,
            config: Arc::new(config),
            initial: content,
            hangup: tokio::sync::Mutex::new(Hangup::new()),
        })
    }

    /// Days until the certificate expires.
    pub fn days_left(&self) -> Option<i64> {
        self.expires().map(days_until)
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }

    /// Reloads the certificate when its files change, and on SIGHUP; never returns.
    pub async fn keep_current(&self) {
        self.expires().into_iter().for_each(log_expiry);
        let mut hangup = self.hangup.lock().await;
        let mut check_timer = tokio::time::interval(CHECK_INTERVAL);
        let mut seen: PemFiles = Ok(self.initial.clone());
        let mut changed: Option<PemFiles> = None;
        let mut last_logged = Instant::now();
        loop {
            let is_forced = tokio::select! {
                _ = check_timer.tick() => false,
                () = hangup.wait() => true,
            };
            let content = self.read_again().await;
            // The two files are not replaced atomically: a change counts if it is unchanged at the next check.
            let settled = content != seen && changed.as_ref() == Some(&content);
            if is_forced || settled {
                self.install(&content);
                last_logged = Instant::now();
                seen = content;
                changed = None;
            } else {
                changed = (content != seen).then_some(content);
            }
            if last_logged.elapsed() >= DAY {
                self.expires().into_iter().for_each(log_expiry);
                last_logged = Instant::now();
            }
        }
    }

    /// Uses the new certificate, or logs why it cannot be used.
    fn install(&self, content: &PemFiles) {
        let read = content.as_ref().map_err(|why| anyhow!(why.clone()));
        match read.and_then(|(cert, key)| certified_key(&self.files, cert, key)) {
            Ok((key, expires)) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                tracing::info!("reloaded the certificate; open connections keep the old one");
                log_expiry(expires);
            }
            Err(why) => tracing::error!("cannot use the new certificate, the old one stays in use: {why:#}"),
        }
    }

    fn expires(&self) -> Option<i64> {
        let current = self.current.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        current.cert.first().and_then(|leaf| expiry(leaf).ok())
    }

    async fn read_again(&self) -> PemFiles {
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || Self::read(&files)).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn read(files: &TlsFiles) -> PemFiles {
        let read = |name: &str, path: &Path| {
            std::fs::read(path).map_err(|error| format!("{name}={} cannot be read: {error}", path.display()))
        };
        Ok((read("TLS_CERT", &files.cert)?, read("TLS_KEY", &files.key)?))
    }
}

/// Parses certificate and key from PEM. Returns the certificate's expiry too (Unix time).
fn certified_key(files: &TlsFiles, cert: &[u8], key: &[u8]) -> anyhow::Result<(CertifiedKey, i64)> {
    let (cert_path, key_path) = (files.cert.display(), files.key.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .with_context(|| format!("TLS_CERT={cert_path} is not a valid PEM file"))?;
    let Some(leaf) = chain.first() else {
        bail!("TLS_CERT={cert_path} contains no certificate: use a PEM file with the server's certificate first");
    };
    let expires =
        expiry(leaf).with_context(|| format!("TLS_CERT={cert_path} does not begin with a valid X.509 certificate"))?;
    let private = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        _ if key.windows(9).any(|text| text == b"ENCRYPTED") => {
            anyhow!("TLS_KEY={key_path} is encrypted: use a key without a passphrase")
        }
        rustls::pki_types::pem::Error::NoItemsFound => {
            anyhow!("TLS_KEY={key_path} contains no private key: use a PEM file")
        }
        other => anyhow!("TLS_KEY={key_path} is not a valid PEM file: {other}"),
    })?;
    let pair = CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => anyhow!(
            "TLS_KEY={key_path} is not the key of the first certificate in TLS_CERT={cert_path}, which must be the server's"
        ),
        other => anyhow!("TLS_KEY={key_path} and TLS_CERT={cert_path} cannot be used: {other}"),
    })?;
    Ok((pair, expires))
}

fn expiry(certificate: &CertificateDer<'_>) -> anyhow::Result<i64> {
    let certificate = x509_cert::Certificate::from_der(certificate)?;
    Ok(i64::try_from(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs())?)
}

fn days_until(expires: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (expires - now.as_secs() as i64).div_euclid(DAY.as_secs() as i64)
}

fn log_expiry(expires: i64) {
    let days = days_until(expires);
    match days {
        ..0 => tracing::error!(days, "the certificate of TLS_CERT has expired, clients reject it: renew it"),
        0..WARN_DAYS => tracing::warn!(days, "the certificate of TLS_CERT expires soon: renew it"),
        _ => tracing::info!(days, "the certificate of TLS_CERT is valid"),
    }
}

/// SIGHUP, on systems that have it.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn wait(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
