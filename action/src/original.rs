//! The backend of the Python original: each file goes into an S3 bucket by itself.

pub mod credentials;
pub mod files;
mod sigv4;
