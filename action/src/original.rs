//! The backend of the Python original: each file goes into an S3 bucket by itself.

pub mod files;
pub mod grant;
mod sigv4;
