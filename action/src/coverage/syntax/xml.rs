//! Streams XML: visits each element once, in bounded memory. Entities of a document type are never expanded.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

use anyhow::{Result, bail, ensure};
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

/// Bytes of one tag, text or comment.
const MAX_EVENT: usize = 1 << 20;
const MAX_DEPTH: usize = 256;

/// An element's start tag.
pub struct Element<'a>(&'a BytesStart<'a>);

impl Element<'_> {
    pub fn is(&self, name: &str) -> bool {
        self.0.name().as_ref() == name
    }

    pub fn name(&self) -> &str {
        self.0.name().into_inner()
    }

    pub fn text(&self, attribute: &str) -> Option<String> {
        self.raw(attribute).map(Cow::into_owned)
    }

    fn raw(&self, attribute: &str) -> Option<Cow<'_, str>> {
        Some(self.0.try_get_attribute(attribute).ok()??.value)
    }

    /// Several attributes in one pass, with their entities as written.
    pub fn texts<const N: usize>(&self, attributes: [&str; N]) -> [Option<Cow<'_, str>>; N] {
        let mut texts = [const { None }; N];
        for attribute in self.0.attributes().with_checks(false).flatten() {
            let name = attribute.key.as_ref();
            if let Some(at) = attributes.iter().position(|other| *other == name) {
                texts[at] = Some(attribute.value);
            }
        }
        texts
    }

    /// The text with its entities expanded, such as a path.
    pub fn unescaped(&self, attribute: &str) -> Option<String> {
        let text = self.raw(attribute)?;
        Some(unescape(&text).ok()?.into_owned())
    }

    pub fn number(&self, attribute: &str) -> Option<u64> {
        self.raw(attribute)?.parse().ok()
    }

    /// Two attributes as covered and total counts.
    pub fn counts(&self, covered: &str, total: &str) -> Option<(u64, u64)> {
        Some((self.number(covered)?, self.number(total)?))
    }
}

/// A start tag, or a text between tags, or a part of one, with its entities as written.
pub enum Node<'a> {
    Element(&'a Element<'a>),
    Text(&'a str),
}

/// Calls `each` for every element with its depth (0 is the root), until it breaks.
pub fn walk(input: &mut dyn BufRead, mut each: impl FnMut(usize, &Element) -> ControlFlow<()>) -> Result<()> {
    walk_nodes(input, |depth, node| match node {
        Node::Element(element) => each(depth, element),
        Node::Text(_) => ControlFlow::Continue(()),
    })
}

/// Also visits texts; a text is one level deeper than its element.
pub fn walk_nodes(input: &mut dyn BufRead, mut each: impl FnMut(usize, Node) -> ControlFlow<()>) -> Result<()> {
    let mut reader = Reader::from_reader(Budget { input, left: MAX_EVENT });
    let (mut buffer, mut depth) = (Vec::new(), 0);
    loop {
        reader.get_mut().left = MAX_EVENT;
        buffer.clear();
        let event = reader.read_event_into(&mut buffer)?;
        let flow = match &event {
            Event::Start(tag) => {
                depth += 1;
                ensure!(depth <= MAX_DEPTH, "its elements are nested deeper than {MAX_DEPTH}");
                each(depth - 1, Node::Element(&Element(tag)))
            }
            Event::Empty(tag) => each(depth, Node::Element(&Element(tag))),
            Event::Text(text) => each(depth, Node::Text(text)),
            Event::GeneralRef(name) => each(depth, Node::Text(&format!("&{};", &**name))),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                ControlFlow::Continue(())
            }
            Event::Eof if depth > 0 => bail!("it is truncated"),
            Event::Eof => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        if flow.is_break() {
            return Ok(());
        }
    }
}

/// A reader with a limit: quick-xml keeps a whole event in memory.
struct Budget<'a> {
    input: &'a mut dyn BufRead,
    left: usize,
}

impl Read for Budget<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Budget<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(format!("a tag, text or comment is longer than {MAX_EVENT} bytes")));
        }
        let available = self.input.fill_buf()?;
        Ok(&available[..available.len().min(self.left)])
    }

    fn consume(&mut self, count: usize) {
        self.left -= count.min(self.left);
        self.input.consume(count);
    }
}
