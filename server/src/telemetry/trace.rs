//! The log and, where the `OTEL_*` variables ask for them, traces: what belongs to one request is found by its id.

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
use crate::telemetry::metrics::{Label, Operation, Route};
use crate::telemetry::otel;

/// The target of the spans that are for traces alone: the log does not show them.
const TRACES: &str = "covered_traces";
/// Characters of a request's id that is taken from whoever asks.
const MAX_ID: usize = 64;
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    /// The id of the request that is worked on.
    static REQUEST: Id;
}

/// How the log is written.
pub struct LogConfig {
    pub json: bool,
    pub level: tracing::Level,
}

/// What has to be ended with the server.
pub struct Telemetry {
    traces: Option<otel::Traces>,
}

/// Starts the log, and with `traces` those too. Needs the runtime.
pub fn start(config: &LogConfig, traces: bool) -> anyhow::Result<Telemetry> {
    // Of the libraries' own lines only those that tell of trouble.
    let own = LevelFilter::from_level(config.level);
    let shown = Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("covered_server", own);
    // It warns of what any client can do, a line for each time.
    let shown = shown.with_target(TRACES, LevelFilter::OFF).with_target("h2", own.min(LevelFilter::ERROR));
    let log = tracing_subscriber::fmt::layer().with_target(false);
    let log = match config.json {
        true => {
            let json = log.json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.map_event_format(|lines| WithRequest { lines, is_json: true }).boxed()
        }
        false => log.with_ansi(false).map_event_format(|lines| WithRequest { lines, is_json: false }).boxed(),
    };
    // A layer that may be there or not would make spans that nobody takes; a list has those that are there.
    let mut layers = vec![log.with_filter(shown).boxed()];
    let traces = traces.then(otel::Traces::start).transpose()?;
    let only = Targets::new().with_target(TRACES, LevelFilter::TRACE);
    layers.extend(traces.as_ref().map(|traces| traces.layer().with_filter(only).boxed()));
    // A second start in one process keeps the first log: only tests do that.
    let _ = tracing_subscriber::registry().with(std::mem::take(&mut layers)).try_init();
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends what is still to be sent, for a few seconds at most.
    pub async fn stop(self) {
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
    }
}

/// Log lines with the id of the request that they belong to. A span for it would be made for each request, whether a
/// line is written or not: it took a fifth of a cached badge's instructions.
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
        let Ok(id) = REQUEST.try_with(Id::clone) else {
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

/// A request's id.
#[derive(Clone)]
pub enum Id {
    /// The client or a proxy gave it, or it is the trace's.
    Given(Arc<str>),
    /// Told as 16 hexadecimal digits.
    Own(u64),
}

impl Id {
    /// One of its own, without a question to the system: a hash, keyed at random, of how many there were.
    fn own() -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self::Own(KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn header(&self) -> HeaderValue {
        let value = match self {
            Self::Given(id) => HeaderValue::from_str(id),
            Self::Own(id) => {
                let digits: [u8; 16] = std::array::from_fn(|place| digit((id >> (60 - 4 * place)) as u8));
                HeaderValue::from_bytes(&digits)
            }
        };
        value.unwrap_or(HeaderValue::from_static("none"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id),
            Self::Own(id) => write!(f, "{id:016x}"),
        }
    }
}

/// What is done for one request: its id is in all log lines, its span holds those of what it asks others.
#[derive(Clone)]
pub struct Scope {
    id: Id,
    trace: Span,
}

impl Scope {
    /// The id is the one that the client or a proxy gave, else that of the trace, else one of its own.
    pub fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let trace = tracing::info_span!(
            target: TRACES, "request", otel.kind = "server", otel.status_code = field::Empty,
            http.request.method = request.method().as_str(), http.route = field::Empty,
            http.response.status_code = field::Empty, request_id = field::Empty,
        );
        let trace_id = otel::continued(&trace, headers);
        let id = given(headers).or(trace_id).map_or_else(Id::own, |id| Id::Given(id.into()));
        if !trace.is_disabled() {
            trace.record("request_id", field::display(&id));
        }
        Self { id, trace }
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Whatever `work` logs belongs to the request.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.trace.in_scope(|| REQUEST.sync_scope(self.id.clone(), work))
    }

    /// What the request turned out to be.
    pub fn answered(&self, method: &str, route: Route, status: u16) {
        if self.trace.is_disabled() {
            return;
        }
        let route = Route::TEXTS.get(route.place()).copied().unwrap_or_default();
        otel::rename(&self.trace, format!("{method} {route}"));
        self.trace.record("http.route", route);
        self.trace.record("http.response.status_code", status);
        if status >= 500 {
            self.trace.record("otel.status_code", "ERROR");
        }
    }
}

/// Work that belongs to a request. Boxed: it is large, what is around it would move it, and an idle connection would keep
/// its room.
pub struct Within<F> {
    scope: Scope,
    work: Pin<Box<F>>,
}

impl<F> Within<F> {
    pub fn new(scope: &Scope, work: F) -> Self {
        Self { scope: scope.clone(), work: Box::pin(work) }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { scope, work } = &mut *self;
        scope.within(|| work.as_mut().poll(context))
    }
}

/// Starts a task that belongs to the request that is worked on.
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let task = task.in_current_span();
    match REQUEST.try_with(Id::clone) {
        Ok(id) => tokio::spawn(REQUEST.scope(id, task)),
        Err(_) => tokio::spawn(task),
    }
}

/// An id that a log can show as it is.
fn given(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    (plain && (1..=MAX_ID).contains(&id.len())).then(|| id.to_owned())
}

/// A request to the store, as a part of the request that needs it.
pub fn store<F: Future>(operation: Operation, work: F) -> impl Future<Output = F::Output> {
    let operation = Operation::TEXTS.get(operation.place()).copied().unwrap_or_default();
    work.instrument(tracing::info_span!(
        target: TRACES, "store", otel.name = format_args!("store {operation}"), otel.kind = "client",
    ))
}

/// A request to another service: `GitHub`, `STS`, `Redis`.
pub fn client<F: Future>(service: &'static str, work: F) -> impl Future<Output = F::Output> {
    work.instrument(tracing::info_span!(target: TRACES, "client", otel.name = service, otel.kind = "client"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn a_line_of_a_request_ends_with_its_id() {
        let mut file = tempfile::tempfile().unwrap();
        let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(file.try_clone().unwrap());
        let log = log.map_event_format(|lines| WithRequest { lines, is_json: false });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            REQUEST.sync_scope(Id::Given("abc".into()), || tracing::warn!(bytes = 1, "within"));
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
    fn only_an_id_that_a_log_can_show_is_taken() {
        let long = "a".repeat(65);
        for (id, taken) in
            [("4f.A_b-9", true), (&long[1..], true), (&long, false), ("", false), ("a b", false), ("a\"", false)]
        {
            let headers = HeaderMap::from_iter([(REQUEST_ID, id.parse().unwrap())]);
            assert_eq!(given(&headers).as_deref(), taken.then_some(id), "{id:?}");
        }
    }
}
