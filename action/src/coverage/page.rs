//! What the pages of Covered's own have in common. They need no script. Everything that a contributor wrote is escaped and
//! bounded.

use std::fmt::Display;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A path as a part of an address.
pub fn encoded(path: &str) -> impl Display {
    utf8_percent_encode(path, UNRESERVED)
}

/// A whole page. `style`: the rules besides the common ones.
pub fn document(title: &str, style: &str, main: &Markup, footer: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body {
                main { (main) }
                footer { (footer) "covered " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
    .into_string()
}

/// Bytes that are left on a page.
pub struct Room(usize);

impl Room {
    pub fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The part of the page, or nothing if it does not fit. Nothing fits after it.
    pub fn fit(&mut self, part: Markup) -> Markup {
        match self.0.checked_sub(part.0.len()) {
            Some(left) => self.0 = left,
            None => self.0 = 0,
        }
        if self.is_full() { PreEscaped(String::new()) } else { part }
    }

    pub fn is_full(&self) -> bool {
        self.0 == 0
    }
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --shade: #8883; --green: #2da44e33; --red: #cf222e33; --amber: #bf870044; }
body { background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; }
h2 { font-size: 1rem; margin: 2rem 0 .25rem; overflow-wrap: anywhere; }
p { margin: .25rem 0; }
.number { font-size: 2.25rem; line-height: 1.2; }
.links { font-size: .875rem; margin-bottom: .5rem; }
code, .code { font: 13px/1.5 ui-monospace, monospace; }
.files { margin-top: 1rem; border-collapse: collapse; width: 100%; font-size: .875rem; }
.files td, .files th { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.files td + td, .files th + th { min-width: 4.5rem; }
footer { margin-top: 3rem; font-size: .875rem; opacity: .8; }
";
