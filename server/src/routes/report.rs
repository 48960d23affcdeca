//! `GET /coverage/{site_id}/{path}`: a file of a report.

use futures_util::stream::{self, StreamExt};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::app::App;
use crate::archive::{Entry, Index};
use crate::error::{Error, no_report};
use crate::key::{FOREVER, NEVER, ReportPath, content_type};
use crate::metrics::{Encoding, metrics};
use crate::pages::{self, Row};
use crate::reports::Place;
use crate::response::{self, Answer, Body};
use crate::routes::files;
use crate::site::Content;

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// Rows of a folder's list: what a reader can use, and what a page may cost.
const MAX_ROWS: usize = 1000;

/// A file, a folder's index or its list. `encoded`: the path as it stands in the URL.
pub async fn show(app: &App, place: &Place, encoded: &str, head: bool, headers: &HeaderMap) -> Answer {
    let path = ReportPath::from_url(encoded).ok_or_else(|| no_file(encoded))?;
    let Some(index) = app.sites.open(&place.site).await? else {
        return Box::pin(files::show(app, place, &path, encoded, head, headers)).await;
    };
    if !path.is_folder() {
        return match index.get(path.as_str()) {
            Some((number, entry)) => file(app, place, number, entry, head, headers).await,
            None if index.below(&format!("{}/", path.as_str())).next().is_some() => {
                response::redirect(&format!("{}{encoded}/", place.root))
            }
            None => Err(no_file(path.as_str())),
        };
    }
    if let Some((number, entry)) = index.get(&format!("{}index.html", path.as_str())) {
        return file(app, place, number, entry, head, headers).await;
    }
    if path.as_str().is_empty()
        && let Some(folder) = only_folder_with_index(&index)
    {
        return response::redirect(&format!("{}{}", place.root, pages::href(&folder).trim_start_matches("./")));
    }
    list(&index, path.as_str())
}

/// `/coverage/{site_id}`: the links inside of a report need the slash.
pub fn without_slash(app: &App, site: &str) -> Answer {
    response::redirect(&app.reports.location(&site.parse().map_err(|()| no_report())?))
}

/// The same file on the report's own host, which is where it is read.
pub fn elsewhere(app: &App, site: &str, encoded: &str, query: Option<&str>) -> Answer {
    let site = site.parse().map_err(|()| no_report())?;
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    response::redirect(&format!("{}{encoded}{query}", app.reports.url(&site)))
}

pub fn no_file(path: &str) -> Error {
    Error::not_found(format!("this report has no file {path}"))
}

/// The one folder right below the report's that has an index, such as `lcov-report/`.
fn only_folder_with_index(index: &Index) -> Option<String> {
    let mut folders = index.below("").filter_map(|entry| {
        let folder = entry.path.strip_suffix("index.html")?;
        (folder.matches('/').count() == 1 && folder.ends_with('/')).then(|| folder.to_owned())
    });
    let first = folders.next()?;
    folders.next().is_none().then_some(first)
}

fn list(index: &Index, folder: &str) -> Answer {
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
    let mut page = response::page(pages::list(folder, &rows, more));
    response::set(&mut page, header::CACHE_CONTROL, FOREVER);
    Ok(page)
}

async fn file(app: &App, place: &Place, number: u32, entry: &Entry, head: bool, headers: &HeaderMap) -> Answer {
    let gzip = entry.deflated && accepts_gzip(headers);
    let etag = format!("\"{:08x}-{:x}{}\"", entry.crc, entry.size, if gzip { "-gz" } else { "" });
    let mut response = if matches(headers, &etag) {
        let mut response = response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else if head {
        let remaining = if gzip { entry.packed_len() } else { entry.size };
        response::new(Body::Stream { bytes: stream::empty().boxed(), remaining: Some(remaining) })
    } else {
        let (content, served) = app.sites.content(&place.site, number, entry, !gzip).await?;
        metrics().file(served, if gzip { Encoding::Gzip } else { Encoding::Identity });
        metrics().file_size(entry.size);
        response::new(body(entry, content, gzip))
    };
    response.headers_mut().insert(header::ETAG, HeaderValue::from_str(&etag).map_err(Error::internal)?);
    if entry.deflated {
        response::set(&mut response, header::VARY, "accept-encoding");
    }
    if gzip && response.status() == StatusCode::OK {
        response::set(&mut response, header::CONTENT_ENCODING, "gzip");
    }
    set_policies(&mut response, place, &entry.path, FOREVER);
    Ok(response)
}

/// What every file of a report carries: its type, how long it is kept, and what it may do.
pub fn set_policies(response: &mut Response<Body>, place: &Place, path: &str, cache_control: &'static str) {
    response::set(response, header::CONTENT_TYPE, content_type(path));
    let cache_control = match (place.is_shared, cache_control.strip_prefix("public")) {
        (false, Some(rest)) => {
            HeaderValue::try_from(format!("private{rest}")).unwrap_or(HeaderValue::from_static(NEVER))
        }
        _ => HeaderValue::from_static(cache_control),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, cache_control);
    response::set(response, ROBOTS, "noindex");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, place.policy.clone());
}

/// The bytes as they are kept where the client takes them so, else inflated as they go.
fn body(entry: &Entry, content: Content, gzip: bool) -> Body {
    let packed_as_is = gzip || !entry.deflated;
    match content {
        Content::Plain(bytes) => Body::Full(bytes),
        Content::Packed(packed) if packed_as_is => Body::Full(packed),
        Content::Packed(packed) => {
            let data = stream::iter([Ok(entry.data_of(&packed))]).fuse();
            Body::Stream { bytes: entry.inflate(data).boxed(), remaining: Some(entry.size) }
        }
        Content::Data(data) if gzip => {
            Body::Stream { bytes: entry.pack_stream(data).boxed(), remaining: Some(entry.packed_len()) }
        }
        Content::Data(data) => Body::Stream { bytes: entry.inflate(data.fuse()).boxed(), remaining: Some(entry.size) },
    }
}

/// Whether gzip is among the encodings that the client takes (RFC 9110, 12.5.3).
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for list in headers.get_all(header::ACCEPT_ENCODING) {
        for coding in list.to_str().unwrap_or_default().split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let (name_of_weight, weight) = weight.split_once('=').unwrap_or_default();
            let refused = name_of_weight.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0);
            match name.trim() {
                gzip if gzip.eq_ignore_ascii_case("gzip") || gzip.eq_ignore_ascii_case("x-gzip") => {
                    return !refused;
                }
                "*" => any = !refused,
                _ => {}
            }
        }
    }
    any
}

/// Whether the client has these bytes already (RFC 9110, 13.1.2: weak comparison).
pub fn matches(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok()).any(|list| {
        list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_negotiated_by_its_weight() {
        for (accept, gzip) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip ; Q = 0", false),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("", false),
            ("notgzip", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), gzip, "{accept:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
