//! The reports that are expected, if several are merged.

use super::check;
use super::reader::Reader;

#[derive(Debug, Default)]
pub struct Parts {
    /// Their names; without any, those that are there are merged.
    pub expected: Vec<String>,
    /// Whether missing ones are taken from the newest report of the default branch.
    pub carry: bool,
}

impl Reader<'_> {
    pub fn parts(&mut self) -> Parts {
        let expected = self.get("parts", check::parts).unwrap_or_default();
        let carry = self.get("carry", check::boolean).unwrap_or(false);
        if carry && expected.is_empty() {
            self.problems.push("carry (--carry) needs parts (--parts): the names of the reports to expect".to_owned());
        }
        Parts { expected, carry }
    }
}
