//! Paths in the repository, the target folder, and the lab's folder in it.

use std::path::{Path, PathBuf};

/// The repository's root folder.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap()
}

/// The folder of the running program, such as `target/debug`. Works with any setting of the target folder.
pub fn profile() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap();
    // Test programs are in `deps`.
    let tests = folder.ends_with("deps");
    let folder = if tests { folder.parent().unwrap() } else { folder };
    folder.to_owned()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    profile().parent().unwrap().to_owned()
}

/// A built program, in the folder of the running one.
pub fn binary(name: &str) -> PathBuf {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    profile().join(file)
}

/// The folder for what the lab installs and writes.
pub fn lab() -> PathBuf {
    target().join("lab")
}

/// A program of a Python environment.
pub fn program(venv: &Path, name: &str) -> PathBuf {
    venv.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(name)
}

/// A program of the lab's Python environment.
pub fn python(name: &str) -> PathBuf {
    program(&lab().join("venv"), name)
}

/// The versions of the Python original that are on PyPI.
pub const ORIGINALS: [&str; 2] = ["0.1.0", "0.1.1"];

/// The environment of one version of the Python original.
pub fn original(version: &str) -> PathBuf {
    lab().join(format!("original-{version}"))
}

/// The lab's npm packages.
pub fn node_modules() -> PathBuf {
    lab().join("npm").join("node_modules")
}

/// A script of the lab.
pub fn script(name: &str) -> PathBuf {
    root().join("xtask").join("lab").join(name)
}

/// A file for people to look at, such as a screenshot.
pub fn artifact(name: &str) -> PathBuf {
    let folder = lab().join("artifacts");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}
