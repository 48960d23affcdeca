//! Measures responses from memory, without a socket: `cargo bench -p covered-server --bench hot`. `--count CASE TIMES`
//! repeats one case for `cargo xtask bench counts`.

#[path = "../../xtask/src/bench/cases.rs"]
mod cases;

use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cases::Case;
use covered_server::app::App;
use covered_server::config::{self, Command};
use covered_server::names::site::SiteId;
use covered_server::routes::report;
use covered_server::routes::router::Route;
use covered_server::values::drawing::{self, Appearance, Badges};
use covered_server::values::value::{State, Value};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use tokio::runtime::{Builder, Runtime};

const SITE: &str = "0123456789abcdef0123456789abcdef";
const HOST: &str = "127.0.0.1:8000";
const PAGE: &str = "page.html";
/// The size of a coverage report's page in bytes.
const PAGE_BYTES: usize = 145_000;

fn main() -> Result<()> {
    // Like the server's `main`.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cases::run(cases)
}

fn cases(folder: &Path) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = vec![(
        "path to route",
        Box::new(|| {
            black_box(Route::of(black_box("/coverage/0123456789abcdef0123456789abcdef/lib/page.html")));
            Ok(())
        }),
    )];
    let value = Value {
        percent: Some(87.5),
        state: State::Success,
        site_id: Some(SITE.to_owned()),
        commit_sha: String::new(),
        seen_at: jiff::Timestamp::UNIX_EPOCH,
        run_id: None,
        issuer: None,
    };
    let (appearance, badges, cached_value) = (Appearance::new(None, None), Badges::default(), value.clone());
    cases.push((
        "value to SVG, drawn",
        Box::new(move || {
            black_box(drawing::svg(Some(&value), &appearance)?);
            Ok(())
        }),
    ));
    cases.push((
        "value to SVG, remembered",
        Box::new(move || {
            black_box(badges.svg(Some(&cached_value), Appearance::new(None, None))?);
            Ok(())
        }),
    ));
    let encoded = |encoding| [(ACCEPT_ENCODING, HeaderValue::from_static(encoding))].into_iter().collect();
    let tag = {
        let mut server = TestServer::new(folder, encoded("gzip"))?;
        server.respond()?.context("a response without an ETag")?
    };
    let known: HeaderMap<HeaderValue> = [(ACCEPT_ENCODING, HeaderValue::from_static("gzip")), (IF_NONE_MATCH, tag)]
        .into_iter()
        .collect::<HeaderMap<HeaderValue>>();
    for (name, headers) in [
        ("entry to response, gzipped", encoded("gzip")),
        ("entry to response, not gzipped", encoded("identity")),
        ("entry to response, not modified", known),
    ] {
        let mut server = TestServer::new(folder, headers)?;
        cases.push((name, Box::new(move || server.respond().map(|tag| drop(black_box(tag))))));
    }
    Ok(cases)
}

/// A server with one report, and a request for its page.
struct TestServer {
    runtime: Runtime,
    app: App,
    headers: HeaderMap,
}

impl TestServer {
    fn new(folder: &Path, headers: HeaderMap) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let data = folder.join("data");
        std::fs::create_dir_all(data.join("sites"))?;
        std::fs::write(data.join(format!("sites/{SITE}.zip")), zip(&page())?)?;
        let storage = format!("file://{}", data.display());
        let look_up = |name: &str| match name {
            "STORAGE_URL" => Some(storage.clone().into()),
            "API_KEY" => Some(SITE.into()),
            _ => None,
        };
        let Ok(Command::Serve(config)) = config::command([], look_up, None) else { bail!("the settings are wrong") };
        let app = runtime.block_on(async { App::new(*config, HOST.parse()?) })?;
        let mut server = Self { runtime, app, headers };
        // Fills the cache.
        server.respond()?;
        Ok(server)
    }

    /// Creates a response and returns its entity tag.
    fn respond(&mut self) -> Result<Option<HeaderValue>> {
        let site: SiteId = SITE.parse().map_err(|()| anyhow::anyhow!("{SITE} is no site"))?;
        let location = self.app.reports.below(site, Some(HOST));
        let result = self.runtime.block_on(report::show(&self.app, &location, PAGE, None, false, &self.headers));
        let mut response = result.map_err(|error| anyhow::anyhow!("{}", error.detail))?;
        Ok(black_box(&mut response).headers_mut().remove(HeaderName::from_static("etag")))
    }
}

/// A page with many similar lines.
fn page() -> String {
    let mut html = String::new();
    while html.len() < PAGE_BYTES {
        let line = html.len();
        html += &format!("<p class=\"run\"><a href=\"#t{line}\">{line}</a> <span>value_{line:x} = f()</span></p>\n");
    }
    html
}

fn zip(page: &str) -> Result<Vec<u8>> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    let name = rawzip::path::EntryPath::verbatim(PAGE.as_bytes());
    let (mut entry, config) = archive.new_file(name).compression_method(rawzip::CompressionMethod::DEFLATE).start()?;
    let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
    writer.write_all(page.as_bytes())?;
    let (encoder, descriptor) = writer.finish()?;
    encoder.finish()?;
    entry.finish(descriptor)?;
    Ok(archive.finish()?)
}
