//! A report's folder becomes one zip: compressed on all cores, with the same bytes for the same files.

mod walk;
mod zip;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

pub use walk::{Entry, Folder, walk};
use zip::{Method, Sums, ZipWriter};

/// A file up to this size is compressed in memory, ahead of its turn; a larger one is streamed when its turn comes.
/// Together with `MAX_WORKERS` this bounds what packing holds: 16 × (2 + 2) MiB.
const IN_MEMORY: u64 = 2 << 20;
const MAX_WORKERS: usize = 16;

/// Bytes read at once from a file that is streamed.
const CHUNK: usize = 64 << 10;

/// The packed report: a file without a name, which is gone when it is closed, however the program ends.
#[derive(Debug)]
pub struct Archive {
    pub file: File,
    /// Bytes.
    pub size: u64,
}

/// Packs all files of `folder` into a temporary file in `temp`.
pub fn pack(folder: &Folder, temp: &Path) -> Result<Archive> {
    let file =
        tempfile::tempfile_in(temp).with_context(|| format!("cannot make a temporary file in {}", temp.display()))?;
    let out = Out { zip: ZipWriter::new(BufWriter::new(file)), next: 0, failed: None };
    let packer =
        Packer { files: &folder.files, claimed: AtomicUsize::new(0), out: Mutex::new(out), turn: Condvar::new() };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(MAX_WORKERS) {
            scope.spawn(|| packer.work());
        }
    });
    let out = packer.out.into_inner().unwrap_or_else(PoisonError::into_inner);
    match out.failed {
        Some(error) => Err(error),
        None => finish(out.zip).context("cannot write the packed report"),
    }
}

fn finish(zip: ZipWriter<BufWriter<File>>) -> Result<Archive> {
    let file = zip.finish()?.into_inner().map_err(|error| error.into_error())?;
    let size = file.metadata()?.len();
    Ok(Archive { file, size })
}

/// The workers claim files in order and write them in order: each holds one compressed file at most, and the
/// file whose turn it is always belongs to a worker that does not wait.
struct Packer<'a> {
    files: &'a [Entry],
    claimed: AtomicUsize,
    out: Mutex<Out>,
    turn: Condvar,
}

struct Out {
    zip: ZipWriter<BufWriter<File>>,
    next: usize,
    failed: Option<anyhow::Error>,
}

impl Packer<'_> {
    fn work(&self) {
        let mut deflate = Compress::new(Compression::default(), false);
        loop {
            let index = self.claimed.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = self.files.get(index) else { return };
            let packed = (entry.size <= IN_MEMORY).then(|| compress(entry, &mut deflate));
            let mut out = self.wait_for_turn(index);
            if out.failed.is_some() {
                return;
            }
            let written = match packed {
                Some(packed) => packed.and_then(|(sums, data)| out.zip.append(&entry.name, &sums, &data)),
                None => stream(entry, &mut out.zip),
            };
            out.failed = written.with_context(|| format!("cannot pack `{}`", entry.name)).err();
            out.next += 1;
            drop(out);
            self.turn.notify_all();
        }
    }

    fn wait_for_turn(&self, index: usize) -> MutexGuard<'_, Out> {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn
            .wait_while(out, |out| out.next != index && out.failed.is_none())
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn compress(entry: &Entry, deflate: &mut Compress) -> Result<(Sums, Vec<u8>)> {
    let mut data = Vec::with_capacity(entry.size as usize);
    read(entry, |chunk| data.write_all(chunk))?;
    let mut crc = Crc::new();
    crc.update(&data);
    // Given no more room than the file itself takes, deflate ends only where it saves something.
    let mut packed = Vec::with_capacity(data.len());
    deflate.reset();
    let ended = deflate.compress_vec(&data, &mut packed, FlushCompress::Finish)? == Status::StreamEnd;
    let shrunk = ended && packed.len() < data.len();
    let (method, stored) = if shrunk { (Method::Deflate, packed) } else { (Method::Store, data) };
    let sums = Sums { method, crc: crc.sum(), packed: stored.len() as u64, size: entry.size };
    Ok((sums, stored))
}

fn stream(entry: &Entry, zip: &mut ZipWriter<BufWriter<File>>) -> Result<()> {
    zip.append_stream(&entry.name, |out| {
        let mut crc = Crc::new();
        let mut encoder = DeflateEncoder::new(out, Compression::default());
        read(entry, |chunk| {
            crc.update(chunk);
            encoder.write_all(chunk)
        })?;
        encoder.try_finish()?;
        Ok(Sums { method: Method::Deflate, crc: crc.sum(), packed: encoder.total_out(), size: entry.size })
    })
}

/// Hands the file's bytes on, and makes sure that they are the ones that were there when the folder was walked.
fn read(entry: &Entry, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
    let mut file = File::open(&entry.path)?;
    let before = modified(&file)?;
    let mut chunk = vec![0; CHUNK.min(entry.size as usize + 1)];
    let mut left = entry.size;
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        ensure!(count as u64 <= left, CHANGED);
        left -= count as u64;
        take(&chunk[..count])?;
    }
    ensure!(left == 0 && modified(&file)? == before, CHANGED);
    Ok(())
}

const CHANGED: &str = "it changed while it was being read: upload after the report is complete";

fn modified(file: &File) -> Result<Option<SystemTime>> {
    Ok(file.metadata()?.modified().ok())
}

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
        let walked = walk(folder.path()).unwrap();
        change(folder.path());
        format!("{:#}", pack(&walked, folder.path()).unwrap_err())
    }

    #[test]
    fn a_file_that_changes_while_it_is_packed_is_named() {
        let text = "it changed while it was being read: upload after the report is complete";
        let written = |name: &'static str, content: Vec<u8>| {
            packed_after(move |folder| std::fs::write(folder.join(name), content).unwrap())
        };
        assert_eq!(written("7.html", b"a longer page".to_vec()), format!("cannot pack `7.html`: {text}"));
        assert_eq!(written("7.html", Vec::new()), format!("cannot pack `7.html`: {text}"));
        assert_eq!(written("large.html", vec![b' '; 10]), format!("cannot pack `large.html`: {text}"));
    }

    #[test]
    fn a_file_that_vanishes_is_named() {
        let text = packed_after(|folder| std::fs::remove_file(folder.join("7.html")).unwrap());
        assert!(text.starts_with("cannot pack `7.html`: "), "{text}");
    }

    #[test]
    fn a_place_for_temporary_files_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "page").unwrap();
        let missing = folder.path().join("missing");
        let error = pack(&walk(folder.path()).unwrap(), &missing).unwrap_err();
        assert!(error.to_string().starts_with("cannot make a temporary file in "), "{error}");
    }
}
