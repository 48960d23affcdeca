//! Addresses as logs and errors show them.

use ureq::http::Uri;

/// The address without user, query and fragment: these may be credentials.
pub fn redacted(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacted_urls_omit_credentials_and_queries() {
        let uri = "https://user:pass@s3.example.com:9000/bucket/a.zip?X-Amz-Signature=abc".parse().unwrap();
        assert_eq!(redacted(&uri), "https://s3.example.com:9000/bucket/a.zip");
    }
}
