//! A small scripted HTTP/1.1 server in the role of the covered server, its store and GitHub.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::run::{SHA, SIGNATURE, SITE};

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone)]
pub enum Reply {
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// A response before the body was read; then the connection is closed.
    Early(u16, String),
    /// A truncated response.
    Truncated,
    /// The request is read, and the connection closed without a response.
    Lost,
    /// The request is read, and nothing is sent.
    Silent,
}

impl Reply {
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::Response { status, headers: Vec::new(), body: body.as_ref().to_vec() }
    }

    pub fn with(self, name: &str, value: &str) -> Self {
        match self {
            Self::Response { status, mut headers, body } => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Response { status, headers, body }
            }
            other => other,
        }
    }
}

/// Replies by method and path; the last one of a list is repeated.
type Script = HashMap<(String, String), Vec<Reply>>;

#[derive(Clone)]
pub struct Peer {
    pub url: String,
    script: Arc<Mutex<Script>>,
    received: Arc<Mutex<Vec<Request>>>,
}

impl Peer {
    /// A peer where every step of a run succeeds.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let peer = Self { url, script: Arc::default(), received: Arc::default() };
        let accepting = peer.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let peer = accepting.clone();
                thread::spawn(move || peer.serve(stream.unwrap()));
            }
        });
        peer.on("POST", "/coverage/create-site/", [Reply::new(200, peer.session())])
            .on("PUT", &format!("/store/{SITE}.zip"), [Reply::new(200, "")])
            .on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [Reply::new(201, "{}")])
            .on("POST", "/coverage/invalidate-cache/octo/app/", [Reply::new(200, r#"{"status":"success"}"#)])
            .on("GET", "/repos/octo/app/readme", [Reply::new(404, r#"{"message":"Not Found"}"#)]);
        peer
    }

    /// The covered server's response to a new session.
    pub fn session(&self) -> String {
        let url = &self.url;
        format!(
            r#"{{"site_id":"{SITE}","url":"{url}/coverage/{SITE}/","upload":{{"method":"PUT",
            "url":"{url}/store/{SITE}.zip?X-Signature={SIGNATURE}","headers":{{"content-type":"application/zip",
            "if-none-match":"*"}},"expires_at":"2030-01-01T00:00:00Z","max_bytes":1000000}}}}"#
        )
    }

    /// Sets the replies to `method` and `path`.
    pub fn on(&self, method: &str, path: &str, replies: impl IntoIterator<Item = Reply>) -> &Self {
        let key = (method.to_owned(), path.to_owned());
        self.script.lock().unwrap().insert(key, replies.into_iter().collect());
        self
    }

    pub fn received(&self) -> Vec<Request> {
        self.received.lock().unwrap().clone()
    }

    /// The requests in order, as `METHOD /path`, except for the badge request of every run.
    pub fn requests(&self) -> Vec<String> {
        self.received()
            .iter()
            .filter(|request| !request.target.starts_with("/badge/"))
            .map(|request| format!("{} {}", request.method, path(&request.target)))
            .collect()
    }

    /// The only request with this method and start of its path.
    pub fn one(&self, method: &str, start: &str) -> Request {
        let all = self.received();
        let found: Vec<&Request> =
            all.iter().filter(|request| request.method == method && request.target.starts_with(start)).collect();
        assert_eq!(found.len(), 1, "{method} {start}: {:?}", self.requests());
        found[0].clone()
    }

    fn next_reply(&self, method: &str, target: &str) -> Reply {
        let mut script = self.script.lock().unwrap();
        match script.get_mut(&(method.to_owned(), path(target).to_owned())) {
            Some(replies) if replies.len() > 1 => replies.remove(0),
            Some(replies) => replies[0].clone(),
            None => Reply::new(404, r#"{"detail":"not in the script"}"#),
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((method, target, headers)) = read_head(&mut reader) {
            let reply = self.next_reply(&method, &target);
            let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
            if !matches!(reply, Reply::Early(..)) {
                if headers.get("expect").is_some_and(|expect| expect == "100-continue") {
                    write!(&stream, "HTTP/1.1 100 Continue\r\n\r\n").unwrap();
                }
                if reader.read_exact(&mut body).is_err() {
                    return;
                }
            }
            self.received.lock().unwrap().push(Request { method, target, headers, body });
            if !send(&stream, &mut reader, reply) {
                return;
            }
        }
    }
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap()
}

type Head = (String, String, HashMap<String, String>);

fn read_head(reader: &mut impl BufRead) -> Option<Head> {
    let mut lines = reader.lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Some((method, target, headers.collect()))
}

/// Returns whether the connection stays open. A closed connection is not an error.
fn send(mut stream: &TcpStream, reader: &mut impl Read, reply: Reply) -> bool {
    match reply {
        Reply::Response { status, headers, body } => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = format!("HTTP/1.1 {status} Scripted\r\n{headers}content-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).is_ok()
        }
        Reply::Early(status, body) => {
            let head =
                format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
            false
        }
        Reply::Truncated => {
            let _ = stream.write_all(b"HTTP/1.1 200 Scripted\r\ncontent-length: 1000\r\n\r\n{\"site_id\":");
            false
        }
        Reply::Lost => false,
        Reply::Silent => {
            let _ = reader.read(&mut [0]);
            false
        }
    }
}
