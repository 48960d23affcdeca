//! `Range` and `If-Range` (RFC 9110, 13.1.5 and 14).

use std::ops::Range;

use bytes::Bytes;
use hyper::header::{CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use hyper::{Response, StatusCode};

use crate::answers::response::Body;
use crate::app::App;
use crate::error::Error;

/// The size of a file of unknown size: stores parse the numbers of a range as signed.
const UNKNOWN_SIZE: u64 = i64::MAX as u64;

/// The requested part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestedRange {
    Whole,
    Part(Range<u64>),
    /// The range begins after the file's end.
    Unsatisfiable,
}

impl RequestedRange {
    /// The requested bytes of a file.
    pub fn slice(&self, bytes: Bytes) -> Bytes {
        match self {
            Self::Part(part) => bytes.slice(part.start as usize..part.end as usize),
            Self::Whole | Self::Unsatisfiable => bytes,
        }
    }

    /// The requested range of a file of `size` bytes.
    pub fn range(&self, size: u64) -> Range<u64> {
        match self {
            Self::Part(part) => part.clone(),
            Self::Whole | Self::Unsatisfiable => 0..size,
        }
    }

    /// The length of a part.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Part(part) => Some(part.end - part.start),
            Self::Whole | Self::Unsatisfiable => None,
        }
    }
}

/// The part of a file of `size` bytes that a GET requests. `etag`: the strong tag of the file. Invalid and multiple
/// ranges count as a request for the whole file.
pub(crate) fn requested_range<E: AsRef<str>>(
    headers: &HeaderMap,
    etag: impl FnOnce() -> Option<E>,
    size: u64,
) -> RequestedRange {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return RequestedRange::Whole };
    // The client has a part of this version only if its strong tag matches; dates and weak tags are not enough.
    let is_same = headers.get(IF_RANGE).is_none_or(|known| etag().is_some_and(|etag| known == etag.as_ref()));
    if !is_same || size == 0 {
        return RequestedRange::Whole;
    }
    range.to_str().ok().and_then(|range| part(range, size)).unwrap_or(RequestedRange::Whole)
}

/// The part to request from the store while the file's size is not known: that of [`requested_range`] if the header
/// determines it, otherwise the first byte, which comes with the size.
pub fn range_of_unknown_size(headers: &HeaderMap) -> Option<Range<u64>> {
    match part(headers.get(RANGE)?.to_str().ok()?, UNKNOWN_SIZE)? {
        // A range that counts from the end begins in the upper half.
        RequestedRange::Part(part) if part.start < UNKNOWN_SIZE / 2 => Some(part),
        _ => Some(0..1),
    }
}

/// `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`.
fn part(range: &str, size: u64) -> Option<RequestedRange> {
    let (unit, part) = range.split_once('=')?;
    let (first, last) = part.trim().split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (start, end) = match (first, last) {
        ("", length) => (size - number(length)?.min(size), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first, (first <= last).then(|| last.saturating_add(1))?.min(size))
        }
    };
    Some(if start < end { RequestedRange::Part(start..end) } else { RequestedRange::Unsatisfiable })
}

/// Parses a number without a sign. It saturates.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// 206: adds status and header to a response with a part.
pub fn partial(mut response: Response<Body>, part: &Range<u64>, size: u64) -> Result<Response<Body>, Error> {
    let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
    let range = HeaderValue::try_from(range).map_err(Error::internal)?;
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    response.headers_mut().insert(CONTENT_RANGE, range);
    Ok(response)
}

/// 416 with the size of the file.
pub fn unsatisfiable(app: &App, size: u64) -> Result<Response<Body>, Error> {
    let range = HeaderValue::try_from(format!("bytes */{size}")).map_err(Error::internal)?;
    let mut response = app.responses.error(&Error::unsatisfiable(size), None);
    response.headers_mut().insert(CONTENT_RANGE, range);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::RequestedRange::{Part, Unsatisfiable, Whole};
    use super::*;

    const ETAG: &str = "\"0123abcd-64\"";

    fn of(headers: &[(hyper::header::HeaderName, &str)], size: u64) -> RequestedRange {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let mut all = HeaderMap::new();
        headers.for_each(|(name, value)| _ = all.append(name, value));
        requested_range(&all, || Some(ETAG), size)
    }

    #[test]
    fn only_a_single_byte_range_is_served_as_a_part() {
        for (range, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=10-19", Part(10..20)),
            ("bytes=10-", Part(10..100)),
            ("bytes=-10", Part(90..100)),
            ("bytes=-1000", Part(0..100)),
            ("Bytes= 0-1000 ", Part(0..100)),
            ("bytes=99-99999999999999999999999", Part(99..100)),
            ("bytes=100-", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=200-300", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=9-5", Whole),
            ("bytes=0-1,3-4", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1--2", Whole),
            ("bytes=-", Whole),
            ("bytes=", Whole),
            ("bytes", Whole),
            ("lines=0-1", Whole),
        ] {
            assert_eq!(of(&[(RANGE, range)], 100), expected, "{range:?}");
        }
        assert_eq!(of(&[], 100), Whole);
        assert_eq!(of(&[(RANGE, "bytes=0-1"), (RANGE, "bytes=3-4")], 100), Whole);
        assert_eq!(of(&[(RANGE, "bytes=0-"),], 0), Whole, "an empty file has no part");
    }

    #[test]
    fn ranges_of_files_of_unknown_size_are_estimated() {
        for (range, part) in [
            ("bytes=10-19", Some(10..20)),
            ("bytes=10-", Some(10..UNKNOWN_SIZE)),
            ("bytes=-10", Some(0..1)),
            ("bytes=99999999999999999999999-", Some(0..1)),
            ("bytes=9-5", None),
            ("bytes=0-1,3-4", None),
        ] {
            assert_eq!(
                range_of_unknown_size(&HeaderMap::from_iter([(RANGE, range.parse().unwrap())])),
                part,
                "{range:?}"
            );
        }
        assert_eq!(range_of_unknown_size(&HeaderMap::new()), None);
    }

    #[test]
    fn if_range_must_match_the_etag() {
        for (known, is_same) in [
            (ETAG, true),
            ("\"0123abcd-64-gz\"", false),
            ("W/\"0123abcd-64\"", false),
            ("Wed, 21 Oct 2015 07:28:00 GMT", false),
            ("*", false),
        ] {
            let requested = of(&[(RANGE, "bytes=0-1"), (IF_RANGE, known)], 100);
            assert_eq!(requested, if is_same { Part(0..2) } else { Whole }, "{known}");
        }
        let headers = HeaderMap::from_iter([(RANGE, "bytes=0-1".parse().unwrap()), (IF_RANGE, ETAG.parse().unwrap())]);
        assert_eq!(requested_range(&headers, || None::<&str>, 100), Whole, "without a tag nothing can be compared");
    }
}
