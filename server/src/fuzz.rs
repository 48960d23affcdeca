//! Properties that hold for any input. Fuzz targets search for counterexamples, and tests replay their corpus.

use std::future::Future;
use std::io::Read;

use bytes::Bytes;
use encoding_rs::Encoding;
use flate2::read::GzDecoder;
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt, TryStreamExt};
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};
use jiff::Timestamp;

use crate::answers::negotiate::{accepts_gzip, matches};
use crate::answers::pages;
use crate::github::StatusReply;
use crate::identity::issuer::{jwks_url, keys_of};
use crate::identity::issuer_url::IssuerUrl;
use crate::identity::token::{RsaPublicKey, Token};
use crate::names::object::value_key;
use crate::names::report::{ReportName, ReportPath, is_file_path};
use crate::names::repository::Repository;
use crate::names::site::SiteId;
use crate::reports::archive::{Entry, Index, Limits, Opened};
use crate::reports::media::{self, SNIFFED};
use crate::routes::badge::is_branch;
use crate::routes::purge::NewValue;
use crate::routes::query::parameter;
use crate::routes::range::{RequestedRange, requested_range};
use crate::routes::request_log::redacted;
use crate::routes::router::Route;
use crate::routes::upload::NewSite;
use crate::store::object::Tail;
use crate::store::sts::{code_of, credentials_of};
use crate::values::drawing::{self, Appearance};
use crate::values::statuses::percent_of;
use crate::values::value::Value;

/// The checks by the names of their fuzz targets.
pub type Check = (&'static str, fn(&[u8]));

pub const ALL: &[Check] = &[
    ("archive", archive),
    ("path", path),
    ("query", query),
    ("headers", headers),
    ("media", media),
    ("sts", sts),
    ("json", json),
    ("token", token),
];

const LIMITS: Limits = Limits { files: 200, file: 1 << 20, unpacked: 1 << 20 };

/// A zip is rejected, or each of its files has the same content with and without gzip, which matches its checksum, or
/// fails. The first byte sets how much of the rest is read first.
pub fn archive(bytes: &[u8]) {
    let Some((split, zip)) = bytes.split_first() else { return };
    let whole = Bytes::copy_from_slice(zip);
    let Ok(Opened::Index(index)) = Index::open(&Tail { offset: 0, bytes: whole.clone() }, &LIMITS) else {
        return;
    };
    let start = zip.len() * usize::from(*split) / 256;
    let tail = Tail { offset: start as u64, bytes: whole.slice(start..) };
    if let Ok(Opened::Index(other)) = Index::open(&tail, &LIMITS) {
        let paths = |index: &Index| -> Vec<String> { index.below("").map(|entry| entry.path.to_string()).collect() };
        assert_eq!(paths(&index), paths(&other), "the tail alone names other files than the whole");
    }
    let (mut unpacked, mut files, mut spans) = (0, 0, 0);
    for entry in index.below("") {
        assert!(is_file_path(&entry.path), "{:?} leads out of the report", entry.path);
        assert!(index.get(&entry.path).is_some(), "{:?} is not found by its name", entry.path);
        (unpacked, files, spans) = (unpacked + entry.size, files + 1, spans + entry.compressed);
        let range = entry.range();
        let local = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let local = local.and_then(|(start, end)| (start <= end).then(|| whole.get(start..end)).flatten());
        let local = local.unwrap_or_else(|| panic!("{range:?} lies outside of the zip"));
        if let Ok(start) = entry.data_start(local) {
            data(entry, Bytes::copy_from_slice(&local[start..start + entry.compressed as usize]), usize::from(*split));
        }
    }
    assert!(files <= LIMITS.files && unpacked <= LIMITS.unpacked && spans <= zip.len() as u64, "beyond the limits");
}

fn data(entry: &Entry, data: Bytes, piece: usize) {
    let pieces = || {
        let pieces: Vec<_> = data.chunks(piece + 1).map(Bytes::copy_from_slice).map(Ok).collect();
        stream::iter(pieces)
    };
    let packed = now(entry.pack(data.clone()));
    let streamed = now(collected(entry.pack_stream(pieces())));
    let plain = now(collected(entry.inflate(pieces())));
    let packed = packed.ok();
    assert_eq!(packed.as_deref(), streamed.ok().as_deref(), "{entry:?}: kept and streamed differ");
    assert_eq!(packed.is_some(), plain.is_ok(), "{entry:?}: one way gives the file, the other does not");
    let (Some(packed), Ok(plain)) = (packed, plain) else { return };
    assert_eq!(packed.len() as u64, entry.packed_len(), "{entry:?}");
    assert_eq!((plain.len() as u64, rawzip::crc32(&plain)), (entry.size, entry.crc), "{entry:?}");
    let mut unpacked = Vec::new();
    if entry.deflated {
        let read = GzDecoder::new(&*packed).read_to_end(&mut unpacked);
        assert!(read.is_ok(), "{entry:?}: no gzip member: {read:?}");
    } else {
        unpacked.extend_from_slice(&packed);
    }
    assert!(unpacked == plain, "{entry:?}: gzip and identity differ");
}

async fn collected(file: impl Stream<Item = std::io::Result<Bytes>>) -> std::io::Result<Vec<u8>> {
    file.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
}

/// The future must be ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap_or_else(|| panic!("waits, and nothing will wake it"))
}

/// A request's path leads only to objects of its own site or repository, and logs never contain a whole site ID.
pub fn path(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let logged = redacted(path);
    let words = logged.split(|c: char| !matches!(c, '0'..='9' | 'a'..='f'));
    assert!(words.filter(|word| word.parse::<SiteId>().is_ok()).count() == 0, "{logged:?} contains a site's id");
    match Route::of(path) {
        Some(Route::File { site, path }) => {
            let (Ok(site), Some(path)) = (site.parse::<SiteId>(), ReportPath::from_url(path)) else { return };
            own_object(&site.file_key(path.as_str().trim_end_matches('/')), &format!("sites/{site}/"));
            let (folder, file) = path.as_str().trim_end_matches('/').rsplit_once('/').unwrap_or(("", path.as_str()));
            let link = pages::href(file).trim_start_matches("./").to_owned();
            let parsed = ReportPath::from_url(&link);
            assert_eq!(parsed.as_ref().map(ReportPath::as_str), Some(file), "a link to {file:?} in {folder:?}");
            assert!(HeaderValue::from_str(&link).is_ok(), "{link:?} is no header's value");
        }
        Some(Route::Upload { site } | Route::Site { site }) => {
            if let Ok(site) = site.parse::<SiteId>() {
                own_object(&site.zip_key(), "sites/");
            }
        }
        Some(
            Route::Badge { owner, name, .. } | Route::Redirect { owner, name } | Route::Invalidate { owner, name },
        ) => {
            if let Ok(repository) = Repository::new(owner, name) {
                own_object(&value_key(&repository, None), &format!("values/{repository}/"));
            }
        }
        _ => {}
    }
}

/// Asserts that the store accepts the key unchanged, below `prefix`.
fn own_object(key: &str, prefix: &str) {
    let parsed = object_store::path::Path::parse(key);
    let same = parsed.as_ref().is_ok_and(|parsed| parsed.as_ref() == key.trim_end_matches('/'));
    let inside = key.strip_prefix(prefix).is_some_and(|rest| rest.split('/').all(|part| part != ".."));
    // The store rejects some names, such as dots.
    assert!(inside && (same || parsed.is_err()), "{key:?} is not below {prefix:?}");
}

/// A badge is well-formed SVG without active content, for any query.
pub fn query(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    let text = |name: &str| parameter(Some(query), name);
    let appearance = Appearance::new(text("label").as_deref(), text("style").as_deref());
    assert_badge_renders(None, &appearance);
    if let Some(name) = text("name").and_then(|name| name.parse::<ReportName>().ok()) {
        let repository = Repository::new("octo", "app");
        let key = repository.map(|repository| value_key(&repository, Some(&name))).unwrap_or_default();
        own_object(&key, "values/octo/app/");
    }
    if let Some(branch) = text("branch").filter(|branch| is_branch(branch)) {
        assert!(branch.len() <= 250 && !branch.contains(['\n', '\0', ' ']), "{branch:?}");
    }
}

fn assert_badge_renders(value: Option<&Value>, appearance: &Appearance) {
    use quick_xml::events::Event;
    let svg = drawing::svg(value, appearance).unwrap_or_else(|error| panic!("no badge: {error}"));
    assert!(serde_json::to_vec(&drawing::endpoint(value, appearance)).is_ok(), "no JSON badge");
    let mut reader = quick_xml::Reader::from_str(&svg);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag) | Event::Empty(tag)) => {
                let name = tag.name().as_ref().to_ascii_lowercase();
                let active = ["script", "foreignobject", "iframe", "a", "animate", "set", "image", "use"];
                assert!(!active.contains(&name.as_str()), "{name} in {svg}");
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap_or_else(|error| panic!("{error} in {svg}"));
                    assert!(!attribute.key.as_ref().starts_with("on"), "a handler in {svg}");
                }
            }
            Ok(Event::Eof) => return,
            Ok(_) => {}
            Err(error) => panic!("{error} in {svg}"),
        }
    }
}

/// gzip is sent only if the client accepts it; a tag matches only if it is in the header; a range is within the file.
pub fn headers(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let lower = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let accept = HeaderMap::from_iter([(ACCEPT_ENCODING, value.clone())]);
    assert!(!accepts_gzip(&accept) || lower.contains("gzip") || lower.contains('*'), "gzip by {value:?}");
    let known = HeaderMap::from_iter([(IF_NONE_MATCH, value.clone())]);
    let etag = "\"0123abcd-5f\"";
    assert!(!matches(&known, etag) || lower.contains(etag) || lower.contains('*'), "{etag} by {value:?}");
    let range = HeaderMap::from_iter([(RANGE, value.clone())]);
    if let RequestedRange::Part(part) = requested_range(&range, || Some(etag), 95) {
        assert!(part.start < part.end && part.end <= 95 && lower.starts_with("bytes"), "{part:?} by {value:?}");
    }
    let range = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-")), (IF_RANGE, value.clone())]);
    assert!(
        requested_range(&range, || Some(etag), 95) == RequestedRange::Whole || value == etag,
        "a part by {value:?}"
    );
}

/// A file's type depends on its name; only its first kilobyte decides the charset.
pub fn media(bytes: &[u8]) {
    for (name, essence) in [("a.html", "text/html"), ("a.xhtml", "application/xhtml+xml"), ("a.css", "text/css")] {
        let content_type = media::content_type(name, bytes);
        let text = content_type.to_str().unwrap_or_default();
        let charset = text.strip_prefix(essence).unwrap_or_else(|| panic!("{content_type:?} for {name}"));
        let label = charset.strip_prefix("; charset=");
        let is_label = |label: &str| Encoding::for_label_no_replacement(label.as_bytes()).is_some();
        assert!(charset.is_empty() || label.is_some_and(is_label), "{content_type:?} for {name}");
        assert_eq!(media::content_type(name, bytes.get(..SNIFFED).unwrap_or(bytes)), content_type);
    }
}

/// Responses of STS cause no panic, and error codes contain only letters and digits.
pub fn sts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = credentials_of(text);
    let code = code_of(text);
    assert!(code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric() || c == ' '), "{code:?}");
}

/// JSON from GitHub, the store and uploaders: percentages and names are valid.
pub fn json(bytes: &[u8]) {
    if let Ok(Ok(statuses)) = serde_json::from_slice::<StatusReply>(bytes).map(|reply| reply.statuses(None)) {
        for status in statuses {
            let percent = percent_of(&status.description);
            assert!(percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)), "{percent:?}");
        }
    }
    let appearance = Appearance::new(None, None);
    if let Some(value) = Value::read(bytes) {
        assert_badge_renders(Some(&value), &appearance);
    }
    if let Ok(Ok((_, value))) = serde_json::from_slice::<NewValue>(bytes).map(NewValue::check) {
        assert_badge_renders(Some(&value), &appearance);
        let stored = serde_json::to_vec(&value).unwrap_or_default();
        assert_eq!(Value::read(&stored), Some(value), "what is written cannot be read");
    }
    if let Ok(new) = serde_json::from_slice::<NewSite>(bytes)
        && let Ok(repository) = new.repository.parse::<Repository>()
    {
        let name = new.name.and_then(|name| name.parse::<ReportName>().ok());
        own_object(&value_key(&repository, name.as_ref()), &format!("values/{repository}/"));
        assert_eq!(repository.to_string().parse(), Ok(repository), "a repository's name");
    }
}

/// Tokens, discovery documents and key sets are rejected, or use keys from the issuer's origin. Errors are one line.
pub fn token(bytes: &[u8]) {
    if let Ok(issuer) = "https://issuer.example/path".parse::<IssuerUrl>()
        && let Ok(url) = jwks_url(bytes, &issuer)
    {
        assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("issuer.example"), None), "{url}");
    }
    let keys: Vec<_> = keys_of(bytes).map(|keys| keys.into_values().collect()).unwrap_or_default();
    assert!(keys.iter().all(|key| key.n.first() != Some(&0)), "leading zeros");
    let Some(token) = Token::split(bytes) else { return };
    assert!(bytes.iter().filter(|byte| **byte == b'.').count() == 2, "three parts");
    let rejections = [token.key_id().err(), token.issuer().err()];
    let key = RsaPublicKey { n: vec![0xff; 256], e: vec![1, 0, 1] };
    let rejection = token.verify("https://issuer.example", &key, "audience", Timestamp::UNIX_EPOCH).err();
    assert!(rejection.is_some(), "signed by nobody");
    for error in rejections.into_iter().chain([rejection]).flatten() {
        assert!(!error.contains(char::is_control) && error.len() < 2000, "{error:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// The corpus has interesting inputs, and inputs that caused failures.
    #[test]
    fn the_fuzz_corpus_causes_no_panic() {
        for (name, check) in super::ALL {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
            for input in fs::read_dir(folder).unwrap() {
                check(&fs::read(input.unwrap().path()).unwrap());
            }
        }
    }
}
