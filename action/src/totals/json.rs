//! JSON as a stream: only the fields that a format names are kept.

use std::io::{BufRead, Read};

use anyhow::{Result, ensure};
use serde::de::DeserializeOwned;

/// Bytes of a JSON file that are read: a key may be as long, so this bounds the memory too.
const MAX_BYTES: u64 = 256 << 20;

/// `None` where the file is JSON of another kind.
pub fn read<T: DeserializeOwned>(input: &mut dyn BufRead) -> Result<Option<T>> {
    let mut input = input.take(MAX_BYTES);
    let value = serde_json::from_reader(&mut input);
    ensure!(input.limit() > 0, "it is longer than {MAX_BYTES} bytes");
    match value {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_data() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
