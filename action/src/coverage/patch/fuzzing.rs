//! The check of the fuzz target for patches, which a test runs on its corpus.

use super::{ChangedFile, Links, PageLink, Patch, Selection, Unknown};
use crate::coverage::diff::{self, Change, Hunk};
use crate::coverage::lines::{Hit, Lines};
use crate::coverage::percent::Percent;

/// Bytes of a page.
const MAX_PAGE: usize = 10 << 20;
const REPOSITORY: &str = "https://github.com/octo/app";
const TAGS: &[&str] = &[
    "html", "head", "meta", "title", "link", "style", "body", "main", "h1", "h2", "p", "a", "span", "ul", "li", "code",
    "table", "thead", "tbody", "tr", "th", "td", "section", "div", "footer",
];
const VOID: &[&str] = &["meta", "link"];
const ATTRIBUTES: &[&str] = &["lang", "charset", "name", "content", "rel", "href", "id", "class", "title"];

/// Parts between NUL: two texts of a file, then for each changed file its path, its diff, its path in the report, and a
/// character for each line there: `+` is hit, `-` is missed, `~` is hit partly.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parts: Vec<&str> = text.split('\0').collect();
    let (old, new) = (parts[0], parts.get(1).copied().unwrap_or_default());
    let own = check_between(old, new);
    let files: Vec<&[&str]> = parts.get(2..).unwrap_or_default().chunks(4).collect();
    let part = |file: &[&str], at: usize| file.get(at).copied().unwrap_or_default().to_owned();
    let mut changes: Vec<_> = files.iter().map(|file| changed(part(file, 0), Ok(part(file, 1)))).collect();
    changes.push(changed(part(files.first().copied().unwrap_or_default(), 0), Err(Unknown::TooLarge)));
    changes.push(changed("own.rs".to_owned(), Ok(own)));
    let selection = Selection::new(&changes);
    let needs = |path: &str| selection.needs(path);
    let mut lines = Lines::only(Some(&needs));
    for file in &files {
        add(&mut lines, &part(file, 2), &part(file, 3));
        add(&mut lines, &part(file, 0), &part(file, 3));
    }
    add(&mut lines, "/w/app/own.rs", old);
    if lines.finish().is_ok() {
        check_patch(&selection.patch(&lines));
    }
}

fn page_link(path: &str) -> PageLink {
    PageLink { label: "in the report".to_owned(), page: format!("{path}.html"), line_anchor: Some("t") }
}

fn changed(path: String, diff: Result<String, Unknown>) -> ChangedFile {
    ChangedFile { path, commit: "c0ffee".to_owned(), diff }
}

fn add(lines: &mut Lines, path: &str, hits: &str) {
    if !lines.file(path) {
        return;
    }
    for (hit, number) in hits.chars().zip(1..) {
        match hit {
            '+' => lines.line(number, Hit::Yes),
            '~' => lines.line(number, Hit::Partly),
            '-' => lines.line(number, Hit::No),
            _ => {}
        }
    }
}

/// The diff of two texts turns one into the other.
fn check_between(old: &str, new: &str) -> String {
    let patch = diff::between(old, new);
    let Some(hunks) = diff::parse(&patch) else { panic!("{old:?} and {new:?} give a diff that is damaged: {patch:?}") };
    assert_eq!(applied(&hunks, old), lines(new), "{old:?} with {patch:?}");
    patch
}

fn lines(text: &str) -> Vec<&str> {
    let lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line));
    lines.map(|line| line.strip_suffix('\r').unwrap_or(line)).collect()
}

fn applied<'a>(hunks: &[Hunk<'a>], old: &'a str) -> Vec<&'a str> {
    let old = lines(old);
    let (mut new, mut next) = (Vec::new(), 0);
    for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
        match line.change {
            Change::Added { new: number } => {
                while new.len() + 1 < number as usize {
                    new.push(old[next]);
                    next += 1;
                }
                new.push(line.text);
            }
            Change::Removed { old: number } | Change::Kept { old: number, .. } => {
                let is_kept = matches!(line.change, Change::Kept { .. });
                let end = number as usize - usize::from(!is_kept);
                new.extend(&old[next..end]);
                next = number as usize;
                assert_eq!(old[next - 1], line.text);
            }
        }
    }
    new.extend(&old[next..]);
    new
}

fn check_patch(patch: &Patch) {
    let counts = patch.counts();
    assert!(counts.is_none_or(|counts| counts.covered <= counts.total), "{counts:?}");
    for file in &patch.files {
        let is_sorted = file.lines.is_sorted_by(|(one, _), (other, _)| one < other);
        assert!(is_sorted, "a line counts twice, or out of order: {:?}", file.lines);
        for wanted in [Hit::No, Hit::Partly, Hit::Yes] {
            let ranges = file.ranges(wanted);
            assert!(ranges.iter().all(|(first, last)| first <= last), "{ranges:?}");
            assert!(ranges.is_sorted_by(|(_, last), (first, _)| last < first), "{ranges:?}");
        }
    }
    let line = patch.to_string();
    assert!(line.len() < 500 && !line.contains(char::is_control), "{line}");
    let links = Links {
        repository: REPOSITORY,
        pull_request: 17,
        name: None,
        total: None,
        head: "c0ffee",
        report_pages: &|path| vec![page_link(path)],
        index: "index.html",
    };
    if let Some(threshold) = Percent::parse("80") {
        check_page(&patch.page(&links, &threshold));
    }
}

/// The page has no other tags, attributes and addresses than its own, and no text that hides or reorders others.
fn check_page(page: &str) {
    assert!(page.len() <= MAX_PAGE, "{} bytes", page.len());
    let misleads =
        |letter: char| (letter.is_control() && letter != '\n') || ('\u{202a}'..='\u{202e}').contains(&letter);
    assert!(!page.contains(misleads), "{page}");
    let mut open = Vec::new();
    for text in page.split('<').skip(2) {
        let (name, mut rest) = text.split_at(text.find([' ', '>']).unwrap_or_default());
        if let Some(name) = name.strip_prefix('/') {
            assert!(open.pop() == Some(name) && rest.starts_with('>'), "</{name} in {page}");
        } else {
            assert!(TAGS.contains(&name), "<{name} in {page}");
            while let Some(attribute) = rest.strip_prefix(' ') {
                rest = after_attribute(attribute);
            }
            assert!(rest.starts_with('>'), "<{text} in {page}");
            if !VOID.contains(&name) {
                open.push(name);
            }
        }
        assert!(!rest[1..].contains('>') || open.contains(&"style"), "{text} in {page}");
    }
    assert!(open.is_empty(), "{open:?} stay open in {page}");
}

fn after_attribute(text: &str) -> &str {
    let parts = text.split_once("=\"").and_then(|(name, rest)| Some((name, rest.split_once('"')?)));
    let Some((name, (value, rest))) = parts else { panic!("no attribute: {text}") };
    assert!(ATTRIBUTES.contains(&name), "{name} in {text}");
    let is_own = [REPOSITORY, "../", "#f", "data:,"].iter().any(|start| value.starts_with(start));
    assert!(name != "href" || (is_own && value.is_ascii()), "{value} in {text}");
    rest
}
