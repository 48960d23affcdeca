//! Content negotiation and conditional requests.

use hyper::header::{self, HeaderMap};

/// Whether the client accepts gzip (RFC 9110, 12.5.3).
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

/// Whether the client has this version already (RFC 9110, 13.1.2: weak comparison).
pub fn matches(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok()).any(|list| {
        list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
    })
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
