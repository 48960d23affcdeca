//! The findings of the checks.

use std::time::Duration;

/// The time limit of a request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// Worth knowing, but not a failure.
    Note,
    Fail,
}

/// One line of the table.
#[derive(Debug)]
pub struct Finding {
    pub part: &'static str,
    pub verdict: Verdict,
    /// The observation and, after a failure, what to do.
    pub text: String,
}

impl Finding {
    pub fn ok(part: &'static str, text: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Ok, text: text.into() }
    }

    pub fn note(part: &'static str, text: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Note, text: text.into() }
    }

    pub fn fail(part: &'static str, text: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Fail, text: text.into() }
    }
}
