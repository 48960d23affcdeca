//! SHA-256 and hexadecimal digits.

use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek};

use anyhow::{Context, Result};
use ring::digest::{Context as Hasher, SHA256, digest};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// SHA-256 of a file from its start, in hexadecimal.
pub fn sha256_of_file(mut file: &File) -> Result<String> {
    file.rewind()?;
    let mut hasher = Hasher::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk).context("cannot read the file")?;
        if count == 0 {
            return Ok(hex(hasher.finish().as_ref()));
        }
        hasher.update(&chunk[..count]);
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
