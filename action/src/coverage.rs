//! A report's coverage: finds the total, in many formats, and compares it exactly.

pub mod diff;
mod export;
mod files;
mod formats;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod line_map;
mod line_search;
pub mod lines;
mod measure;
pub mod merge;
mod page;
pub mod patch;
mod paths;
mod percent;
mod search;
mod syntax;
mod totals;

pub use export::Export;
pub use formats::{line_anchor, supported_tools};
pub use line_map::LineMap;
pub use line_search::{FoundLines, LineSearch, Proof};
pub use measure::METRICS;
pub use page::encoded;
pub use percent::{Counts, Percent};
pub use search::{Choice, Search, search};
pub use totals::{State, Totals};

#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod tests;
