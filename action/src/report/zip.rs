//! Reads an untrusted zip as a report. Validates the directory and the headers before reading any file; [`Zipped`]
//! verifies each file while reading it.
//!
//! Nothing is extracted to disk: names of the zip only become names in the packed report.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rawzip::{CompressionMethod, FileReader, RangeReader, ZipArchive, ZipFileHeaderRecord};

use super::files::{Content, Entry, MAX_DIRECTORY, MAX_FILE, MAX_FILES, MAX_UNPACKED, RECORD, Report};
use super::zipped::Zipped;

/// Files and folders, including those outside the report.
const MAX_ENTRIES: u64 = 4 * MAX_FILES as u64;
/// Bytes of a name: the server's limit.
const MAX_NAME: usize = 4096;
/// The maximum compression ratio of deflate.
const DEFLATE_RATIO: u64 = 1032;
/// Bytes of a local header without its name and its extra field.
const LOCAL_HEADER: usize = 30;
/// The bits of a Unix file mode with the file type, and the type of regular files.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
/// Top-level names in an error, and characters of one name.
const SHOWN_FOLDERS: usize = 10;
const SHOWN_NAME: usize = 100;

/// Lists the files below `folder` in a zip; all files if it is empty.
pub fn unzip(file: File, folder: &str) -> Result<Report> {
    let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let zip =
        ZipArchive::from_file(file, &mut buffer).map_err(|error| anyhow!("invalid or truncated zip ({error})"))?;
    let claimed = zip.entries_hint();
    ensure!(claimed <= MAX_ENTRIES, "its directory lists {claimed} files and folders, more than {MAX_ENTRIES}");
    let prefix = prefix(folder)?;
    let mut reader =
        DirectoryReader { prefix: &prefix, entries: Vec::new(), name_bytes: 0, unpacked: 0, outside: Vec::new() };
    let (mut found, mut records) = (0, zip.entries(&mut buffer));
    while let Some(record) = records.next_entry().context("its directory is damaged")? {
        found += 1;
        ensure!(found <= claimed, "its directory lists more files than its count of {claimed}");
        reader.add(&record)?;
    }
    ensure!(found == claimed, "its directory counts {claimed} files but lists {found}");
    let (directory, DirectoryReader { entries, outside, .. }) = (zip.directory_offset(), reader);
    ensure!(!entries.is_empty(), "{}", empty_message(&prefix, outside));
    let files = locate(entries, &prefix, directory, Arc::new(zip.into_inner()))?;
    Ok(Report { files: sorted(files)? })
}

/// The folder as a prefix of file names.
fn prefix(folder: &str) -> Result<String> {
    let parts: Vec<&str> = folder.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")).collect();
    ensure!(!parts.contains(&".."), "the folder `{folder}` is outside the artifact: `path` must be a folder inside it");
    Ok(parts.iter().map(|part| format!("{part}/")).collect())
}

fn empty_message(prefix: &str, outside: Vec<String>) -> String {
    match (prefix, outside.is_empty()) {
        ("", _) | (_, true) => "it is empty: did the tests write a report?".to_owned(),
        _ => format!("it contains nothing in `{prefix}`, only {}: correct `path`, or leave it out", outside.join(", ")),
    }
}

struct DirectoryReader<'a> {
    prefix: &'a str,
    entries: Vec<LocatedEntry>,
    /// Bytes of the names, with `RECORD` for each.
    name_bytes: usize,
    /// Uncompressed bytes of the files.
    unpacked: u64,
    /// Top-level names outside the requested folder.
    outside: Vec<String>,
}

/// A file of the directory, and the offset of its local header.
struct LocatedEntry {
    name: String,
    offset: u64,
    packed: u64,
    size: u64,
    crc: u32,
    deflated: bool,
}

impl DirectoryReader<'_> {
    fn add(&mut self, record: &ZipFileHeaderRecord) -> Result<()> {
        let raw = record.file_path();
        let Some(name) = raw.as_bytes().strip_prefix(self.prefix.as_bytes()) else {
            self.record_outside(raw.as_bytes());
            return Ok(());
        };
        // It may contain the job's token.
        let is_git = raw.as_bytes().split(|byte| *byte == b'/').any(|part| part.eq_ignore_ascii_case(b".git"));
        ensure!(!is_git, "it contains a git checkout, {}, and is not a report", quoted(raw.as_bytes()));
        // Folders follow from the names of their files.
        if (name.is_empty() || name.ends_with(b"/")) && record.uncompressed_size_hint() == 0 {
            return Ok(());
        }
        let entry = LocatedEntry::new(name, record)?;
        ensure!(self.entries.len() < MAX_FILES, "it contains more than 100,000 files: is it the report's own folder?");
        self.name_bytes += entry.name.len() + RECORD;
        ensure!(self.name_bytes <= MAX_DIRECTORY, "the names of its files take more than 16 MiB");
        self.unpacked += entry.size;
        ensure!(self.unpacked <= MAX_UNPACKED, "its files take more than {} GiB unpacked", MAX_UNPACKED >> 30);
        self.entries.push(entry);
        Ok(())
    }

    /// Remembers the top-level name of a file outside the requested folder, for the error.
    fn record_outside(&mut self, name: &[u8]) {
        let first = name.split_inclusive(|byte| *byte == b'/').next().unwrap_or_default();
        let shown = quoted(first);
        if self.outside.len() < SHOWN_FOLDERS && !self.outside.contains(&shown) {
            self.outside.push(shown);
        }
    }
}

impl LocatedEntry {
    /// Validates one record of the directory.
    fn new(name: &[u8], record: &ZipFileHeaderRecord) -> Result<Self> {
        let name = validated_name(name)?;
        let flags = record.flags();
        if flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked() {
            bail!("`{name}` is encrypted");
        }
        let mode = record.mode();
        ensure!(!mode.is_symlink(), "`{name}` is a symbolic link: upload its target");
        ensure!(mode.value() & KIND == REGULAR || mode.value() & KIND == 0, "`{name}` is not a regular file");
        let method = record.compression_method();
        let is_known = method == CompressionMethod::DEFLATE || method == CompressionMethod::STORE;
        ensure!(is_known, "`{name}` uses the compression method {method}: only deflate and stored are supported");
        let (packed, size, crc) = (record.compressed_size_hint(), record.uncompressed_size_hint(), record.crc32());
        ensure!(packed.max(size) < MAX_FILE, "`{name}` is larger than 4 GiB: leave it out of the report");
        // Some tools mark an empty file as deflated and write no data.
        let deflated = method == CompressionMethod::DEFLATE && (packed, size) != (0, 0);
        let possible = if deflated { packed > 0 && size / DEFLATE_RATIO <= packed } else { packed == size };
        ensure!(possible, "`{name}` cannot have {size} bytes, compressed to {packed}");
        Ok(Self { name: name.to_owned(), offset: record.local_header_offset(), packed, size, crc, deflated })
    }

    /// The offset of the data, from the local header, which must match this file.
    fn data_offset(&self, prefix: &str, zip: &FileReader) -> Result<u64> {
        let name = [prefix, &self.name].concat();
        let mut header = vec![0; LOCAL_HEADER + name.len()];
        let end = self.offset.saturating_add(header.len() as u64);
        let read = RangeReader::new(zip, self.offset..end).read_exact(&mut header);
        let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let (flags, method, length, extra) = (number(6), number(8), number(26), number(28));
        let matches = header.starts_with(b"PK\x03\x04")
            && flags & 1 == 0
            && (method == 8 && (self.deflated || self.size == 0) || method == 0 && !self.deflated)
            && usize::from(length) == name.len()
            && header[LOCAL_HEADER..] == *name.as_bytes();
        ensure!(read.is_ok() && matches, "the header of `{}` does not match the directory", self.name);
        Ok(self.offset + header.len() as u64 + u64::from(extra))
    }
}

/// Accepts a relative path that every system and browser can use.
fn validated_name(name: &[u8]) -> Result<&str> {
    let quoted = || quoted(name);
    let Ok(text) = std::str::from_utf8(name) else { bail!("the name {} is not UTF-8", quoted()) };
    ensure!(text.len() <= MAX_NAME, "the name {} is longer than {MAX_NAME} bytes", quoted());
    let has_drive = matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic());
    let is_relative = !has_drive && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    ensure!(is_relative, "the name {} is not a relative file path", quoted());
    let is_plain = !text.contains(|letter: char| letter == '\\' || letter.is_control());
    ensure!(is_plain, "the name {} contains a backslash or a control character", quoted());
    Ok(text)
}

/// The start of a name, quoted and escaped.
fn quoted(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    format!("{:?}", text.chars().take(SHOWN_NAME).collect::<String>())
}

/// Locates each file's data. Rejects overlaps with other files or with the directory.
fn locate(mut entries: Vec<LocatedEntry>, prefix: &str, directory: u64, zip: Arc<FileReader>) -> Result<Vec<Entry>> {
    entries.sort_unstable_by_key(|file| file.offset);
    let (mut files, mut free) = (Vec::with_capacity(entries.len()), 0);
    for file in entries {
        let start = file.data_offset(prefix, &zip)?;
        let LocatedEntry { name, offset, packed, size, crc, deflated } = file;
        ensure!(offset >= free && start + packed <= directory, "`{name}` shares bytes with another file of the zip");
        free = start + packed;
        let content = Content::Zip(Zipped { zip: Arc::clone(&zip), start, packed, crc, deflated });
        files.push(Entry { name, size, content });
    }
    Ok(files)
}

/// Sorts by name, and rejects duplicate names.
fn sorted(mut files: Vec<Entry>) -> Result<Vec<Entry>> {
    files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let twice = files.array_windows().find(|[one, next]| one.name == next.name);
    ensure!(twice.is_none(), "it contains `{}` twice", twice.map_or("", |[one, _]| &one.name));
    let is_folder = |file: &Entry| {
        let folder = format!("{}/", file.name);
        let at = files.partition_point(|other| other.name < folder);
        files.get(at).is_some_and(|next| next.name.starts_with(&folder))
    };
    let folders: Vec<bool> = files.iter().map(is_folder).collect();
    let mut folders = folders.into_iter();
    // GitHub's library writes a folder like an empty file, without a trailing slash.
    let mut wrong = None;
    files.retain(|file| {
        let is_folder = folders.next().unwrap_or_default();
        if is_folder && file.size > 0 {
            wrong.get_or_insert_with(|| file.name.clone());
        }
        !is_folder
    });
    ensure!(wrong.is_none(), "it contains `{}` as a file and as a folder", wrong.unwrap_or_default());
    Ok(files)
}
