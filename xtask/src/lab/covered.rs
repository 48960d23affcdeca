//! The two programs under test, run like a user runs them, in a clean environment.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::process::{Process, poll};
use super::{http, paths};

/// The key of every server that the lab starts.
pub const API_KEY: &str = "a-key-to-try";

/// A running `covered-server` on a free port.
#[derive(Debug)]
pub struct Server {
    pub url: String,
    pub process: Process,
    _folder: TempDir,
}

impl Server {
    /// Starts it with these settings (names as in the environment) and waits until it is ready.
    pub fn start<N: AsRef<str>, V: AsRef<str>>(settings: &[(N, V)]) -> Server {
        Server::try_start(settings).unwrap()
    }

    /// Like [`Server::start`], but returns errors.
    pub fn try_start<N: AsRef<str>, V: AsRef<str>>(settings: &[(N, V)]) -> anyhow::Result<Server> {
        Server::with(clean(&paths::binary("covered-server")), settings)
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    /// Starts it with this command, such as one that pins it to a core.
    pub fn with<N: AsRef<str>, V: AsRef<str>>(mut command: Command, settings: &[(N, V)]) -> anyhow::Result<Server> {
        // The default storage is a folder in the working directory.
        let folder = tempfile::tempdir()?;
        command.current_dir(&folder).env("HOME", folder.path());
        command.env("LISTEN", "127.0.0.1:0").env("API_KEY", API_KEY);
        for (name, value) in settings {
            command.env(name.as_ref(), value.as_ref());
        }
        let process = Process::spawn(&mut command)?;
        let url = process.wait_for_line(listening)?;
        let ready = format!("{url}/readyz");
        poll("the server", || http::get(&ready).ok().filter(|reply| reply.status == 200)).unwrap();
        Ok(Server { url, process, _folder: folder })
    }

    /// `GET` on a path of this server.
    #[track_caller]
    pub fn get(&self, path: &str) -> http::Reply {
        http::get(&format!("{}{path}", self.url)).unwrap()
    }

    /// The peak memory in KiB without the pages of the program file: a debug build has many of them, and the system can
    /// reclaim them. `None` if the system does not report it.
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(&self.process)
    }
}

fn peak_memory(process: &Process) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    kib("VmHWM:")?.checked_sub(kib("RssFile:")?)
}

/// A running `covered-server` with HTTPS and a self-signed certificate.
#[derive(Debug)]
pub struct SecureServer {
    pub address: SocketAddr,
    pub certificate: CertificateDer<'static>,
    pub process: Process,
    _folder: TempDir,
}

impl SecureServer {
    /// Like [`Server::with`]; it listens when this returns.
    pub fn with<N: AsRef<str>, V: AsRef<str>>(mut command: Command, settings: &[(N, V)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        for (setting, file, pem) in
            [("TLS_CERT", "cert.pem", pair.cert.pem()), ("TLS_KEY", "key.pem", pair.signing_key.serialize_pem())]
        {
            fs::write(folder.path().join(file), pem)?;
            command.env(setting, folder.path().join(file));
        }
        command.current_dir(&folder).env("HOME", folder.path());
        command.env("LISTEN", "127.0.0.1:0").env("API_KEY", API_KEY);
        for (name, value) in settings {
            command.env(name.as_ref(), value.as_ref());
        }
        let process = Process::spawn(&mut command)?;
        let address = process.wait_for_line(|line| {
            let (_, address) = line.split_once(" listens on https://")?;
            address.parse().ok()
        })?;
        Ok(Self { address, certificate: pair.cert.der().clone(), process, _folder: folder })
    }

    /// See [`Server::peak_memory`].
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(&self.process)
    }
}

/// The server's URL in its log line about the address.
pub fn listening(line: &str) -> Option<String> {
    let start = line.find("http://127.0.0.1:")?;
    let end = line[start + 7..].find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
    let url = end.map_or(&line[start..], |end| &line[start..start + 7 + end]);
    Some(url.to_owned())
}

/// `covered DIRECTORY` for a commit, with all required settings.
pub fn covered(report: &Path, server: &str, github: &str, repository: &str, sha: &str) -> Command {
    let (owner, name) = repository.split_once('/').unwrap();
    let mut command = clean(&paths::binary("covered"));
    command.arg(report).args(["--api-url", server]);
    command.args(["--repo-owner", owner, "--repo-name", name, "--commit-sha", sha]);
    command.env("COVERED_API_KEY", API_KEY).env("COVERED_GH_TOKEN", "a-token");
    command.env("GITHUB_API_URL", github).env("GITHUB_SERVER_URL", github);
    command
}

/// A command without the environment of the test run: CI's variables would change the results.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "SYSTEMROOT", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
