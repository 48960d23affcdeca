//! What a release consists of: programs, targets, and a file of checksums.

use sha2::{Digest, Sha256};

/// The program that the action installs.
pub const ACTION: &str = "covered";
pub const PROGRAMS: [&str; 2] = [ACTION, "covered-server"];
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const SUMS: &str = "SHA256SUMS";

/// The released targets; action/run.sh selects one of them.
pub const TARGETS: [&str; 6] = [
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
    "aarch64-pc-windows-msvc",
];

/// The SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
