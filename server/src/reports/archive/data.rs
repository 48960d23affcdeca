//! Finds, packs and inflates an entry's data, and verifies its checksum.

use std::io;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use futures_util::stream::{self, Stream, StreamExt};
use rawzip::Crc32;

use super::{ArchiveError, Entry, LOCAL_HEADER};
use crate::reports::media::SNIFFED;

/// Bytes of an inflated chunk.
const CHUNK_BYTES: usize = 32 << 10;
/// Inflating a file of more bytes yields to other tasks before each chunk: a few MB can inflate to GBs.
const YIELD_ABOVE: u64 = 4 << 20;
/// Method deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const GZIP_TRAILER: usize = 8;

impl Entry {
    /// The range of the zip that holds the local header and the data.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.span
    }

    /// The size of the local header with its name: enough for [`Entry::data_start`].
    pub fn local_len(&self) -> usize {
        LOCAL_HEADER as usize + self.path.len()
    }

    /// The start of the data in that range, by the local header, which must belong to this entry.
    pub fn data_start(&self, local: &[u8]) -> Result<usize, ArchiveError> {
        let start = || {
            let header = local.get(..self.local_len())?;
            let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
            let (flags, method, name, extra) = (number(6), number(8), usize::from(number(26)), usize::from(number(28)));
            let is_own = header.starts_with(b"PK\x03\x04")
                && flags & 1 == 0
                && (method == 8 && (self.deflated || self.size == 0) || method == 0 && !self.deflated)
                && header[LOCAL_HEADER as usize..] == *self.path.as_bytes()
                && name == self.path.len();
            let start = self.local_len() + extra;
            (is_own && start as u64 + self.compressed <= self.span).then_some(start)
        };
        start().ok_or_else(|| ArchiveError::LocalHeader(self.path.to_string()))
    }

    /// The size of the entry as it is cached and sent: as a gzip member if it is deflated, else as it is.
    pub fn packed_len(&self) -> u64 {
        if self.deflated { self.compressed + (GZIP_HEADER.len() + GZIP_TRAILER) as u64 } else { self.compressed }
    }

    /// Packs the entry's data for the cache and for responses. Verifies the checksum, as browsers do not.
    pub async fn pack(&self, data: Bytes) -> Result<Bytes, ArchiveError> {
        let mut file = std::pin::pin!(self.inflate(stream::iter([Ok(data.clone())])));
        while let Some(piece) = file.next().await {
            piece.map_err(|_| ArchiveError::Checksum(self.path.to_string()))?;
        }
        if !self.deflated {
            return Ok(data);
        }
        let mut gzip = BytesMut::with_capacity(data.len() + GZIP_HEADER.len() + GZIP_TRAILER);
        gzip.extend_from_slice(GZIP_HEADER);
        gzip.extend_from_slice(&data);
        gzip.extend_from_slice(&self.gzip_trailer());
        Ok(gzip.freeze())
    }

    /// Unpacks the bytes of [`Entry::pack`].
    pub async fn plain(&self, packed: &Bytes) -> Result<Bytes, ArchiveError> {
        let mut file = std::pin::pin!(self.inflate(stream::iter([Ok(self.data_of(packed))])));
        let mut plain = BytesMut::with_capacity(self.size as usize);
        while let Some(piece) = file.next().await {
            plain.extend_from_slice(&piece.map_err(|_| ArchiveError::Checksum(self.path.to_string()))?);
        }
        Ok(plain.freeze())
    }

    /// The file's first bytes, which may declare its charset; fewer if `data` is shorter.
    pub fn sniff(&self, data: &[u8]) -> Vec<u8> {
        let mut first = Vec::with_capacity(self.sniff_len());
        if self.deflated {
            // The checksum detects invalid data later.
            let _ = Decompress::new(false).decompress_vec(data, &mut first, FlushDecompress::None);
        } else {
            first.extend(data.iter().take(self.sniff_len()));
        }
        first
    }

    /// The length of [`Entry::sniff`] with enough data.
    pub fn sniff_len(&self) -> usize {
        SNIFFED.min(usize::try_from(self.size).unwrap_or(SNIFFED))
    }

    /// The trailer of a gzip member: CRC-32 and size.
    fn gzip_trailer(&self) -> [u8; GZIP_TRAILER] {
        let (mut trailer, size) = ([0; GZIP_TRAILER], self.size as u32);
        trailer[..4].copy_from_slice(&self.crc.to_le_bytes());
        trailer[4..].copy_from_slice(&size.to_le_bytes());
        trailer
    }

    /// The raw data in the bytes of [`Entry::pack`].
    pub fn data_of(&self, packed: &Bytes) -> Bytes {
        if self.deflated { packed.slice(GZIP_HEADER.len()..packed.len() - GZIP_TRAILER) } else { packed.clone() }
    }

    /// [`Entry::pack`] for a stream. A wrong checksum ends it with an error.
    pub fn pack_stream<S>(&self, data: S) -> impl Stream<Item = io::Result<Bytes>> + Send + use<S>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin,
    {
        let trailer = Bytes::copy_from_slice(&self.gzip_trailer());
        let checked = stream::try_unfold((data, Some(Verifier::of(self))), |(mut data, verifier)| async move {
            let Some(mut verifier) = verifier else { return Ok(None) };
            let Some(piece) = data.next().await.transpose()? else {
                verifier.finish()?;
                return Ok(None);
            };
            let mut input = piece.clone();
            while !verifier.next(&mut input).await?.is_empty() {}
            Ok(Some((piece, (data, Some(verifier)))))
        });
        let (head, trailer) = if self.deflated { (GZIP_HEADER, trailer) } else { (&[][..], Bytes::new()) };
        let one = |bytes: Bytes| stream::iter((!bytes.is_empty()).then_some(Ok(bytes)));
        // The trailer completes the member, so it is not sent after an error.
        one(Bytes::from_static(head)).chain(checked).chain(one(trailer))
    }

    /// Inflates data of the zip. A wrong size or checksum ends the stream with an error.
    pub fn inflate<S>(&self, data: S) -> impl Stream<Item = io::Result<Bytes>> + Send + use<S>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin,
    {
        let state = Inflate { data, input: Bytes::new(), verifier: Verifier::of(self) };
        stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|chunk| (chunk, state))) })
    }
}

struct Inflate<S> {
    data: S,
    input: Bytes,
    verifier: Verifier,
}

impl<S: Stream<Item = io::Result<Bytes>> + Send + Unpin> Inflate<S> {
    /// The next bytes of the file; `None` at its verified end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut last = None;
        loop {
            let chunk = self.verifier.next(&mut self.input).await?;
            match (chunk.is_empty(), self.verifier.remaining) {
                (true, _) => match self.data.next().await {
                    Some(input) => self.input = input?,
                    None => return self.verifier.finish().map(|()| last),
                },
                (false, 0) => last = Some(chunk),
                (false, _) => return Ok(Some(chunk)),
            }
        }
    }
}

/// Inflates data and verifies size and checksum.
struct Verifier {
    deflated: bool,
    /// Created at the first byte, so that a response that waits for memory has none.
    inflater: Option<Decompress>,
    /// The deflate stream is complete.
    ended: bool,
    crc: Crc32,
    expected_crc: u32,
    /// The number of bytes left.
    remaining: u64,
    yields: bool,
}

impl Verifier {
    fn of(entry: &Entry) -> Self {
        let Entry { deflated, crc: expected_crc, size: remaining, .. } = *entry;
        let yields = remaining > YIELD_ABOVE;
        Self { deflated, inflater: None, ended: false, crc: Crc32::new(), expected_crc, remaining, yields }
    }

    /// The next bytes of the file in `input`; empty at its end.
    async fn next(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        if self.yields {
            // Lets other tasks and the network driver run.
            tokio::task::yield_now().await;
        }
        let chunk = self.inflated(input)?;
        self.crc.update(&chunk);
        let remaining = self.remaining.checked_sub(chunk.len() as u64);
        self.remaining = remaining.ok_or_else(|| invalid_data("longer than its entry says"))?;
        Ok(chunk)
    }

    fn inflated(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        if !self.deflated {
            return Ok(std::mem::take(input));
        }
        let inflater = self.inflater.get_or_insert_with(|| Decompress::new(false));
        loop {
            if self.ended {
                let nothing_behind = input.is_empty();
                return nothing_behind.then(Bytes::new).ok_or_else(|| invalid_data("longer than its entry says"));
            }
            let mut output = Vec::with_capacity(CHUNK_BYTES);
            let before = inflater.total_in();
            let status =
                inflater.decompress_vec(input, &mut output, FlushDecompress::None).map_err(io::Error::other)?;
            let read = (inflater.total_in() - before) as usize;
            input.advance(read);
            self.ended = status == Status::StreamEnd;
            // Consumed input may still produce output: only a call without progress shows the end.
            if !output.is_empty() || read == 0 && !self.ended {
                return Ok(output.into());
            }
        }
    }

    fn finish(&self) -> io::Result<()> {
        if self.remaining > 0 || self.deflated && !self.ended {
            return Err(invalid_data("shorter than its entry says"));
        }
        let fits = self.crc.checksum() == self.expected_crc;
        fits.then_some(()).ok_or_else(|| invalid_data("different from its checksum"))
    }
}

fn invalid_data(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a stored file is {what}"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// An entry of `size` zeros, and its data.
    fn zeros(size: u64) -> (Entry, Bytes) {
        let file = vec![0; size as usize];
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &file).unwrap();
        let data = Bytes::from(encoder.finish().unwrap());
        let (compressed, crc) = (data.len() as u64, rawzip::crc32(&file));
        (Entry { path: "zeros".into(), offset: 0, span: compressed, compressed, size, crc, deflated: true }, data)
    }

    #[tokio::test]
    async fn large_files_yield_to_other_tasks_before_each_chunk() {
        let (large, data) = zeros(4 * YIELD_ABOVE);
        let pieces = || stream::iter([Ok(data.clone())]);
        for (way, inflated) in [
            ("kept", large.pack(data.clone()).map(drop).boxed()),
            ("streamed", large.pack_stream(pieces()).count().map(drop).boxed()),
            ("plain", large.inflate(pieces()).count().map(drop).boxed()),
        ] {
            let mut steps = 0;
            let others = async {
                loop {
                    steps += 1;
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = inflated => {}
                () = others => {}
            }
            assert!(steps >= large.size / CHUNK_BYTES as u64, "{way}: {steps} steps");
        }
    }
}
