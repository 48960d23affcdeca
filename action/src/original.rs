//! Uploads to the backend of the Python original: each file separately into an S3 bucket.

pub mod credentials;
pub mod files;
mod sigv4;
