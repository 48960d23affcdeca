//! Formats texts for logs, statuses and summaries: single-line, short, escaped.

use std::time::Duration;

/// Replaces every control character with a space: no line break, no color, no cursor movement.
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Replaces control characters, and those that reorder, hide or vary the text around them.
pub fn visible(text: &str) -> String {
    one_line(text).chars().map(|letter| if misleads(letter) { '\u{fffd}' } else { letter }).collect()
}

/// Whether a character has no shape of its own, so that two texts can look the same: Unicode's
/// `Default_Ignorable_Code_Point`, line separators, and the empty Braille pattern.
fn misleads(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Shortens a text from others to one line of at most `limit` characters.
pub fn shorten(text: &str, limit: usize) -> String {
    let text = visible(text.trim());
    if text.chars().count() <= limit {
        return text;
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// The start of a commit hash, as GitHub shows it.
pub fn short_sha(sha: &str) -> String {
    visible(sha).chars().take(7).collect()
}

/// Escapes a text for a Markdown table: no links, tags, code or emphasis.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for letter in one_line(text).chars() {
        if "\\`*_{}[]<>|&#!~".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    // GitHub turns plain addresses into links too.
    escaped.replace("://", "\\://").replace("www.", "www\\.")
}

/// A Markdown link. The text must be escaped already.
pub fn markdown_link(text: &str, url: &str) -> String {
    format!("[{text}](<{}>)", url.replace(['<', '>'], ""))
}

/// Formats bytes, as in `1.2 MB`.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// Formats a duration, as in `0.09 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// Formats a number with its noun: `1 file`, `2 files`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_removed_from_lines() {
        assert_eq!(one_line("a\n::error::b\r\u{1b}[31m\u{85}"), "a ::error::b  [31m ");
    }

    #[test]
    fn long_texts_are_truncated_with_an_ellipsis() {
        assert_eq!(shorten(" short\n", 5), "short");
        assert_eq!(shorten("äöüäöü", 4), "äöü…");
    }

    #[test]
    fn commit_hashes_are_shortened() {
        assert_eq!([short_sha(&"1".repeat(40)), short_sha("\nä")], ["1111111", " ä"]);
    }

    #[test]
    fn text_that_would_be_reordered_is_visible() {
        assert_eq!(visible("a\u{202e}b\u{2066}c\nd"), "a\u{fffd}b\u{fffd}c d");
        for hidden in ['\u{115f}', '\u{3164}', '\u{ffa0}', '\u{2800}', '\u{fe0f}', '\u{e0100}', '\u{34f}', '\u{180b}'] {
            assert_eq!(visible(&format!("a{hidden}")), "a\u{fffd}", "{hidden:?}");
        }
        assert_eq!(visible("é한글❤Ω"), "é한글❤Ω");
    }

    #[test]
    fn markdown_characters_are_escaped() {
        assert_eq!(markdown("a|b <img> [x](y) `c`"), "a\\|b \\<img\\> \\[x\\](y) \\`c\\`");
        assert_eq!(markdown("https://x.example www.x.example"), "https\\://x.example www\\.x.example");
    }

    #[test]
    fn sizes_and_durations_are_formatted_with_units() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(183_211), "183.2 kB");
        assert_eq!(bytes(13_800_000), "13.8 MB");
        assert_eq!(seconds(Duration::from_millis(94)), "0.09 s");
        assert_eq!([count(1, "file"), count(2, "file")], ["1 file", "2 files"]);
    }
}
