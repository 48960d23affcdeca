//! Streams JSON: keeps only the values that a format names.

use std::fmt;
use std::io::{BufRead, Read};

use anyhow::{Result, ensure};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::coverage::percent::Percent;

/// Bytes to read of a JSON file. A key can be as long, so this also limits memory.
const MAX_BYTES: u64 = 256 << 20;
/// Bytes of a kept text.
const MAX_TEXT: usize = 100;

/// The values at paths such as `total/lines/pct`; a path such as `files/*/covered` is the sum over the list.
pub struct Values(Vec<(&'static str, Value)>);

enum Value {
    Count(u64),
    Float(f64),
    Text(String),
}

/// Reads the existing values. Ignores what follows the JSON.
pub fn read(input: &mut dyn BufRead, paths: &[&'static str]) -> Result<Values> {
    let mut input = input.take(MAX_BYTES);
    let mut values = Values(Vec::new());
    let paths = paths.iter().map(|path| (*path, *path)).collect();
    let read =
        Picker { paths, values: &mut values }.deserialize(&mut serde_json::Deserializer::from_reader(&mut input));
    ensure!(input.limit() > 0, "it is longer than {MAX_BYTES} bytes");
    read?;
    Ok(values)
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

/// The paths through the current value: their remaining parts, and the whole paths.
struct Picker<'a> {
    paths: Vec<(&'static str, &'static str)>,
    values: &'a mut Values,
}

impl Picker<'_> {
    fn below(&mut self, key: &str) -> Picker<'_> {
        let step = |(rest, path): &(&'static str, &'static str)| {
            let rest = rest.strip_prefix(key).filter(|_| !key.is_empty())?;
            // A key may contain a slash.
            let below = if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') };
            below.map(|rest| (rest, *path))
        };
        Picker { paths: self.paths.iter().filter_map(step).collect(), values: self.values }
    }

    fn keep(&mut self, value: impl Fn() -> Value) {
        for (_, path) in self.paths.iter().filter(|(rest, _)| rest.is_empty()) {
            self.values.add(path, value());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Picker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.paths.is_empty() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Picker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(self.below(&key))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.below("*"))?.is_some() {}
        Ok(())
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
