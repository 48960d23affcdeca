//! The covered server: a session for an upload, the upload itself, the badge, and the total of the default branch.

pub mod badge;
pub mod baseline;
pub mod session;
pub mod upload;
