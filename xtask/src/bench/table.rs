//! The measured medians with their goals, compared with the last saved table.

use std::fmt::Write;

use serde_json::{Value, json};

/// The goal of a row.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// One line: our number, alone or compared with a peer's.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    /// What the numbers count, such as `requests/s`.
    pub unit: &'static str,
    pub ours: f64,
    /// The other side's name and its number.
    pub peer: Option<(&'static str, f64)>,
    /// The goal for the ratio to the peer, or for our number if there is no peer.
    pub goal: Goal,
}

impl Row {
    /// A measure without a peer.
    pub fn without_peer(name: &str, unit: &'static str, ours: f64, goal: Goal) -> Row {
        Row { name: name.to_owned(), unit, ours, peer: None, goal }
    }

    /// Our number divided by the peer's; for durations with a minimum goal the reverse, which is how much faster we are.
    fn figure(&self) -> f64 {
        match &self.peer {
            None => self.ours,
            Some((_, theirs)) if self.unit == "s" && matches!(self.goal, Goal::AtLeast(_)) => theirs / self.ours,
            Some((_, theirs)) => self.ours / theirs,
        }
    }

    pub fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtLeast(goal) => self.figure() >= goal,
            Goal::AtMost(goal) => self.figure() <= goal,
        }
    }

    fn goal(&self) -> String {
        let (sign, goal) = match self.goal {
            Goal::AtLeast(goal) => ("≥", goal),
            Goal::AtMost(goal) => ("≤", goal),
        };
        format!("{sign} {goal}{}", if self.peer.is_some() { " ×" } else { "" })
    }

    fn key(&self) -> String {
        let peer = self.peer.as_ref().map_or(String::new(), |(peer, _)| format!(" / {peer}"));
        format!("{}{peer}", self.name)
    }

    fn json(&self) -> Value {
        let (peer, theirs) = self.peer.as_ref().map_or((None, None), |(name, number)| (Some(*name), Some(*number)));
        json!({"name": self.name, "unit": self.unit, "ours": self.ours, "peer": peer, "theirs": theirs,
            "figure": self.figure(), "goal": self.goal(), "met": self.is_met()})
    }
}

/// All rows as JSON, for the next run to compare with.
pub fn json(rows: &[Row], machine: &str, date: &str) -> Value {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    json!({"date": date, "machine": machine, "rows": rows})
}

/// All rows as Markdown; `last` is an earlier [`json`].
pub fn markdown(rows: &[Row], last: Option<&Value>) -> String {
    let mut text = "| what | Covered | against | ratio | goal | |\n|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let peer = row.peer.as_ref().map_or(String::new(), |(name, theirs)| format!("{name}: {}", number(*theirs)));
        let ratio = row.peer.as_ref().map_or(String::new(), |_| format!("{} ×", number(row.figure())));
        let (met, change) = (if row.is_met() { "met" } else { "missed" }, change(row, last));
        let (name, ours, unit, goal) = (&row.name, number(row.ours), row.unit, row.goal());
        let _ = writeln!(text, "| {name} | {ours} {unit} | {peer} | {ratio} | {goal} | {met}{change} |");
    }
    text
}

/// The rows in the repository's README.
const HEADLINES: [&str; 4] = [
    "cached badge",
    "first page of a cold site on S3",
    "upload of 3600 files",
    "server's memory under load, with 64 MB of cache",
];

/// The rows of [`HEADLINES`] as Markdown, each with its first peer.
pub fn headlines(rows: &[Row]) -> String {
    let mut text = "| what | Covered | for comparison |\n|---|---|---|\n".to_owned();
    for name in HEADLINES {
        let Some(row) = rows.iter().find(|row| row.name == name) else { continue };
        let peer = row.peer.as_ref();
        let peer = peer.map_or(String::new(), |(peer, theirs)| format!("{peer}: {} {}", number(*theirs), row.unit));
        let _ = writeln!(text, "| {name} | {} {} | {peer} |", number(row.ours), row.unit);
    }
    text
}

/// The figure in the last table, if there is one.
fn change(row: &Row, last: Option<&Value>) -> String {
    let before = last.and_then(|last| last["rows"].as_array()).into_iter().flatten().find(|before| {
        let peer = before["peer"].as_str().map_or(String::new(), |peer| format!(" / {peer}"));
        before["name"].as_str().is_some_and(|name| format!("{name}{peer}") == row.key())
    });
    let Some(before) = before.and_then(|before| before["figure"].as_f64()) else { return String::new() };
    format!(" (was {})", number(before))
}

/// At least three significant digits, with commas between thousands.
fn number(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => grouped(&format!("{number:.0}")),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// `1234567` as `1,234,567`.
fn grouped(digits: &str) -> String {
    let groups: Vec<String> =
        digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join(",")
}

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: &'static str, ours: f64, theirs: f64, goal: Goal) -> Row {
        Row { name: "x".to_owned(), unit, ours, peer: Some(("peer", theirs)), goal }
    }

    #[test]
    fn goals_are_compared_with_the_ratio_or_the_number() {
        assert!(row("requests/s", 130.0, 100.0, Goal::AtLeast(1.3)).is_met());
        assert!(!row("requests/s", 120.0, 100.0, Goal::AtLeast(1.3)).is_met());
        assert!(row("s", 0.1, 2.0, Goal::AtLeast(20.0)).is_met());
        assert!(!row("ms", 3.0, 2.0, Goal::AtMost(1.2)).is_met());
        assert!(Row::without_peer("memory", "MB", 12.0, Goal::AtMost(12.0)).is_met());
    }

    #[test]
    fn the_table_shows_missed_goals_and_previous_ratios() {
        let rows = [row("requests/s", 120.0, 100.0, Goal::AtLeast(1.3))];
        let before = json(&rows, "a machine", "2026-01-01");
        let text = markdown(&rows, Some(&before));
        assert!(text.contains("| x | 120 requests/s | peer: 100 | 1.20 × | ≥ 1.3 × | missed (was 1.20) |"), "{text}");
    }

    #[test]
    fn headlines_are_rows_of_the_saved_table() {
        let saved: Value = serde_json::from_str(include_str!("../../bench.json")).unwrap();
        let names: Vec<&str> =
            saved["rows"].as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
        assert!(HEADLINES.iter().all(|name| names.contains(name)), "{names:?}");
        let rows = [Row { name: HEADLINES[0].to_owned(), ..row("requests/s", 120.0, 100.0, Goal::AtLeast(1.3)) }];
        assert!(headlines(&rows).ends_with("| cached badge | 120 requests/s | peer: 100 requests/s |\n"));
    }

    #[test]
    fn thousands_are_separated_by_commas() {
        assert_eq!([1.5, 150.0, 142_694.85, 2_769_978.0].map(number), ["1.50", "150", "142,695", "2,769,978"]);
    }

    #[test]
    fn the_median_is_the_middle_sample() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
