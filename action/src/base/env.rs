//! The environment as a parameter, so that tests need not change the process environment.

/// Looks up an environment variable; an empty value counts as unset.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;
