//! The check of the fuzz target for zips, which a test runs on its corpus.

use std::env;
use std::io::{Read, Write};

use anyhow::{Context, Result, ensure};

use super::{pack, temporary_file};
use crate::base::deadline::Deadline;
use crate::report;

/// Bytes of unpacked files: packing more takes too long.
const MAX_CHECKED: u64 = 32 << 20;

/// Treats any bytes as a zip and packs its files again. Fails unless the result is a valid zip of the same files.
pub fn check(bytes: &[u8]) -> Result<()> {
    let temp = env::temp_dir();
    let mut file = temporary_file(&temp)?;
    file.write_all(bytes)?;
    let Ok(before) = report::unzip(file, "") else { return Ok(()) };
    if before.bytes() > MAX_CHECKED {
        return Ok(());
    }
    let Ok(archive) = pack(&before, &temp, Deadline::NEVER, &|_| {}) else { return Ok(()) };
    let after = report::unzip(archive.file, "").context("the packed zip is invalid")?;
    ensure!(before.files.len() == after.files.len(), "a file is missing");
    for (before, after) in before.files.iter().zip(&after.files) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        before.open()?.read_to_end(&mut one)?;
        after.open()?.read_to_end(&mut other)?;
        ensure!((&before.name, one) == (&after.name, other), "`{}` differs", before.name);
    }
    Ok(())
}
