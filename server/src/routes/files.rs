//! Files of reports that the Python CLI uploaded file by file.

use std::io::{self, Write};
use std::ops::Range;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use futures_util::stream::{self, Stream, StreamExt};
use hyper::Response;
use hyper::header::{HeaderMap, HeaderValue};

use crate::answers::file::{CachePolicy, File, no_file, to_folder};
use crate::answers::negotiate::{accepts_gzip, matches};
use crate::answers::response::{Body, RouteResult};
use crate::app::App;
use crate::error::{Error, no_report};
use crate::names::object::RESERVATION;
use crate::names::report::ReportPath;
use crate::reports::address::ReportLocation;
use crate::reports::media;
use crate::reports::sites::SingleFile;
use crate::routes::range::{self, RequestedRange};
use crate::store::object::{ByteStream, FileMeta};
use crate::telemetry::metrics::{Encoding, Served, metrics};

pub async fn show(
    app: &App,
    location: &ReportLocation<'_>,
    path: &ReportPath,
    query: Option<&str>,
    head: bool,
    headers: &HeaderMap,
) -> RouteResult {
    let file = if path.is_folder() { format!("{}index.html", path.as_str()) } else { path.as_str().to_owned() };
    if file == RESERVATION {
        return Err(no_file(&file));
    }
    if let Some(response) = get(app, location, &file, head, headers).await? {
        app.sites.remember_by_file(&location.site).await;
        return Ok(response);
    }
    let index = location.site.file_key(&format!("{file}/index.html"));
    if !path.is_folder() && app.storage.exists(&index).await.map_err(Error::storage)? {
        return to_folder(&app.responses, location, path.as_str(), query);
    }
    let is_known =
        !path.as_str().is_empty() && app.sites.is_known_by_file(&location.site).await.map_err(Error::storage)?;
    Err(if is_known { no_file(&file) } else { no_report() })
}

/// The response with a file, or `None` if it does not exist.
async fn get(
    app: &App,
    location: &ReportLocation<'_>,
    path: &str,
    head: bool,
    headers: &HeaderMap,
) -> Result<Option<Response<Body>>, Error> {
    let part = if head { None } else { range::range_of_unknown_size(headers) };
    let Some(single) = app.sites.single(&location.site, path, part).await? else {
        return Ok(None);
    };
    let (size, etag, is_by_encoding) = match &single {
        SingleFile::Small(cached) => (cached.size, cached.etag.clone(), cached.is_gzip),
        SingleFile::Large { meta, .. } => (meta.size, meta.etag.clone(), media::is_text(path)),
    };
    let requested =
        if head { RequestedRange::Whole } else { range::requested_range(headers, || etag.as_deref(), size) };
    let is_known = etag.as_deref().is_some_and(|etag| matches(headers, etag));
    let is_gzip = is_by_encoding && requested == RequestedRange::Whole && accepts_gzip(headers);
    // The compressed form has the weak version of the file's tag.
    let etag = etag.map(|etag| if is_gzip { format!("W/{etag}") } else { etag });
    let etag = etag.and_then(|etag| HeaderValue::try_from(etag).ok());
    let is_packed = media::is_packed(path);
    let file = File { etag, cache_policy: CachePolicy::Minute, is_by_encoding, is_gzip, is_packed, has_parts: true };
    if is_known {
        return Ok(Some(app.file_headers.not_modified(location, file)));
    }
    if requested == RequestedRange::Unsatisfiable {
        return range::unsatisfiable(app, size).map(Some);
    }
    if !head {
        metrics().count_file(Served::ByFile, if is_gzip { Encoding::Gzip } else { Encoding::Identity });
        metrics().record_file_size(size);
    }
    let (content_type, body) = match single {
        SingleFile::Small(cached) if is_gzip => (cached.content_type.clone(), Body::Full(cached.bytes.clone())),
        SingleFile::Small(cached) => {
            let plain = app.sites.plain(&location.site, path, &cached).await?;
            (cached.content_type.clone(), Body::Full(requested.slice(plain)))
        }
        SingleFile::Large { content_type, bytes, meta, range } => {
            let part = requested.range(size);
            let bytes = if range == part { bytes } else { large_part(app, location, path, &meta, &part).await? };
            let remaining = (!is_gzip).then_some(part.end - part.start);
            let bytes = if is_gzip { compress(bytes).boxed() } else { bytes };
            (content_type, Body::Stream { bytes, remaining })
        }
    };
    let response = app.file_headers.ok(location, file, content_type, location.policy(), body);
    match &requested {
        RequestedRange::Part(part) => range::partial(response, part, size).map(Some),
        _ => Ok(Some(response)),
    }
}

/// Streams a part of a large file, in the version with its entity tag.
async fn large_part(
    app: &App,
    location: &ReportLocation<'_>,
    path: &str,
    meta: &FileMeta,
    part: &Range<u64>,
) -> Result<ByteStream, Error> {
    let key = location.site.file_key(path);
    let bytes = app.storage.stream(&key, part.clone(), meta.etag.as_deref()).await.map_err(Error::storage)?;
    Ok(bytes.map(|item| item.map_err(io::Error::other)).boxed())
}

/// Compresses a stream with gzip.
fn compress(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let compressed = |encoder| {
        stream::try_unfold((bytes, Some(encoder)), |(mut bytes, encoder): (_, Option<GzEncoder<Vec<u8>>>)| async move {
            let Some(mut encoder) = encoder else { return Ok(None) };
            while let Some(chunk) = bytes.next().await {
                encoder.write_all(&chunk?)?;
                if !encoder.get_ref().is_empty() {
                    let out = std::mem::take(encoder.get_mut());
                    return Ok(Some((out.into(), (bytes, Some(encoder)))));
                }
            }
            let last: Bytes = encoder.finish()?.into();
            Ok(Some((last, (bytes, None))))
        })
    };
    // A response that waits for memory has no encoder yet: its state has 320 KiB.
    async { compressed(GzEncoder::new(Vec::new(), Compression::fast())) }.flatten_stream()
}
