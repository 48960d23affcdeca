//! Names with wildcards: `*` is any text, and `?` any one character.

/// Splits a list at commas and line breaks.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty())
}

pub fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// The part of a name that a pattern's only wildcard, a `*`, stands for.
pub fn star_of<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    let (start, end) = pattern.split_once('*').filter(|(start, end)| !has_wildcard(start) && !has_wildcard(end))?;
    name.strip_prefix(start)?.strip_suffix(end)
}

/// Whether `pattern` stands for `name`. Takes at most the product of both lengths.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut next) = (0, 0);
    // The last `*`, and where the name goes on after the text that it stands for.
    let mut star = None;
    while next < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[next] => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((star_at, end)) = star else { return false };
                star = Some((star_at, end + 1));
                at = star_at + 1;
                next = end + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_a_part_of_the_name() {
        assert_eq!(star_of("coverage-*", "coverage-unit"), Some("unit"));
        assert_eq!(star_of("*-html", "unit-html"), Some("unit"));
        assert_eq!(star_of("ab*ba", "aba"), None);
        assert_eq!([star_of("unit", "unit"), star_of("*-*", "a-b"), star_of("*?", "ab")], [None; 3]);
    }

    #[test]
    fn wildcards_stand_for_any_text() {
        for (pattern, name) in [
            ("coverage-*", "coverage-unit"),
            ("coverage-*", "coverage-"),
            ("*", ""),
            ("*-html", "a-html-html"),
            ("c*-?", "coverage-unit-1"),
            ("a*b*c", "aXbXbXc"),
            ("unit", "unit"),
            ("ü?", "üé"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("coverage-*", "Coverage-unit"), ("unit", "units"), ("?", ""), ("a*b*c", "aXcXb"), ("", "a"), ("*a", "ab")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(100), &"a".repeat(99)));
    }

    #[test]
    fn lists_are_split_at_commas_and_line_breaks() {
        assert_eq!(split_list(" a, b\n\nc ,").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
