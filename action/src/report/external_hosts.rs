//! Finds the hosts that a report's pages load files from, which the covered server's policy blocks.

use std::io::Read;

use memchr::memmem;

use super::files::{Entry, Report};
use crate::base::deadline::Deadline;

/// Pages to scan besides the index, spread over the report: pages of one kind load the same files.
const PAGES: usize = 7;
/// Bytes to scan in one page.
const MAX_PAGE: u64 = 256 << 10;
/// Hosts that the note lists, and characters of one host.
const SHOWN: usize = 5;
const SHOWN_HOST: usize = 64;
/// Bytes to read of one address: its scheme and host, with a user and a password. A page may hold tens of thousands.
const MAX_ADDRESS: usize = 1024;

/// A note that lists the hosts, if there are any. Pages are scanned until the deadline.
pub fn note(report: &Report, deadline: Deadline) -> Option<String> {
    let hosts = hosts(report, deadline);
    let shown = hosts.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if hosts.len() > SHOWN { " and others" } else { "" };
    (!hosts.is_empty()).then(|| {
        format!(
            "the report loads files from {shown}{more}, which the covered server's policy blocks: its pages may look \
             different"
        )
    })
}

/// The hosts in the index and in some other pages.
fn hosts(report: &Report, deadline: Deadline) -> Vec<String> {
    let mut hosts = Vec::new();
    for page in sample(report) {
        let mut bytes = Vec::new();
        // Packing reports files that cannot be read.
        if page.open().and_then(|file| deadline.read(file).take(MAX_PAGE).read_to_end(&mut bytes)).is_ok() {
            let text = String::from_utf8_lossy(&bytes);
            if is_style(page) { style(&text, &mut hosts) } else { markup(&text, &mut hosts) }
        }
    }
    hosts
}

fn sample(report: &Report) -> impl Iterator<Item = &Entry> {
    let index = report.index().and_then(|name| report.get(name));
    let pages: Vec<&Entry> = report.files.iter().filter(|file| is_page(file) || is_style(file)).collect();
    let step = pages.len().div_ceil(PAGES).max(1);
    index.into_iter().chain(pages.into_iter().step_by(step))
}

fn is_page(file: &Entry) -> bool {
    file.name.ends_with(".html") || file.name.ends_with(".htm")
}

fn is_style(file: &Entry) -> bool {
    file.name.ends_with(".css")
}

/// Scans elements that load something. Links for readers do not count.
fn markup(html: &str, hosts: &mut Vec<String>) {
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some(tag) = Tag::read(&mut rest) else { continue };
        tag.loaded_urls().for_each(|url| add_host(url, hosts));
        tag.value("style").into_iter().for_each(|text| style(text, hosts));
        // The content of these elements is not markup.
        if tag.is("script") || tag.is("style") {
            let (text, after) = split_at_end(rest, tag.name);
            if tag.is("style") {
                style(text, hosts);
            }
            rest = after;
        }
    }
}

/// Splits into the text of an element and the rest.
fn split_at_end<'a>(text: &'a str, name: &str) -> (&'a str, &'a str) {
    let is_end = |at: &usize| text.get(at + 2..at + 2 + name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name));
    let end = memmem::find_iter(text.as_bytes(), "</").find(is_end).unwrap_or(text.len());
    text.split_at(end)
}

/// Scans the addresses in a style sheet.
fn style(css: &str, hosts: &mut Vec<String>) {
    for mark in ["url(", "@import"] {
        for (at, _) in css.match_indices(mark) {
            add_host(address_start(&css[at + mark.len()..]).trim_start().trim_start_matches(['"', '\'']), hosts);
        }
    }
}

/// The first bytes of a text: the maximum that is read of one address.
fn address_start(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ADDRESS)]
}

/// Adds the host of the address that starts here, if it has one.
fn add_host(url: &str, hosts: &mut Vec<String>) {
    let Some(rest) = after_scheme(address_start(url).trim_start()) else { return };
    let ends = |letter: &char| letter.is_whitespace() || "/?#\\\"'<>);".contains(*letter);
    let authority = &rest[..rest.find(|letter| ends(&letter)).unwrap_or(rest.len())];
    let host = authority.rsplit('@').next().unwrap_or_default();
    // Report content is untrusted. Host names have only these characters, except in Unicode.
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || ".-_:[]".contains(letter) { letter } else { '?' };
    let host: String = host.chars().take(SHOWN_HOST).map(plain).collect::<String>().to_ascii_lowercase();
    // One more than the limit is enough to know that there are others.
    if !host.is_empty() && hosts.len() <= SHOWN && !hosts.contains(&host) {
        hosts.push(host);
    }
}

/// What follows the `//` of an address that names a host.
fn after_scheme(url: &str) -> Option<&str> {
    let after = |scheme: &str| {
        let start = url.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
    };
    ["//", "http://", "https://"].into_iter().find_map(after)
}

/// A start tag.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Tag<'a> {
    /// Reads the tag whose name starts `rest`, and moves `rest` behind it.
    fn read(rest: &mut &'a str) -> Option<Self> {
        let name = take_while(rest, |letter| letter.is_ascii_alphanumeric());
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return None;
        }
        let mut attributes = Vec::new();
        loop {
            take_while(rest, |letter| letter.is_whitespace() || letter == '/');
            if rest.is_empty() || rest.starts_with('>') {
                return Some(Self { name, attributes });
            }
            let attribute = take_while(rest, |letter| !letter.is_whitespace() && !"=>".contains(letter));
            take_while(rest, char::is_whitespace);
            let value = if rest.starts_with('=') { value(rest) } else { "" };
            attributes.push((attribute, value));
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        Some(self.attributes.iter().find(|(attribute, _)| attribute.eq_ignore_ascii_case(name))?.1)
    }

    /// The addresses that a browser loads for this element.
    fn loaded_urls(&self) -> impl Iterator<Item = &'a str> {
        let name = self.name.to_ascii_lowercase();
        let attributes: &[&str] = match name.as_str() {
            "script" | "img" | "iframe" | "frame" | "embed" | "source" | "video" | "audio" | "track" | "input" => {
                &["src"]
            }
            "object" => &["data"],
            "image" | "use" => &["href", "xlink:href"],
            "link" if self.value("rel").is_some_and(is_load) => &["href"],
            _ => &[],
        };
        attributes.iter().filter_map(|attribute| self.value(attribute))
    }
}

/// Whether a browser loads the target of a `link` with these relations.
fn is_load(rel: &str) -> bool {
    let loads = ["stylesheet", "icon", "apple-touch-icon", "preload", "modulepreload", "manifest"];
    rel.split_ascii_whitespace().any(|word| loads.iter().any(|load| word.eq_ignore_ascii_case(load)))
}

/// Takes characters from the start while they fit.
fn take_while<'a>(rest: &mut &'a str, fits: impl Fn(char) -> bool) -> &'a str {
    let (taken, after) = rest.split_at(rest.find(|letter| !fits(letter)).unwrap_or(rest.len()));
    *rest = after;
    taken
}

/// Takes an attribute's value, including the equals sign.
fn value<'a>(rest: &mut &'a str) -> &'a str {
    take_while(rest, |letter| letter == '=' || letter.is_whitespace());
    let Some(quote) = rest.chars().next().filter(|first| "\"'".contains(*first)) else {
        return take_while(rest, |letter| !letter.is_whitespace() && letter != '>');
    };
    let (value, after) = rest[1..].split_once(quote).unwrap_or((&rest[1..], ""));
    *rest = after;
    value
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::report::walk;

    fn of_page(html: &str) -> Vec<String> {
        let mut hosts = Vec::new();
        markup(html, &mut hosts);
        hosts
    }

    fn loaded(report: &Report) -> Vec<String> {
        hosts(report, Deadline::NEVER)
    }

    fn fixture(name: &str) -> Vec<String> {
        loaded(&walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/totals").join(name)).unwrap())
    }

    #[test]
    fn hosts_of_loaded_files_are_found_but_not_those_of_links() {
        assert_eq!(
            fixture("scoverage-1.4"),
            ["cdnjs.cloudflare.com", "ajax.googleapis.com", "netdna.bootstrapcdn.com"]
        );
        assert_eq!(
            fixture("scoverage-2.5"),
            ["ajax.googleapis.com", "cdnjs.cloudflare.com", "netdna.bootstrapcdn.com"]
        );
        assert_eq!(fixture("istanbul-0.1"), ["yui.yahooapis.com"]);
        let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/totals")).unwrap();
        let names = folders.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
        let names: Vec<String> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(names.len() > 30);
        for name in names.iter().filter(|name| !name.starts_with("scoverage-") && *name != "istanbul-0.1") {
            assert_eq!(fixture(name), [""; 0], "{name}");
        }
    }

    #[test]
    fn every_element_that_loads_files_is_detected() {
        for html in [
            "<link rel=\"stylesheet\" href=\"https://cdn.jsdelivr.net/npm/bulma@0.9.1/css/bulma.min.css\">",
            "<LINK HREF='http://CDN.jsdelivr.net' REL='shortcut Icon'/>",
            "<script async\n src = //cdn.jsdelivr.net/x.js></script>",
            "<img alt='a>b' src='https://u:p@cdn.jsdelivr.net/a.png'>",
            "<iframe src=https://cdn.jsdelivr.net>",
            "<style>@import 'https://cdn.jsdelivr.net/a.css';</style>",
            "<style>@font-face { src: url( \"//cdn.jsdelivr.net/a.woff\") }</style>",
            "<p style='background: url(https://cdn.jsdelivr.net)'>",
            "<p style='background: url(\u{e9}//a.example), url(HTTPS://cdn.jsdelivr.net)'>",
            "<svg><use xlink:href='https://cdn.jsdelivr.net/a.svg#b'/></svg>",
            "<!-- <script src='https://a.example'> --><object data=\"https://cdn.jsdelivr.net\">",
        ] {
            assert_eq!(of_page(html), ["cdn.jsdelivr.net"], "{html}");
        }
    }

    #[test]
    fn links_data_urls_scripts_and_comments_are_ignored() {
        for html in [
            "<a href='https://example.com'>coverage.py</a> <link rel=canonical href='https://example.com'>",
            "<script src='a.js'></script><img src='data:image/png;base64,//8A'><script src='/b//c.js'></script>",
            "<script>document.write('<img src=\"https://example.com\">')</SCRIPT >",
            "<!-- <script src='https://example.com'></script> -->",
            "<p title='<script src=\"https://example.com\">'>&lt;script src='https://example.com'></p>",
            "< script src='https://example.com'> <img src='https://'> <img src=//> <img src='",
            "<style>a { background: url(a//b.png) }",
        ] {
            assert_eq!(of_page(html), [""; 0], "{html}");
        }
    }

    #[test]
    fn notes_with_hostile_hosts_are_truncated_to_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = (0..9).map(|number| format!("<img src='//{number}.example'>")).collect::<String>();
        let hostile = format!("<img src='//::error::\u{202e}%0a{}'>{hosts}", "x".repeat(1000));
        fs::write(folder.path().join("index.html"), hostile).unwrap();
        let note = note(&walk(folder.path()).unwrap(), Deadline::NEVER).unwrap();
        let start = format!("the report loads files from ::error::??0a{}, 0.example, ", "x".repeat(51));
        assert!(note.starts_with(&start), "{note}");
        assert!(note.contains(", 3.example and others, which"), "{note}");
    }

    #[test]
    fn sampled_pages_are_spread_over_the_report() {
        let folder = tempfile::tempdir().unwrap();
        for number in 100..400 {
            fs::write(folder.path().join(format!("{number}.html")), format!("<img src=//{number}.example>")).unwrap();
        }
        fs::write(folder.path().join("index.html"), "<img src=//index.example>").unwrap();
        let hosts = loaded(&walk(folder.path()).unwrap());
        assert_eq!(hosts, ["index", "100", "143", "186", "229", "272"].map(|name| format!("{name}.example")));
    }

    #[test]
    fn urls_are_parsed_up_to_a_maximum_length() {
        assert_eq!(address_start("url"), "url");
        let page = "\u{e9}".repeat(MAX_PAGE as usize);
        assert_eq!(address_start(&page).len(), MAX_ADDRESS);
        assert_eq!(address_start(&format!(" {page}")).len(), MAX_ADDRESS - 1);
        for (spaces, found) in [(MAX_ADDRESS / 2, vec!["a.example"]), (MAX_ADDRESS, vec![])] {
            let address = format!("{}//a.example", " ".repeat(spaces));
            for html in [
                format!("<img src='{address}'>"),
                format!("<style>a {{ b: url({address}) }}</style>"),
                format!("<style>@import{address};</style>"),
                format!("<p style='b: url({address})'>"),
            ] {
                assert_eq!(of_page(&html), found, "{html}");
            }
        }
    }

    #[test]
    fn pages_full_of_urls_are_parsed_completely() {
        for piece in ["url(", "@import", "url(\"", "url(//", "url( ", "<use href=", "<style>", "<p style=url(", "<!--"]
        {
            let text = piece.repeat(MAX_PAGE as usize / piece.len());
            of_page(&text);
            assert_eq!(of_page(&format!("<style>{text} @import '//last.example'")).last().unwrap(), "last.example");
        }
    }

    #[test]
    fn no_page_is_read_after_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.html"), "<img src=//index.example>").unwrap();
        let report = walk(folder.path()).unwrap();
        assert_eq!(loaded(&report), ["index.example"]);
        assert_eq!(hosts(&report, Deadline::new(Instant::now(), Duration::ZERO)), [""; 0]);
    }
}
