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
        let response = server.get(&page).header("accept", "application/json").send().await.unwrap();
        return assert_error(response, 502, why).await;
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

/// Checks each zip on a server with low limits.
async fn check_all(cases: &[(&str, Vec<u8>, Expected)]) {
    let folder = tempfile::tempdir().unwrap();
    let limits = [("MAX_REPORT_FILES", "50"), ("MAX_FILE_BYTES", "45000000"), ("MAX_UNPACKED_BYTES", "50000000")];
    let server = Server::on(&folder, &limits).await;
    for (what, zip, expected) in cases {
        check(&server, &folder, what, zip, expected).await;
    }
}

/// A valid zip with `index.html`, and a change.
fn with(change: &dyn Fn(&mut Raw)) -> Vec<u8> {
    let mut raw = Raw::of(&[file("index.html", INDEX)]);
    change(&mut raw);
    raw.bytes()
}

/// A change of its entry.
fn entry(change: &dyn Fn(&mut Entry)) -> Vec<u8> {
    with(&|raw| change(&mut raw.entries[0]))
}

fn with_second(other: Entry) -> Vec<u8> {
    with(&|raw| raw.entries.push(other.clone()))
}

/// With a second file of this name.
fn named(name: &[u8]) -> Vec<u8> {
    with_second(Entry { name: name.to_vec(), local_name: name.to_vec(), ..file("", b"x") })
}

#[tokio::test]
async fn unusual_but_valid_zips_are_served() {
    let valid = with(&|_| {});
    let other = Raw::of(&[file("index.html", b"other")]).bytes();
    let empty = Entry { data: vec![], compressed: 0, ..file("e", b"") };
    let cases = [
        ("a valid zip", valid.clone()),
        ("stored", Raw::of(&[stored("index.html", INDEX)]).bytes()),
        ("zip64", with(&|raw| raw.zip64 = true)),
        ("with a comment", with(&|raw| raw.comment = b"made by hand".to_vec())),
        ("with a program before it", with(&|raw| raw.before = b"#!/bin/sh\nexit\n".to_vec())),
        ("with bytes after it", with(&|raw| raw.after = b"\n\n".to_vec())),
        ("with a second zip before it", [other, valid.clone()].concat()),
        ("with a data descriptor", entry(&|e| (e.descriptor, e.flags, e.local_flags) = (true, 8, 8))),
        ("an empty file that is called deflated", with_second(empty)),
        ("a folder", with_second(stored("sub/", b""))),
        ("a zip in the zip", with_second(stored("nested.zip", &valid))),
        ("a drive's name", named(b"C:/x")),
        ("a directory of 2^64 bytes", with(&|raw| (raw.zip64, raw.directory_size) = (true, Some(u64::MAX)))),
    ];
    check_all(&cases.map(|(what, zip)| (what, zip, Expected::Valid))).await;
}

#[tokio::test]
async fn zips_with_an_invalid_directory_are_rejected() {
    let valid = with(&|_| {});
    let offset = |offset| with(&|raw| (raw.zip64, raw.directory_offset) = (true, Some(offset)));
    let count = |count| with(&|raw| raw.count = Some(count));
    let cases = [
        ("no end record", valid[..valid.len() - 22].to_vec(), "invalid or truncated zip"),
        ("an end record alone", Raw::of(&[]).bytes(), "it contains no file"),
        (
            "a comment longer than the rest",
            with(&|raw| raw.comment = b"x".to_vec())[..valid.len()].to_vec(),
            "invalid or truncated zip",
        ),
        ("an empty zip in the comment", with(&|raw| raw.comment = Raw::of(&[]).bytes()), "invalid"),
        ("more files claimed", count(3), "its directory announces 3 files and contains 1"),
        ("fewer files claimed", count(0), "its directory announces 0 files and contains 1"),
        ("a directory beyond the end", with(&|raw| raw.directory_offset = Some(1 << 30)), "invalid or truncated zip"),
        ("the same in zip64", offset(1 << 62), "invalid"),
        ("a directory at the far end", offset(u64::MAX), "invalid"),
    ];
    check_all(&cases.map(|(what, zip, why)| (what, zip, Expected::Rejected(why)))).await;
}

#[tokio::test]
async fn zips_with_an_invalid_entry_are_rejected() {
    let sizes = "has impossible sizes or an impossible checksum";
    let cases = [
        ("an entry beyond the end", entry(&|e| e.offset = Some(1 << 20)), "\"index.html\" is outside of the zip"),
        (
            "an entry in the directory",
            entry(&|e| e.offset = Some(60)),
            "\"index.html\" is outside of the zip, or overlaps another",
        ),
        (
            "two entries at one offset",
            with_second(Entry { offset: Some(0), ..file("b", INDEX) }),
            "overlaps another entry",
        ),
        ("more data than the zip has", entry(&|e| e.compressed = 5000), "is outside of the zip"),
        ("a name twice", with_second(file("index.html", INDEX)), "it names \"index.html\" twice"),
        (
            "a file and a folder",
            with_second(file("index.html/x", b"")),
            "it names \"index.html\" twice, or as a file and as a folder",
        ),
        ("encrypted", entry(&|e| e.flags = 1), "\"index.html\" is encrypted"),
        ("bzip2", entry(&|e| e.method = 12), "\"index.html\" is compressed by a method other than deflate"),
        ("too small for its size", entry(&|e| e.size = 40 << 20), sizes),
        ("stored in two sizes", Raw::of(&[Entry { size: 5, ..stored("index.html", INDEX) }]).bytes(), sizes),
    ];
    check_all(&cases.map(|(what, zip, why)| (what, zip, Expected::Rejected(why)))).await;
}

#[tokio::test]
async fn zips_with_an_invalid_name_are_rejected() {
    let names: [(&str, &[u8]); 7] = [
        ("out of the report", b"a/../../x"),
        ("absolute", b"/x"),
        ("with a backslash", b"..\\x"),
        ("with a drive and backslash", b"C:\\x"),
        ("with NUL", b"a\0.html"),
        ("not UTF-8", b"\xff.html"),
        ("without a name", b""),
    ];
    let why = "names must be UTF-8, relative, and free of";
    check_all(&names.map(|(what, name)| (what, named(name), Expected::Rejected(why)))).await;
}

#[tokio::test]
async fn zips_above_a_limit_are_rejected_with_its_setting() {
    let zeros = vec![0; 40 << 20];
    let claimed = |count| with(&|raw| (raw.zip64, raw.count) = (true, Some(count)));
    let many = || Raw::of(&(0..60).map(|n| file(&n.to_string(), b"")).collect::<Vec<_>>()).bytes();
    let large = || Raw::of(&[file("index.html", &vec![0; 45_000_001])]).bytes();
    let zip64 = [&[1, 0, 8, 0][..], &(1_u64 << 33).to_le_bytes()].concat();
    let too_many = "it contains more than 50 files";
    let too_large = "\"index.html\" takes more than 45000000 bytes unpacked";
    let cases = [
        ("2^32 files claimed", claimed(1 << 32), too_many),
        ("2^64 files claimed", claimed(u64::MAX), too_many),
        ("60 files", many(), too_many),
        (
            "two files of 40 MB",
            Raw::of(&[file("a", &zeros), file("b", &zeros)]).bytes(),
            "its files take more than 50000000 bytes",
        ),
        ("4 GiB by zip64", entry(&|e| (e.size, e.extra) = (u32::MAX, zip64.clone())), too_large),
        ("a file of 45 MB and a byte", large(), too_large),
    ];
    check_all(&cases.map(|(what, zip, why)| (what, zip, Expected::Rejected(why)))).await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(&folder, &[("MAX_REPORT_FILES", "50"), ("MAX_FILE_BYTES", "45000000")]).await;
    for (zip, limit) in [(many(), "MAX_REPORT_FILES"), (large(), "MAX_FILE_BYTES")] {
        let response = server.put(&server.create().await, zip).await;
        assert_error(response, 422, &format!("its operator can raise {limit}")).await;
    }
}

#[tokio::test]
async fn zips_with_invalid_data_serve_no_wrong_byte() {
    let zeros = file("", &vec![0; 40 << 20]);
    let checksum = "does not match its checksum";
    let header = "the local header of \"index.html\" is invalid";
    let cases = [
        ("a wrong checksum", entry(&|e| e.crc ^= 1), checksum),
        ("a flipped bit", entry(&|e| e.data[5] ^= 1), checksum),
        ("longer than its size", entry(&|e| (e.size, e.crc) = (5, rawzip::crc32(&INDEX[..5]))), checksum),
        ("shorter than its size", entry(&|e| e.size = 100), checksum),
        (
            "much longer than its size",
            entry(&|e| (e.data, e.compressed) = (zeros.data.clone(), zeros.compressed)),
            checksum,
        ),
        (
            "data after its end",
            entry(&|e| {
                e.data.extend(b"more");
                e.compressed += 4
            }),
            checksum,
        ),
        ("no local header", entry(&|e| e.signature = b"XXXX"), header),
        ("another local name", entry(&|e| e.local_name = b"login.html".to_vec()), header),
        ("a longer local name", entry(&|e| e.local_name = b"index.html.html".to_vec()), header),
        ("another local method", entry(&|e| e.local_method = 0), header),
        ("encrypted by its local header", entry(&|e| e.local_flags = 1), header),
    ];
    check_all(&cases.map(|(what, zip, why)| (what, zip, Expected::Unreadable(why)))).await;
}
