//! Formats texts for logs, statuses and summaries: single-line, short, escaped.

use std::time::Duration;

/// Replaces every control character with a space: no line break, no color, no cursor movement.
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Shortens a text from others to one line of at most `limit` characters.
pub fn shorten(text: &str, limit: usize) -> String {
    let text = one_line(text.trim());
    if text.chars().count() <= limit {
        return text;
    }
    text.chars().take(limit - 1).chain(['…']).collect()
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
