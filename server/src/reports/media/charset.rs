//! Finds the charset declaration in a file's first bytes like browsers: WHATWG HTML's "prescan a byte stream", XML
//! 1.0's appendix F, CSS Syntax's `@charset`.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// The number of bytes that browsers search for a declaration.
pub const SNIFFED: usize = 1024;

/// A file's charset declaration.
#[derive(Debug, PartialEq, Eq)]
pub enum Declared {
    Nothing,
    /// An unknown label: the header has no charset, and the browser decides.
    Unknown,
    /// By its name in the WHATWG Encoding Standard.
    Known(&'static str),
}

/// The declaration at the start of a file of this type.
pub fn declared(essence: &str, start: &[u8]) -> Declared {
    let start = start.get(..SNIFFED).unwrap_or(start);
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return Declared::Known(encoding.name());
    }
    match essence {
        "text/html" => match html(start) {
            Declared::Nothing => xml(start),
            found => found,
        },
        "text/xml" | "application/xhtml+xml" | "image/svg+xml" => xml(start),
        "text/css" => css(start),
        _ => Declared::Nothing,
    }
}

/// A label that was read as ASCII cannot mean UTF-16.
fn by_label(label: &[u8]) -> Declared {
    match Encoding::for_label_no_replacement(label) {
        Some(encoding) if encoding == UTF_16BE || encoding == UTF_16LE => Declared::Known(UTF_8.name()),
        Some(encoding) if encoding == X_USER_DEFINED => Declared::Known(WINDOWS_1252.name()),
        Some(encoding) => Declared::Known(encoding.name()),
        None => Declared::Unknown,
    }
}

/// `<?xml … encoding="…" ?>`.
fn xml(start: &[u8]) -> Declared {
    match start {
        [b'<', 0, b'?', 0, ..] => return Declared::Known(UTF_16LE.name()),
        [0, b'<', 0, b'?', ..] => return Declared::Known(UTF_16BE.name()),
        _ => {}
    }
    let label = || {
        let declaration = until(start.strip_prefix(b"<?xml")?, |byte| byte == b'>')?;
        let rest = skip(after(declaration, b"encoding")?, is_space);
        quoted(skip(rest.strip_prefix(b"=")?, is_space))
    };
    label().map_or(Declared::Nothing, by_label)
}

/// `@charset "…";`, exactly in this form.
fn css(start: &[u8]) -> Declared {
    let label = start.strip_prefix(b"@charset \"").and_then(|rest| until(rest, |byte| byte == b'"'));
    label.map_or(Declared::Nothing, by_label)
}

/// `<meta charset>` or `<meta http-equiv=content-type content>`, outside of comments and attributes.
fn html(start: &[u8]) -> Declared {
    let (mut rest, mut declared) = (start, Declared::Nothing);
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"!--") {
            // The dashes of a comment's start may also be those of its end.
            rest = after(&rest[1..], b"-->").unwrap_or_default();
        } else if let Some(mut attributes) = in_meta(rest) {
            match meta(&mut attributes) {
                Declared::Nothing => {}
                Declared::Unknown => declared = Declared::Unknown,
                known @ Declared::Known(_) => return known,
            }
            rest = attributes;
        } else if rest.strip_prefix(b"/").unwrap_or(rest).first().is_some_and(u8::is_ascii_alphabetic) {
            rest = skip(rest, |byte| !is_space(byte) && byte != b'>');
            while attribute(&mut rest).is_some() {}
        } else if let Some(b'!' | b'/' | b'?') = rest.first() {
            rest = skip(rest, |byte| byte != b'>');
        }
    }
    declared
}

/// Parses the attributes of a `<meta` tag.
fn in_meta(rest: &[u8]) -> Option<&[u8]> {
    let (name, rest) = rest.split_at_checked(4)?;
    let ends = rest.first().is_some_and(|byte| is_space(*byte) || *byte == b'/');
    (ends && name.eq_ignore_ascii_case(b"meta")).then_some(rest)
}

fn meta(rest: &mut &[u8]) -> Declared {
    let (mut http_equiv, mut content, mut charset) = (None, None, None);
    while let Some((name, value)) = attribute(rest) {
        // The first of duplicate attributes counts.
        match name.to_ascii_lowercase().as_slice() {
            b"http-equiv" => http_equiv = http_equiv.or(Some(value)),
            b"content" => content = content.or(Some(value)),
            b"charset" => charset = charset.or(Some(value)),
            _ => {}
        }
    }
    let is_pragma = http_equiv.is_some_and(|name| name.eq_ignore_ascii_case(b"content-type"));
    let of_content = || content.filter(|_| is_pragma).and_then(charset_in);
    charset.or_else(of_content).map_or(Declared::Nothing, by_label)
}

/// The label in `text/html; charset=…`.
fn charset_in(content: &[u8]) -> Option<&[u8]> {
    let lower = content.to_ascii_lowercase();
    let mut rest = content;
    loop {
        let read = content.len() - rest.len();
        let following = after(&lower[read..], b"charset")?;
        rest = skip(&content[content.len() - following.len()..], is_space);
        if let Some(value) = rest.strip_prefix(b"=") {
            let value = skip(value, is_space);
            let bare = value.iter().position(|byte| is_space(*byte) || *byte == b';').unwrap_or(value.len());
            return if is_quoted(value) { quoted(value) } else { Some(&value[..bare]) };
        }
    }
}

/// The next attribute of a tag: name and value. `None` at the end of the tag or of the data.
fn attribute<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = skip(rest, |byte| is_space(byte) || byte == b'/');
    if start.first() == Some(&b'>') {
        *rest = start;
        return None;
    }
    // A truncated attribute declares nothing.
    *rest = &[];
    // A name may begin with the character that ends it elsewhere.
    let end = start.iter().skip(1).position(|byte| is_space(*byte) || b"=/>".contains(byte))? + 1;
    let (name, following) = start.split_at(end);
    let Some(value) = skip(following, is_space).strip_prefix(b"=").map(|value| skip(value, is_space)) else {
        *rest = following;
        return Some((name, b""));
    };
    let quotes = if is_quoted(value) { 2 } else { 0 };
    let text = if quotes > 0 { quoted(value) } else { until(value, |byte| is_space(byte) || byte == b'>') }?;
    *rest = &value[text.len() + quotes..];
    Some((name, text))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

fn is_quoted(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'"' | b'\''))
}

/// The text in the leading quotes.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let (quote, rest) = text.split_first().filter(|_| is_quoted(text))?;
    until(rest, |byte| byte == *quote)
}

/// The bytes before the first one that matches.
fn until(text: &[u8], is_end: impl Fn(u8) -> bool) -> Option<&[u8]> {
    Some(&text[..text.iter().position(|byte| is_end(*byte))?])
}

/// The bytes from the first one that does not match.
fn skip(text: &[u8], is_skipped: impl Fn(u8) -> bool) -> &[u8] {
    &text[text.iter().position(|byte| !is_skipped(*byte)).unwrap_or(text.len())..]
}

/// The bytes after the first occurrence of `word`.
fn after<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    Some(&text[text.windows(word.len()).position(|window| window == word)? + word.len()..])
}

#[cfg(test)]
mod tests {
    use super::Declared::{Known, Nothing, Unknown};
    use super::*;

    #[track_caller]
    fn check(essence: &str, cases: &[(&[u8], Declared)]) {
        for (start, expected) in cases {
            assert_eq!(declared(essence, start), *expected, "{essence}: {:?}", String::from_utf8_lossy(start));
        }
    }

    #[test]
    fn html_charset_is_read_from_meta_elements() {
        check(
            "text/html",
            &[
                (b"", Nothing),
                (b"<p>charset=gbk</p>", Nothing),
                // The start of a page by LCOV 1.7's genhtml.
                (
                    b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\">\n\n<html lang=\"en\">\n\n<head>\n  \
                      <meta http-equiv=\"Content-Type\" content=\"text/html; charset=ISO-8859-1\">\n",
                    Known("windows-1252"),
                ),
                (b"<meta charset=gb2312>", Known("GBK")),
                (b"<META CharSet = ' Shift-JIS '/>", Known("Shift_JIS")),
                (b"<meta\n/name=x charset=\"utf-8\">", Known("UTF-8")),
                (b"<meta content='text/html;charset = \"big5\"' http-equiv=content-type>", Known("Big5")),
                (b"<meta http-equiv=content-type content='charset x;charset=koi8-r;'>", Known("KOI8-R")),
                (b"<meta charset=utf-16>", Known("UTF-8")),
                (b"<meta charset=x-user-defined>", Known("windows-1252")),
                (b"<meta charset=gbk charset=big5>", Known("GBK")),
                (b"<meta charset=x-klingon><p>", Unknown),
                (b"<meta charset=x-klingon><meta charset=euc-kr>", Known("EUC-KR")),
                (b"<meta charset=iso-2022-kr>", Unknown),
                (b"<meta http-equiv=refresh content='0; charset=gbk'>", Nothing),
                (b"<meta content='text/html; charset=gbk'>", Nothing),
                (b"<metal charset=gbk>", Nothing),
                (b"<!-- <meta charset=gbk> --><meta charset=big5>", Known("Big5")),
                (b"<!--><meta charset=big5>", Known("Big5")),
                (b"<a title='<meta charset=gbk>'><meta charset=big5>", Known("Big5")),
                (b"</a title=\"<meta charset=gbk>\"><meta charset=big5>", Known("Big5")),
                (b"<!x <meta charset=gbk><meta charset=big5>", Known("Big5")),
                (b"<a title='<meta charset=gbk>", Nothing),
                (b"<meta charset=gb", Nothing),
                (b"<meta charset=\"gbk", Nothing),
                (b"<meta", Nothing),
                (b"<", Nothing),
            ],
        );
    }

    #[test]
    fn charset_declarations_after_the_first_kilobyte_are_ignored() {
        for (before, expected) in [(1024 - 18, Known("GBK")), (1024 - 17, Nothing)] {
            let page = [&vec![b' '; before][..], b"<meta charset=gbk>"].concat();
            assert_eq!(declared("text/html", &page), expected, "{before}");
        }
    }

    #[test]
    fn truncated_charset_declarations_are_handled() {
        let page: &[u8] =
            b"<!-- x --><?xml encoding='x'?></a b='c'><META http-equiv=content-type content='charset charset=\"x\"'>";
        let starts = (0..page.len()).flat_map(|start| (start..=page.len()).map(move |end| &page[start..end]));
        for start in starts {
            assert!(matches!(declared("text/html", start), Nothing | Unknown), "{:?}", String::from_utf8_lossy(start));
        }
    }

    #[test]
    fn xml_charset_is_read_from_the_xml_declaration() {
        let cases: &[(&[u8], Declared)] = &[
            (b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><x/>", Known("windows-1252")),
            (b"<?xml version='1.0' encoding = 'euc-jp' standalone='yes'?>", Known("EUC-JP")),
            (b"<?xml version=\"1.0\"?><x encoding=\"gbk\"/>", Nothing),
            (b" <?xml version=\"1.0\" encoding=\"gbk\"?>", Nothing),
            (b"<?xml encoding=\"UTF-16\"?>", Known("UTF-8")),
            (b"<?xml encoding=\"x\"?>", Unknown),
            (b"<?xml encoding=\"gbk", Nothing),
            (b"<\0?\0x\0", Known("UTF-16LE")),
            (b"\0<\0?\0x", Known("UTF-16BE")),
        ];
        for essence in ["text/xml", "application/xhtml+xml", "image/svg+xml", "text/html"] {
            check(essence, cases);
        }
        let both: &[u8] = b"<?xml version=\"1.0\" encoding=\"big5\"?><meta charset=gbk>";
        check("text/html", &[(both, Known("GBK"))]);
        check("application/xhtml+xml", &[(both, Known("Big5")), (b"<meta charset=gbk>", Nothing)]);
    }

    #[test]
    fn css_charset_is_read_from_the_first_rule() {
        check(
            "text/css",
            &[
                (b"@charset \"iso-8859-15\";", Known("ISO-8859-15")),
                (b"@charset \"utf-16be\";", Known("UTF-8")),
                (b"@charset \"klingon\";", Unknown),
                (b"@charset 'gbk';", Nothing),
                (b" @charset \"gbk\";", Nothing),
                (b"p {}", Nothing),
            ],
        );
    }

    #[test]
    fn byte_order_marks_override_other_declarations() {
        for essence in ["text/html", "text/xml", "text/css", "text/javascript", "text/plain"] {
            check(
                essence,
                &[
                    (b"\xef\xbb\xbf<meta charset=gbk>", Known("UTF-8")),
                    (b"\xff\xfea\0", Known("UTF-16LE")),
                    (b"\xfe\xff\0a", Known("UTF-16BE")),
                ],
            );
        }
        check("text/javascript", &[(b"<meta charset=gbk>", Nothing), (b"@charset \"gbk\";", Nothing)]);
    }
}
