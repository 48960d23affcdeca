//! When to comment on the pull request.

/// When a run comments on its pull request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comments {
    #[default]
    Off,
    /// Only about changed lines that are not covered, or a total that drops.
    Problems,
    Always,
}

impl Comments {
    /// The error follows the input's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "problems" => Ok(Self::Problems),
            "always" => Ok(Self::Always),
            _ => Err(format!("{text:?} must be off, problems or always")),
        }
    }

    pub fn are_on(self) -> bool {
        self != Self::Off
    }
}
