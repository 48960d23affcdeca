//! The check of the fuzz targets for formats, which a test runs on their corpus.

use super::formats::{FORMATS, Format, JSON, Page, Read, XML};
use super::lines::Lines;
use super::measure::Measures;
use super::percent::Percent;

/// Formats with the same syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Pages,
    Json,
    Xml,
    Lines,
}

impl Format {
    fn family(&self) -> Family {
        match self.read {
            Read::Page(..) => Family::Pages,
            Read::File(JSON, _) => Family::Json,
            Read::File(XML, _) => Family::Xml,
            Read::File(..) => Family::Lines,
        }
    }

    /// What this format finds in a file without a folder; a page is its own sibling.
    pub(super) fn probe(&self, bytes: &[u8]) -> Option<Measures> {
        match self.read {
            Read::Page(read, source) => {
                let html = String::from_utf8_lossy(bytes);
                if let Some(source) = source {
                    (source.read)(&Page { html: &html, read_sibling: &|_: &str| None }, &mut Lines::all());
                }
                read(&Page { html: &html, read_sibling: &|_: &str| Some(html.to_string()) })
            }
            Read::File(_, read) => read(&mut { bytes }, &mut Lines::all()).ok()?,
        }
    }
}

/// Gives any bytes to every format of a family. Asserts that each result is plain digits from 0 to 100.
pub fn check(family: Family, bytes: &[u8]) {
    for format in FORMATS.iter().filter(|format| format.family() == family) {
        for measure in format.probe(bytes).unwrap_or_default() {
            let text = measure.percent.to_string();
            assert_eq!(Percent::parse(&text).as_ref(), Some(&measure.percent), "{} found {measure:?}", format.name);
        }
    }
}
