//! The page of `go tool cover -html`: the source texts, with a span for each block.
//!
//! ```html
//! <option value="file0">example.com/calc/calc.go (66.7%)</option> …
//! <pre class="file" id="file0" style="display: none">package calc
//!
//! func Sign(number int) int <span class="cov8" title="1">{
//! ```

use memchr::memchr2;

use super::{Lines, Measures, Page};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::html::{between, has, parts, percent, unescaped};

const FILE: &str = "<pre class=\"file\" id=\"";

/// No total is shown.
pub fn page(page: &Page) -> Option<Measures> {
    (has(page.html, "<select id=\"files\">") && has(page.html, FILE)).then(Vec::new)
}

pub fn source_page(page: &Page, lines: &mut Lines) -> bool {
    let Some(names) = between(page.html, "<select id=\"files\">", "</select>") else { return false };
    let mut files = parts(page.html, FILE).peekable();
    let is_page = files.peek().is_some();
    // Both are in the same order.
    for (name, file) in parts(names, "<option value=\"").zip(files) {
        let (Some((id, name)), Some((file, source))) = (name.split_once("\">"), file.split_once('"')) else { continue };
        let name = name.split("</option>").next().unwrap_or_default();
        if id == file
            && lines.file(&unescaped(path(name)))
            && let Some(source) = between(source, ">", "</pre>")
        {
            add(source, lines);
        }
    }
    is_page
}

/// `example.com/calc/calc.go (66.7%)`; the oldest pages have no percentage.
fn path(name: &str) -> &str {
    let share = |text: &str| percent(text.strip_prefix('(')?.strip_suffix(')')?);
    name.rsplit_once(' ').filter(|(_, last)| share(last).is_some()).map_or(name, |(path, _)| path)
}

/// The blocks that have text in a line. The line's end belongs to it.
#[derive(Default)]
struct Line {
    is_hit: bool,
    is_missed: bool,
}

impl Line {
    fn see(&mut self, is_hit: Option<bool>) {
        self.is_hit |= is_hit == Some(true);
        self.is_missed |= is_hit == Some(false);
    }

    fn hit(&self) -> Option<Hit> {
        match (self.is_hit, self.is_missed) {
            (false, false) => None,
            (true, true) => Some(Hit::Partly),
            (is_hit, _) => Some(Hit::when(is_hit)),
        }
    }
}

/// The source text is escaped, so its only tags are those of the blocks.
fn add(source: &str, lines: &mut Lines) {
    let (mut rest, mut number, mut block, mut line) = (source, 1, None, Line::default());
    while let Some(at) = memchr2(b'<', b'\n', rest.as_bytes()) {
        let (text, mark) = rest.split_at(at);
        if !text.is_empty() {
            line.see(block);
        }
        if let Some(after) = mark.strip_prefix('\n') {
            line.see(block);
            std::mem::take(&mut line).hit().into_iter().for_each(|hit| lines.line(number, hit));
            (number, rest) = (number + 1, after);
        } else {
            let (tag, after) = mark.split_once('>').unwrap_or((mark, ""));
            block = tag.strip_prefix("<span class=\"cov").map(|count| !count.starts_with("0\""));
            rest = after;
        }
    }
    if !rest.is_empty() {
        line.see(block);
    }
    line.hit().into_iter().for_each(|hit| lines.line(number, hit));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_blocks_with_text_in_it() {
        let html = "<select id=\"files\"><option value=\"file0\">a &amp; b.go (50.0%)</option></select>\
            <pre class=\"file\" id=\"file0\" style=\"display: none\">package a\n\
            func f() <span class=\"cov8\" title=\"1\">{\n  if x </span><span class=\"cov0\" title=\"0\">{\n\n}\n</span>\
            case 1:<span class=\"cov0\" title=\"0\"></span>\n&lt;span class=\"cov0\"&gt;\n<span class=\"cov10\" title=\"9\">x</span></pre>";
        let mut lines = Lines::all();
        assert!(source_page(&Page { html, read_sibling: &|_: &str| None }, &mut lines));
        let file = lines.files().next().unwrap();
        let expected = [(2, Hit::Yes), (3, Hit::Partly), (4, Hit::No), (5, Hit::No), (8, Hit::Yes)];
        assert_eq!((file.path.as_str(), file.bits.iter().collect::<Vec<_>>()), ("a & b.go", expected.to_vec()));
    }
}
