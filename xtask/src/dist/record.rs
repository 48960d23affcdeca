//! `cargo xtask dist --record`: records the hashes with which the action verifies the released programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::release::{ACTION, SUMS, TARGETS, sha256};
use super::{archive, build};

const HEAD: &str = "\
# The released programs, newest version first: action/run.sh installs nothing else. Written by `cargo xtask dist --record`.
# version, target, archive, SHA-256 of the archive, SHA-256 of the program in it
";

/// Writes the programs in the folders to the list, before those of other versions. Returns the version.
pub fn record(folders: &[PathBuf], list: &Path, from: &str, partial: bool) -> anyhow::Result<String> {
    let mut found = BTreeMap::new();
    for folder in folders {
        for (version, target, line) in released(folder, from)? {
            ensure!(
                found.insert(target, (version, line)).is_none(),
                "two folders contain {target}, the second is {}",
                folder.display()
            );
        }
    }
    let missing: Vec<_> = TARGETS.into_iter().filter(|target| !found.contains_key(target)).collect();
    if !missing.is_empty() && !partial {
        bail!("no {ACTION} found for {}; add --partial to record only the others", missing.join(", "));
    }
    let version = found.values().next().context("these folders contain no program to record")?.0.clone();
    if let Some((other, _)) = found.values().find(|(other, _)| *other != version) {
        bail!("the folders contain both {version} and {other}: record one version");
    }
    let mut text = HEAD.to_owned();
    TARGETS.iter().filter_map(|target| found.get(target)).for_each(|(_, line)| text += line);
    let before = fs::read_to_string(list).unwrap_or_default();
    let older = before.lines().filter(|line| !line.starts_with('#') && !line.starts_with(&format!("{version} ")));
    older.for_each(|line| text += &format!("{line}\n"));
    fs::write(list, text).with_context(|| format!("cannot write {}", list.display()))?;
    Ok(version)
}

/// Verifies all files in an output folder of dist; returns version, target and line of each program for the action.
fn released(folder: &Path, from: &str) -> anyhow::Result<Vec<(String, &'static str, String)>> {
    let sums = folder.join(SUMS);
    let text = fs::read_to_string(&sums).with_context(|| format!("cannot read {}", sums.display()))?;
    let mut programs = Vec::new();
    for line in text.lines() {
        let (sum, file) = line.split_once("  ").with_context(|| format!("{}: {line:?}", sums.display()))?;
        let path = folder.join(file);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let own = sha256(&bytes);
        ensure!(own == sum, "{} has the SHA-256 {own}, but {SUMS} lists {sum}", path.display());
        let Some((version, target)) = parts(file) else { continue };
        let program = archive::unpack(&bytes, target, &format!("{ACTION}{}", build::suffix(target)));
        let program = program.with_context(|| path.display().to_string())?;
        let address = format!("{}/v{version}/{file}", from.trim_end_matches('/'));
        let line = format!("{version} {target} {address} {own} {}\n", sha256(&program));
        programs.push((version.to_owned(), target, line));
    }
    Ok(programs)
}

/// Version and target in the file name of an archive of the action's program.
fn parts(file: &str) -> Option<(&str, &'static str)> {
    TARGETS.into_iter().find_map(|target| {
        let version = file.strip_prefix(ACTION)?.strip_prefix('-')?;
        let version = version.split_once(target)?.0.strip_suffix('-')?;
        let is_version = version.starts_with(|first: char| first.is_ascii_digit());
        (is_version && file == archive::name(ACTION, version, target)).then_some((version, target))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::archive::Entry;

    /// An output folder of dist, with one byte as the program.
    fn folder(top: &Path, version: &str, target: &str) -> PathBuf {
        let folder = top.join(format!("{version}-{target}"));
        fs::create_dir_all(&folder).unwrap();
        let name = format!("x/{ACTION}{}", build::suffix(target));
        let bytes = archive::pack(&[Entry { name, bytes: b"p".to_vec(), is_program: true }], target).unwrap();
        let file = archive::name(ACTION, version, target);
        fs::write(folder.join(SUMS), format!("{}  {file}\n", sha256(&bytes))).unwrap();
        fs::write(folder.join(file), bytes).unwrap();
        folder
    }

    fn all(top: &Path, version: &str) -> Vec<PathBuf> {
        TARGETS.iter().map(|target| folder(top, version, target)).collect()
    }

    #[test]
    fn the_newest_version_is_recorded_first_and_older_ones_stay() {
        let top = tempfile::tempdir().unwrap();
        let list = top.path().join("release.txt");
        for version in ["1.0.0", "1.1.0", "1.1.0"] {
            record(&all(top.path(), version), &list, "https://example.com/", false).unwrap();
        }
        let text = fs::read_to_string(&list).unwrap();
        assert!(text.starts_with(HEAD), "{text}");
        let versions: Vec<&str> = text.lines().skip(2).filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(versions, [["1.1.0"; 6], ["1.0.0"; 6]].concat());
        let first: Vec<&str> = text.lines().nth(2).unwrap().split(' ').collect();
        assert_eq!(first[2], "https://example.com/v1.1.0/covered-1.1.0-x86_64-unknown-linux-musl.tar.gz");
        assert_eq!((first[3].len(), first[4]), (64, sha256(b"p").as_str()));
    }

    #[test]
    fn incomplete_and_mixed_releases_are_rejected() {
        let top = tempfile::tempdir().unwrap();
        let list = top.path().join("release.txt");
        let mut folders = all(top.path(), "1.0.0");
        let try_all = |folders: &[PathBuf], partial| record(folders, &list, "https://example.com", partial);
        let rejected = |folders: &[PathBuf]| try_all(folders, false).unwrap_err().to_string();
        assert!(rejected(&folders[1..]).contains("no covered found for x86_64-unknown-linux-musl"));
        assert!(rejected(&[folders[0].clone(), folders[0].clone()]).contains("two folders contain"));
        assert!(!list.exists(), "nothing is written");
        assert_eq!(try_all(&folders[1..], true).unwrap(), "1.0.0");
        folders[0] = folder(top.path(), "1.0.1", TARGETS[0]);
        assert!(rejected(&folders).contains("contain both"));
        fs::write(folders[0].join(archive::name(ACTION, "1.0.1", TARGETS[0])), "another").unwrap();
        assert!(rejected(&folders).contains("has the SHA-256"));
    }

    #[test]
    fn only_the_actions_archives_are_recorded() {
        assert_eq!(parts("covered-1.0.0-rc.1-x86_64-apple-darwin.tar.gz"), Some(("1.0.0-rc.1", TARGETS[2])));
        assert_eq!(parts("covered-1.0.0-aarch64-pc-windows-msvc.zip"), Some(("1.0.0", TARGETS[5])));
        for other in ["covered-server-1.0.0-x86_64-apple-darwin.tar.gz", "covered-1.0.0-x86_64-apple-darwin.cdx.json"] {
            assert_eq!(parts(other), None);
        }
    }
}
