//! What every part may use.

pub mod poll;
pub mod random;
pub mod secret;
