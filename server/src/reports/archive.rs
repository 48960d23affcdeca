//! A report's zip: builds an index from the central directory, and serves entries as gzip or inflated.

mod data;

use std::io;

use crate::store::object::Tail;
use rawzip::{CompressionMethod, ReaderAt, ZipArchive, ZipFileHeaderRecord, ZipLocator};

/// The maximum size of a central directory: this per allowed file, and a constant.
const DIRECTORY_BYTES_OF_A_FILE: u64 = 160;
const DIRECTORY_BYTES: u64 = 1 << 20;
/// The maximum compression ratio of deflate.
const DEFLATE_RATIO: u64 = 1032;
/// The size of a local header without name and extra field.
const LOCAL_HEADER: u64 = 30;

/// Why a zip cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("invalid or truncated zip ({0})")]
    InvalidZip(#[from] rawzip::Error),
    #[error("it contains no file")]
    Empty,
    #[error("it contains more than {0} files")]
    TooManyFiles(usize),
    #[error("its files take more than {0} bytes unpacked")]
    TooLargeUnpacked(u64),
    #[error("its directory takes more than {0} bytes")]
    DirectoryTooLarge(u64),
    #[error("its directory announces {claimed} files and contains {found}")]
    WrongCount { claimed: u64, found: u64 },
    #[error(
        "it names a file {0:?}: names must be UTF-8, relative, and free of . and .. parts, backslashes and control characters"
    )]
    InvalidName(String),
    #[error("it names {0:?} twice, or as a file and as a folder")]
    Duplicate(String),
    #[error("{0:?} is encrypted")]
    Encrypted(String),
    #[error("{0:?} is compressed by a method other than deflate")]
    UnsupportedMethod(String),
    #[error("{path:?} takes more than {limit} bytes unpacked")]
    TooLarge { path: String, limit: u64 },
    #[error("{0:?} is outside of the zip, or overlaps another entry")]
    Misplaced(String),
    #[error("{0:?} has impossible sizes or an impossible checksum")]
    InvalidSizes(String),
    #[error("{0:?} does not match its checksum")]
    Checksum(String),
    #[error("the local header of {0:?} is invalid")]
    LocalHeader(String),
}

impl ArchiveError {
    /// The setting whose limit this zip exceeds.
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::TooManyFiles(_) | Self::DirectoryTooLarge(_) => Some("MAX_REPORT_FILES"),
            Self::TooLarge { .. } => Some("MAX_FILE_BYTES"),
            Self::TooLargeUnpacked(_) => Some("MAX_UNPACKED_BYTES"),
            _ => None,
        }
    }
}

/// Limits for the content of a report.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `MAX_REPORT_FILES`.
    pub files: usize,
    /// `MAX_FILE_BYTES`, of one file, unpacked.
    pub file: u32,
    /// `MAX_UNPACKED_BYTES`, of all files together.
    pub unpacked: u64,
}

impl Limits {
    fn directory(&self) -> u64 {
        (self.files as u64).saturating_mul(DIRECTORY_BYTES_OF_A_FILE).saturating_add(DIRECTORY_BYTES)
    }
}

/// The result of reading the tail of a zip.
pub enum Opened {
    Index(Index),
    /// The central directory begins before the tail, at this offset.
    Before(u64),
}

/// The files of a report by their path.
#[derive(Debug)]
pub struct Index {
    /// Sorted by path.
    entries: Vec<Entry>,
}

/// One file of a report.
#[derive(Debug)]
pub struct Entry {
    pub path: Box<str>,
    /// The offset of the local header.
    pub offset: u64,
    /// The number of bytes up to the next entry: local header, data and anything between.
    pub span: u64,
    /// The compressed size.
    pub compressed: u64,
    /// The uncompressed size.
    pub size: u64,
    pub crc: u32,
    /// Deflated or stored.
    pub deflated: bool,
}

struct Window<'a>(&'a Tail);

impl ReaderAt for Window<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = offset.checked_sub(self.0.offset).ok_or(io::ErrorKind::InvalidInput)?;
        let rest = usize::try_from(start).ok().and_then(|start| self.0.bytes.get(start..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

impl Index {
    /// Reads the central directory, or returns the offset where it begins.
    pub fn open(tail: &Tail, limits: &Limits) -> Result<Opened, ArchiveError> {
        let end = tail.offset + tail.bytes.len() as u64;
        let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let archive = ZipLocator::new().locate_in_reader(Window(tail), &mut buffer, end).map_err(|(_, error)| error)?;
        let directory = archive.directory_offset();
        // Checked before anything is allocated: a directory may announce 2^64 files.
        if archive.entries_hint() > limits.files as u64 {
            return Err(ArchiveError::TooManyFiles(limits.files));
        }
        if end.saturating_sub(directory) > limits.directory() {
            return Err(ArchiveError::DirectoryTooLarge(limits.directory()));
        }
        if directory < tail.offset {
            return Ok(Opened::Before(directory));
        }
        Self::read(&archive, directory, &mut buffer, limits).map(Opened::Index)
    }

    fn read(
        archive: &ZipArchive<Window<'_>>,
        directory: u64,
        buffer: &mut [u8],
        limits: &Limits,
    ) -> Result<Self, ArchiveError> {
        let (mut entries, mut found, mut unpacked) = (Vec::new(), 0, 0_u64);
        let mut records = archive.entries(buffer);
        while let Some(record) = records.next_entry()? {
            found += 1;
            if found > limits.files as u64 {
                return Err(ArchiveError::TooManyFiles(limits.files));
            }
            if record.is_dir() && record.uncompressed_size_hint() == 0 {
                continue;
            }
            let entry = Entry::of(&record, limits)?;
            unpacked = unpacked.saturating_add(entry.size);
            if unpacked > limits.unpacked {
                return Err(ArchiveError::TooLargeUnpacked(limits.unpacked));
            }
            entries.push(entry);
        }
        if found != archive.entries_hint() {
            return Err(ArchiveError::WrongCount { claimed: archive.entries_hint(), found });
        }
        Self::check(entries, directory)
    }

    /// Computes each entry's span, and rejects overlaps and duplicate names.
    fn check(mut entries: Vec<Entry>, directory: u64) -> Result<Self, ArchiveError> {
        if entries.is_empty() {
            return Err(ArchiveError::Empty);
        }
        entries.sort_unstable_by_key(|entry| entry.offset);
        let mut next = directory;
        for entry in entries.iter_mut().rev() {
            entry.span = next.saturating_sub(entry.offset);
            if entry.span < LOCAL_HEADER + entry.path.len() as u64 + entry.compressed {
                return Err(ArchiveError::Misplaced(entry.path.to_string()));
            }
            next = entry.offset;
            // An extra field has 64 KiB at most: the rest is not part of the entry.
            entry.span =
                entry.span.min(LOCAL_HEADER + entry.path.len() as u64 + entry.compressed + u64::from(u16::MAX));
        }
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let index = Self { entries };
        let twice = index.entries.array_windows().find(|[one, next]| one.path == next.path).map(|[one, _]| one);
        let mut files = index.entries.iter();
        if let Some(entry) =
            twice.or_else(|| files.find(|file| index.below(&format!("{}/", file.path)).next().is_some()))
        {
            return Err(ArchiveError::Duplicate(entry.path.to_string()));
        }
        Ok(index)
    }

    /// The file at `path` and its position in this index.
    pub fn get(&self, path: &str) -> Option<(u32, &Entry)> {
        let at = self.entries.binary_search_by(|entry| (*entry.path).cmp(path)).ok()?;
        Some((u32::try_from(at).ok()?, &self.entries[at]))
    }

    /// The files below a folder, which is `""` or ends with a slash.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = &Entry> {
        let start = self.entries.partition_point(|entry| *entry.path < *folder);
        self.entries[start..].iter().take_while(move |entry| entry.path.starts_with(folder))
    }

    /// The approximate memory use in bytes.
    pub fn weight(&self) -> usize {
        self.entries.iter().map(|entry| size_of::<Entry>() + entry.path.len() + 16).sum()
    }
}

impl Entry {
    /// Validates a record of the directory.
    fn of(record: &ZipFileHeaderRecord<'_>, limits: &Limits) -> Result<Self, ArchiveError> {
        let raw = record.file_path();
        let path = match std::str::from_utf8(raw.as_bytes()) {
            Ok(path) if crate::names::report::is_file_path(path) => Box::<str>::from(path),
            _ => return Err(ArchiveError::InvalidName(String::from_utf8_lossy(raw.as_bytes()).into_owned())),
        };
        if record.flags().is_encrypted() {
            return Err(ArchiveError::Encrypted(path.into()));
        }
        let (compressed, size) = (record.compressed_size_hint(), record.uncompressed_size_hint());
        let method = record.compression_method();
        // Some tools declare an empty file as deflated without any data.
        let deflated = method == CompressionMethod::DEFLATE && (compressed, size) != (0, 0);
        if method != CompressionMethod::DEFLATE && method != CompressionMethod::STORE {
            return Err(ArchiveError::UnsupportedMethod(path.into()));
        }
        if size > u64::from(limits.file) {
            return Err(ArchiveError::TooLarge { path: path.into(), limit: limits.file.into() });
        }
        let possible = if deflated {
            (1..=u64::from(u32::MAX)).contains(&compressed) && size / DEFLATE_RATIO <= compressed
        } else {
            compressed == size
        };
        if !possible || size == 0 && record.crc32() != 0 {
            return Err(ArchiveError::InvalidSizes(path.into()));
        }
        let (offset, crc) = (record.local_header_offset(), record.crc32());
        Ok(Self { path, offset, span: 0, compressed, size, crc, deflated })
    }
}
