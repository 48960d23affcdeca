//! What every part may use.

pub mod log_throttle;
pub mod poll;
pub mod random;
pub mod room;
pub mod secret;
