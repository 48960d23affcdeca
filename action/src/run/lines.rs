//! Step 3, if anything needs it: reads which lines the tests covered, and exports them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{Result, anyhow, bail, ensure};

use super::patch::{PatchResult, ReportLinks};
use super::state::Run;
use crate::base::text::count;
use crate::coverage::lines::{Filter, Lines};
use crate::coverage::patch::{PageLink, ReportPages, Selection};
use crate::coverage::{Choice, Export, FoundLines, LineSearch, Proof, Totals, line_anchor};
use crate::github::changes::Changes;
use crate::inputs::Source;
use crate::report::{self, Report};

/// What follows from the lines.
pub(super) struct Derived {
    failed_exports: Vec<String>,
    /// The number of the pull request, and the result for its changed lines.
    patch: Option<(u64, Result<PatchResult>)>,
}

/// The changed files. `tree`: the paths of all files in the commit, if they are known.
pub(super) fn select<'c>(changes: &'c Changes, tree: Option<&'c [String]>) -> Selection<'c> {
    let selection = Selection::new(&changes.files);
    match tree {
        Some(tree) => selection.with_tree(tree.iter().map(String::as_str)),
        None => selection,
    }
}

impl Run<'_> {
    /// Reads the lines if an export, a dry run or the patch coverage needs them. Returns the page of changed lines.
    pub(super) fn use_lines(&mut self, report: &Report, changes: Option<&Changes>) -> Result<Option<String>> {
        let needs_all = self.inputs.dry_run || !self.inputs.exports.is_empty();
        if !needs_all && changes.is_none() {
            return Ok(None);
        }
        let selection = changes.map(|changes| select(changes, changes.tree.as_deref()));
        let needs = |path: &str| selection.as_ref().is_some_and(|selection| selection.needs(path));
        let found = self.read_lines(report, if needs_all { None } else { Some(&needs) });
        // A wrong name is no reason to upload no report.
        let (found, wrong) = match found {
            Err(wrong) if !self.inputs.dry_run => (None, Some(wrong)),
            found => (found?, None),
        };
        // The total is that of the pages, where there are any.
        let line_anchor = self.outcome.totals.as_ref().and_then(|totals| line_anchor(totals.tool));
        let pages = ReportPages::new(report, 1);
        let link = |page: &str| PageLink { label: "in the report".to_owned(), page: page.to_owned(), line_anchor };
        let links = ReportLinks {
            of_file: &|path| pages.find(path).map(link).into_iter().collect(),
            index: report.index().unwrap_or_default(),
        };
        let lines = found.as_ref().ok_or("the report has no lines that can be read");
        let exported = wrong.is_none().then_some(lines);
        let derived = self.derive((lines, exported), changes.zip(selection.as_ref()), &links);
        drop(found);
        wrong.iter().for_each(|wrong| self.fail(wrong));
        Ok(self.record(derived))
    }

    /// What follows from the lines: the result for the changed ones, and the exports, if they are to be written. An error
    /// says why there are none.
    pub(super) fn derive(
        &self,
        (lines, exported): (Result<&FoundLines, &str>, Option<Result<&FoundLines, &str>>),
        changes: Option<(&Changes, &Selection)>,
        links: &ReportLinks,
    ) -> Derived {
        let patch = |(changes, selection): (&Changes, _)| {
            let patch = lines.map_err(|why| anyhow!("{why}"));
            (changes.number, patch.and_then(|lines| self.patch(links, changes, selection, lines)))
        };
        let failed_exports = exported.map_or_else(Vec::new, |lines| self.failed_exports(lines));
        Derived { failed_exports, patch: changes.map(patch) }
    }

    /// Logs the results. Returns the page of changed lines.
    pub(super) fn record(&mut self, derived: Derived) -> Option<String> {
        derived.failed_exports.into_iter().for_each(|problem| self.record_failure(problem, false));
        derived.patch.and_then(|(number, patch)| self.record_patch(number, patch))
    }

    /// The lines: all, or those that the filter accepts. Logs where they come from and whether they add up.
    fn read_lines<'r>(&'r self, report: &'r Report, filter: Option<Filter<'r>>) -> Result<Option<FoundLines<'r>>> {
        let Some(choice) = &self.inputs.lines else { return Ok(None) };
        if let Some(path) = choice.missing(report) {
            bail!(
                "lines (--lines) names the file `{path}`, which is neither in the working directory nor in the report"
            );
        }
        let totals = self.outcome.totals.as_ref();
        self.search_lines(report, choice, totals, filter, "")
    }

    /// The same with a file that exists. `of`: as in ` of the report unit`, for the log.
    pub(super) fn search_lines<'r>(
        &self,
        report: &'r Report,
        choice: &'r Choice,
        totals: Option<&'r Totals>,
        filter: Option<Filter<'r>>,
        of: &str,
    ) -> Result<Option<FoundLines<'r>>> {
        let is_part = filter.is_some();
        let search = LineSearch { report, choice, totals, filter, deadline: self.deadline() };
        let mut notes = Vec::new();
        let found = search.run(&mut notes);
        notes.iter().for_each(|note| self.log.info(&format!("Note{of}: {note}")));
        match &found {
            Some(found) if is_part && !found.lines.are_all_rejected() => {
                self.log.info(&format!("Read{of} {found}; only changed files were read"));
            }
            Some(found) => self.log.info(&format!("Read{of} {found}")),
            None if !notes.is_empty() => self.log.info(&format!("Read{of} no lines: the notes above say why")),
            None => self.log.info(&format!("Read{of} no lines: {}", no_lines_reason(choice))),
        }
        Ok(found)
    }

    /// Writes the exports. A failed one fails the run, but not the steps after it.
    fn failed_exports(&self, found: Result<&FoundLines, &str>) -> Vec<String> {
        let exports = self.inputs.exports.iter();
        exports
            .filter_map(|export| {
                let error = self.export(export, found).err()?;
                Some(format!("cannot write the export {}: {error:#}", export.path))
            })
            .collect()
    }

    fn export(&self, export: &Export, found: Result<&FoundLines, &str>) -> Result<()> {
        let found = found.map_err(|why| {
            anyhow!("there are no lines to write: {why}; set lines (--lines) to a coverage file of the report")
        })?;
        if let Proof::Differs { .. } = found.proof {
            bail!("the lines in {} do not add up; set lines (--lines) to another file", found.source);
        }
        let path = resolve(Path::new(&export.path))?;
        if let Source::Folders(folders) = &self.inputs.source {
            for folder in report::expand(folders)? {
                let is_inside = path.starts_with(resolve(&folder.path)?);
                ensure!(!is_inside, "it would change the report: choose a file outside of {}", folder.path.display());
            }
        }
        write_export(export, &path, &found.lines)?;
        let (files, (_, lines)) = (found.lines.files().count(), found.lines.sums());
        self.log.info(&format!(
            "Wrote {} of {} to {} ({})",
            count(lines as usize, "line"),
            count(files, "file"),
            export.path,
            export.format
        ));
        Ok(())
    }
}

fn no_lines_reason(choice: &Choice) -> String {
    match choice {
        Choice::Auto => "neither a coverage file nor the pages of the report have them in a known format".to_owned(),
        Choice::File { path, format: Some(format), .. } => format!("{path} has none in the format {format}"),
        Choice::File { path, format: None, .. } => format!("{path} has none in a known format"),
    }
}

/// The absolute path without `..` and links, so that neither hides that a file is in the report's folder. What does not
/// exist yet is no link.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
        if let Ok(target) = resolved.canonicalize() {
            resolved = target;
        }
    }
    Ok(resolved)
}

fn write_export(export: &Export, path: &Path, lines: &Lines) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut to = BufWriter::new(File::create(path)?);
    export.write(lines, &mut to)?;
    Ok(to.flush()?)
}
