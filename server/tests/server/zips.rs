//! Manipulated zips: each is rejected with a reason, or serves the right bytes or none.

use crate::support::*;

/// A zip with freely chosen fields, also invalid ones.
struct Raw {
    entries: Vec<Entry>,
    /// Bytes before the first entry, which offsets do not include.
    before: Vec<u8>,
    comment: Vec<u8>,
    after: Vec<u8>,
    /// The end record: number of files, size and offset of the directory.
    count: Option<u64>,
    directory_size: Option<u64>,
    directory_offset: Option<u64>,
    zip64: bool,
}

#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    data: Vec<u8>,
    method: u16,
    flags: u16,
    crc: u32,
    compressed: u32,
    size: u32,
    offset: Option<u32>,
    /// The directory's extra field.
    extra: Vec<u8>,
    local_name: Vec<u8>,
    local_method: u16,
    local_flags: u16,
    signature: &'static [u8; 4],
    descriptor: bool,
}

fn file(name: &str, bytes: &[u8]) -> Entry {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    let data = encoder.finish().unwrap();
    Entry {
        name: name.into(),
        local_name: name.into(),
        compressed: data.len() as u32,
        size: bytes.len() as u32,
        crc: rawzip::crc32(bytes),
        data,
        method: 8,
        local_method: 8,
        flags: 0,
        local_flags: 0,
        offset: None,
        extra: Vec::new(),
        signature: b"PK\x03\x04",
        descriptor: false,
    }
}

fn stored(name: &str, bytes: &[u8]) -> Entry {
    let length = bytes.len() as u32;
    Entry { data: bytes.into(), method: 0, local_method: 0, compressed: length, ..file(name, bytes) }
}

impl Raw {
    fn of(entries: &[Entry]) -> Raw {
        Raw {
            entries: entries.to_vec(),
            before: Vec::new(),
            comment: Vec::new(),
            after: Vec::new(),
            count: None,
            directory_size: None,
            directory_offset: None,
            zip64: false,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let (mut zip, mut directory) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            let offset = entry.offset.unwrap_or(zip.len() as u32);
            let sums = if entry.descriptor { [0; 3] } else { [entry.crc, entry.compressed, entry.size] };
            zip.extend(entry.signature);
            for number in [20, entry.local_flags, entry.local_method, 0, 0] {
                zip.extend(u16::to_le_bytes(number));
            }
            sums.iter().for_each(|number| zip.extend(number.to_le_bytes()));
            zip.extend((entry.local_name.len() as u32).to_le_bytes());
            zip.extend(&entry.local_name);
            zip.extend(&entry.data);
            if entry.descriptor {
                zip.extend(b"PK\x07\x08");
                [entry.crc, entry.compressed, entry.size].iter().for_each(|number| zip.extend(number.to_le_bytes()));
            }
            directory.extend(b"PK\x01\x02");
            for number in [20, 20, entry.flags, entry.method, 0, 0] {
                directory.extend(u16::to_le_bytes(number));
            }
            [entry.crc, entry.compressed, entry.size].iter().for_each(|number| directory.extend(number.to_le_bytes()));
            for number in [entry.name.len() as u16, entry.extra.len() as u16, 0, 0, 0, 0, 0] {
                directory.extend(number.to_le_bytes());
            }
            directory.extend(offset.to_le_bytes());
            directory.extend(&entry.name);
            directory.extend(&entry.extra);
        }
        let (start, size) = (zip.len() as u64, directory.len() as u64);
        zip.extend(directory);
        let count = self.count.unwrap_or(self.entries.len() as u64);
        let (size, start) = (self.directory_size.unwrap_or(size), self.directory_offset.unwrap_or(start));
        if self.zip64 {
            let record = zip.len() as u64;
            zip.extend(b"PK\x06\x06");
            zip.extend(44_u64.to_le_bytes());
            zip.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            [count, count, size, start].iter().for_each(|number| zip.extend(number.to_le_bytes()));
            zip.extend(b"PK\x06\x07\0\0\0\0");
            zip.extend(record.to_le_bytes());
            zip.extend(1_u32.to_le_bytes());
        }
        let small = |number: u64, limit: u64| if self.zip64 { limit } else { number.min(limit) };
        zip.extend(b"PK\x05\x06\0\0\0\0");
        [count, count].iter().for_each(|count| zip.extend((small(*count, 0xffff) as u16).to_le_bytes()));
        [size, start].iter().for_each(|number| zip.extend((small(*number, 0xffff_ffff) as u32).to_le_bytes()));
        zip.extend((self.comment.len() as u16).to_le_bytes());
        zip.extend(&self.comment);
        zip.extend(&self.after);
        [self.before.clone(), zip].concat()
    }
}

const INDEX: &[u8] = b"<h1>87%</h1>";

/// The expected result for a zip.
enum Expected {
    /// Rejected: 422 for the upload, and 502 if it is in the store already; both with a reason.
    Rejected(&'static str),
    /// Accepted, with the right `index.html`.
    Valid,
    /// Accepted; requests for `index.html` fail with a reason.
    Unreadable(&'static str),
}

async fn check(server: &Server, folder: &tempfile::TempDir, what: &str, zip: &[u8], expected: &Expected) {
    let session = server.create().await;
    let put = server.put(&session, zip.to_vec()).await;
    let page = session["url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    println!("{what}");
    if let Expected::Rejected(why) = expected {
        assert_error(put, 422, why).await;
        let site = session["site_id"].as_str().unwrap();
        std::fs::write(folder.path().join(format!("sites/{site}.zip")), zip).unwrap();
        let shown = server.get(&page).header("accept", "application/json").send().await.unwrap();
        return assert_error(shown, 502, why).await;
    }
    assert_eq!(put.status(), 201, "{what}: {}", put.text().await.unwrap());
    for encoding in ["gzip", "identity"] {
        let request = server.get(&page).header("accept-encoding", encoding).header("accept", "application/json");
        let response = request.send().await.unwrap();
        match expected {
            Expected::Unreadable(why) => assert_error(response, 502, why).await,
            _ => {
                assert_eq!(response.status(), 200, "{what} by {encoding}");
                let packed = response.headers().contains_key("content-encoding");
                let bytes = response.bytes().await.unwrap();
                assert!((if packed { gunzip(&bytes) } else { bytes.to_vec() }) == INDEX, "{what} by {encoding}");
            }
        }
    }
}

#[tokio::test]
async fn manipulated_zips_are_rejected_or_serve_no_wrong_byte() {
    use Expected::{Rejected, Unreadable, Valid};
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(
        &folder,
        &[("MAX_REPORT_FILES", "50"), ("MAX_FILE_BYTES", "45000000"), ("MAX_UNPACKED_BYTES", "50000000")],
    )
    .await;
    let index = file("index.html", INDEX);
    let with = |change: &dyn Fn(&mut Raw)| {
        let mut raw = Raw::of(std::slice::from_ref(&index));
        change(&mut raw);
        raw.bytes()
    };
    let entry = |change: &dyn Fn(&mut Entry)| with(&|raw| change(&mut raw.entries[0]));
    let with_second = |other: Entry| with(&|raw| raw.entries.push(other.clone()));
    let named = |name: &[u8]| {
        let name = name.to_vec();
        with_second(Entry { name: name.clone(), local_name: name, ..file("", b"x") })
    };
    let good = with(&|_| {});
    let zeros = vec![0; 40 << 20];
    let names = "names must be UTF-8, relative, and free of";
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("a valid zip", good.clone(), Valid),
        ("stored", Raw::of(&[stored("index.html", INDEX)]).bytes(), Valid),
        ("zip64", with(&|raw| raw.zip64 = true), Valid),
        ("with a comment", with(&|raw| raw.comment = b"made by hand".to_vec()), Valid),
        ("with a program before it", with(&|raw| raw.before = b"#!/bin/sh\nexit\n".to_vec()), Valid),
        ("with bytes after it", with(&|raw| raw.after = b"\n\n".to_vec()), Valid),
        (
            "with a second zip before it",
            [Raw::of(&[file("index.html", b"other")]).bytes(), good.clone()].concat(),
            Valid,
        ),
        ("with a data descriptor", entry(&|e| (e.descriptor, e.flags, e.local_flags) = (true, 8, 8)), Valid),
        (
            "an empty file that is called deflated",
            with_second(Entry { data: vec![], compressed: 0, ..file("e", b"") }),
            Valid,
        ),
        ("a folder", with_second(stored("sub/", b"")), Valid),
        ("a zip in the zip", with_second(stored("nested.zip", &good)), Valid),
        ("a drive's name", named(b"C:/x"), Valid),
        ("no end record", good[..good.len() - 22].to_vec(), Rejected("invalid or truncated zip")),
        ("an end record alone", Raw::of(&[]).bytes(), Rejected("it contains no file")),
        (
            "a comment longer than the rest",
            with(&|raw| raw.comment = b"x".to_vec())[..good.len()].to_vec(),
            Rejected("invalid or truncated zip"),
        ),
        ("an empty zip in the comment", with(&|raw| raw.comment = Raw::of(&[]).bytes()), Rejected("invalid")),
        (
            "more files claimed",
            with(&|raw| raw.count = Some(3)),
            Rejected("its directory announces 3 files and contains 1"),
        ),
        (
            "fewer files claimed",
            with(&|raw| raw.count = Some(0)),
            Rejected("its directory announces 0 files and contains 1"),
        ),
        (
            "2^32 files claimed",
            with(&|raw| (raw.zip64, raw.count) = (true, Some(1 << 32))),
            Rejected("it contains more than 50 files"),
        ),
        (
            "2^64 files claimed",
            with(&|raw| (raw.zip64, raw.count) = (true, Some(u64::MAX))),
            Rejected("it contains more than 50 files"),
        ),
        (
            "a directory beyond the end",
            with(&|raw| raw.directory_offset = Some(1 << 30)),
            Rejected("invalid or truncated zip"),
        ),
        (
            "the same in zip64",
            with(&|raw| (raw.zip64, raw.directory_offset) = (true, Some(1 << 62))),
            Rejected("invalid"),
        ),
        (
            "a directory at the far end",
            with(&|raw| (raw.zip64, raw.directory_offset) = (true, Some(u64::MAX))),
            Rejected("invalid"),
        ),
        ("a directory of 2^64 bytes", with(&|raw| (raw.zip64, raw.directory_size) = (true, Some(u64::MAX))), Valid),
        (
            "60 files",
            Raw::of(&(0..60).map(|n| file(&n.to_string(), b"")).collect::<Vec<_>>()).bytes(),
            Rejected("it contains more than 50 files"),
        ),
        (
            "an entry beyond the end",
            entry(&|e| e.offset = Some(1 << 20)),
            Rejected("\"index.html\" is outside of the zip"),
        ),
        (
            "an entry in the directory",
            entry(&|e| e.offset = Some(60)),
            Rejected("\"index.html\" is outside of the zip, or overlaps another"),
        ),
        (
            "two entries at one offset",
            with_second(Entry { offset: Some(0), ..file("b", INDEX) }),
            Rejected("overlaps another entry"),
        ),
        ("more data than the zip has", entry(&|e| e.compressed = 5000), Rejected("is outside of the zip")),
        ("a name twice", with_second(index.clone()), Rejected("it names \"index.html\" twice")),
        (
            "a file and a folder",
            with_second(file("index.html/x", b"")),
            Rejected("it names \"index.html\" twice, or as a file and as a folder"),
        ),
        ("out of the report", named(b"a/../../x"), Rejected(names)),
        ("absolute", named(b"/x"), Rejected(names)),
        ("with a backslash", named(b"..\\x"), Rejected(names)),
        ("with a drive and backslash", named(b"C:\\x"), Rejected(names)),
        ("with NUL", named(b"a\0.html"), Rejected(names)),
        ("not UTF-8", named(b"\xff.html"), Rejected(names)),
        ("without a name", named(b""), Rejected(names)),
        ("encrypted", entry(&|e| e.flags = 1), Rejected("\"index.html\" is encrypted")),
        ("bzip2", entry(&|e| e.method = 12), Rejected("\"index.html\" is compressed by a method other than deflate")),
        (
            "too small for its size",
            entry(&|e| e.size = 40 << 20),
            Rejected("\"index.html\" has impossible sizes or an impossible checksum"),
        ),
        (
            "stored in two sizes",
            Raw::of(&[Entry { size: 5, ..stored("index.html", INDEX) }]).bytes(),
            Rejected("has impossible sizes"),
        ),
        (
            "two files of 40 MB",
            Raw::of(&[file("a", &zeros), file("b", &zeros)]).bytes(),
            Rejected("its files take more than 50000000 bytes"),
        ),
        (
            "4 GiB by zip64",
            entry(&|e| (e.size, e.extra) = (u32::MAX, [&[1, 0, 8, 0][..], &(1_u64 << 33).to_le_bytes()].concat())),
            Rejected("\"index.html\" takes more than 45000000 bytes unpacked"),
        ),
        (
            "a file of 45 MB and a byte",
            Raw::of(&[file("index.html", &vec![0; 45_000_001])]).bytes(),
            Rejected("\"index.html\" takes more than 45000000 bytes unpacked"),
        ),
        ("a wrong checksum", entry(&|e| e.crc ^= 1), Unreadable("does not match its checksum")),
        ("a flipped bit", entry(&|e| e.data[5] ^= 1), Unreadable("does not match its checksum")),
        (
            "longer than its size",
            entry(&|e| (e.size, e.crc) = (5, rawzip::crc32(&INDEX[..5]))),
            Unreadable("does not match its checksum"),
        ),
        ("shorter than its size", entry(&|e| e.size = 100), Unreadable("does not match its checksum")),
        (
            "much longer than its size",
            entry(&|e| {
                (e.data, e.compressed) = {
                    let z = file("", &zeros);
                    (z.data, z.compressed)
                }
            }),
            Unreadable("does not match its checksum"),
        ),
        (
            "data after its end",
            entry(&|e| {
                e.data.extend(b"more");
                e.compressed += 4
            }),
            Unreadable("does not match its checksum"),
        ),
        (
            "no local header",
            entry(&|e| e.signature = b"XXXX"),
            Unreadable("the local header of \"index.html\" is invalid"),
        ),
        (
            "another local name",
            entry(&|e| e.local_name = b"login.html".to_vec()),
            Unreadable("the local header of \"index.html\" is invalid"),
        ),
        (
            "a longer local name",
            entry(&|e| e.local_name = b"index.html.html".to_vec()),
            Unreadable("the local header of \"index.html\" is invalid"),
        ),
        (
            "another local method",
            entry(&|e| e.local_method = 0),
            Unreadable("the local header of \"index.html\" is invalid"),
        ),
        (
            "encrypted by its local header",
            entry(&|e| e.local_flags = 1),
            Unreadable("the local header of \"index.html\" is invalid"),
        ),
    ];
    for (what, zip, expected) in &cases {
        check(&server, &folder, what, zip, expected).await;
    }
    let limits = "its operator can raise MAX_REPORT_FILES";
    let many = Raw::of(&(0..60).map(|n| file(&n.to_string(), b"")).collect::<Vec<_>>()).bytes();
    assert_error(server.put(&server.create().await, many).await, 422, limits).await;
    let large = Raw::of(&[file("index.html", &vec![0; 45_000_001])]).bytes();
    let limit = "its operator can raise MAX_FILE_BYTES";
    assert_error(server.put(&server.create().await, large).await, 422, limit).await;
}
