//! AWS Signature Version 4: the signature of a request to S3.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::hmac;

use crate::base::digest::{hex, sha256};
use crate::base::secret::Secret;

/// Who signs, and for which service and region.
pub struct Signer<'a> {
    pub access_key_id: &'a str,
    pub secret_access_key: &'a Secret,
    pub region: &'a str,
    pub service: &'a str,
}

/// The signed parts of a request.
pub struct SignedRequest<'a> {
    pub method: &'a str,
    /// The percent-encoded path.
    pub path: &'a str,
    /// The percent-encoded query, sorted, without question mark.
    pub query: &'a str,
    /// Sorted, with lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body, in hexadecimal.
    pub body: &'a str,
}

/// The value of the header `x-amz-date`.
pub fn date(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The value of the header `authorization`. `date`: the value of `x-amz-date`.
pub fn authorization(request: &SignedRequest, signer: &Signer, date: &str) -> String {
    let Signer { access_key_id, secret_access_key, region, service } = signer;
    let day = date.get(..8).unwrap_or_default();
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let SignedRequest { method, path, query, body, .. } = request;
    let canonical_request = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{body}");
    let credential_scope = format!("{day}/{region}/{service}/aws4_request");
    let string_to_sign =
        format!("AWS4-HMAC-SHA256\n{date}\n{credential_scope}\n{}", sha256(canonical_request.as_bytes()));
    let secret = format!("AWS4{}", secret_access_key.expose());
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes()));
    let signature = hex(&hmac_sha256(&key, string_to_sign.as_bytes()));
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key_id}/{credential_scope}, SignedHeaders={names}, Signature={signature}"
    )
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The signature of a request to the examples' host.
    fn sign(signer: &Signer, date: &str, request: &SignedRequest) -> String {
        let authorization = authorization(request, signer, date);
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// The four examples of <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn signatures_match_the_published_s3_examples() {
        let secret_access_key = &Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let signer =
            Signer { access_key_id: "AKIAIOSFODNN7EXAMPLE", secret_access_key, region: "us-east-1", service: "s3" };
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let date = ("x-amz-date", "20130524T000000Z");
        let empty = ("x-amz-content-sha256", EMPTY);
        let get = |path, query, headers: &[(&str, &str)]| {
            sign(&signer, date.1, &SignedRequest { method: "GET", path, query, headers, body: EMPTY })
        };
        assert_eq!(
            get("/test.txt", "", &[host, ("range", "bytes=0-9"), empty, date]),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert_eq!(
            get("/", "lifecycle=", &[host, empty, date]),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            get("/", "max-keys=2&prefix=J", &[host, empty, date]),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
        let body = &sha256(b"Welcome to Amazon S3.");
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            host,
            ("x-amz-content-sha256", body),
            date,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let put = SignedRequest { method: "PUT", path: "/test%24file.text", query: "", headers: &headers, body };
        assert_eq!(sign(&signer, date.1, &put), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    }

    /// From AWS's Signature Version 4 test suite.
    #[test]
    fn signatures_match_aws_signature_version_4_tests() {
        let secret_access_key = &Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let signer =
            Signer { access_key_id: "AKIDEXAMPLE", secret_access_key, region: "us-east-1", service: "service" };
        let date = "20150830T123600Z";
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", date)];
        for (method, path, query, signature) in [
            ("GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            ("GET", "/%E1%88%B4", "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
            (
                "GET",
                "/",
                "Param1=value1&Param2=value2",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            let request = SignedRequest { method, path, query, headers: &headers, body: EMPTY };
            assert_eq!(sign(&signer, date, &request), signature, "{method} {path}?{query}");
        }
    }

    #[test]
    fn dates_have_no_separators() {
        assert_eq!(date("2013-05-24T00:00:00.5Z".parse().unwrap()), "20130524T000000Z");
    }
}
