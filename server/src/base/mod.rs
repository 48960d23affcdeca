//! What every part may use.

pub mod log_throttle;
pub mod memory;
pub mod poll;
pub mod random;
pub mod secret;
