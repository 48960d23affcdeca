//! Zips of real tools, and hostile zips, built byte by byte.

use rawzip::{CompressionMethod, ZipArchive};

use super::*;
use crate::report::unzip;

/// Bytes of a name that a zip may have.
const MAX_NAME: usize = 4096;
const PAGE: &[u8] = b"<p>a page of a report</p><p>a page of a report</p>";

/// An entry as its headers describe it, correctly or not.
#[derive(Clone)]
struct TestEntry {
    name: Vec<u8>,
    local_name: Vec<u8>,
    flags: u16,
    method: u16,
    local_method: u16,
    crc: u32,
    size: u32,
    packed: u32,
    mode: u32,
    data: Vec<u8>,
    /// The offset in the directory, if it is wrong.
    offset: Option<u32>,
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

impl TestEntry {
    fn new(name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        let (name, data) = (name.as_ref().to_vec(), deflated(content));
        let mut crc = Crc::new();
        crc.update(content);
        let (local_name, size, packed) = (name.clone(), content.len() as u32, data.len() as u32);
        let (flags, method, mode) = (0, 8, 0o100_644);
        Self {
            name,
            local_name,
            flags,
            method,
            local_method: method,
            crc: crc.sum(),
            size,
            packed,
            mode,
            data,
            offset: None,
        }
    }

    fn stored(name: &str, content: &[u8]) -> Self {
        let data = content.to_vec();
        Self { method: 0, local_method: 0, packed: data.len() as u32, data, ..Self::new(name, content) }
    }

    /// `true`: the local header, `false`: the directory.
    fn fields(&self, is_local: bool) -> Vec<u8> {
        let streamed = is_local && self.flags & 8 != 0;
        let (name, method) = if is_local { (&self.local_name, self.local_method) } else { (&self.name, self.method) };
        let mut out = Vec::new();
        [20, self.flags, method, 0, 33].iter().for_each(|word: &u16| out.extend(word.to_le_bytes()));
        let summary = if streamed { [0; 3] } else { [self.crc, self.packed, self.size] };
        summary.iter().for_each(|word| out.extend(word.to_le_bytes()));
        [name.len() as u16, 0].iter().for_each(|word| out.extend(word.to_le_bytes()));
        out
    }
}

/// The end record, and bytes before and after the zip.
struct End {
    count: u16,
    before: &'static [u8],
    behind: &'static [u8],
}

fn zip(files: &[TestEntry]) -> Vec<u8> {
    with_end(files, &End { count: files.len() as u16, before: b"", behind: b"" })
}

fn with_end(files: &[TestEntry], end: &End) -> Vec<u8> {
    let (mut out, mut directory) = (end.before.to_vec(), Vec::new());
    for file in files {
        let offset = file.offset.unwrap_or((out.len() - end.before.len()) as u32);
        out.extend(b"PK\x03\x04");
        out.extend(file.fields(true));
        out.extend(&file.local_name);
        out.extend(&file.data);
        if file.flags & 8 != 0 {
            out.extend(b"PK\x07\x08");
            [file.crc, file.packed, file.size].iter().for_each(|word| out.extend(word.to_le_bytes()));
        }
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(file.fields(false));
        directory.extend([0; 6]);
        directory.extend((file.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&file.name);
    }
    let start = (out.len() - end.before.len()) as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    [end.count, end.count].iter().for_each(|word| out.extend(word.to_le_bytes()));
    [directory.len() as u32, start].iter().for_each(|word| out.extend(word.to_le_bytes()));
    out.extend([0; 2]);
    out.extend(end.behind);
    out
}

fn opened(bytes: &[u8], folder: &str) -> Result<Report> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    unzip(file, folder)
}

/// Packs the zip's files, and returns their names and contents as another implementation reads them.
fn repacked(bytes: &[u8], folder: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let report = opened(bytes, folder)?;
    let mut packed = pack(&report, &std::env::temp_dir(), Deadline::NEVER, &|_| {})?.file;
    let mut bytes = Vec::new();
    packed.rewind().unwrap();
    packed.read_to_end(&mut bytes).unwrap();
    let zip = ZipArchive::from_slice(&bytes).unwrap();
    let files = zip.entries().map(|entry| {
        let entry = entry.unwrap();
        let data = zip.get_entry(entry.wayfinder()).unwrap();
        let mut content = Vec::new();
        match entry.compression_method() {
            CompressionMethod::DEFLATE => {
                let inflated = flate2::read::DeflateDecoder::new(data.data());
                data.verifying_reader(inflated).read_to_end(&mut content).unwrap()
            }
            _ => data.verifying_reader(data.data()).read_to_end(&mut content).unwrap(),
        };
        (String::from_utf8(entry.file_path().as_bytes().to_vec()).unwrap(), content)
    });
    Ok(files.collect())
}

#[track_caller]
fn rejects(files: &[TestEntry], expected: &str) {
    rejects_bytes(&zip(files), expected);
}

#[track_caller]
fn rejects_bytes(bytes: &[u8], expected: &str) {
    let error = repacked(bytes, "").expect_err(expected);
    let message = format!("{error:#}");
    assert!(message.contains(expected), "expected {expected:?} in {message:?}");
}

#[test]
fn zips_of_real_tools_are_repacked_byte_for_byte() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let read = |name: &str| std::fs::read(fixtures.join("coverage_py").join(name)).unwrap();
    let expected = [
        (".gitignore", b"*\n".to_vec()),
        ("deep/é ü.html", "<p>Umlaute</p>\n".into()),
        ("empty.css", Vec::new()),
        ("index.html", read("index.html")),
        ("sample_py.html", read("sample_py.html")),
    ];
    let mut seen = 0;
    for path in std::fs::read_dir(fixtures.join("artifacts")).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "zip") {
            continue;
        }
        let mut files = repacked(&std::fs::read(&path).unwrap(), "").unwrap();
        // GitHub's library also received an empty folder, and writes it like an empty file.
        files.retain(|(name, _)| name != "none");
        let files: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
        assert!(files == expected, "{}: {files:?}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn deflated_entries_are_copied_and_stored_entries_are_deflated() {
    let mut slow = DeflateEncoder::new(Vec::new(), Compression::none());
    slow.write_all(PAGE).unwrap();
    let data = slow.finish().unwrap();
    let large = TestEntry { packed: data.len() as u32, data: data.clone(), ..TestEntry::new("large.html", PAGE) };
    let bytes = zip(&[large, TestEntry::stored("stored.html", PAGE)]);
    let packed = pack(&opened(&bytes, "").unwrap(), &std::env::temp_dir(), Deadline::NEVER, &|_| {}).unwrap();
    let report = unzip(packed.file, "").unwrap();
    let sizes: Vec<u64> = report
        .files
        .iter()
        .map(|file| match &file.content {
            Content::Zip(zipped) => zipped.packed,
            Content::File(_) | Content::Generated(_) => 0,
        })
        .collect();
    assert_eq!(sizes, [data.len() as u64, deflated(PAGE).len() as u64]);
}

#[test]
fn one_folder_of_a_zip_can_be_the_report() {
    let bytes = zip(&[
        TestEntry::new("log.txt", b"log"),
        TestEntry::new("a/htmlcov/index.html", PAGE),
        TestEntry::new("a/htmlcov-old/index.html", b"old"),
        TestEntry::new("../evil.html", b"evil"),
    ]);
    for folder in ["a/htmlcov", "./a/htmlcov/", "a\\htmlcov", "/a//htmlcov"] {
        assert_eq!(repacked(&bytes, folder).unwrap(), [("index.html".to_owned(), PAGE.to_vec())], "{folder}");
    }
    let error = opened(&bytes, "htmlcov").unwrap_err().to_string();
    assert!(error.starts_with("it contains nothing in `htmlcov/`, only \"log.txt\", \"a/\", \"../\""), "{error}");
    assert!(opened(&bytes, "a/../b").unwrap_err().to_string().contains("is outside the artifact"));
}

#[test]
fn files_that_are_not_zips_are_rejected() {
    let whole = zip(&[TestEntry::new("index.html", PAGE)]);
    for bytes in [&b""[..], b"<html>", b"PK\x05\x06", &whole[..whole.len() - 30], &whole[..40]] {
        rejects_bytes(bytes, "invalid or truncated zip");
    }
    rejects(&[], "it is empty");
    rejects(
        &[TestEntry { size: 0, crc: 0, packed: 0, data: Vec::new(), ..TestEntry::stored("folder/", b"") }],
        "it is empty",
    );
}

#[test]
fn bytes_before_and_after_a_zip_are_ignored() {
    let files = [TestEntry::new("index.html", PAGE)];
    for (before, behind) in [(&b"#!/bin/sh\n"[..], &b""[..]), (b"", b"junk"), (b"PK\x03\x04", b"\0\0\0")] {
        let bytes = with_end(&files, &End { count: 1, before, behind });
        assert_eq!(repacked(&bytes, "").unwrap(), [("index.html".to_owned(), PAGE.to_vec())]);
    }
}

#[test]
fn directories_with_a_wrong_entry_count_are_rejected() {
    let files = [TestEntry::new("index.html", PAGE), TestEntry::new("a.html", PAGE)];
    let with_count = |count| with_end(&files, &End { count, before: b"", behind: b"" });
    rejects_bytes(&with_count(1), "its directory lists more files than its count");
    rejects_bytes(&with_count(3), "its directory counts 3 files but lists 2");
    let many: Vec<TestEntry> = (0..2).map(|_| TestEntry::new(vec![b'x'; MAX_NAME], b"")).collect();
    rejects(&many, "twice");
}

#[test]
fn unsafe_or_unprintable_names_are_rejected() {
    for name in ["../evil.html", "a/../../evil.html", "..", "/etc/passwd", "a//b", "./a", "a/.", "C:/a", "c:a"] {
        rejects(&[TestEntry::new(name, PAGE)], &format!("the name {name:?} is not a relative file path"));
    }
    for name in ["a\\b", "..\\evil.html", "a\0b", "a\nb", "a\u{1b}[31m", "a\u{85}"] {
        rejects(
            &[TestEntry::new(name, PAGE)],
            &format!("the name {name:?} contains a backslash or a control character"),
        );
    }
    rejects(&[TestEntry::new(b"caf\xe9.html", PAGE)], "is not UTF-8");
    rejects(&[TestEntry::new("", PAGE)], "is not a relative file path");
    rejects(&[TestEntry::new("folder/", PAGE)], "is not a relative file path");
    rejects(&[TestEntry::new("x".repeat(MAX_NAME + 1), PAGE)], "is longer than 4096 bytes");
    rejects(&[TestEntry::new(".git/config", PAGE)], "it contains a git checkout");
    rejects(&[TestEntry::new(".git", PAGE)], "it contains a git checkout");
    rejects(&[TestEntry::new("a/.git/config", PAGE)], "it contains a git checkout");
    rejects(&[TestEntry::new("a/.git/", b""), TestEntry::new("a/b", PAGE)], "it contains a git checkout");
    rejects(&[TestEntry::new("a/.GIT", PAGE)], "it contains a git checkout");
    let fine =
        [TestEntry::new("INDEX.html", b"1"), TestEntry::new("index.html", b"2"), TestEntry::new("a/x.git/x", b"3")];
    assert_eq!(repacked(&zip(&fine), "").unwrap().len(), 3);
}

#[test]
fn duplicate_names_are_rejected() {
    rejects(
        &[TestEntry::new("a", b"1"), TestEntry::new("b", b"2"), TestEntry::new("a", b"3")],
        "it contains `a` twice",
    );
    rejects(
        &[TestEntry::new("a", b"1"), TestEntry::new("a!", b"2"), TestEntry::new("a/b", b"3")],
        "it contains `a` as a file and as \
         a",
    );
    // As GitHub's library writes a folder.
    let folder = [TestEntry::stored("a", b""), TestEntry::new("a!", b"2"), TestEntry::new("a/b", b"3")];
    assert_eq!(repacked(&zip(&folder), "").unwrap().len(), 2);
}

#[test]
fn links_devices_encryption_and_unknown_methods_are_rejected() {
    let entry = |mode| [TestEntry { mode, ..TestEntry::new("index.html", PAGE) }];
    rejects(&entry(0o120_777), "`index.html` is a symbolic link");
    for mode in [0o010_644, 0o020_644, 0o060_644, 0o140_644, 0o040_755] {
        rejects(&entry(mode), "`index.html` is not a regular file");
    }
    for flags in [1, 1 << 6, 1 << 13] {
        rejects(&[TestEntry { flags, ..TestEntry::new("index.html", PAGE) }], "`index.html` is encrypted");
    }
    for method in [9, 12, 14, 93, 95, 99, 65535] {
        rejects(
            &[TestEntry { method, ..TestEntry::new("index.html", PAGE) }],
            "`index.html` uses the compression method",
        );
    }
}

#[test]
fn local_headers_that_contradict_the_directory_are_rejected() {
    let message = "the header of `index.html` does not match the directory";
    let entry = || TestEntry::new("index.html", PAGE);
    rejects(&[TestEntry { local_name: b"other.html".to_vec(), ..entry() }], message);
    rejects(&[TestEntry { local_name: b"index.htmlx".to_vec(), ..entry() }], message);
    rejects(&[TestEntry { local_method: 0, ..entry() }], message);
    for offset in [1, 60, u32::MAX - 1] {
        rejects(&[TestEntry { offset: Some(offset), ..entry() }], message);
    }
}

#[test]
fn overlapping_entries_are_rejected() {
    let one = TestEntry::new("a.html", PAGE);
    let second = TestEntry { local_name: b"b.html".to_vec(), ..TestEntry::new("b.html", PAGE) };
    // The same bytes under two names, as in a zip bomb.
    let same = TestEntry { offset: Some(0), ..second.clone() };
    rejects(&[one.clone(), same], "the header of `b.html` does not match");
    // A stored file whose data is another file's header and data.
    let inner = zip(std::slice::from_ref(&second));
    let outer = TestEntry::stored("a.html", &inner[..30 + 6 + second.data.len()]);
    let nested = TestEntry { offset: Some(30 + 6), ..second.clone() };
    rejects(&[outer, nested], "`b.html` shares bytes with another file of the zip");
    // Data that overlaps the directory.
    let long = TestEntry { packed: one.packed + 40, ..one };
    rejects(&[long], "`a.html` shares bytes with another file of the zip");
}

#[test]
fn wrong_sizes_and_checksums_are_rejected() {
    let entry = || TestEntry::new("index.html", PAGE);
    let message = "cannot pack `index.html`: it is larger than the zip says";
    rejects(&[TestEntry { size: entry().size - 1, ..entry() }], message);
    rejects(
        &[TestEntry { size: entry().size + 1, ..entry() }],
        "cannot pack `index.html`: it is smaller than the zip says",
    );
    rejects(&[TestEntry { crc: 7, ..entry() }], "cannot pack `index.html`: it does not match its checksum");
    rejects(&[TestEntry { crc: 7, ..TestEntry::stored("index.html", PAGE) }], "it does not match its checksum");
    rejects(&[TestEntry { size: 0, ..entry() }], "it is larger than the zip says");
    rejects(&[TestEntry { size: 1 << 20, ..entry() }], "`index.html` cannot have 1048576 bytes");
    rejects(&[TestEntry { size: 7, ..TestEntry::stored("index.html", PAGE) }], "`index.html` cannot have 7 bytes");
    rejects(&[TestEntry { size: u32::MAX - 1, packed: u32::MAX, ..entry() }], "larger than 4 GiB");
    // The real size is a thousand times larger.
    let bomb = TestEntry::new("index.html", &vec![0; 1 << 20]);
    rejects(&[TestEntry { size: 4096, ..bomb.clone() }], message);
    let data = [bomb.data.as_slice(), b"x"].concat();
    rejects(&[TestEntry { packed: data.len() as u32, data, ..bomb }], "it ends before its data");
    let cut = |count| {
        let data = entry().data[..count].to_vec();
        TestEntry { packed: count as u32, data, ..entry() }
    };
    (1..entry().data.len()).for_each(|count| rejects(&[cut(count)], "cannot pack `index.html`: it "));
    let garbage = TestEntry { packed: 4, data: vec![0xff; 4], ..entry() };
    rejects(&[garbage], "it is not valid deflate data");
}

#[test]
fn zips_above_the_size_limit_are_rejected_before_reading() {
    let claim = |number: u32| TestEntry {
        size: u32::MAX - 1,
        packed: 5 << 20,
        ..TestEntry::new(format!("{number}.html"), b"")
    };
    rejects(&[claim(0), claim(1), claim(2)], "its files take more than 8 GiB unpacked");
}

#[test]
fn sizes_of_streamed_entries_are_read_from_the_directory() {
    let streamed = TestEntry { flags: 8, ..TestEntry::new("index.html", PAGE) };
    let bytes = zip(&[streamed, TestEntry { flags: 8, ..TestEntry::stored("b.html", PAGE) }]);
    assert_eq!(repacked(&bytes, "").unwrap().len(), 2);
}

/// Replays the corpus of the fuzz target.
#[test]
fn the_fuzz_corpus_causes_no_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/zip");
    for input in std::fs::read_dir(folder).unwrap() {
        fuzzing::check(&std::fs::read(input.unwrap().path()).unwrap()).unwrap();
    }
}
