//! The covered server's API: session, upload, badge, and the total of the default branch.

pub mod badge;
pub mod baseline;
pub mod kept;
pub mod session;
pub mod upload;
