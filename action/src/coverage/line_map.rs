//! Where the lines of a file are after a change.

use super::diff::{Change, Hunk};
use super::lines::{Bits, Hit};

/// From each of these lines on: what to add to a line's number; `None` for lines that are gone. Sorted by line.
pub struct LineMap(Vec<(u32, Option<i64>)>);

impl LineMap {
    /// From a diff. `is_back`: from the file after the change to the one before. `None` if the diff does not say where a
    /// change is.
    pub fn new(hunks: &[Hunk], is_back: bool) -> Option<Self> {
        let mut map = Self(vec![(0, Some(0))]);
        for hunk in hunks {
            let mut next = None;
            for line in &hunk.lines {
                let (from, to) = match line.change {
                    Change::Kept { old, new } => (Some(old), Some(new)),
                    Change::Removed { old } => (Some(old), None),
                    Change::Added { new } => (None, Some(new)),
                };
                let (from, to) = if is_back { (to, from) } else { (from, to) };
                if let Some(from) = from {
                    map.push(from, to.map(|to| i64::from(to) - i64::from(from)));
                }
                let (next_from, next_to) = next.unwrap_or_default();
                next = Some((from.map_or(next_from, |from| from + 1), to.map_or(next_to, |to| to + 1)));
            }
            match next {
                // Without a line of its own on a side, a hunk does not say where it is there.
                Some((from, to)) if from > 0 && to > 0 => map.push(from, Some(i64::from(to) - i64::from(from))),
                Some(_) if hunks.len() > 1 => return None,
                // The file is new, or nothing is left of it.
                Some(_) => map.push(1, None),
                None => {}
            }
        }
        Some(map)
    }

    fn push(&mut self, line: u32, offset: Option<i64>) {
        match self.0.last_mut() {
            Some((_, last)) if *last == offset => {}
            Some((start, last)) if *start == line => *last = offset,
            _ => self.0.push((line, offset)),
        }
    }

    fn get(&self, line: u32) -> Option<u32> {
        let at = self.0.partition_point(|(start, _)| *start <= line).checked_sub(1)?;
        u32::try_from(i64::from(line) + self.0[at].1?).ok()
    }

    /// The lines that are left, at their new places.
    pub fn apply(&self, bits: &Bits) -> Bits {
        let mut moved = Bits::default();
        bits.iter().filter_map(|(line, hit)| Some((self.get(line)?, hit))).for_each(|(line, hit): (u32, Hit)| {
            moved.add(line, hit);
        });
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::diff;

    /// The new numbers of lines 1 to `count`.
    fn moved(patch: &str, is_back: bool, count: u32) -> Vec<Option<u32>> {
        let map = LineMap::new(&diff::parse(patch).unwrap(), is_back).unwrap();
        (1..=count).map(|line| map.get(line)).collect()
    }

    #[test]
    fn kept_lines_move_and_changed_ones_are_gone() {
        let patch = "@@ -2,3 +2,4 @@\n b\n-c\n+C\n+D\n d\n@@ -8,3 +9,2 @@\n h\n-i\n j";
        let expected = [Some(1), Some(2), None, Some(5), Some(6), Some(7), Some(8), Some(9), None, Some(10), Some(11)];
        assert_eq!(moved(patch, false, 11), expected);
        let back = [Some(1), Some(2), None, None, Some(4), Some(5), Some(6), Some(7), Some(8), Some(10), Some(11)];
        assert_eq!(moved(patch, true, 11), back);
    }

    #[test]
    fn texts_and_their_diffs_agree() {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..500 {
            let old: Vec<String> = (0..random(30)).map(|line| format!("{line}\n")).collect();
            let mut new = Vec::new();
            for line in &old {
                match random(5) {
                    0 => {}
                    1 => new.extend([format!("+{}\n", random(1_000_000)), line.clone()]),
                    _ => new.push(line.clone()),
                }
            }
            let patch = diff::between(&old.concat(), &new.concat());
            let hunks = diff::parse(&patch).unwrap();
            for (is_back, from, to) in [(false, &old, &new), (true, &new, &old)] {
                let map = LineMap::new(&hunks, is_back).unwrap();
                for (line, number) in from.iter().zip(1..) {
                    // Each line of the old text is unique, so it is where its text is.
                    let place = to.iter().position(|other| other == line).map(|at| at as u32 + 1);
                    assert_eq!(map.get(number), place, "{line} in\n{patch}");
                }
            }
        }
    }

    #[test]
    fn the_lines_keep_their_results() {
        let mut bits = Bits::default();
        [(1, Hit::Yes), (3, Hit::No), (4, Hit::Partly)].into_iter().for_each(|(line, hit)| bits.add(line, hit));
        let hunks = diff::parse("@@ -1,3 +1,4 @@\n a\n+n\n b\n-c\n+C").unwrap();
        let moved = LineMap::new(&hunks, false).unwrap().apply(&bits);
        assert_eq!(moved.iter().collect::<Vec<_>>(), [(1, Hit::Yes), (5, Hit::Partly)]);
    }
}
