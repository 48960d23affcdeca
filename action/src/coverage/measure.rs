//! The numbers that a format finds in a report, and which of them is the total.

use super::percent::{Counts, Percent};

/// All numbers of a report, the tool's own total first.
pub type Measures = Vec<Measure>;

/// What `--metric` takes.
pub const METRICS: [&str; 5] = ["lines", "branches", "statements", "functions", "instructions"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// One of `METRICS`, or a metric of a single tool.
    pub metric: &'static str,
    pub percent: Percent,
    /// The counts behind the percentage.
    pub counts: Option<Counts>,
    /// Not shown by the tool: used only if `--metric` names it.
    pub on_request: bool,
}

impl Measure {
    /// A percentage as the tool shows it, with covered and total counts. `None` if nothing was counted. Counts that do
    /// not fit the percentage are dropped.
    pub fn shown(metric: &'static str, percent: Percent, counts: Option<(u64, u64)>) -> Option<Self> {
        let counts = match counts {
            Some((covered, total)) => Some(Counts::new(covered, total)?).filter(|counts| percent.shows(*counts)),
            None => None,
        };
        Some(Self { metric, percent, counts, on_request: false })
    }

    /// Counts, with the percentage in the number of digits that the tool shows.
    pub fn counted(metric: &'static str, (covered, total): (u64, u64), digits: usize) -> Option<Self> {
        let counts = Counts::new(covered, total)?;
        Some(Self { metric, percent: counts.percent(digits), counts: Some(counts), on_request: false })
    }

    pub fn only_on_request(self) -> Self {
        Self { on_request: true, ..self }
    }

    /// Whether both can be the same number, rounded in different ways.
    pub fn agrees(&self, other: &Self) -> bool {
        let close = |one: &Percent, measure: &Self| measure.counts.is_some_and(|counts| one.shows(counts));
        self.metric == other.metric
            && match (self.counts, other.counts) {
                (Some(one), Some(two)) => one == two || close(&self.percent, other) || close(&other.percent, self),
                _ => close(&self.percent, other) || close(&other.percent, self) || self.percent.is_near(&other.percent),
            }
    }
}

/// The requested metric; else lines, if the tool shows them; else the tool's own total, unless it counts branches or
/// functions.
pub fn choose<'a>(found: &'a [Measure], metric: Option<&str>) -> Option<&'a Measure> {
    let named = |metric: &str| found.iter().find(|measure| measure.metric == metric);
    let own = || found.first().filter(|first| !["branches", "functions"].contains(&first.metric));
    match metric {
        Some(metric) => named(metric),
        None => named("lines").filter(|lines| !lines.on_request).or_else(own).filter(|measure| !measure.on_request),
    }
}
