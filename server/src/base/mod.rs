//! Helpers without dependencies on other parts of the server.

pub mod log_throttle;
pub mod memory;
pub mod poll;
pub mod random;
pub mod retry;
pub mod secret;
