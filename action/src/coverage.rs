//! A report's coverage: finds the total, in many formats, and compares it exactly.

mod formats;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod measure;
mod percent;
mod search;
mod syntax;
mod totals;

pub use formats::supported_tools;
pub use measure::METRICS;
pub use percent::{Counts, Percent};
pub use search::{Choice, Search, search};
pub use totals::{State, Totals};

#[cfg(test)]
mod tests;
