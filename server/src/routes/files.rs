//! A file of a report that was uploaded file by file: by the Python CLI, to this server or to the Python original.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, Stream, StreamExt};
use hyper::Response;
use hyper::header::{self, HeaderMap, HeaderValue};

use crate::app::App;
use crate::error::{Error, no_report};
use crate::key::{RESERVATION, ReportPath};
use crate::media::{self, SNIFFED};
use crate::metrics::{Encoding, Served, metrics};
use crate::reports::Place;
use crate::response::{Answer, Body, ByteStream};
use crate::routes::report::{File, Kept, accepts_gzip, matches, no_file, to_folder};
use crate::storage::{Fetched, FileMeta, StorageError};

/// Bytes below which compressing gains nothing.
const WORTH_COMPRESSING: u64 = 1000;

pub async fn show(
    app: &App,
    place: &Place<'_>,
    path: &ReportPath,
    query: Option<&str>,
    head: bool,
    headers: &HeaderMap,
) -> Answer {
    let file = if path.is_folder() { format!("{}index.html", path.as_str()) } else { path.as_str().to_owned() };
    if file == RESERVATION {
        return Err(no_file(&file));
    }
    if let Some(response) = get(app, place, &file, head, headers).await? {
        app.sites.is_by_file(&place.site).await;
        return Ok(response);
    }
    let index = place.site.file_key(&format!("{file}/index.html"));
    if !path.is_folder() && app.storage.exists(&index).await.map_err(Error::storage)? {
        return to_folder(app, place, path.as_str(), query);
    }
    let is_known =
        !path.as_str().is_empty() && app.sites.is_known_by_file(&place.site).await.map_err(Error::storage)?;
    Err(if is_known { no_file(&file) } else { no_report() })
}

/// The file's answer, or `None` where there is no such file.
async fn get(
    app: &App,
    place: &Place<'_>,
    file: &str,
    head: bool,
    headers: &HeaderMap,
) -> Result<Option<Response<Body>>, Error> {
    let key = place.site.file_key(file);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    // Tags of compressed answers are weak ones of the same bytes.
    let known_to_store = known.map(|known| known.replace("W/", ""));
    let (meta, bytes) = match app.storage.file(&key, known_to_store.as_deref()).await {
        Ok(Fetched::File(meta, bytes)) => (meta, bytes),
        Ok(Fetched::Unchanged) => return Ok(Some(not_modified(app, known, file, place))),
        Err(StorageError::NotFound) => return Ok(None),
        Err(error) => return Err(Error::storage(error)),
    };
    let FileMeta { size, etag } = meta;
    if let Some(etag) = etag.as_deref().filter(|etag| matches(headers, etag)) {
        return Ok(Some(not_modified(app, Some(etag), file, place)));
    }
    let (content_type, bytes) = begun(file, bytes).await?;
    let compressible = media::is_text(file) && size >= WORTH_COMPRESSING;
    let gzip = compressible && accepts_gzip(headers);
    if !head {
        metrics().file(Served::ByFile, if gzip { Encoding::Gzip } else { Encoding::Identity });
        metrics().file_size(size);
    }
    let etag = etag.map(|etag| if gzip { format!("W/{etag}") } else { etag });
    let etag = etag.and_then(|etag| HeaderValue::try_from(etag).ok());
    let is_packed = media::is_packed(file);
    let told = File { etag, kept: Kept::Shortly, is_by_encoding: compressible, is_gzip: gzip, is_packed };
    let body = match gzip {
        true => Body::Stream { bytes: compress(bytes).boxed(), remaining: None },
        false => Body::Stream { bytes, remaining: Some(size) },
    };
    Ok(Some(app.file_heads.answer(place, told, content_type, place.policy(), body)))
}

fn not_modified(app: &App, etag: Option<&str>, file: &str, place: &Place<'_>) -> Response<Body> {
    // One tag is the one that matched; of several the store does not say which.
    let etag = etag.filter(|etag| !etag.contains(',')).and_then(|etag| HeaderValue::from_str(etag).ok());
    let (is_by_encoding, is_packed) = (media::is_text(file), media::is_packed(file));
    let told = File { etag, kept: Kept::Shortly, is_by_encoding, is_gzip: false, is_packed };
    app.file_heads.not_modified(place, told)
}

/// A file's content type by its first bytes, and all of its bytes.
async fn begun(file: &str, mut bytes: ByteStream) -> Result<(HeaderValue, ByteStream), Error> {
    let mut first = Vec::new();
    while first.len() < SNIFFED {
        let Some(piece) = bytes.next().await.transpose().map_err(Error::storage)? else { break };
        first.extend_from_slice(&piece);
    }
    let content_type = media::content_type(file, &first);
    Ok((content_type, stream::once(std::future::ready(Ok(first.into()))).chain(bytes).boxed()))
}

/// A gzip member of what comes, as it comes.
fn compress(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    stream::try_unfold((bytes, Some(encoder)), |(mut bytes, encoder)| async move {
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
}
