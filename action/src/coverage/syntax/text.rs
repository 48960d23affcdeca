//! Plain text, line by line, straight from the reader's buffer.

use std::io::{BufRead, ErrorKind};
use std::mem;
use std::ops::ControlFlow;

use anyhow::Result;

/// Bytes of one line. A longer one comes in parts.
const MAX_LINE: usize = 64 << 10;

/// Calls `each` with every line, without its line feed, until it breaks.
pub fn each_line(input: &mut dyn BufRead, mut each: impl FnMut(&[u8]) -> Result<ControlFlow<()>>) -> Result<()> {
    // The start of a line whose rest is not in the buffer yet.
    let mut start = Vec::new();
    loop {
        let buffer = match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        let length = buffer.len();
        if length == 0 {
            return if start.is_empty() { Ok(()) } else { each(&start).map(drop) };
        }
        let mut next = 0;
        for end in memchr::memchr_iter(b'\n', buffer) {
            let line = &buffer[next..end];
            next = end + 1;
            let flow = if start.is_empty() { each(line)? } else { each(&[&*mem::take(&mut start), line].concat())? };
            if flow.is_break() {
                return Ok(());
            }
        }
        start.extend_from_slice(&buffer[next..]);
        input.consume(length);
        if start.len() > MAX_LINE && each(&mem::take(&mut start))?.is_break() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(text: &[u8], buffer: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut input = BufReader::with_capacity(buffer, text);
        each_line(&mut input, |line| {
            all.push(line.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        all
    }

    #[test]
    fn lines_are_the_same_whatever_the_buffer_holds() {
        let text = b"a\n\nbcd\r\nlast";
        for buffer in 1..20 {
            assert_eq!(lines(text, buffer), [&b"a"[..], b"", b"bcd\r", b"last"], "{buffer}");
        }
        assert!(lines(b"", 8).is_empty());
        assert_eq!(lines(b"a\n", 8), [b"a"]);
    }

    #[test]
    fn a_long_line_comes_in_bounded_parts() {
        let parts = lines(&vec![b'x'; 300_000], 1000);
        assert_eq!(parts.concat().len(), 300_000);
        assert!(parts.iter().all(|part| part.len() <= MAX_LINE + 1000), "{}", parts.len());
    }

    #[test]
    fn it_ends_where_the_caller_breaks() {
        let mut seen = 0;
        let mut input = &b"a\nb\nc\n"[..];
        let each = |_: &[u8]| {
            seen += 1;
            Ok(if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        each_line(&mut input, each).unwrap();
        assert_eq!(seen, 2);
    }
}
