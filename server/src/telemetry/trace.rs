//! The log and, if the `OTEL_*` variables enable them, traces. Both contain the request's ID.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use hyper::Request;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::task::JoinHandle;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Instrument, Span, Subscriber, field};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::base::random::digit;
use crate::telemetry::metrics::{Label, Operation, RouteLabel};
use crate::telemetry::otel;

/// The target of spans that are for traces only, not for the log.
const TRACES: &str = "covered_traces";
/// The maximum length of a request ID from a client.
const MAX_ID: usize = 64;
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    /// The ID of the current request.
    static REQUEST: RequestId;
}

/// How the log is written.
pub struct LogConfig {
    pub json: bool,
    pub level: tracing::Level,
}

/// The traces, which must be flushed when the server stops.
pub struct Telemetry {
    traces: Option<otel::Traces>,
}

/// Starts the log and, if `traces` is set, traces. Must run inside the runtime.
pub fn start(config: &LogConfig, traces: bool) -> anyhow::Result<Telemetry> {
    // Libraries log only warnings and errors.
    let own = LevelFilter::from_level(config.level);
    let filter = Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("covered_server", own);
    // h2 warns about every misbehaving client.
    let filter = filter.with_target(TRACES, LevelFilter::OFF).with_target("h2", own.min(LevelFilter::ERROR));
    let log = tracing_subscriber::fmt::layer().with_target(false);
    let log = match config.json {
        true => {
            let json = log.json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.map_event_format(|lines| WithRequest { lines, is_json: true }).boxed()
        }
        false => log.with_ansi(false).map_event_format(|lines| WithRequest { lines, is_json: false }).boxed(),
    };
    // A list, as an `Option` layer would create spans that nobody records.
    let mut layers = vec![log.with_filter(filter).boxed()];
    let traces = traces.then(otel::Traces::start).transpose()?;
    let only = Targets::new().with_target(TRACES, LevelFilter::TRACE);
    layers.extend(traces.as_ref().map(|traces| traces.layer().with_filter(only).boxed()));
    // A second start in one process, as in tests, keeps the first log.
    let _ = tracing_subscriber::registry().with(std::mem::take(&mut layers)).try_init();
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends the remaining spans, for a few seconds at most.
    pub async fn stop(self) {
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
    }
}

/// Adds the request's ID to log lines. A span for it would be created for each request, even if it logs nothing: that
/// took a fifth of a cached badge's instructions.
struct WithRequest<F> {
    lines: F,
    is_json: bool,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Ok(id) = REQUEST.try_with(RequestId::clone) else {
            return self.lines.format_event(context, to, event);
        };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match line.strip_suffix('}') {
            Some(open) if self.is_json => writeln!(to, "{open},\"request_id\":\"{id}\"}}"),
            _ => writeln!(to, "{line} request_id={id}"),
        }
    }
}

/// A request's ID.
#[derive(Clone)]
pub enum RequestId {
    /// From the client, a proxy or the trace.
    Given(Arc<str>),
    /// Generated; shown as 16 hexadecimal digits.
    Generated(u64),
}

impl RequestId {
    /// A generated ID: a randomly keyed hash of a counter, which needs no system call.
    fn generated() -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self::Generated(KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn header(&self) -> HeaderValue {
        let value = match self {
            Self::Given(id) => HeaderValue::from_str(id),
            Self::Generated(id) => {
                let digits: [u8; 16] = std::array::from_fn(|index| digit((id >> (60 - 4 * index)) as u8));
                HeaderValue::from_bytes(&digits)
            }
        };
        value.unwrap_or(HeaderValue::from_static("none"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id),
            Self::Generated(id) => write!(f, "{id:016x}"),
        }
    }
}

/// The context of one request: its ID for log lines, and its span as the parent of outgoing requests.
#[derive(Clone)]
pub struct RequestContext {
    id: RequestId,
    trace: Span,
}

impl RequestContext {
    /// The ID comes from the client or a proxy, else from the trace, else it is generated.
    pub fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let trace = tracing::info_span!(
            target: TRACES, "request", otel.kind = "server", otel.status_code = field::Empty,
            http.request.method = request.method().as_str(), http.route = field::Empty,
            http.response.status_code = field::Empty, request_id = field::Empty,
        );
        let trace_id = otel::continue_trace(&trace, headers);
        let id = sent_id(headers).or(trace_id).map_or_else(RequestId::generated, |id| RequestId::Given(id.into()));
        if !trace.is_disabled() {
            trace.record("request_id", field::display(&id));
        }
        Self { id, trace }
    }

    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Runs `work` in the context of the request.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.trace.in_scope(|| REQUEST.sync_scope(self.id.clone(), work))
    }

    /// Records route and status in the span.
    pub fn record_response(&self, method: &str, route: RouteLabel, status: u16) {
        if self.trace.is_disabled() {
            return;
        }
        let route = RouteLabel::TEXTS.get(route.index()).copied().unwrap_or_default();
        otel::rename(&self.trace, format!("{method} {route}"));
        self.trace.record("http.route", route);
        self.trace.record("http.response.status_code", status);
        if status >= 500 {
            self.trace.record("otel.status_code", "ERROR");
        }
    }
}

/// A future in the context of a request. Boxed, as it is large: moving it is slow, and an idle connection would keep
/// its memory.
pub struct InContext<F> {
    request_context: RequestContext,
    work: Pin<Box<F>>,
}

impl<F> InContext<F> {
    pub fn new(request_context: &RequestContext, work: F) -> Self {
        Self { request_context: request_context.clone(), work: Box::pin(work) }
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { request_context, work } = &mut *self;
        request_context.within(|| work.as_mut().poll(context))
    }
}

/// Spawns a task in the context of the current request.
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let task = task.in_current_span();
    match REQUEST.try_with(RequestId::clone) {
        Ok(id) => tokio::spawn(REQUEST.scope(id, task)),
        Err(_) => tokio::spawn(task),
    }
}

/// The client's request ID, if it is safe to log.
fn sent_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    (plain && (1..=MAX_ID).contains(&id.len())).then(|| id.to_owned())
}

/// Runs a request to the store in a span of its own.
pub fn store<F: Future>(operation: Operation, work: F) -> impl Future<Output = F::Output> {
    let operation = Operation::TEXTS.get(operation.index()).copied().unwrap_or_default();
    work.instrument(tracing::info_span!(
        target: TRACES, "store", otel.name = format_args!("store {operation}"), otel.kind = "client",
    ))
}

/// Runs a request to another service (`GitHub`, `STS`, `Redis`) in a span of its own.
pub fn client<F: Future>(service: &'static str, work: F) -> impl Future<Output = F::Output> {
    work.instrument(tracing::info_span!(target: TRACES, "client", otel.name = service, otel.kind = "client"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn log_lines_of_a_request_end_with_its_id() {
        let mut file = tempfile::tempfile().unwrap();
        let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(file.try_clone().unwrap());
        let log = log.map_event_format(|lines| WithRequest { lines, is_json: false });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            REQUEST.sync_scope(RequestId::Given("abc".into()), || tracing::warn!(bytes = 1, "within"));
            tracing::warn!("without");
        });
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let ends = [" within bytes=1 request_id=abc", " without"];
        assert!(lines.len() == 2 && lines.iter().zip(ends).all(|(line, end)| line.ends_with(end)), "{text}");
    }

    #[test]
    fn invalid_request_ids_are_ignored() {
        let long = "a".repeat(65);
        for (id, is_valid) in
            [("4f.A_b-9", true), (&long[1..], true), (&long, false), ("", false), ("a b", false), ("a\"", false)]
        {
            let headers = HeaderMap::from_iter([(REQUEST_ID, id.parse().unwrap())]);
            assert_eq!(sent_id(&headers).as_deref(), is_valid.then_some(id), "{id:?}");
        }
    }
}
