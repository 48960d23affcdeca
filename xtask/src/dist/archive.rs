//! Packs files as `tar.gz`, or as `zip` for Windows: the same files give the same bytes.

use std::io::{Cursor, Read, Write};

use anyhow::{Context, ensure};
use flate2::write::DeflateEncoder;
use flate2::{Compression, GzBuilder};
use rawzip::time::UtcDateTime;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveWriter};

/// The maximum size of an unpacked program.
const MAX_PROGRAM: u64 = 1 << 30;

pub struct Entry {
    pub name: String,
    pub bytes: Vec<u8>,
    pub is_program: bool,
}

impl Entry {
    fn mode(&self) -> u32 {
        if self.is_program { 0o755 } else { 0o644 }
    }
}

/// The name of a released archive.
pub fn name(program: &str, version: &str, target: &str) -> String {
    let end = if is_zip(target) { "zip" } else { "tar.gz" };
    format!("{program}-{version}-{target}.{end}")
}

fn is_zip(target: &str) -> bool {
    target.contains("-windows-")
}

/// Packs the entries in the format of the target's system.
pub fn pack(entries: &[Entry], target: &str) -> anyhow::Result<Vec<u8>> {
    let date = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|date| !date.is_empty());
    let date = date.map_or(Ok(0), |date| date.parse()).context("SOURCE_DATE_EPOCH must be a number of seconds")?;
    if is_zip(target) { zip(entries, date) } else { tar_gz(entries, date) }
}

fn tar_gz(entries: &[Entry], date: u64) -> anyhow::Result<Vec<u8>> {
    // The header contains no file name, no system and no time, so that it is reproducible.
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(entry.mode());
        header.set_mtime(date);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, &entry.name, entry.bytes.as_slice())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

fn zip(entries: &[Entry], date: u64) -> anyhow::Result<Vec<u8>> {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for entry in entries {
        let file = zip.new_file(&entry.name).compression_method(CompressionMethod::DEFLATE);
        let file = file.last_modified(UtcDateTime::from_unix(date.try_into()?)).unix_permissions(entry.mode());
        let (mut file, config) = file.start()?;
        let deflate = DeflateEncoder::new(&mut file, Compression::best());
        let mut data = config.wrap(deflate);
        data.write_all(&entry.bytes)?;
        let (deflate, output) = data.finish()?;
        deflate.finish()?;
        file.finish(output)?;
    }
    Ok(zip.finish()?)
}

/// The bytes of the file with that name in any folder.
pub fn unpack(archive: &[u8], target: &str, file: &str) -> anyhow::Result<Vec<u8>> {
    let found = if is_zip(target) { from_zip(archive, file) } else { from_tar_gz(archive, file) };
    found?.with_context(|| format!("the archive contains no {file}"))
}

fn from_tar_gz(archive: &[u8], file: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(Cursor::new(archive)));
    for entry in tar.entries()? {
        let entry = entry?;
        if entry.path()?.file_name().is_some_and(|name| name == file) {
            return read(entry).map(Some);
        }
    }
    Ok(None)
}

fn from_zip(archive: &[u8], file: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let zip = ZipArchive::from_slice(archive)?;
    for entry in zip.entries() {
        let entry = entry?;
        if entry.file_path().as_ref().rsplit(|byte| *byte == b'/').next() == Some(file.as_bytes()) {
            let data = zip.get_entry(entry.wayfinder())?;
            return read(flate2::read::DeflateDecoder::new(data.data())).map(Some);
        }
    }
    Ok(None)
}

fn read(source: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_PROGRAM + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_PROGRAM, "the file is larger than {MAX_PROGRAM} bytes");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_files_are_unpacked_unchanged() {
        for target in ["x86_64-unknown-linux-musl", "x86_64-pc-windows-msvc"] {
            let entries = || {
                let entry = |name: &str, bytes: &[u8], is_program| Entry {
                    name: name.to_owned(),
                    bytes: bytes.to_vec(),
                    is_program,
                };
                [entry("x/LICENSE", b"", false), entry("x/covered", &[7; 100_000], true)]
            };
            let bytes = pack(&entries(), target).unwrap();
            assert_eq!(unpack(&bytes, target, "covered").unwrap(), [7; 100_000]);
            assert_eq!(unpack(&bytes, target, "LICENSE").unwrap(), b"");
            assert!(unpack(&bytes, target, "gone").unwrap_err().to_string().contains("contains no gone"));
            assert_eq!(bytes, pack(&entries(), target).unwrap());
        }
    }
}
