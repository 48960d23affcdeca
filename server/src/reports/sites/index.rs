//! Reads the directory of a zip from the store.

use crate::reports::archive::{ArchiveError, Index, Opened};
use crate::reports::sites::cache::Sites;
use crate::reports::sites::error::IndexError;
use crate::store::error::StorageError;
use crate::store::object::Tail;

/// The number of bytes at the end of a zip to read first: they contain the directory of up to about 5,000 files.
const TAIL_BYTES: u64 = 512 << 10;

impl Sites {
    /// Reads a zip's directory by one read from the store, or by two if it has very many files.
    pub async fn read_index(&self, key: &str) -> Result<Index, IndexError> {
        let reservation = self.reserve(TAIL_BYTES as usize).await?;
        let tail = self.storage.tail(key, TAIL_BYTES).await?;
        let start = match self.parse(tail.clone()).await? {
            Opened::Index(index) => return Ok(index),
            Opened::Before(start) => start,
        };
        drop(reservation);
        // The bytes to read, and a copy of the whole directory.
        let _share = self.reserve(2 * (tail.offset - start) as usize + tail.bytes.len()).await?;
        let mut bytes = self.storage.read(key, start..tail.offset).await?.to_vec();
        bytes.extend_from_slice(&tail.bytes);
        match self.parse(Tail { offset: start, bytes: bytes.into() }).await? {
            Opened::Index(index) => Ok(index),
            Opened::Before(_) => Err(ArchiveError::Misplaced("its directory".to_owned()).into()),
        }
    }

    /// Parses on a blocking thread: 100,000 files take up to a second.
    async fn parse(&self, tail: Tail) -> Result<Opened, IndexError> {
        let limits = self.limits;
        let opened = tokio::task::spawn_blocking(move || Index::open(&tail, &limits)).await;
        Ok(opened.map_err(|error| StorageError::Failed(error.into()))??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::memory::MemoryBudget;
    use crate::reports::archive::Limits;
    use crate::store::settings::StorageConfig;
    use crate::store::storage::Storage;

    #[tokio::test]
    async fn reading_a_large_index_yields_to_other_tasks() {
        let files = 99_999;
        let mut zip = rawzip::ZipArchiveWriter::new(Vec::new());
        for number in 0..files {
            let name = format!("{number}.html");
            let name = rawzip::path::EntryPath::verbatim(name.as_bytes());
            let (mut entry, config) = zip.new_file(name).start().unwrap();
            let (_, nothing) = config.wrap(&mut entry).finish().unwrap();
            entry.finish(nothing).unwrap();
        }
        let storage = Arc::new(Storage::new(&StorageConfig::Memory, None).unwrap());
        storage.create("sites/many.zip", zip.finish().unwrap()).await.unwrap();
        let sites = Sites::new(
            storage,
            1 << 20,
            Limits { files, file: u32::MAX, unpacked: u64::MAX },
            Arc::new(MemoryBudget::new(0, 64 << 20)),
        );
        let mut steps = 0;
        let others = async {
            loop {
                steps += 1;
                tokio::task::yield_now().await;
            }
        };
        // The runtime has one thread: other tasks run only when reading the index yields.
        tokio::select! {
            index = sites.read_index("sites/many.zip") => assert_eq!(index.unwrap().below("").count(), files),
            () = others => {}
        }
        assert!(steps > 50, "{steps} steps");
    }
}
