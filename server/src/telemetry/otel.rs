//! OpenTelemetry: sends spans in batches over HTTP, as configured by the standard's variables. Spans that cannot be
//! sent are dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hyper::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

const TRACEPARENT: &str = "traceparent";
const SERVICE: &str = "covered-server";
/// Time to send a batch: the standard's default.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Time to send the last batch when the server stops.
const STOP_TIME: Duration = Duration::from_secs(5);

pub struct Traces(SdkTracerProvider);

impl Traces {
    pub fn start() -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(SEND_TIME).redirect(reqwest::redirect::Policy::none()).build()?;
        let collector = Collector { http, runtime: Handle::current(), fails: AtomicBool::new(false) };
        let exporter = SpanExporter::builder().with_http().with_http_client(collector).build()?;
        let mut resource = Resource::builder();
        let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty())
            || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
        if !named {
            resource = resource.with_service_name(SERVICE);
        }
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build()))
    }

    /// The layer that exports spans of `tracing`.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer(SERVICE));
        layer
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false)
    }

    pub async fn stop(self) {
        // The shutdown waits for a thread that needs this runtime.
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(STOP_TIME)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("could not send the last traces to the collector");
        }
    }
}

/// Makes `span` a part of the client's trace, if the request belongs to one, and returns the trace's ID.
pub fn continue_trace(span: &Span, headers: &HeaderMap) -> Option<String> {
    if !headers.contains_key(TRACEPARENT) {
        return if span.is_disabled() { None } else { id_of(&span.context()) };
    }
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if span.is_disabled() {
        return id_of(&parent);
    }
    let _ = span.set_parent(parent);
    id_of(&span.context())
}

fn id_of(context: &Context) -> Option<String> {
    let trace = context.span().span_context().clone();
    trace.is_valid().then(|| trace.trace_id().to_string())
}

/// Sets a span's name after its start, when the field `otel.name` is no longer read.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Sends batches on the server's runtime, as the exporter's thread has none.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    fails: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.http.clone(), request)).await?;
        // Logged once, not for each batch: the collector may be down for days.
        match &sent {
            Ok(response) if response.status().is_success() => self.fails.store(false, Ordering::Relaxed),
            failed if !self.fails.swap(true, Ordering::Relaxed) => {
                let why = match failed {
                    Ok(response) => format!("it returned {}", response.status()),
                    Err(error) => format!("{error:#}"),
                };
                tracing::warn!("cannot send traces to the collector, they are dropped: {why}");
            }
            _ => {}
        }
        Ok(sent?)
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
    // The URL may contain a key.
    let received = http.execute(request.try_into()?).await.map_err(|error| error.without_url())?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = received.status();
    *response.headers_mut() = received.headers().clone();
    *response.body_mut() = received.bytes().await.map_err(|error| error.without_url())?;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    #[test]
    fn traceparent_headers_are_parsed_as_w3c_specifies() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (traceparent, is_valid) in [
            (format!("00-{id}-00f067aa0ba902b7-01"), true),
            (format!("01-{id}-00f067aa0ba902b7-01-what-comes-later"), true),
            (format!("00-{id}-00f067aa0ba902b7-01-more"), false),
            (format!("ff-{id}-00f067aa0ba902b7-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()), false),
            (format!("00-{id}-0000000000000000-01"), false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(), false),
            (format!("00-{id}"), false),
            (String::new(), false),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(TRACEPARENT), traceparent.parse().unwrap())]);
            assert_eq!(continue_trace(&Span::none(), &headers).as_deref(), is_valid.then_some(id), "{traceparent:?}");
        }
    }
}
