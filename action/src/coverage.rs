//! What a report says of its coverage: where its total stands, in which format, and how to compare it.

mod formats;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod measure;
mod percent;
mod search;
mod syntax;
mod totals;

pub use formats::known;
pub use measure::METRICS;
pub use percent::{Counts, Percent};
pub use search::{Choice, Search, search};
pub use totals::{State, Totals};

#[cfg(test)]
mod tests;
