//! Request IDs, and the traces that a collector receives.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use crate::support::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The built server on a free port, and its output.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
    _folder: TempDir,
}

impl Running {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_covered-server"));
        command.env_clear().env("LISTEN", "127.0.0.1:0").env("LOG_FORMAT", "json").envs(settings.iter().copied());
        command.current_dir(folder.path()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = loop {
            let line = lines.next_line().await.unwrap().expect("the server exited");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "listening" {
                break line;
            }
        };
        let url = format!("http://{}", first["address"].as_str().unwrap());
        Self { child, lines, url, _folder: folder }
    }

    /// The next line after the start-up lines.
    async fn line(&mut self) -> serde_json::Value {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("the server exited");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let startup_lines = ["the API key for uploads is in", "GITHUB_TOKEN is not set"];
            if !startup_lines.iter().any(|start| line["message"].as_str().unwrap().starts_with(start)) {
                return line;
            }
        }
    }

    /// Stops the server with SIGTERM; returns its output.
    async fn stop(mut self) -> String {
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut rest = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest += &line;
            rest.push('\n');
        }
        assert!(self.child.wait().await.unwrap().success(), "{rest}");
        rest
    }
}

#[tokio::test]
async fn responses_and_log_lines_have_the_request_id() {
    let mut server = Running::start(&[]).await;
    let client = reqwest::Client::new();
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    for (header, value, expected) in [
        ("x-request-id", "from-the.proxy_1", Some("from-the.proxy_1")),
        ("traceparent", traceparent.as_str(), Some(TRACE)),
        ("x-request-id", "not sane", None),
    ] {
        let request = client.get(format!("{}/coverage/{TRACE}/x", server.url)).header(header, value);
        let response = request.send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        match expected {
            Some(expected) => assert_eq!(id, expected),
            None => assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}"),
        }
        let line = server.line().await;
        assert_eq!((&line["message"], &line["request_id"]), (&"request".into(), &id.into()), "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn errors_contain_the_request_id() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    std::fs::remove_dir_all(folder.path()).unwrap();
    let request = server.get("/readyz").header("accept", "application/json").header("x-request-id", "abc");
    assert_error(request.send().await.unwrap(), 503, "(request abc)").await;
}

/// A collector: the received data, and the response that it returns.
async fn collector(status: u16) -> (String, Arc<Mutex<Vec<ExportTraceServiceRequest>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let shared = received.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let received = shared.clone();
            let response = move |request: Request<Incoming>| {
                let received = received.clone();
                async move {
                    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
                    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                    assert_eq!(request.headers()["authorization"], "Bearer for-the-collector");
                    let bytes = request.into_body().collect().await.unwrap().to_bytes();
                    received.lock().unwrap().push(ExportTraceServiceRequest::decode(bytes).unwrap());
                    let response = Response::builder().status(status).body(Full::new(bytes::Bytes::new()));
                    Ok::<_, std::convert::Infallible>(response.unwrap())
                }
            };
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(response)));
        }
    });
    (url, received)
}

fn settings(collector: &str) -> Vec<(&str, &str)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20for-the-collector"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ]
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

#[tokio::test]
async fn the_collector_receives_spans_of_requests_and_store_calls() {
    let (url, received) = collector(200).await;
    let server = Running::start(&settings(&url)).await;
    let client = reqwest::Client::new();
    let get = client.get(format!("{}/coverage/0123456789abcdef0123456789abcdef/index.html?token=hunter2", server.url));
    let response = get.header("traceparent", format!("00-{TRACE}-{PARENT}-01")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["x-request-id"].to_str().unwrap()), (404, TRACE));
    let own = client.get(format!("{}/healthz", server.url)).send().await.unwrap();
    let own = own.headers()["x-request-id"].to_str().unwrap().to_owned();
    server.stop().await;

    let received = received.lock().unwrap();
    let spans: Vec<&Span> = received
        .iter()
        .flat_map(|sent| &sent.resource_spans)
        .flat_map(|of| &of.scope_spans)
        .flat_map(|of| &of.spans)
        .collect();
    let request = spans.iter().find(|span| span.name == "GET file").unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!((hex(&request.trace_id).as_str(), hex(&request.parent_span_id).as_str()), (TRACE, PARENT));
    assert_eq!(request.kind, 2, "SPAN_KIND_SERVER");
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "file"),
        ("http.response.status_code", "404"),
        ("request_id", TRACE),
    ] {
        assert_eq!(attribute(request, name).as_deref(), Some(value), "{request:#?}");
    }
    let children: Vec<_> = spans.iter().filter(|span| span.parent_span_id == request.span_id).collect();
    assert!(children.iter().any(|span| span.name == "store get" && span.kind == 3), "{spans:#?}");
    let health = spans.iter().find(|span| span.name == "GET healthz").unwrap();
    assert!(hex(&health.trace_id) == own && health.parent_span_id.is_empty(), "a separate trace: {health:#?}");

    let resource = format!("{:?}", received[0].resource_spans[0].resource);
    for expected in ["covered-server", env!("CARGO_PKG_VERSION"), "deployment.environment.name"] {
        assert!(resource.contains(expected), "{resource}");
    }
    let all = format!("{received:?}");
    assert!(!all.contains("hunter2") && !all.contains("0123456789abcdef0123456789abcdef"), "{all}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_failing_collector_affects_no_request_and_is_logged_once() {
    let (failing, received) = collector(400).await;
    for url in [failing.as_str(), "http://127.0.0.1:1"] {
        let mut all = settings(url);
        all.push(("OTEL_BSP_SCHEDULE_DELAY", "50"));
        let server = Running::start(&all).await;
        for _ in 0..20 {
            assert_eq!(reqwest::get(format!("{}/healthz", server.url)).await.unwrap().status(), 200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let stopping = Instant::now();
        let log = server.stop().await;
        assert!(stopping.elapsed() < Duration::from_secs(30), "the stop took {:?}", stopping.elapsed());
        assert_eq!(log.matches("cannot send traces to the collector").count(), 1, "{log}");
    }
    assert!(!received.lock().unwrap().is_empty(), "the collector received nothing");
}
