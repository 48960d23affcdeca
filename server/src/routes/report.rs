//! `GET /coverage/{site_id}/{path}`: a file of a report.

use futures_util::stream::{self, StreamExt};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::app::App;
use crate::base::random::hex;
use crate::error::{Error, no_report};
use crate::names::report::ReportPath;
use crate::pages::{self, Row};
use crate::reports::address::Place;
use crate::reports::archive::{Entry, Index};
use crate::reports::media;
use crate::reports::sites::{Content, Found, Site};
use crate::response::{self, Answer, Answers, Body};
use crate::routes::files;
use crate::routes::range::{self, Wanted};
use crate::telemetry::metrics::{Encoding, metrics};
use crate::telemetry::trace::REQUEST_ID;

/// What the files of reports begin with.
pub struct Heads {
    /// As they are.
    plain: HeaderMap,
    gzip: HeaderMap,
    /// Of 304: a page's guards came with the page.
    not_modified: HeaderMap,
}

impl Heads {
    pub fn new(answers: &Answers) -> Self {
        let mut plain = answers.guards().clone();
        let robots = HeaderName::from_static("x-robots-tag");
        plain.insert(robots, HeaderValue::from_static("noindex"));
        plain.insert(header::CACHE_CONTROL, FOR_ALL);
        // Each file's own are put in their places, for which the map need not grow.
        for own in [header::CONTENT_TYPE, header::CONTENT_SECURITY_POLICY, header::ETAG] {
            plain.insert(own, HeaderValue::from_static(""));
        }
        let mut gzip = plain.clone();
        plain.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        gzip.insert(header::CONTENT_ENCODING, GZIP);
        gzip.insert(header::VARY, ACCEPT_ENCODING);
        let mut not_modified = HeaderMap::new();
        for name in [header::STRICT_TRANSPORT_SECURITY, REQUEST_ID] {
            not_modified.extend(plain.get(&name).map(|value| (name, value.clone())));
        }
        Self { plain, gzip, not_modified }
    }

    /// 200 with a file's bytes.
    pub fn answer(
        &self,
        place: &Place<'_>,
        file: File,
        content_type: HeaderValue,
        policy: HeaderValue,
        body: Body,
    ) -> Response<Body> {
        let mut response = response::with(if file.is_gzip { &self.gzip } else { &self.plain }, body);
        let to = response.headers_mut();
        to.insert(header::CONTENT_TYPE, content_type);
        to.insert(header::CONTENT_SECURITY_POLICY, policy);
        let cache_control = file.cache_control(place);
        if cache_control != FOR_ALL {
            to.insert(header::CACHE_CONTROL, cache_control);
        }
        match file.etag {
            Some(etag) => to.insert(header::ETAG, etag),
            None => to.remove(header::ETAG),
        };
        if file.is_by_encoding && !file.is_gzip {
            to.insert(header::VARY, ACCEPT_ENCODING);
        }
        if file.is_packed {
            to.insert(header::CONTENT_ENCODING, GZIP);
        }
        if !file.has_parts {
            to.remove(header::ACCEPT_RANGES);
        }
        response
    }

    /// 304: what the client has is still right. RFC 9110, 15.4.5, says what goes with it.
    pub fn not_modified(&self, place: &Place<'_>, file: File) -> Response<Body> {
        let mut response = response::with(&self.not_modified, Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        let always = [(header::CACHE_CONTROL, file.cache_control(place))];
        let vary = file.is_by_encoding.then_some((header::VARY, ACCEPT_ENCODING));
        let etag = file.etag.map(|etag| (header::ETAG, etag));
        response.headers_mut().extend(always.into_iter().chain(etag).chain(vary));
        response
    }
}

/// A file of a report, as its answer tells of it.
pub struct File {
    pub etag: Option<HeaderValue>,
    pub kept: Kept,
    /// Clients that take gzip get it.
    pub is_by_encoding: bool,
    pub is_gzip: bool,
    /// Its own bytes are gzip, for all clients.
    pub is_packed: bool,
    /// Parts of it can be asked for.
    pub has_parts: bool,
}

impl File {
    fn cache_control(&self, place: &Place<'_>) -> HeaderValue {
        match (self.kept, place.is_shared()) {
            (Kept::Forever, true) => FOR_ALL,
            (Kept::Forever, false) => HeaderValue::from_static("private, max-age=31536000, immutable"),
            (Kept::Shortly, true) => HeaderValue::from_static("public, max-age=60"),
            (Kept::Shortly, false) => HeaderValue::from_static("private, max-age=60"),
        }
    }
}

/// How long a file is kept by browsers and, where its answer is the same for all readers, by caches on the way.
#[derive(Clone, Copy)]
pub enum Kept {
    /// For a year: a zip site never changes.
    Forever,
    /// For a minute: a site of single files may still be on its way up.
    Shortly,
}

const FOR_ALL: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Rows of a folder's list: what a reader can use, and what a page may cost.
const MAX_ROWS: usize = 1000;

/// A file, a folder's index or its list. `encoded`: the path as it stands in the URL.
pub async fn show(
    app: &App,
    place: &Place<'_>,
    encoded: &str,
    query: Option<&str>,
    head: bool,
    headers: &HeaderMap,
) -> Answer {
    let path = ReportPath::from_url(encoded).ok_or_else(|| no_file(encoded))?;
    let Some(site) = app.sites.open(&place.site).await? else {
        return Box::pin(files::show(app, place, &path, query, head, headers)).await;
    };
    let index = &site.index;
    if !path.is_folder() {
        return match index.get(path.as_str()) {
            Some(found) => file(app, place, &site, found, head, headers).await,
            None if index.below(&format!("{}/", path.as_str())).next().is_some() => {
                to_folder(app, place, path.as_str(), query)
            }
            None => Err(no_file(path.as_str())),
        };
    }
    if let Some(found) = index.get(&format!("{}index.html", path.as_str())) {
        return file(app, place, &site, found, head, headers).await;
    }
    if path.as_str().is_empty()
        && let Some(folder) = only_folder_with_index(index)
    {
        return to_folder(app, place, folder.trim_end_matches('/'), query);
    }
    list(app, index, path.as_str())
}

/// `/coverage/{site_id}`: the links inside of a report need the slash.
pub fn without_slash(app: &App, site: &str, query: Option<&str>) -> Answer {
    let root = app.reports.location(&site.parse().map_err(|()| no_report())?);
    app.answers.redirect(&with_query(root, query))
}

/// A folder's address with its slash: the links on its page need it. The path is written anew: as the client wrote it,
/// `//host/` would lead to another host.
pub fn to_folder(app: &App, place: &Place<'_>, folder: &str, query: Option<&str>) -> Answer {
    let address = format!("{}{}/", place.root(), pages::in_address(folder));
    app.answers.redirect(&with_query(address, query))
}

fn with_query(address: String, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{address}?{query}"),
        None => address,
    }
}

/// The same file on the report's own host, which is where it is read.
pub fn elsewhere(app: &App, site: &str, encoded: &str, query: Option<&str>) -> Answer {
    let site = site.parse().map_err(|()| no_report())?;
    app.answers.redirect(&with_query(app.reports.url(&site) + encoded, query))
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

fn list(app: &App, index: &Index, folder: &str) -> Answer {
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
    let mut page = app.answers.page(pages::list(folder, &rows, more));
    page.headers_mut().insert(header::CACHE_CONTROL, FOR_ALL);
    Ok(page)
}

async fn file(
    app: &App,
    place: &Place<'_>,
    site: &Site,
    (number, entry): (u32, &Entry),
    head: bool,
    headers: &HeaderMap,
) -> Answer {
    let has_parts = app.sites.has_parts(entry);
    // Parts are of the file's own bytes.
    let wanted = match has_parts && !head {
        true => range::wanted(headers, || Some(etag(entry, false)), entry.size),
        false => Wanted::Whole,
    };
    let is_packed = media::is_packed(&entry.path);
    let is_by_encoding = entry.deflated && !is_packed;
    let is_gzip = is_by_encoding && wanted == Wanted::Whole && accepts_gzip(headers);
    let etag = etag(entry, is_gzip);
    let is_known = matches(headers, &etag);
    let etag = HeaderValue::try_from(etag).map_err(Error::internal)?;
    let file = File { etag: Some(etag), kept: Kept::Forever, is_by_encoding, is_gzip, is_packed, has_parts };
    if is_known {
        return Ok(app.file_heads.not_modified(place, file));
    }
    let (sites, id) = (&app.sites, &place.site);
    // For HEAD too: only the file itself tells its character set.
    let Found { content, content_type, served } = match &wanted {
        Wanted::Whole => sites.content(id, number, entry, !is_gzip).await?,
        Wanted::Part(part) => Box::pin(sites.part(id, number, entry, part)).await?,
        Wanted::Nothing => return range::unsatisfiable(app, entry.size),
    };
    if !head {
        metrics().file(served, if is_gzip { Encoding::Gzip } else { Encoding::Identity });
        metrics().file_size(entry.size);
    }
    let (policy, body) = (place.kept_policy(&site.policy), body(entry, content, is_gzip, &wanted));
    let response = app.file_heads.answer(place, file, content_type, policy, body);
    match &wanted {
        Wanted::Part(part) => range::partial(response, part, entry.size),
        _ => Ok(response),
    }
}

/// By the file's checksum and size, and how its bytes are sent.
fn etag(entry: &Entry, is_gzip: bool) -> String {
    let digits = hex(&(u128::from(entry.crc) << 64 | u128::from(entry.size)).to_be_bytes());
    let ((crc, size), last) = (digits[8..31].split_at(8), &digits[31..]);
    ["\"", crc, "-", size.trim_start_matches('0'), last, if is_gzip { "-gz" } else { "" }, "\""].concat()
}

/// The bytes as they are kept where the client takes them so, else inflated as they go.
fn body(entry: &Entry, content: Content, gzip: bool, wanted: &Wanted) -> Body {
    let packed_as_is = gzip || !entry.deflated;
    match content {
        Content::Plain(bytes) => Body::Full(wanted.of(bytes)),
        Content::Packed(packed) if packed_as_is => Body::Full(wanted.of(packed)),
        Content::Part(bytes) => Body::Stream { bytes, remaining: wanted.length() },
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
    let is_taken = |weight: &str| {
        let (name, weight) = weight.split_once('=').unwrap_or_default();
        !(name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0))
    };
    let mut any = false;
    for list in headers.get_all(header::ACCEPT_ENCODING) {
        for coding in list.to_str().unwrap_or_default().split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            match name.trim() {
                gzip if gzip.eq_ignore_ascii_case("gzip") || gzip.eq_ignore_ascii_case("x-gzip") => {
                    return is_taken(weight);
                }
                "*" => any = is_taken(weight),
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
    fn a_tag_tells_checksum_size_and_encoding() {
        let entry = |crc, size| Entry { path: "".into(), offset: 0, span: 0, compressed: 0, size, crc, deflated: true };
        for (crc, size, is_gzip, tag) in [
            (0xab, 0, false, "\"000000ab-0\""),
            (0xfbdd_27ff, 0x2_3696, true, "\"fbdd27ff-23696-gz\""),
            (u32::MAX, u64::MAX, false, "\"ffffffff-ffffffffffffffff\""),
        ] {
            assert_eq!(etag(&entry(crc, size), is_gzip), tag);
        }
    }

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
