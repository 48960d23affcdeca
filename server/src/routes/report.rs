//! `GET /coverage/{site_id}/{path}`: a file of a report.

use futures_util::stream::{self, StreamExt};
use hyper::header::{self, HeaderMap, HeaderValue};

use crate::answers::file::{CachePolicy, File, PUBLIC_IMMUTABLE, no_file, to_folder, with_query};
use crate::answers::negotiate::{accepts_gzip, matches};
use crate::answers::pages::{self, Row};
use crate::answers::response::{Body, RouteResult};
use crate::app::App;
use crate::base::random::digit;
use crate::error::{Error, no_report};
use crate::names::report::ReportPath;
use crate::reports::address::ReportLocation;
use crate::reports::archive::{Entry, Index};
use crate::reports::media;
use crate::reports::sites::{FileContent, FoundFile, Site};
use crate::routes::files;
use crate::routes::range::{self, RequestedRange};
use crate::telemetry::metrics::{Encoding, metrics};

/// The maximum number of rows in a folder's list.
const MAX_ROWS: usize = 1000;
/// The maximum number of bytes of an entity tag.
const MAX_ETAG: usize = 32;

/// A file, a folder's index or a folder's list. `encoded`: the path in the URL.
pub async fn show(
    app: &App,
    location: &ReportLocation<'_>,
    encoded: &str,
    query: Option<&str>,
    head: bool,
    headers: &HeaderMap,
) -> RouteResult {
    let path = ReportPath::from_url(encoded).ok_or_else(|| no_file(encoded))?;
    let Some(site) = app.sites.open(&location.site).await? else {
        return Box::pin(files::show(app, location, &path, query, head, headers)).await;
    };
    let index = &site.index;
    if !path.is_folder() {
        return match index.get(path.as_str()) {
            Some(found) => file(app, location, &site, found, head, headers).await,
            None if index.below(&format!("{}/", path.as_str())).next().is_some() => {
                to_folder(&app.responses, location, path.as_str(), query)
            }
            None => Err(no_file(path.as_str())),
        };
    }
    if let Some(found) = index.get(&format!("{}index.html", path.as_str())) {
        return file(app, location, &site, found, head, headers).await;
    }
    if path.as_str().is_empty()
        && let Some(folder) = only_folder_with_index(index)
    {
        return to_folder(&app.responses, location, folder.trim_end_matches('/'), query);
    }
    list(app, index, path.as_str())
}

/// `/coverage/{site_id}`: redirects to the address with a slash, which relative links need.
pub fn without_slash(app: &App, site: &str, query: Option<&str>) -> RouteResult {
    let root = app.reports.location(&site.parse().map_err(|()| no_report())?);
    app.responses.redirect(&with_query(root, query))
}

/// Redirects to the same file on the report's own host.
pub fn redirect_to_own_host(app: &App, site: &str, encoded: &str, query: Option<&str>) -> RouteResult {
    let site = site.parse().map_err(|()| no_report())?;
    app.responses.redirect(&with_query(app.reports.url(&site) + encoded, query))
}

/// The only top-level folder with an index, such as `lcov-report/`.
fn only_folder_with_index(index: &Index) -> Option<String> {
    let mut folders = index.below("").filter_map(|entry| {
        let folder = entry.path.strip_suffix("index.html")?;
        (folder.matches('/').count() == 1 && folder.ends_with('/')).then(|| folder.to_owned())
    });
    let first = folders.next()?;
    folders.next().is_none().then_some(first)
}

fn list(app: &App, index: &Index, folder: &str) -> RouteResult {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for entry in index.below(folder) {
        let rest = &entry.path[folder.len()..];
        let row = match rest.find('/') {
            Some(at) => Row { name: &rest[..=at], size: None },
            None => Row { name: rest, size: Some(entry.size) },
        };
        if rows.last().is_none_or(|last| last.name != row.name) {
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return Err(no_file(folder));
    }
    let more = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    let mut page = app.responses.page(pages::list(folder, &rows, more));
    page.headers_mut().insert(header::CACHE_CONTROL, PUBLIC_IMMUTABLE);
    Ok(page)
}

async fn file(
    app: &App,
    location: &ReportLocation<'_>,
    site: &Site,
    (number, entry): (u32, &Entry),
    head: bool,
    headers: &HeaderMap,
) -> RouteResult {
    let has_parts = app.sites.has_parts(entry);
    // A range refers to the uncompressed file.
    let requested = match has_parts && !head {
        true => range::requested_range(headers, || Some(etag(entry, false)), entry.size),
        false => RequestedRange::Whole,
    };
    let is_packed = media::is_packed(&entry.path);
    let is_by_encoding = entry.deflated && !is_packed;
    let is_gzip = is_by_encoding && requested == RequestedRange::Whole && accepts_gzip(headers);
    let etag = etag(entry, is_gzip);
    let is_known = matches(headers, &etag);
    let etag = HeaderValue::try_from(etag).map_err(Error::internal)?;
    let file =
        File { etag: Some(etag), cache_policy: CachePolicy::Immutable, is_by_encoding, is_gzip, is_packed, has_parts };
    if is_known {
        return Ok(app.file_headers.not_modified(location, file));
    }
    let (sites, id) = (&app.sites, &location.site);
    // For HEAD too, as the charset is in the file itself.
    let FoundFile { content, content_type, served } = match &requested {
        RequestedRange::Whole => sites.content(id, number, entry, !is_gzip).await?,
        RequestedRange::Part(part) => Box::pin(sites.part(id, number, entry, part)).await?,
        RequestedRange::Unsatisfiable => return range::unsatisfiable(app, entry.size),
    };
    if !head {
        metrics().count_file(served, if is_gzip { Encoding::Gzip } else { Encoding::Identity });
        metrics().record_file_size(entry.size);
    }
    let (policy, body) = (location.cached_policy(&site.policy), body(entry, content, is_gzip, &requested));
    let response = app.file_headers.ok(location, file, content_type, policy, body);
    match &requested {
        RequestedRange::Part(part) => range::partial(response, part, entry.size),
        _ => Ok(response),
    }
}

/// The entity tag: checksum, size and encoding.
fn etag(entry: &Entry, is_gzip: bool) -> String {
    let mut tag = String::with_capacity(MAX_ETAG);
    tag.push('"');
    push_hex(&mut tag, entry.crc.into(), 8);
    tag.push('-');
    let size_digits = (u64::BITS - entry.size.leading_zeros()).div_ceil(4);
    push_hex(&mut tag, entry.size, size_digits.max(1));
    tag.push_str(if is_gzip { "-gz\"" } else { "\"" });
    tag
}

fn push_hex(text: &mut String, number: u64, digits: u32) {
    (0..digits).rev().for_each(|at| text.push(char::from(digit((number >> (4 * at)) as u8))));
}

/// The packed bytes if the client accepts them, else an inflated stream.
fn body(entry: &Entry, content: FileContent, gzip: bool, requested: &RequestedRange) -> Body {
    let packed_as_is = gzip || !entry.deflated;
    match content {
        FileContent::Plain(bytes) => Body::Full(requested.slice(bytes)),
        FileContent::Packed(packed) if packed_as_is => Body::Full(requested.slice(packed)),
        FileContent::Part(bytes, reservation) => {
            Body::Stream { bytes, remaining: requested.length() }.counted(reservation)
        }
        FileContent::Packed(packed) => {
            let data = stream::iter([Ok(entry.data_of(&packed))]).fuse();
            Body::Stream { bytes: entry.inflate(data).boxed(), remaining: Some(entry.size) }
        }
        FileContent::Data(data, reservation) => {
            let (bytes, remaining) = match gzip {
                true => (entry.pack_stream(data).boxed(), entry.packed_len()),
                false => (entry.inflate(data.fuse()).boxed(), entry.size),
            };
            Body::Stream { bytes, remaining: Some(remaining) }.counted(reservation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_contain_checksum_size_and_encoding() {
        let entry = |crc, size| Entry { path: "".into(), offset: 0, span: 0, compressed: 0, size, crc, deflated: true };
        for (crc, size, is_gzip, tag) in [
            (0xab, 0, false, "\"000000ab-0\""),
            (0xfbdd_27ff, 0x2_3696, true, "\"fbdd27ff-23696-gz\""),
            (u32::MAX, u64::MAX, false, "\"ffffffff-ffffffffffffffff\""),
        ] {
            assert_eq!(etag(&entry(crc, size), is_gzip), tag);
        }
    }
}
