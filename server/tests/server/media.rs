//! Content types and charsets of files in zip sites and file-by-file sites.

use encoding_rs::{EUC_KR, Encoding, GBK, SHIFT_JIS, UTF_8, WINDOWS_1252};

use crate::support::*;

/// A page that declares `label` like LCOV 1.7, in that encoding.
fn page(encoding: &'static Encoding, label: &str, text: &str) -> Vec<u8> {
    let html = format!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\">\n\n<html lang=\"en\">\n\n<head>\n  \
         <meta http-equiv=\"Content-Type\" content=\"text/html; charset={label}\">\n  <title>LCOV</title>\n</head>\n\
         <body><p>{text}</p></body></html>\n"
    );
    let (bytes, _, lost) = encoding.encode(&html);
    assert!(!lost, "{text} has no bytes in {label}");
    bytes.into_owned()
}

fn utf_16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// Files by name, bytes and content type. Files with a text are decoded with that type's charset.
fn fixtures() -> Vec<(&'static str, Vec<u8>, &'static str, Option<&'static str>)> {
    let xml = "<?xml version=\"1.0\" encoding=\"EUC-KR\"?><report name=\"보고서\"/>";
    let css = "@charset \"ISO-8859-1\";\np::before { content: 'é' }";
    // Too large for the cache, even when it is deflated.
    let kana = |byte: u8| char::from_u32(0x3042 + u32::from(byte % 64)).unwrap();
    let large: String = "網羅率".chars().chain(noise(1_500_000, 7).into_iter().map(kana)).collect();
    let large = page(SHIFT_JIS, "Shift_JIS", &large);
    vec![
        (
            "lcov.html",
            page(WINDOWS_1252, "ISO-8859-1", "Übersicht"),
            "text/html; charset=windows-1252",
            Some("Übersicht"),
        ),
        ("gbk.html", page(GBK, "GBK", "覆盖率"), "text/html; charset=GBK", Some("覆盖率")),
        ("sjis.htm", page(SHIFT_JIS, "Shift_JIS", "網羅率"), "text/html; charset=Shift_JIS", Some("網羅率")),
        ("large.html", large, "text/html; charset=Shift_JIS", Some("網羅率")),
        ("report.xml", EUC_KR.encode(xml).0.into_owned(), "text/xml; charset=EUC-KR", Some("보고서")),
        ("style.css", WINDOWS_1252.encode(css).0.into_owned(), "text/css; charset=windows-1252", Some("'é'")),
        ("utf16.txt", utf_16("Zeile ü"), "text/plain; charset=UTF-16LE", Some("Zeile ü")),
        ("utf8.html", page(UTF_8, "utf-8", "Übersicht"), "text/html; charset=utf-8", Some("Übersicht")),
        ("none.html", "<p>Übersicht".into(), "text/html; charset=utf-8", Some("Übersicht")),
        ("none.js", "'ä'".into(), "text/javascript; charset=utf-8", Some("'ä'")),
        ("unknown.html", page(UTF_8, "klingon", "x"), "text/html", None),
        ("empty.html", Vec::new(), "text/html; charset=utf-8", None),
        ("lib.py", b"pass".into(), "text/plain; charset=utf-8", None),
        ("page.xhtml", b"<html/>".into(), "application/xhtml+xml; charset=utf-8", None),
        ("video.mp4", noise(3 << 20, 4), "video/mp4", None),
        ("shot.avif", noise(2000, 5), "image/avif", None),
    ]
}

#[tokio::test]
async fn files_are_served_with_their_declared_charset() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let fixtures = fixtures();
    let files: Vec<(&str, &[u8])> = fixtures.iter().map(|(path, bytes, ..)| (*path, bytes.as_slice())).collect();
    for site in in_each_format(&server, &folder, &files).await {
        for (path, bytes, content_type, text) in &fixtures {
            for (method, encoding) in [("HEAD", "gzip"), ("GET", "gzip"), ("GET", "identity"), ("GET", "gzip")] {
                let request = server.client.request(method.parse().unwrap(), format!("{}{site}{path}", server.url));
                let response = request.header("accept-encoding", encoding).send().await.unwrap();
                let what = format!("{method} {site}{path} by {encoding}");
                assert_eq!(response.status(), 200, "{what}");
                assert_eq!(response.headers()["content-type"], content_type, "{what}");
                if method == "HEAD" {
                    continue;
                }
                let packed = response.headers().contains_key("content-encoding");
                let body = response.bytes().await.unwrap();
                let body = if packed { gunzip(&body) } else { body.to_vec() };
                assert!(body == *bytes, "{what}");
                if let Some(text) = text {
                    let charset = content_type.rsplit_once("charset=").unwrap().1;
                    let read = Encoding::for_label(charset.as_bytes()).unwrap().decode(&body).0;
                    assert!(read.contains(text), "{what}: {text} is garbled");
                }
            }
        }
    }
}

#[tokio::test]
async fn svgz_files_are_sent_unchanged_with_content_encoding_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[]).await;
    let drawing = format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{}</svg>", "<g/>".repeat(2000));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, drawing.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    for site in in_each_format(&server, &folder, &[("index.html", b"x"), ("graph.svgz", &packed)]).await {
        for encoding in ["gzip", "identity"] {
            let request = server.get(&format!("{site}graph.svgz")).header("accept-encoding", encoding);
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "image/svg+xml", "{site}");
            assert_eq!(response.headers()["content-encoding"], "gzip", "{site}");
            assert!(!response.headers().contains_key("vary"), "{site}: the response does not depend on the request");
            let body = response.bytes().await.unwrap();
            assert!(body == packed && gunzip(&body) == drawing.as_bytes(), "{site}");
        }
    }
}
