//! The metrics after real requests, parsed with Prometheus's own parser.

use std::collections::BTreeMap;
use std::process::Command;

use xtask::lab::covered::Server;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::process::{poll, run};
use xtask::lab::{http, paths};

use crate::{REPOSITORY, SHA, World, setting};

type Samples = BTreeMap<String, f64>;

fn address(server: &Server) -> String {
    let metrics_url = |line: &str| Some(line.strip_prefix("metrics: ")?.to_owned());
    server.process.wait_for_line(metrics_url).unwrap()
}

/// Every sample by its name and labels, such as `name{label="value"}`. Fails if the text is not valid OpenMetrics.
#[track_caller]
fn scrape(server: &Server) -> Samples {
    let reply = http::get(&address(server)).unwrap();
    let content_type = reply.header("content-type").unwrap_or_default();
    assert!(
        reply.status == 200 && content_type.starts_with("application/openmetrics-text; version=1.0.0"),
        "{reply:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics");
    std::fs::write(&file, &reply.body).unwrap();
    let script = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
out = {}
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    assert family.documentation, family
    for s in family.samples:
        out[s.name + '{' + ','.join(f'{k}=\"{v}\"' for k, v in sorted(s.labels.items())) + '}'] = s.value
print(json.dumps(out))";
    let mut parser = Command::new(paths::python("python"));
    let read = run(parser.args(["-c", script]).arg(&file)).unwrap().succeeded();
    serde_json::from_str(&read.stdout).unwrap()
}

#[test]
fn metrics_count_requests_in_openmetrics_format() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let settings = [setting("STORAGE_URL", "memory://"), setting("METRICS_LISTEN", "127.0.0.1:0")].concat();
    let world = World::new(&settings);
    world.upload_small("87.5", SHA);
    let report = world.report_path();
    for path in [report.as_str(), &report, &format!("{report}none.html"), "/badge/nobody/nothing.svg", "/nothing"] {
        world.server.get(path);
    }
    assert_eq!(world.badge().status, 200);
    let etag = world.server.get(&report).header("etag").unwrap().to_owned();
    let url = format!("{}{report}", world.server.url);
    assert_eq!(http::request("GET", &url, &[("if-none-match", &etag)], "").unwrap().status, 304);

    // The server counts a request after it has sent the response, so the client may be earlier.
    let seen = poll("the last request to be counted", || {
        let seen = scrape(&world.server);
        (seen.get(r#"covered_http_requests_total{code="304",route="file"}"#) == Some(&1.0)).then_some(seen)
    })
    .unwrap();
    for (sample, value) in [
        (r#"covered_http_requests_total{code="200",route="create-site"}"#, 1.0),
        (r#"covered_http_requests_total{code="201",route="upload"}"#, 1.0),
        (r#"covered_http_requests_total{code="200",route="file"}"#, 3.0),
        (r#"covered_http_requests_total{code="404",route="file"}"#, 1.0),
        (r#"covered_http_requests_total{code="404",route="unknown"}"#, 1.0),
        (r#"covered_http_requests_total{code="307",route="badge-redirect"}"#, 1.0),
        (r#"covered_http_request_duration_seconds_count{route="file"}"#, 5.0),
        (r#"covered_files_served_total{encoding="identity",result="store"}"#, 1.0),
        (r#"covered_files_served_total{encoding="identity",result="memory"}"#, 2.0),
        (r#"covered_files_served_total{encoding="none",result="not_modified"}"#, 1.0),
        (r#"covered_files_served_total{encoding="none",result="missing"}"#, 1.0),
        (r#"covered_file_size_bytes_count{}"#, 3.0),
        (r#"covered_uploads_total{event="opened",kind="zip"}"#, 1.0),
        (r#"covered_uploads_total{event="completed",kind="zip"}"#, 1.0),
        (r#"covered_cache_lookups_total{cache="index",result="miss"}"#, 1.0),
        // One request by the uploader for the change, and one for `nobody/nothing`.
        (r#"covered_badges_total{found="unknown"}"#, 2.0),
        (r#"covered_github_requests_total{result="ok"}"#, 2.0),
        (r#"covered_redis_up{}"#, 0.0),
    ] {
        assert_eq!(seen.get(sample), Some(&value), "{sample} in {seen:#?}");
    }
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let build = seen.keys().find(|name| name.starts_with("covered_build_info{"));
    assert!(build.is_some_and(|build| build.contains(&version)), "{build:?}");
    assert!(seen[r#"covered_store_requests_total{operation="put",result="ok"}"#] >= 2.0);
    assert!(seen["process_resident_memory_bytes{}"] > 1e6 && seen["process_open_fds{}"] > 3.0, "{seen:#?}");
    assert!(seen["process_start_time_seconds{}"] > 1.7e9);
    for secret in ["octo", REPOSITORY, "nobody", "none.html", &report] {
        assert!(!seen.keys().any(|name| name.contains(secret)), "{secret} in {seen:#?}");
    }
}

#[test]
fn metrics_are_served_only_on_their_own_address() {
    let world = World::new(&[setting("STORAGE_URL", "memory://"), setting("METRICS_LISTEN", "127.0.0.1:0")].concat());
    assert_eq!(world.server.get("/metrics").status, 404);
    let own = address(&world.server);
    assert_eq!(http::request("HEAD", &own, &[], "").unwrap().status, 200);
    assert_eq!(http::request("POST", &own, &[], "").unwrap().status, 405);
    for other in ["/", "/healthz", "/badge/octo/app.svg"] {
        assert_eq!(http::get(&own.replace("/metrics", other)).unwrap().status, 404, "{other}");
    }
}
