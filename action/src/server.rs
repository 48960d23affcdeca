//! The covered server: a session for an upload, the upload itself, and the total of the default branch.

pub mod baseline;
pub mod session;
pub mod upload;
