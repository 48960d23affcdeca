//! Streams JSON: keeps only the values that a format names, and gives it the entries of a map or list one by one.

mod hits;
mod list;

use std::fmt;
use std::io::{BufRead, BufReader, Cursor, Read};

use anyhow::{Result, ensure};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

pub use hits::Hits;
pub use list::List;

use crate::coverage::percent::Percent;

/// Bytes to read of a JSON file. A key can be as long, so this also limits memory.
const MAX_BYTES: u64 = 256 << 20;
/// Bytes at the start that show a file's format: they hold the longest path.
pub const HEAD: u64 = 8 << 10;
/// Bytes to take from the input at once.
const BUFFER: usize = 64 << 10;
/// Bytes of a kept text.
const MAX_TEXT: usize = 100;

/// The values at paths such as `total/lines/pct`; a path such as `files/*/covered` is the sum over the list. In a path,
/// `?` is any key of a map.
pub struct Values(Vec<(&'static str, Value)>);

enum Value {
    Count(u64),
    Float(f64),
    Text(String),
}

/// Reads the existing values. Ignores what follows the JSON.
pub fn read(input: &mut dyn BufRead, paths: &[&'static str]) -> Result<Values> {
    read_with(input, paths, None::<Entries<IgnoredAny>>)
}

/// Also calls `each` with every entry of the maps or lists at the path `at`: its key (empty in a list), and its value.
/// `paths` cannot lead into them.
pub fn read_entries<T: DeserializeOwned>(
    input: &mut dyn BufRead,
    paths: &[&'static str],
    at: &'static str,
    each: &mut dyn FnMut(&str, T),
) -> Result<Values> {
    read_with(input, paths, Some(Entries { at, each }))
}

fn read_with<T: DeserializeOwned>(
    input: &mut dyn BufRead,
    paths: &[&'static str],
    entries: Option<Entries<T>>,
) -> Result<Values> {
    let mut values = Values(Vec::new());
    let paths = paths.iter().map(|path| (*path, *path)).collect();
    // Shortens the lifetime to that of the values.
    let entries = entries.map(|Entries { at, each }| Entries { at, each });
    read_as(input, Picker { paths, values: &mut values, entries })?;
    Ok(values)
}

/// Reads the input as `seed` says. Ignores what follows the JSON.
pub fn read_as<'de, S: DeserializeSeed<'de>>(input: &mut dyn BufRead, seed: S) -> Result<S::Value> {
    let mut input = input.take(MAX_BYTES);
    // The parser takes single bytes, which an unknown reader gives slowly.
    let bytes = BufReader::with_capacity(BUFFER, &mut input);
    let value = seed.deserialize(&mut serde_json::Deserializer::from_reader(bytes));
    ensure!(input.limit() > 0, "it is longer than {MAX_BYTES} bytes");
    Ok(value?)
}

/// Reads the input with `read` if its first bytes are those of the format.
pub fn if_head<T>(
    input: &mut dyn BufRead,
    is_format: impl FnOnce(&str) -> bool,
    read: impl FnOnce(&mut dyn BufRead) -> Result<T>,
) -> Result<Option<T>> {
    let mut head = Vec::new();
    input.take(HEAD).read_to_end(&mut head)?;
    if !is_format(&String::from_utf8_lossy(&head)) {
        return Ok(None);
    }
    read(&mut Cursor::new(head).chain(input)).map(Some)
}

/// The keys at the top that are among the known ones; a list has none. `None` if it is a script with the name of a JSON
/// file.
pub fn top_keys(input: &mut dyn BufRead, known: &[&'static str]) -> Result<Option<Vec<&'static str>>> {
    let mut keys = Vec::new();
    while input.fill_buf()?.first().is_some_and(u8::is_ascii_whitespace) {
        input.consume(1);
    }
    match input.fill_buf()?.first() {
        Some(b'{') => {}
        Some(b'[') => return Ok(Some(keys)),
        _ => return Ok(None),
    }
    let mut add = |key: &str, _: IgnoredAny| {
        // A file can repeat a key millions of times.
        if let Some(key) = known.iter().find(|known| **known == key).filter(|key| !keys.contains(*key)) {
            keys.push(*key);
        }
    };
    read_entries(input, &[], "", &mut add)?;
    Ok(Some(keys))
}

/// Reads JSON inside a page; `None` if it is damaged.
pub fn read_text(json: &str, paths: &[&'static str]) -> Option<Values> {
    read(&mut json.as_bytes(), paths).ok()
}

impl Values {
    fn get(&self, path: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == path).map(|(_, value)| value)
    }

    pub fn count(&self, path: &str) -> Option<u64> {
        if let Value::Count(count) = self.get(path)? { Some(*count) } else { None }
    }

    pub fn counts(&self, covered: &str, total: &str) -> Option<(u64, u64)> {
        Some((self.count(covered)?, self.count(total)?))
    }

    pub fn float(&self, path: &str) -> Option<f64> {
        match self.get(path)? {
            Value::Count(count) => Some(*count as f64),
            Value::Float(float) => Some(*float),
            Value::Text(_) => None,
        }
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        if let Value::Text(text) = self.get(path)? { Some(text) } else { None }
    }

    /// A number in its digits as written, such as `99.4` and `100`.
    pub fn percent(&self, path: &str) -> Option<Percent> {
        match self.get(path)? {
            Value::Count(count) => Percent::parse(&count.to_string()),
            Value::Float(float) => Percent::parse(&Number::from_f64(*float)?.to_string()),
            Value::Text(_) => None,
        }
    }

    fn add(&mut self, path: &'static str, value: Value) {
        match (self.0.iter_mut().find(|(name, _)| *name == path), value) {
            (Some((_, Value::Count(sum))), Value::Count(count)) if path.contains('*') => {
                *sum = sum.saturating_add(count)
            }
            (Some((_, old)), value) => *old = value,
            (None, value) => self.0.push((path, value)),
        }
    }
}

/// Takes an entry: its key, and its value.
type Each<'a, T> = dyn FnMut(&str, T) + 'a;

/// The map or list whose entries are read one by one.
struct Entries<'a, T> {
    /// The rest of the path from the current value.
    at: &'static str,
    each: &'a mut Each<'a, T>,
}

/// The paths through the current value: their remaining parts, and the whole paths.
struct Picker<'a, T> {
    paths: Vec<(&'static str, &'static str)>,
    values: &'a mut Values,
    entries: Option<Entries<'a, T>>,
}

/// The rest of a path below a key. A key may contain a slash.
fn below(path: &'static str, key: &str) -> Option<&'static str> {
    let rest = path.strip_prefix(key).filter(|_| !key.is_empty()).or_else(|| path.strip_prefix('?'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

impl<T> Picker<'_, T> {
    fn below(&mut self, key: &str) -> Picker<'_, T> {
        let step = |(rest, path): &(&'static str, &'static str)| Some((below(rest, key)?, *path));
        let entries = self.entries.as_mut().and_then(|entries| {
            let at = below(entries.at, key)?;
            Some(Entries { at, each: &mut *entries.each })
        });
        Picker { paths: self.paths.iter().filter_map(step).collect(), values: self.values, entries }
    }

    /// If the current value is the map or list of the entries.
    fn each(&mut self) -> Option<&mut Each<'_, T>> {
        let entries = self.entries.as_mut().filter(|entries| entries.at.is_empty())?;
        Some(&mut *entries.each)
    }

    fn keep(&mut self, value: impl Fn() -> Value) {
        for (_, path) in self.paths.iter().filter(|(rest, _)| rest.is_empty()) {
            self.values.add(path, value());
        }
    }
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Picker<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.paths.is_empty() && self.entries.is_none() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Picker<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.each() {
                Some(each) => each(&key, map.next_value()?),
                None => map.next_value_seed(self.below(&key))?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        loop {
            let next = match self.each() {
                Some(each) => list.next_element()?.map(|value| each("", value)),
                None => list.next_element_seed(self.below("*"))?,
            };
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_u64<E: Error>(mut self, count: u64) -> Result<(), E> {
        self.keep(|| Value::Count(count));
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, float: f64) -> Result<(), E> {
        self.keep(|| Value::Float(float));
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.keep(|| Value::Text(text.chars().take(MAX_TEXT).collect()));
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_one_by_one_beside_the_values() {
        let json = r#"{"n": 3, "a": {"x": {"files": {"f": [1, 2], "g/h": []}}, "y": {"files": [[7]], "n": 4}}}"#;
        let mut entries = Vec::new();
        let mut each = |key: &str, value: List<u32>| entries.push((key.to_owned(), value.0));
        let values = read_entries(&mut json.as_bytes(), &["n", "a/y/n"], "a/?/files", &mut each).unwrap();
        assert_eq!((values.count("n"), values.count("a/y/n")), (Some(3), Some(4)));
        let expected = [("f", vec![1, 2]), ("g/h", vec![]), ("", vec![7])];
        assert_eq!(entries, expected.map(|(key, value)| (key.to_owned(), value)));
        let mut each = |_: &str, _: List<u32>| ();
        assert!(read_entries(&mut r#"{"a": {"f": 1}}"#.as_bytes(), &[], "a", &mut each).is_err());
    }

    #[test]
    fn a_repeated_key_is_kept_once() {
        let json = format!("{{{}\"b\": 1}}", "\"a\": 0, ".repeat(1000));
        assert_eq!(top_keys(&mut json.as_bytes(), &["a", "b", "a"]).unwrap(), Some(vec!["a", "b"]));
    }
}
