//! Where reports are stored.

use std::collections::HashMap;
use std::path::PathBuf;

use url::Url;

/// A folder, the memory of the process, or a bucket.
pub enum StorageConfig {
    Files(PathBuf),
    Memory,
    /// S3, GCS or Azure: the URL, and the vendor's own variables by their lower-case names.
    Bucket {
        url: Url,
        options: HashMap<String, String>,
    },
}
