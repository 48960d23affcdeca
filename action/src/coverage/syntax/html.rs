//! Scans HTML as text: index pages have megabytes, and finding a total needs no tree.

use std::borrow::Cow;
use std::iter;

use memchr::memmem;

use crate::coverage::measure::Measure;
use crate::coverage::percent::{Counts, Percent};

/// Texts to read in one row.
const MAX_ROW: usize = 8;
/// Texts to read in a page's head.
const MAX_TEXTS: usize = 1000;

pub fn has(text: &str, mark: &str) -> bool {
    memmem::find(text.as_bytes(), mark.as_bytes()).is_some()
}

/// The text before and after the first `mark`.
pub fn split<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let at = memmem::find(text.as_bytes(), mark.as_bytes())?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

pub fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    Some(split(text, mark)?.1)
}

pub fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(split(after(text, start)?, end)?.0)
}

/// The text after each `mark`, up to the next one.
pub fn parts<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = after(text, mark);
    iter::from_fn(move || {
        let (part, next) = split(rest?, mark).map_or((rest?, None), |(part, next)| (part, Some(next)));
        rest = next;
        Some(part)
    })
}

/// The trimmed, non-empty texts between the tags.
pub fn texts(html: &str) -> Vec<String> {
    let after_tag = |part: &str| part.split_once('>').map_or(String::new(), |(_, text)| plain(text));
    html.split('<').map(after_tag).filter(|text| !text.is_empty()).take(MAX_TEXTS).collect()
}

/// Treats the non-breaking space of `21.1&nbsp;%` as a space.
fn plain(text: &str) -> String {
    text.replace("&nbsp;", " ").replace(['\u{a0}', '\u{202f}'], " ").trim().to_owned()
}

/// A text or attribute with its entities expanded, as a path is written. Unknown entities stay.
pub fn unescaped(text: &str) -> Cow<'_, str> {
    if !has(text, "&") {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let entity = part.split_once(';').and_then(|(name, rest)| Some((entity(name)?, rest)));
        match entity {
            Some((letter, rest)) => {
                plain.push(letter);
                plain.push_str(rest);
            }
            None => plain.extend(["&", part]),
        }
    }
    Cow::Owned(plain)
}

fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| char::from_u32(u32::from_str_radix(digits, radix).ok()?);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => match name.strip_prefix('#')? {
            digits if digits.starts_with(['x', 'X']) => number(&digits[1..], 16),
            digits => number(digits, 10),
        },
    }
}

/// Parses `48%`, `21.1 %`, `87,5 %` or `%48`, as different languages write it.
pub fn percent(text: &str) -> Option<Percent> {
    let text = text.trim();
    let number = text.strip_suffix('%').or_else(|| text.strip_prefix('%'))?;
    Percent::parse(&number.trim().replace(',', "."))
}

/// Parses `5218`, `5,218`, `5.218` or `5 218`, as different languages group digits.
pub fn count(text: &str) -> Option<u64> {
    let groups = |letter: char| matches!(letter, ',' | '.' | '\'' | '’' | ' ');
    let digits: String = text.trim().chars().filter(|letter| !groups(*letter)).collect();
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && text.trim().starts_with(|c: char| c.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Parses `361 / 1989`, `361/1989`, `361 of 1989`, `(361/1989)`. With excluded ones, which the total includes, also
/// `361 / 12 / 2001` and `361 of 2001, 12 excluded`; without them, `361 / 1989 - 12 excl`.
pub fn counts(text: &str) -> Option<(u64, u64)> {
    let text = text.trim().trim_matches(['(', ')']);
    let text = text.strip_suffix(" excl").and_then(|text| text.rsplit_once(" - ")).map_or(text, |(counts, _)| counts);
    let (covered, rest) = text.split_once('/').or_else(|| text.split_once(" of "))?;
    let excluded = || rest.strip_suffix(" excluded")?.rsplit_once(", ");
    let (total, excluded) = match rest.split_once('/').map(|(excluded, total)| (total, excluded)).or_else(excluded) {
        Some((total, excluded)) => (total, count(excluded)?),
        None => (rest, 0),
    };
    Some((count(covered)?, count(total)?.checked_sub(excluded)?))
}

/// The percentage between `label` and the next label, with its counts, in any order: `Lines:` `445` `2105` `21.1 %`. A
/// title that looks like a label has no number after it.
pub fn labelled(texts: &[String], label: &str, metric: &'static str) -> Option<Measure> {
    let starts = texts.iter().enumerate().filter(|(_, text)| *text == label).map(|(at, _)| at + 1);
    let mut rows = starts.filter_map(|start| {
        let row: Vec<_> = texts[start..].iter().take_while(|text| !text.ends_with(':')).take(MAX_ROW).collect();
        Some((row.iter().find_map(|text| percent(text))?, row))
    });
    let (shown, row) = rows.next()?;
    let numbers: Vec<u64> = row.iter().filter_map(|text| count(text)).collect();
    let pair = row.iter().find_map(|text| counts(text)).or_else(|| pair(&numbers, &shown));
    Measure::shown(metric, shown, pair)
}

/// Covered and total counts among the numbers of a row: the first two in any order, or of three, those that fit the
/// percentage.
fn pair(numbers: &[u64], shown: &Percent) -> Option<(u64, u64)> {
    let [one, two, rest @ ..] = numbers else { return None };
    let plain = (*one.min(two), *one.max(two));
    let [three] = rest else { return Some(plain) };
    // gcovr: covered, excluded, and total, which includes the excluded ones.
    let gcovr = three.checked_sub(*two).map(|total| (*one, total));
    if gcovr == Some((0, 0)) {
        return gcovr;
    }
    // genhtml: total, missed and covered, or total, covered and a part of them.
    let ways = [gcovr, Some(plain), Some((*three, *one))];
    let fits = |pair: &(u64, u64)| Counts::new(pair.0, pair.1).is_some_and(|counts| shown.shows(counts));
    ways.into_iter().flatten().find(fits).or(Some(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_stands_between_tags() {
        let html = "no text<td a='%'> Lines:\n</td><td></td><td>21.1&nbsp;%</td><td unclosed";
        assert_eq!(texts(html), ["Lines:", "21.1 %"]);
    }

    #[test]
    fn parts_end_at_the_next_mark() {
        let of = |text| parts(text, "<tr").collect::<Vec<_>>();
        assert_eq!(of("head<tr a><tr><tr>b"), [" a>", ">", ">b"]);
        assert_eq!([of("<tr"), of("<t"), of("")], [vec![""], vec![], vec![]]);
    }

    #[test]
    fn entities_are_expanded() {
        assert_eq!(unescaped("a&amp;b&lt;&#39;&#x2F;&quot;&unknown;&;&"), "a&b<'/\"&unknown;&;&");
        assert_eq!(unescaped("&#xD800;&#99999999999;"), "&#xD800;&#99999999999;");
    }

    #[test]
    fn percents_and_counts_are_read_as_languages_write_them() {
        for text in ["48.5%", "48.5 %", "48,5\u{20}%", "%48,5", " 48.5% "] {
            assert_eq!(percent(text), Percent::parse("48.5"), "{text}");
        }
        for text in ["48", "%", "4 8%", "1e1%", "Unknown%", "-1%", "n/a", "%%"] {
            assert_eq!(percent(text), None, "{text}");
        }
        for text in ["5218", "5,218", "5.218", "5 218", "5’218"] {
            assert_eq!(count(text), Some(5218), "{text}");
        }
        for text in ["", "-1", "1e5", "x", ",", "99999999999999999999"] {
            assert_eq!(count(text), None, "{text}");
        }
        let with_excluded = ["361 / 7 / 1996", "361 of 1996, 7 excluded", "361 / 1989 - 7 excl"];
        for text in ["361 / 1989", "361/1989", "(361/1989)", "361 of 1,989"].into_iter().chain(with_excluded) {
            assert_eq!(counts(text), Some((361, 1989)), "{text}");
        }
        assert_eq!([counts("1"), counts("a/b"), counts("/"), counts("1/")], [None; 4]);
    }

    #[test]
    fn counts_of_three_numbers_are_those_that_fit_the_percentage() {
        for (numbers, shown, expected) in [
            (&[8, 12][..], "66.7", Some((8, 12))),
            (&[12, 8], "66.7", Some((8, 12))),
            (&[8, 3, 15], "66.7", Some((8, 12))),
            (&[12, 4, 8], "66.7", Some((8, 12))),
            (&[5, 5, 5], "100.0", Some((5, 5))),
            (&[5, 0, 5], "0.0", Some((0, 5))),
            (&[0, 5, 5], "0.0", Some((0, 0))),
            (&[12, 8, 2, 2], "66.7", Some((8, 12))),
            (&[5], "66.7", None),
            (&[], "66.7", None),
        ] {
            assert_eq!(pair(numbers, &Percent::parse(shown).unwrap()), expected, "{numbers:?}");
        }
    }
}
