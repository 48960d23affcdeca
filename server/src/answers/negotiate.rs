//! Content negotiation and conditional requests.

use hyper::header::{self, HeaderMap, HeaderValue};

/// Whether the client accepts gzip (RFC 9110, 12.5.3).
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in headers.get_all(header::ACCEPT_ENCODING).iter().flat_map(list) {
        let name_end = coding.iter().position(|byte| *byte == b';').unwrap_or(coding.len());
        let (name, weight) = coding.split_at(name_end);
        match name.trim_ascii() {
            gzip if gzip.eq_ignore_ascii_case(b"gzip") || gzip.eq_ignore_ascii_case(b"x-gzip") => {
                return !is_zero(weight);
            }
            b"*" => any = !is_zero(weight),
            _ => {}
        }
    }
    any
}

/// Whether a weight such as `;q=0` excludes its coding.
fn is_zero(weight: &[u8]) -> bool {
    let Some((name, value)) = str::from_utf8(weight).ok().and_then(|weight| weight.split_once('=')) else {
        return false;
    };
    let name = name.trim_start_matches(';').trim();
    name.eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0)
}

/// Whether the client has this version already (RFC 9110, 13.1.2: weak comparison).
pub fn matches(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().flat_map(list).any(|known| {
        let known = known.trim_ascii();
        known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == etag.as_bytes()
    })
}

/// The elements of a comma-separated list.
fn list(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_encoding_weights_decide_on_gzip() {
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
