//! Byte order marks: tools on Windows write them, and PowerShell's `>` writes UTF-16.

use std::io::{self, BufRead, BufReader, Read};

/// UTF-16 units to decode at once.
const UNITS: usize = 4 << 10;

/// The input as UTF-8, without its byte order mark.
pub fn decoded<'a>(mut input: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut mark = [0; 3];
    let length = peek(&mut input, &mut mark)?;
    let rest = io::Cursor::new(mark).take(length as u64).chain(input);
    Ok(match mark {
        [0xef, 0xbb, 0xbf] if length == 3 => Box::new(rest.into_inner().1),
        [0xff, 0xfe, _] if length > 1 => Box::new(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, _] if length > 1 => Box::new(utf16(rest, u16::from_be_bytes)),
        _ => Box::new(rest),
    })
}

/// Reads the first bytes; fewer at the end of the input.
fn peek(input: &mut impl Read, first: &mut [u8; 3]) -> io::Result<usize> {
    let mut length = 0;
    while length < first.len() {
        match input.read(&mut first[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn utf16<R: BufRead>(input: R, unit: fn([u8; 2]) -> u16) -> impl BufRead {
    BufReader::with_capacity(4 * UNITS, Utf16 { input, unit, waiting: None, text: Vec::new(), at: 0, has_mark: true })
}

struct Utf16<R> {
    input: R,
    unit: fn([u8; 2]) -> u16,
    /// The first half of a surrogate pair.
    waiting: Option<u16>,
    text: Vec<u8>,
    at: usize,
    has_mark: bool,
}

impl<R: BufRead> Utf16<R> {
    /// Decodes the next units. An odd last byte is dropped.
    fn fill(&mut self) -> io::Result<()> {
        let mut units: Vec<u16> = self.waiting.take().into_iter().collect();
        let mut bytes = Vec::new();
        self.input.by_ref().take(2 * UNITS as u64).read_to_end(&mut bytes)?;
        let is_end = bytes.len() < 2 * UNITS;
        units.extend(bytes.chunks_exact(2).map(|pair| (self.unit)([pair[0], pair[1]])));
        self.waiting = units.pop_if(|last| !is_end && (0xd800..0xdc00).contains(last));
        let units = units.into_iter().skip(usize::from(std::mem::take(&mut self.has_mark)));
        let letters = char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        (self.text, self.at) = (letters.collect::<String>().into_bytes(), 0);
        Ok(())
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.fill()?;
        }
        let count = (&self.text[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        let mut text = String::new();
        decoded(bytes).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn text_is_read_in_each_encoding() {
        let long = "a𝄞é\r\n".repeat(20_000);
        for text in ["", "S", "SF", "SF:a", "é𝄞", &long] {
            let units = || std::iter::once(0xfeff).chain(text.encode_utf16());
            assert_eq!(read(text.as_bytes()), text);
            assert_eq!(read(format!("\u{feff}{text}").as_bytes()), text);
            assert_eq!(read(&units().flat_map(u16::to_le_bytes).collect::<Vec<_>>()), text);
            assert_eq!(read(&units().flat_map(u16::to_be_bytes).collect::<Vec<_>>()), text);
        }
    }

    #[test]
    fn damaged_utf16_is_replaced() {
        assert_eq!(read(b"\xff\xfe\x00\xd8a\0b"), "\u{fffd}a");
        assert_eq!(read(b"\xff\xfe"), "");
    }
}
