//! Prometheus metrics. Labels have a few fixed values, never a path, a repository or an address.
//!
//! Counting costs one or two atomic operations: a counter is created on first use, and then found by its index in a
//! table.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use crate::telemetry::labels::*;
use crate::telemetry::process::Process;

/// Seconds: a file from memory takes well under a millisecond, an upload may take a minute.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Bytes: most pages of a report are below 64 KiB.
const BYTES: [f64; 8] = [1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 16_777_216.0, 268_435_456.0];

type Labels = Vec<(&'static str, &'static str)>;

/// A counter for each pair of label values, created on first use.
struct Table<A: Label, B: Label> {
    family: Family<Labels, Counter>,
    cells: Vec<OnceLock<Counter>>,
    labels: std::marker::PhantomData<fn(A, B)>,
}

impl<A: Label, B: Label> Table<A, B> {
    fn new(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<Labels, Counter>::default();
        registry.register(name, help, family.clone());
        let cells = std::iter::repeat_with(OnceLock::new).take(A::TEXTS.len() * B::TEXTS.len()).collect();
        Self { family, cells, labels: std::marker::PhantomData }
    }

    fn count(&self, a: A, b: B) {
        let (first, second) = (a.index(), b.index());
        let Some(cell) = self.cells.get(first * B::TEXTS.len() + second) else { return };
        let made = || {
            let mut labels = vec![(A::NAME, A::TEXTS[first]), (B::NAME, B::TEXTS[second])];
            labels.retain(|(name, _)| !name.is_empty());
            self.family.get_or_create_owned(&labels)
        };
        cell.get_or_init(made).inc();
    }
}

/// A histogram for each value of a label.
struct Times<A: Label> {
    cells: Vec<Histogram>,
    label: std::marker::PhantomData<fn(A)>,
}

impl<A: Label> Times<A> {
    fn new(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        let cell = |text: &&'static str| family.get_or_create_owned(&vec![(A::NAME, *text)]);
        Self { cells: A::TEXTS.iter().map(cell).collect(), label: std::marker::PhantomData }
    }

    fn observe(&self, a: A, time: Duration) {
        if let Some(cell) = self.cells.get(a.index()) {
            cell.observe(time.as_secs_f64());
        }
    }
}

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    requests: Table<RouteLabel, Code>,
    request_seconds: Times<RouteLabel>,
    files: Table<Served, Encoding>,
    file_bytes: Histogram,
    uploads: Table<UploadKind, UploadEvent>,
    caches: Table<CacheLabel, Lookup>,
    badges: Table<BadgeResult, NoLabel>,
    github: Table<GitHubResult, NoLabel>,
    keyless: Table<KeylessResult, NoLabel>,
    issuers: Table<IssuerResult, NoLabel>,
    github_limits: Counter,
    github_quota: [Gauge; 3],
    store: Table<Operation, StoreResult>,
    store_seconds: Times<Operation>,
    connections: Gauge,
    redis: Gauge,
    process: Process,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The process's metrics.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

impl Metrics {
    fn new() -> Self {
        let mut own = Registry::default();
        let build = Info::new(vec![
            ("version", env!("CARGO_PKG_VERSION")),
            // Set by the build, as GITHUB_SHA in a workflow may be another repository's commit.
            ("commit", option_env!("COVERED_COMMIT").unwrap_or("unknown")),
        ]);
        own.register("covered_build", "The program that runs", build);
        let registry = own.sub_registry_with_prefix("covered");
        let file_bytes = Histogram::new(BYTES);
        registry.register_with_unit("file_size", "Sizes of the report files served", Unit::Bytes, file_bytes.clone());
        let github_limits = Counter::default();
        registry.register("github_rate_limits", "Responses by which GitHub limited requests", github_limits.clone());
        let redis = gauge(registry, "redis_up", "1 if Redis is in use, 0 if it is unreachable, too slow or not set");
        let connections = gauge(registry, "connections_open", "Open client connections");
        let github_quota = [
            ("github_quota_remaining", "GitHub quota points left, as GitHub last reported"),
            ("github_quota_limit", "GitHub quota points per hour, as GitHub last reported"),
            ("github_quota_reset_timestamp_seconds", "Unix time of the next reset of the GitHub quota"),
        ]
        .map(|(name, help)| gauge(registry, name, help));
        Self {
            requests: Table::new(registry, "http_requests", "Requests, counted when the response was sent"),
            request_seconds: Times::new(registry, "http_request_duration", "Time from request head to response end"),
            files: Table::new(registry, "files_served", "Requests for report files, by the source of the file"),
            file_bytes,
            uploads: Table::new(
                registry,
                "uploads",
                "Report uploads; direct uploads to the store count as opened only",
            ),
            caches: Table::new(registry, "cache_lookups", "Cache look-ups"),
            badges: Table::new(registry, "badges", "Requests for badges and badge redirects"),
            github: Table::new(registry, "github_requests", "Requests to GitHub"),
            keyless: Table::new(registry, "keyless_requests", "Requests with an OIDC token instead of an API key"),
            issuers: Table::new(registry, "oidc_issuer_requests", "Requests for the keys of OIDC issuers"),
            github_limits,
            redis,
            github_quota,
            store: Table::new(registry, "store_requests", "Requests to the store, without the library's retries"),
            store_seconds: Times::new(registry, "store_request_duration", "Time until the store responded"),
            connections,
            process: Process::new(&mut own),
            registry: own,
        }
    }

    /// Counts a completed request.
    pub fn count_request(&self, route: RouteLabel, status: u16, time: Duration) {
        self.requests.count(route, Code(status));
        self.request_seconds.observe(route, time);
    }

    /// Counts what the status code says about a file or an upload.
    pub fn count_response(&self, route: RouteLabel, status: u16) {
        match (route, status) {
            (RouteLabel::File, 304) => self.count_file(Served::NotModified, Encoding::None),
            (RouteLabel::File, 404) => self.count_file(Served::Missing, Encoding::None),
            (RouteLabel::Upload, 201) => self.count_upload(UploadKind::Zip, UploadEvent::Completed),
            (RouteLabel::Upload | RouteLabel::CreateSite, 400..) => {
                self.count_upload(UploadKind::Zip, UploadEvent::Refused)
            }
            _ => {}
        }
    }

    /// Counts a request for a report's file.
    pub fn count_file(&self, served: Served, encoding: Encoding) {
        self.files.count(served, encoding);
    }

    /// Records the size of a report's file.
    pub fn record_file_size(&self, bytes: u64) {
        self.file_bytes.observe(bytes as f64);
    }

    pub fn count_upload(&self, kind: UploadKind, event: UploadEvent) {
        self.uploads.count(kind, event);
    }

    pub fn count_lookup(&self, cache: CacheLabel, found: Lookup) {
        self.caches.count(cache, found);
    }

    pub fn count_badge(&self, found: BadgeResult) {
        self.badges.count(found, NoLabel::None);
    }

    pub fn count_github_request(&self, result: GitHubResult) {
        self.github.count(result, NoLabel::None);
    }

    /// Counts a request with an OIDC token.
    pub fn count_keyless_request(&self, result: KeylessResult) {
        self.keyless.count(result, NoLabel::None);
    }

    /// Counts a request for an issuer's keys.
    pub fn count_issuer_request(&self, result: IssuerResult) {
        self.issuers.count(result, NoLabel::None);
    }

    /// Counts a response that limited requests to GitHub.
    pub fn count_github_limit(&self) {
        self.github_limits.inc();
    }

    pub fn set_redis_up(&self, up: bool) {
        self.redis.set(up.into());
    }

    /// Records GitHub's quota. `reset`: Unix time in seconds.
    pub fn set_github_quota(&self, remaining: u64, limit: u64, reset: u64) {
        for (gauge, value) in self.github_quota.iter().zip([remaining, limit, reset]) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// Counts a request to the store. `time`: until the response began.
    pub fn count_store_request(&self, operation: Operation, result: StoreResult, time: Duration) {
        self.store.count(operation, result);
        self.store_seconds.observe(operation, time);
    }

    /// Counts a request to the store whose time is unknown.
    pub fn count_untimed_store_request(&self, operation: Operation, result: StoreResult) {
        self.store.count(operation, result);
    }

    /// Counts a connection as open until the returned guard is dropped.
    pub fn count_connection(&'static self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(&self.connections)
    }

    /// All metrics as OpenMetrics text.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        self.process.update();
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// An open connection.
pub struct OpenConnection(&'static Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
