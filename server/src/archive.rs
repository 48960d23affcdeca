//! A report's zip: its central directory → an index; an entry's bytes → gzip as it is, or inflated as it goes.

use std::io;

use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use futures_util::stream::{self, Stream, StreamExt};
use rawzip::{CompressionMethod, Crc32, ReaderAt, ZipArchive, ZipLocator};

/// Files in one report, at most.
pub const MAX_ENTRIES: usize = 100_000;
/// Bytes of a central directory, at most: enough for `MAX_ENTRIES` names of 100 bytes.
pub const MAX_DIRECTORY_BYTES: u64 = 16 << 20;
/// Bytes of an inflated chunk.
const CHUNK: usize = 64 << 10;
/// Bytes of a local header without its name and its extra field.
const LOCAL_HEADER: u64 = 30;

/// Why a zip cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it is no zip that can be read ({0})")]
    NoZip(#[from] rawzip::Error),
    #[error("it holds no file")]
    Empty,
    #[error("it holds more than {MAX_ENTRIES} files")]
    TooManyEntries,
    #[error("its directory takes more than {MAX_DIRECTORY_BYTES} bytes")]
    DirectoryTooLarge,
    #[error("its directory names {claimed} files and holds {found}")]
    WrongCount { claimed: u64, found: u64 },
    #[error(
        "it names a file {0:?}: names must be UTF-8, relative, and free of . and .. parts, backslashes and control characters"
    )]
    Name(String),
    #[error("it names {0:?} twice, or as a file and as a folder")]
    Twice(String),
    #[error("{0:?} is encrypted")]
    Encrypted(String),
    #[error("{0:?} is compressed by a method other than deflate")]
    Method(String),
    #[error("{0:?} is larger than 4 GiB")]
    TooLarge(String),
    #[error("{0:?} lies outside of the file, or over another entry")]
    Misplaced(String),
    #[error("{0:?} has sizes or a checksum that cannot be")]
    Sizes(String),
    #[error("{0:?} is not what its checksum says")]
    Checksum(String),
    #[error("the local header of {0:?} is broken")]
    LocalHeader(String),
}

/// The end of a zip file: `bytes`, up to the file's end, the first at `offset`.
pub struct Tail {
    pub offset: u64,
    pub bytes: Bytes,
}

/// What the tail of a zip gives.
pub enum Opened {
    Index(Index),
    /// The central directory begins before the tail: read from here on.
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
    /// Where the local header begins.
    pub offset: u64,
    /// Bytes from there to the next entry at most: local header, data, and whatever stands in between.
    pub span: u64,
    /// Bytes in the zip.
    pub compressed: u64,
    /// Bytes of the file.
    pub size: u64,
    pub crc: u32,
    /// Deflated, not stored.
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
    /// Reads the central directory, or says from where on it needs the file.
    pub fn open(tail: &Tail) -> Result<Opened, ArchiveError> {
        let end = tail.offset + tail.bytes.len() as u64;
        let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let archive = ZipLocator::new().locate_in_reader(Window(tail), &mut buffer, end).map_err(|(_, error)| error)?;
        let directory = archive.directory_offset();
        if end.saturating_sub(directory) > MAX_DIRECTORY_BYTES {
            return Err(ArchiveError::DirectoryTooLarge);
        }
        if directory < tail.offset {
            return Ok(Opened::Before(directory));
        }
        Self::read(&archive, directory, &mut buffer).map(Opened::Index)
    }

    fn read(archive: &ZipArchive<Window<'_>>, directory: u64, buffer: &mut [u8]) -> Result<Self, ArchiveError> {
        let mut entries = Vec::new();
        let mut found = 0;
        let mut records = archive.entries(buffer);
        while let Some(record) = records.next_entry()? {
            found += 1;
            if found > MAX_ENTRIES as u64 {
                return Err(ArchiveError::TooManyEntries);
            }
            if record.is_dir() && record.uncompressed_size_hint() == 0 {
                continue;
            }
            let raw = record.file_path();
            let path = match std::str::from_utf8(raw.as_bytes()) {
                Ok(path) if crate::key::is_file_path(path) => Box::<str>::from(path),
                _ => {
                    return Err(ArchiveError::Name(String::from_utf8_lossy(raw.as_bytes()).into_owned()));
                }
            };
            if record.flags().is_encrypted() {
                return Err(ArchiveError::Encrypted(path.into()));
            }
            let deflated = record.compression_method() == CompressionMethod::DEFLATE;
            if !deflated && record.compression_method() != CompressionMethod::STORE {
                return Err(ArchiveError::Method(path.into()));
            }
            let (compressed, size) = (record.compressed_size_hint(), record.uncompressed_size_hint());
            if compressed.max(size) > u64::from(u32::MAX) {
                return Err(ArchiveError::TooLarge(path.into()));
            }
            if !deflated && compressed != size || size == 0 && record.crc32() != 0 {
                return Err(ArchiveError::Sizes(path.into()));
            }
            entries.push(Entry {
                path,
                offset: record.local_header_offset(),
                span: 0,
                compressed,
                size,
                crc: record.crc32(),
                deflated,
            });
        }
        if found != archive.entries_hint() {
            return Err(ArchiveError::WrongCount { claimed: archive.entries_hint(), found });
        }
        Self::check(entries, directory)
    }

    /// Measures each entry's span, and refuses overlaps and names that stand twice.
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
            // An extra field holds 64 KiB at most: what lies beyond is no part of the entry.
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
            return Err(ArchiveError::Twice(entry.path.to_string()));
        }
        Ok(index)
    }

    /// The file at `path`, and its number in this index.
    pub fn get(&self, path: &str) -> Option<(u32, &Entry)> {
        let at = self.entries.binary_search_by(|entry| (*entry.path).cmp(path)).ok()?;
        Some((u32::try_from(at).ok()?, &self.entries[at]))
    }

    /// The files below a folder, which is `""` or ends with a slash.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = &Entry> {
        let start = self.entries.partition_point(|entry| *entry.path < *folder);
        self.entries[start..].iter().take_while(move |entry| entry.path.starts_with(folder))
    }

    /// Bytes of memory that the index takes, about.
    pub fn weight(&self) -> usize {
        self.entries.iter().map(|entry| size_of::<Entry>() + entry.path.len() + 16).sum()
    }
}

impl Entry {
    /// The range of the zip that holds the local header and the data.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset + self.span
    }

    /// Where the data begins in that range, by the local header at its start.
    pub fn data_start(&self, local: &[u8]) -> Result<usize, ArchiveError> {
        let broken = || ArchiveError::LocalHeader(self.path.to_string());
        let header =
            local.get(..LOCAL_HEADER as usize).filter(|header| header.starts_with(b"PK\x03\x04")).ok_or_else(broken)?;
        let variable = u64::from(u16::from_le_bytes([header[26], header[27]]))
            + u64::from(u16::from_le_bytes([header[28], header[29]]));
        let start = LOCAL_HEADER + variable;
        if start + self.compressed <= self.span { Ok(start as usize) } else { Err(broken()) }
    }

    /// Bytes of the entry as it is kept and sent: a gzip member if it is deflated, else the data.
    pub fn packed_len(&self) -> u64 {
        if self.deflated { self.compressed + (GZIP_HEADER.len() + 8) as u64 } else { self.compressed }
    }

    /// Frames the entry's data as it is kept and sent. Whoever inflates a gzip member checks it; stored data is checked here.
    pub fn pack(&self, data: &[u8]) -> Result<Bytes, ArchiveError> {
        if !self.deflated {
            let fits = rawzip::crc32(data) == self.crc;
            return fits
                .then(|| Bytes::copy_from_slice(data))
                .ok_or_else(|| ArchiveError::Checksum(self.path.to_string()));
        }
        let mut gzip = BytesMut::with_capacity(data.len() + GZIP_HEADER.len() + 8);
        gzip.extend_from_slice(GZIP_HEADER);
        gzip.extend_from_slice(data);
        gzip.extend_from_slice(&self.gzip_trailer());
        Ok(gzip.freeze())
    }

    /// What follows the data in a gzip member: CRC-32 and size.
    fn gzip_trailer(&self) -> [u8; 8] {
        let (mut trailer, size) = ([0; 8], self.size as u32);
        trailer[..4].copy_from_slice(&self.crc.to_le_bytes());
        trailer[4..].copy_from_slice(&size.to_le_bytes());
        trailer
    }

    /// The deflated or stored data inside of [`Entry::pack`]'s bytes.
    pub fn data_of(&self, packed: &Bytes) -> Bytes {
        if self.deflated { packed.slice(GZIP_HEADER.len()..packed.len() - 8) } else { packed.clone() }
    }

    /// [`Entry::pack`] for data that comes as a stream.
    pub fn pack_stream<S>(&self, data: S) -> impl Stream<Item = io::Result<Bytes>> + Send + use<S>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let (head, trailer) = if self.deflated {
            (Bytes::from_static(GZIP_HEADER), Bytes::copy_from_slice(&self.gzip_trailer()))
        } else {
            (Bytes::new(), Bytes::new())
        };
        let one = |bytes: Bytes| stream::iter((!bytes.is_empty()).then_some(Ok(bytes)));
        one(head).chain(data).chain(one(trailer))
    }

    /// The file's own bytes from its data in the zip; a size or a checksum that does not fit ends it with an error.
    pub fn inflate<S>(&self, data: S) -> impl Stream<Item = io::Result<Bytes>> + Send + use<S>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin,
    {
        let state = Inflate {
            data,
            input: Bytes::new(),
            inflater: self.deflated.then(|| Decompress::new(false)),
            crc: Crc32::new(),
            expected_crc: self.crc,
            remaining: self.size,
            done: false,
        };
        stream::unfold(state, |mut state| async move {
            if state.done {
                return None;
            }
            let chunk = state.next().await;
            state.done |= chunk.is_err();
            Some((chunk, state))
        })
        .filter(|chunk| std::future::ready(!matches!(chunk, Ok(bytes) if bytes.is_empty())))
    }
}

/// Deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

struct Inflate<S> {
    data: S,
    input: Bytes,
    inflater: Option<Decompress>,
    crc: Crc32,
    expected_crc: u32,
    /// Bytes of the file that are still to come.
    remaining: u64,
    done: bool,
}

impl<S: Stream<Item = io::Result<Bytes>> + Send + Unpin> Inflate<S> {
    /// The next bytes of the file. The last ones are given out only when the checksum fits.
    async fn next(&mut self) -> io::Result<Bytes> {
        let mut ended = false;
        if self.input.is_empty() {
            match self.data.next().await {
                Some(input) => self.input = input?,
                None => ended = true,
            }
        }
        let chunk = match &mut self.inflater {
            None => std::mem::take(&mut self.input),
            Some(inflater) => {
                let mut output = Vec::with_capacity(CHUNK);
                let before = inflater.total_in();
                let flush = if ended { FlushDecompress::Finish } else { FlushDecompress::None };
                let status = inflater.decompress_vec(&self.input, &mut output, flush).map_err(io::Error::other)?;
                let read = (inflater.total_in() - before) as usize;
                self.input = self.input.slice(read..);
                // Input that is all read may still have output behind it: only an idle call ends it.
                ended = status == Status::StreamEnd || ended && output.is_empty();
                output.into()
            }
        };
        self.crc.update(&chunk);
        self.remaining =
            self.remaining.checked_sub(chunk.len() as u64).ok_or_else(|| broken("longer than its entry says"))?;
        if self.remaining == 0 {
            self.done = true;
            if self.crc.checksum() != self.expected_crc {
                return Err(broken("not what its checksum says"));
            }
        } else if ended {
            return Err(broken("shorter than its entry says"));
        }
        Ok(chunk)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a stored file is {what}"))
}
