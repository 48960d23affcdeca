//! Packs a report into one zip: compressed on all cores, with the same bytes for the same files. Data that is already
//! deflated is verified and copied unchanged. Large video and audio files are stored if deflate saves little.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod temporary;
mod zip;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::base::deadline::Deadline;
use crate::report::{Content, Entry, Report, Zipped};
pub use temporary::{temporary_file, write_error};
use zip::{EntrySummary, Method, ZipWriter};

/// Files up to this size are compressed in memory, larger ones through a temporary file.
const IN_MEMORY: u64 = 256 << 10;
const MAX_WORKERS: usize = 16;
/// Limit for packed files that wait for the files before them. With the two limits above, packing needs about 15 MB on
/// 16 cores and half of it on two; the names of a hostile artifact may need 45 MB more.
const MAX_WAITING: usize = 4 << 20;
/// Added for each waiting file: its bookkeeping, and for a temporary file its file descriptor, which is scarce.
const WAITING_OVERHEAD: usize = 1 << 10;
const WAITING_FILE_BYTES: usize = MAX_WAITING / 16;

/// Extensions of video and audio files. Deflate usually saves about 1 % of them, and the server can answer range requests
/// for a large file only if it is stored. Without ranges, browsers cannot seek, and some do not play.
const MEDIA: &[&str] = &["mp4", "m4v", "mov", "webm", "ogv", "mp3", "m4a", "ogg", "oga"];
/// Bytes at the start of a media file that are deflated to see what that saves. An index there may have some megabytes.
const SAMPLE: u64 = 8 << 20;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// The packed report: an unnamed file, which disappears when it is closed, however the program ends.
#[derive(Debug)]
pub struct Archive {
    pub file: File,
    /// Bytes.
    pub size: u64,
}

/// Called with the number of bytes processed since the last call.
pub type OnProgress<'a> = &'a (dyn Fn(u64) + Sync);

/// Packs all files of `report` into a temporary file in `temp`, within the deadline.
pub fn pack(report: &Report, temp: &Path, deadline: Deadline, on_progress: OnProgress) -> Result<Archive> {
    let zip = ZipWriter::new(BufWriter::new(temporary_file(temp)?));
    let out = OrderedOutput { zip, temp, next: 0, waiting: BTreeMap::new(), waiting_bytes: 0, failed: None };
    let files = &report.files;
    let packer = Packer {
        files,
        temp,
        deadline,
        on_progress,
        claimed: AtomicUsize::new(0),
        out: Mutex::new(out),
        written: Condvar::new(),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(MAX_WORKERS) {
            scope.spawn(|| packer.work());
        }
    });
    let out = packer.out.into_inner().unwrap_or_else(PoisonError::into_inner);
    match out.failed {
        Some(error) => Err(error),
        None => {
            finish(out.zip).map_err(|error| temporary::explain(error, temp)).context("cannot write the packed report")
        }
    }
}

fn finish(zip: ZipWriter<BufWriter<File>>) -> Result<Archive> {
    let file = zip.finish()?.into_inner().map_err(|error| error.into_error())?;
    let size = file.metadata()?.len();
    Ok(Archive { file, size })
}

/// Workers claim files in order. A packed file waits until all files before it are written.
struct Packer<'a> {
    files: &'a [Entry],
    temp: &'a Path,
    deadline: Deadline,
    on_progress: OnProgress<'a>,
    claimed: AtomicUsize,
    out: Mutex<OrderedOutput<'a>>,
    written: Condvar,
}

struct OrderedOutput<'a> {
    zip: ZipWriter<BufWriter<File>>,
    temp: &'a Path,
    next: usize,
    waiting: BTreeMap<usize, Result<Packed<'a>>>,
    /// Bytes of the waiting files.
    waiting_bytes: usize,
    /// The error of the first failed file, in order.
    failed: Option<anyhow::Error>,
}

struct Packed<'a> {
    summary: EntrySummary,
    data: Data<'a>,
}

enum Data<'a> {
    Memory(Vec<u8>),
    File(File),
    /// Still in the zip it came from.
    Zip(&'a Zipped),
}

impl<'a> Packer<'a> {
    fn work(&self) {
        let mut deflate = deflater();
        loop {
            let index = self.claimed.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = self.files.get(index) else { return };
            let packed = self.pack(entry, &mut deflate);
            (self.on_progress)(entry.size);
            let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            // The file that the others wait for must not wait itself.
            let full =
                |out: &mut OrderedOutput| out.waiting_bytes >= MAX_WAITING && out.next != index && out.failed.is_none();
            let mut out = self.written.wait_while(out, full).unwrap_or_else(PoisonError::into_inner);
            out.push(index, packed, self.files);
            if out.failed.is_some() {
                self.claimed.store(self.files.len(), Ordering::Relaxed);
            }
            drop(out);
            self.written.notify_all();
        }
    }

    fn pack(&self, entry: &'a Entry, deflate: &mut Compress) -> Result<Packed<'a>> {
        let input = self.deadline.read(entry.open()?);
        let is_large = entry.size > IN_MEMORY;
        match &entry.content {
            _ if is_large && is_media(&entry.name) && self.is_incompressible(entry)? => {
                store_into(entry, input, temporary_file(self.temp)?)
            }
            Content::Zip(zipped) if zipped.deflated => verify(entry, input, zipped),
            _ if is_large => compress_into(entry, input, temporary_file(self.temp)?),
            _ => compress(entry, input, deflate),
        }
    }

    /// Whether deflate saves little of the file. A small artifact may hold a huge file of zeros: stored, it would fill the
    /// disk and the upload.
    fn is_incompressible(&self, entry: &Entry) -> Result<bool> {
        if let Content::Zip(Zipped { deflated: true, packed, .. }) = entry.content {
            return Ok(saves_little(packed, entry.size));
        }
        let mut sample = self.deadline.read(entry.open()?).take(SAMPLE);
        let mut encoder = DeflateEncoder::new(io::sink(), Compression::default());
        let size = io::copy(&mut sample, &mut encoder)?;
        encoder.try_finish()?;
        Ok(saves_little(encoder.total_out(), size))
    }
}

impl<'a> OrderedOutput<'a> {
    /// Takes one packed file, and writes all files that are now next in order.
    fn push(&mut self, index: usize, packed: Result<Packed<'a>>, files: &[Entry]) {
        self.waiting_bytes += packed.as_ref().map_or(0, Packed::waiting_bytes);
        self.waiting.insert(index, packed);
        while let Some(packed) = self.waiting.remove(&self.next) {
            self.waiting_bytes -= packed.as_ref().map_or(0, Packed::waiting_bytes);
            let name = &files[self.next].name;
            let written = packed.and_then(|packed| self.write(name, packed));
            if let Err(error) = written {
                let error = temporary::explain(error, self.temp);
                self.failed.get_or_insert(error.context(format!("cannot pack `{name}`")));
                return;
            }
            self.next += 1;
        }
    }

    fn write(&mut self, name: &str, packed: Packed) -> Result<()> {
        match packed.data {
            Data::Memory(bytes) => self.zip.append(name, &packed.summary, &mut bytes.as_slice()),
            Data::File(mut file) => {
                file.rewind()?;
                self.zip.append(name, &packed.summary, &mut file)
            }
            Data::Zip(zipped) => self.zip.append(name, &packed.summary, &mut zipped.data()),
        }
    }
}

impl Packed<'_> {
    fn waiting_bytes(&self) -> usize {
        match &self.data {
            Data::Memory(bytes) => bytes.len() + WAITING_OVERHEAD,
            Data::File(_) => WAITING_FILE_BYTES,
            Data::Zip(_) => WAITING_OVERHEAD,
        }
    }
}

/// Verifies that the deflated data, which browsers receive unchanged, match the size and checksum in the zip.
fn verify<'a>(entry: &'a Entry, input: impl Read, zipped: &'a Zipped) -> Result<Packed<'a>> {
    read(entry, input, |_| Ok(()))?;
    let Zipped { packed, crc, .. } = *zipped;
    let summary = EntrySummary { method: Method::Deflate, crc, packed, size: entry.size };
    Ok(Packed { summary, data: Data::Zip(zipped) })
}

fn deflater() -> Compress {
    Compress::new(Compression::default(), false)
}

fn compress<'a>(entry: &Entry, input: impl Read, deflate: &mut Compress) -> Result<Packed<'a>> {
    let mut data = Vec::with_capacity(entry.size as usize);
    read(entry, input, |chunk| data.write_all(chunk))?;
    let mut crc = Crc::new();
    crc.update(&data);
    // Reserves space for incompressible data too: a deflater that runs out of space must be replaced, because zlib-rs
    // 0.6.8 does not reset it fully and panics some files later, and replacing it fragments memory.
    let mut packed = Vec::with_capacity(data.len() + data.len() / 8 + 64);
    deflate.reset();
    let ended = deflate.compress_vec(&data, &mut packed, FlushCompress::Finish)? == Status::StreamEnd;
    if !ended {
        *deflate = deflater();
    }
    let shrunk = ended && packed.len() < data.len();
    let (method, mut stored) = if shrunk { (Method::Deflate, packed) } else { (Method::Store, data) };
    stored.shrink_to_fit();
    let summary = EntrySummary { method, crc: crc.sum(), packed: stored.len() as u64, size: entry.size };
    Ok(Packed { summary, data: Data::Memory(stored) })
}

fn compress_into<'a>(entry: &Entry, input: impl Read, file: File) -> Result<Packed<'a>> {
    let mut crc = Crc::new();
    let mut encoder = DeflateEncoder::new(file, Compression::default());
    read(entry, input, |chunk| {
        crc.update(chunk);
        encoder.write_all(chunk)
    })?;
    encoder.try_finish()?;
    let summary =
        EntrySummary { method: Method::Deflate, crc: crc.sum(), packed: encoder.total_out(), size: entry.size };
    Ok(Packed { summary, data: Data::File(encoder.finish()?) })
}

fn store_into<'a>(entry: &Entry, input: impl Read, mut file: File) -> Result<Packed<'a>> {
    let mut crc = Crc::new();
    read(entry, input, |chunk| {
        crc.update(chunk);
        file.write_all(chunk)
    })?;
    let summary = EntrySummary { method: Method::Store, crc: crc.sum(), packed: entry.size, size: entry.size };
    Ok(Packed { summary, data: Data::File(file) })
}

/// Whether `packed` bytes are more than nine tenths of `size`.
fn saves_little(packed: u64, size: u64) -> bool {
    packed > size / 10 * 9
}

fn is_media(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    MEDIA.iter().any(|media| media.eq_ignore_ascii_case(extension))
}

/// Passes the file's bytes to `on_chunk`, and verifies that the file has not changed since the report was read.
fn read(entry: &Entry, mut input: impl Read, mut on_chunk: impl FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
    let before = modified(entry)?;
    let mut chunk = vec![0; CHUNK.min(entry.size as usize + 1)];
    let mut left = entry.size;
    loop {
        let count = input.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        ensure!(count as u64 <= left, CHANGED);
        left -= count as u64;
        on_chunk(&chunk[..count])?;
    }
    ensure!(left == 0 && modified(entry)? == before, CHANGED);
    Ok(())
}

const CHANGED: &str = "it changed while it was being read: upload after the report is complete";

/// When the file was last modified; `None` for what this program made itself.
fn modified(entry: &Entry) -> Result<Option<SystemTime>> {
    match &entry.content {
        Content::File(path) => Ok(fs::metadata(path)?.modified().ok()),
        Content::Zip(_) | Content::Generated(_) => Ok(None),
    }
}

#[cfg(test)]
mod zip_tests;

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs a folder that `change` has changed since it was walked.
    fn packed_after(change: impl FnOnce(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..40 {
            std::fs::write(folder.path().join(format!("{number}.html")), "page").unwrap();
        }
        std::fs::write(folder.path().join("large.html"), vec![b' '; IN_MEMORY as usize + 1]).unwrap();
        let walked = crate::report::walk(folder.path()).unwrap();
        change(folder.path());
        format!("{:#}", pack(&walked, folder.path(), Deadline::NEVER, &|_| {}).unwrap_err())
    }

    #[test]
    fn errors_name_files_that_change_during_packing() {
        let text = "it changed while it was being read: upload after the report is complete";
        let written = |name: &'static str, content: Vec<u8>| {
            packed_after(move |folder| std::fs::write(folder.join(name), content).unwrap())
        };
        assert_eq!(written("7.html", b"a longer page".to_vec()), format!("cannot pack `7.html`: {text}"));
        assert_eq!(written("7.html", Vec::new()), format!("cannot pack `7.html`: {text}"));
        assert_eq!(written("large.html", vec![b' '; 10]), format!("cannot pack `large.html`: {text}"));
    }

    #[test]
    fn errors_name_files_that_are_deleted_during_packing() {
        let text = packed_after(|folder| std::fs::remove_file(folder.join("7.html")).unwrap());
        assert!(text.starts_with("cannot pack `7.html`: "), "{text}");
    }

    #[test]
    fn errors_name_a_missing_temporary_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "page").unwrap();
        let missing = folder.path().join("missing");
        let error = pack(&crate::report::walk(folder.path()).unwrap(), &missing, Deadline::NEVER, &|_| {}).unwrap_err();
        assert!(error.to_string().starts_with("cannot create a temporary file in "), "{error}");
    }

    #[test]
    fn packing_stops_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "page").unwrap();
        let report = crate::report::walk(folder.path()).unwrap();
        let over = Deadline::new(std::time::Instant::now(), std::time::Duration::ZERO);
        let error = format!("{:#}", pack(&report, folder.path(), over, &|_| {}).unwrap_err());
        assert_eq!(error, "cannot pack `index.html`: the run exceeded its time limit of 0 s: raise --timeout");
    }

    fn noise() -> impl Iterator<Item = u8> {
        let mut dice = 1_u32;
        std::iter::repeat_with(move || {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 24) as u8
        })
    }

    /// The files of a folder in a zip, each of them deflated or each of them stored.
    fn artifact(folder: &Path, deflated: bool) -> Report {
        let mut zip = ZipWriter::new(BufWriter::new(temporary_file(folder).unwrap()));
        for entry in crate::report::walk(folder).unwrap().files {
            let file = temporary_file(folder).unwrap();
            let pack = if deflated { compress_into } else { store_into };
            let Packed { summary, data: Data::File(mut file) } = pack(&entry, entry.open().unwrap(), file).unwrap()
            else {
                panic!("expected a file")
            };
            file.rewind().unwrap();
            zip.append(&entry.name, &summary, &mut file).unwrap();
        }
        crate::report::unzip(finish(zip).unwrap().file, "").unwrap()
    }

    #[test]
    fn large_videos_are_stored_unless_deflate_makes_them_much_smaller() {
        let folder = tempfile::tempdir().unwrap();
        let noise: Vec<u8> = noise().take(IN_MEMORY as usize + 1).collect();
        let content = |name: &str| if name.starts_with("zeros") { vec![0; 64 * noise.len()] } else { noise.clone() };
        for name in ["video.MP4", "page.html", "zeros.mp4"] {
            std::fs::write(folder.path().join(name), content(name)).unwrap();
        }
        let walked = crate::report::walk(folder.path()).unwrap();
        for report in [walked, artifact(folder.path(), true), artifact(folder.path(), false)] {
            let archive = pack(&report, folder.path(), Deadline::NEVER, &|_| {}).unwrap();
            assert!(archive.size < 3 * noise.len() as u64, "{} bytes", archive.size);
            for entry in crate::report::unzip(archive.file, "").unwrap().files {
                let Content::Zip(zipped) = &entry.content else { panic!("expected a zip entry") };
                assert_eq!(zipped.deflated, entry.name != "video.MP4", "{}", entry.name);
                let mut read = Vec::new();
                entry.open().unwrap().read_to_end(&mut read).unwrap();
                assert!(read == content(&entry.name), "{}", entry.name);
            }
        }
    }

    #[test]
    fn the_deflater_is_reused_for_incompressible_files() {
        let folder = tempfile::tempdir().unwrap();
        let (mut noise, mut deflate) = (noise(), deflater());
        for size in [1, 40, 1_000, 70_000, IN_MEMORY] {
            let path = folder.path().join(size.to_string());
            let content: Vec<u8> = noise.by_ref().take(size as usize).collect();
            std::fs::write(&path, content).unwrap();
            let entry = Entry { name: size.to_string(), size, content: Content::File(path) };
            let packed = compress(&entry, entry.open().unwrap(), &mut deflate).unwrap();
            assert!(matches!(packed.summary.method, Method::Store), "{size}");
            assert_eq!(deflate.total_in(), size, "the deflater was reused");
        }
    }
}
