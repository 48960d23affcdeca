//! The hits of one line in a list such as `[1, null, 0, "ignored"]`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whether the line ran; `None` if it cannot be covered. Anything but a number is no count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits(pub Option<bool>);

impl<'de> Deserialize<'de> for Hits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HitsVisitor)
    }
}

struct HitsVisitor;

impl<'de> Visitor<'de> for HitsVisitor {
    type Value = Hits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of hits, or null")
    }

    fn visit_u64<E: Error>(self, hits: u64) -> Result<Hits, E> {
        Ok(Hits(Some(hits > 0)))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Hits, E> {
        Ok(Hits(Some(false)))
    }

    fn visit_f64<E: Error>(self, hits: f64) -> Result<Hits, E> {
        Ok(Hits(Some(hits > 0.0)))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Hits, E> {
        Ok(Hits(None))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Hits, E> {
        Ok(Hits(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Hits, E> {
        Ok(Hits(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Hits, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Hits(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hits, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Hits(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_a_count() {
        let hits: Vec<Hits> = serde_json::from_str(r#"[2, 0, -1, 0.5, null, "ignored", true, [1], {"a": 1}]"#).unwrap();
        let counts = [Some(true), Some(false), Some(false), Some(true), None, None, None, None, None];
        assert_eq!(hits, counts.map(Hits));
    }
}
