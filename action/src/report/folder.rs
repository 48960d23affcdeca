//! Lists the files of a report's folder: regular files, dotfiles, and targets of symbolic links inside the folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::files::{Content, Entry, MAX_FILE, MAX_FILES, Report};
use super::parts::MAX_PARTS;
use crate::base::pattern::{fits, has_wildcard, star_of};

/// Files and folders to visit: links can multiply folders without any file.
const MAX_VISITS: usize = 2 * MAX_FILES;

/// Lists the files below `folder`. Fails on the first file that cannot be served, and names it.
pub fn walk(folder: &Path) -> Result<Report> {
    let shown = folder.display();
    let root = fs::canonicalize(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!("there is no folder `{shown}`: did the tests write a report there?"),
        _ => anyhow!("cannot open the report's folder `{shown}`: {error}"),
    })?;
    ensure!(root.is_dir(), "`{shown}` is a file: pass the folder that contains the report");
    let mut walk = Walk { root: &root, files: Vec::new(), visits: 0, ancestors: vec![root.clone()] };
    walk.folder(&root, "")?;
    let mut files = walk.files;
    ensure!(!files.is_empty(), "the report's folder `{shown}` is empty: did the tests write a report there?");
    files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(Report { files })
}

/// A folder of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    pub path: PathBuf,
    /// What the wildcards of its pattern stand for.
    pub found: Option<String>,
}

/// The folders that these paths stand for: a path that does not exist may have `*` and `?` in it. One that stands for no
/// folder is kept as it is.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<Folder>> {
    let mut folders: Vec<Folder> = Vec::new();
    for path in paths {
        let is_pattern = has_wildcard(&path.to_string_lossy()) && !path.exists();
        let mut found = if is_pattern { matching(path)? } else { Vec::new() };
        if found.is_empty() {
            let found_by = is_pattern.then(|| path.to_string_lossy().into_owned());
            found.push(Folder { path: path.clone(), found: found_by });
        }
        folders.extend(found);
        folders.dedup();
        ensure!(folders.len() <= MAX_PARTS, "more than {MAX_PARTS} folders fit `{}`", path.display());
    }
    Ok(folders)
}

/// The folders that fit a pattern, sorted by path.
fn matching(pattern: &Path) -> Result<Vec<Folder>> {
    let mut found = vec![Folder::default()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        if !has_wildcard(&name) {
            found.iter_mut().for_each(|folder| folder.path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let path = if folder.path.as_os_str().is_empty() { Path::new(".") } else { &folder.path };
            // A folder on the way may not exist.
            for child in fs::read_dir(path).into_iter().flatten() {
                let child = child.with_context(|| format!("cannot read the folder `{}`", path.display()))?;
                let own = child.file_name().to_string_lossy().into_owned();
                if fits(&name, &own) && child.path().is_dir() {
                    let own = star_of(&name, &own).unwrap_or(&own);
                    let found = folder.found.as_ref().map_or(own.to_owned(), |above| format!("{above}-{own}"));
                    next.push(Folder { path: path.join(child.file_name()), found: Some(found) });
                }
            }
            ensure!(next.len() <= MAX_PARTS, "more than {MAX_PARTS} folders fit `{}`", pattern.display());
        }
        next.sort_by(|one, other| one.path.cmp(&other.path));
        found = next;
    }
    found.retain(|folder| folder.path.is_dir());
    Ok(found)
}

struct Walk<'a> {
    root: &'a Path,
    files: Vec<Entry>,
    visits: usize,
    /// The current folder and all its parents.
    ancestors: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, prefix: &str) -> Result<()> {
        let unreadable = || format!("cannot read the folder `{}`", path.display());
        for child in fs::read_dir(path).with_context(unreadable)? {
            let child = child.with_context(unreadable)?;
            let name = format!("{prefix}{}", validated_name(&child.path())?);
            self.visits += 1;
            // Besides the source, it may contain the job's token.
            ensure!(
                !child.file_name().eq_ignore_ascii_case(".git"),
                "the report contains a git checkout, `{name}`: pass the report's own folder, such as htmlcov"
            );
            ensure!(self.visits <= MAX_VISITS, "{TOO_MANY}");
            let is_link = child.file_type().with_context(|| cannot_read(&name))?.is_symlink();
            let path = if is_link { self.follow(&child.path(), &name)? } else { child.path() };
            self.visit(path, name)?;
        }
        Ok(())
    }

    fn visit(&mut self, path: PathBuf, name: String) -> Result<()> {
        let found = fs::symlink_metadata(&path).with_context(|| cannot_read(&name))?;
        if found.is_dir() {
            self.ancestors.push(path.clone());
            self.folder(&path, &format!("{name}/"))?;
            self.ancestors.pop();
        } else if found.is_file() {
            ensure!(self.files.len() < MAX_FILES, "{TOO_MANY}");
            ensure!(found.len() < MAX_FILE, "`{name}` is larger than 4 GiB: leave it out of the report");
            self.files.push(Entry { name, size: found.len(), content: Content::File(path) });
        }
        // Sockets, pipes and devices are not part of a report.
        Ok(())
    }

    fn follow(&self, link: &Path, name: &str) -> Result<PathBuf> {
        let target = fs::canonicalize(link).with_context(|| format!("the symbolic link `{name}` is broken"))?;
        if !target.starts_with(self.root) {
            bail!("the symbolic link `{name}` points outside the report's folder: remove it, or copy its target");
        }
        if self.ancestors.contains(&target) {
            bail!("the symbolic link `{name}` points to a folder that contains the link itself: remove it");
        }
        Ok(target)
    }
}

const TOO_MANY: &str = "the folder contains more than 100,000 files: is it the report's own folder?";

fn cannot_read(name: &str) -> String {
    format!("cannot read `{name}`")
}

/// The last part of `path`, if every system and browser can use it.
fn validated_name(path: &Path) -> Result<&str> {
    let name = path.file_name().unwrap_or_default();
    let shown = path.display();
    let Some(text) = name.to_str() else { bail!("the file name {shown:?} is not UTF-8: rename it") };
    ensure!(
        !text.contains(|letter: char| letter == '\\' || letter.is_control()),
        "the file name {shown:?} contains a backslash or a control character: rename it"
    );
    Ok(text)
}
