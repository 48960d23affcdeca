//! Steps 2 and 3 for several reports: finds the total of each, merges their lines, and adds pages with the result.

use std::cmp::Reverse;

use anyhow::{Context, Result};

use super::lines::select;
use super::patch::ReportLinks;
use super::state::Run;
use crate::base::text::count;
use crate::coverage::lines::{Lines, SourceFile};
use crate::coverage::merge::{FileRow, Index, Merge, PartRow, Total};
use crate::coverage::patch::{PAGE, PageLink, ReportPages};
use crate::coverage::{self, Choice, Counts, FoundLines, Proof, Totals, line_anchor};
use crate::github::changes::{self, Changes};
use crate::log::summary::PartSummary;
use crate::report::{Entry, Part, Report, join_parts};

const TOOL: &str = "merged reports";
/// Source files that link to their pages: those with the most missed lines.
const MAX_LINKED: usize = 1_000;
/// Named parts in one reason.
const SHOWN_PARTS: usize = 3;

/// One of the reports, with what is needed to link to its pages.
struct Pages<'a> {
    part: &'a Part,
    pages: ReportPages<'a>,
    line_anchor: Option<&'static str>,
}

impl Pages<'_> {
    fn link(&self, path: &str) -> Option<PageLink> {
        let page = format!("{}{}", self.part.folder(), self.pages.find(path)?);
        Some(PageLink { label: format!("in {}", self.part.name), page, line_anchor: self.line_anchor })
    }
}

impl Run<'_> {
    /// The merged report. Its total is that of the lines that any part can cover, and covers.
    pub(super) fn merge(&mut self, parts: Vec<Part>, changes: Option<&Changes>) -> Result<Report> {
        let own_tree = if changes.is_some_and(|changes| changes.tree.is_some()) { None } else { self.fetch_tree() };
        let tree = changes.and_then(|changes| changes.tree.as_deref()).or(own_tree.as_deref());
        let mut merge = Merge::new(tree);
        let mut pages = Vec::new();
        for part in &parts {
            let totals = self.part_totals(part)?;
            let lack = self.merge_lines(&mut merge, part, totals.as_ref());
            let (lines, lack) = lack.map_or_else(|lack| (None, Some(lack)), |lines| (Some(lines), None));
            let tool = totals.as_ref().map(|totals| totals.tool);
            pages.push(Pages {
                part,
                pages: ReportPages::new(&part.report, parts.len()),
                line_anchor: tool.and_then(line_anchor),
            });
            let total = totals.map(|totals| format!("{}% of {} ({})", totals.percent, totals.metric, totals.tool));
            let page = part.report.index().map(|index| format!("{}{index}", part.folder()));
            self.outcome.parts.push(PartSummary { name: part.name.clone(), page, total, lines, lack });
        }
        let merged = match (self.no_lines(), merge.finish()) {
            (Some(why), _) => Err(why),
            (None, Ok(merged)) => Ok(merged),
            (None, Err(_)) => Err("together they have more lines or files than fit into 32 MB".to_owned()),
        };
        let merged = merged.map(|(lines, places)| {
            let source = count(parts.len(), "report");
            (FoundLines { lines, tool: TOOL, source, is_pages: false, proof: Proof::NotShown }, places)
        });
        let found = merged.as_ref().map(|(found, _)| found).map_err(String::as_str);
        self.record_total(found);
        let selection = changes.map(|changes| match &merged {
            Ok((_, places)) => select(changes, tree).with_places(places),
            Err(_) => select(changes, tree),
        });
        let of_file = |path: &str| pages.iter().filter_map(|pages| pages.link(path)).take(SHOWN_PARTS).collect();
        let links = ReportLinks { of_file: &of_file, index: "index.html" };
        let derived = self.derive(found, true, changes.zip(selection.as_ref()), &links);
        let patch = self.record(derived);
        let generated = self.merged_pages(found.ok().map(|found| &found.lines), &pages, patch.is_some());
        drop(pages);
        let mut report = join_parts(parts)?;
        generated.into_iter().for_each(|(name, page)| report.add(Entry::generated(name, page)));
        self.add_page(&mut report, patch);
        Ok(report)
    }

    /// The paths of the repository's files, from GitHub.
    fn fetch_tree(&self) -> Option<Vec<String>> {
        let is_off = self.inputs.dry_run || self.inputs.no_secrets.is_some() || self.inputs.lines.is_none();
        let target = self.inputs.target.as_ref().ok().filter(|_| !is_off)?;
        let github = self.github(target)?;
        let why = match changes::files(&self.pull_request_client(), &github, &target.commit_sha) {
            Ok(Some(files)) => return Some(files),
            Ok(None) => "it is too long".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        self.log.info(&format!(
            "Note: without GitHub's list of the repository's files, a file that two reports have under different \
             folders can count twice: {why}"
        ));
        None
    }

    fn part_totals(&self, part: &Part) -> Result<Option<Totals>> {
        let choice = self.inputs.totals.inside();
        let name = &part.name;
        if let Some(path) = choice.missing(&part.report) {
            self.log.info(&format!("Found no total in `{name}`: it has no file `{path}` (--totals)"));
            return Ok(None);
        }
        let search = coverage::search(&part.report, &choice, self.inputs.metric, self.deadline());
        self.deadline().check().with_context(|| format!("cannot find the total of `{name}`"))?;
        search.notes.iter().for_each(|note| self.log.info(&format!("Note on `{name}`: {note}")));
        match &search.totals {
            Some(totals) => self.log.info(&format!("Found in `{name}` {totals}")),
            None => self.log.info(&format!("Found no total in `{name}`: searched {}", search.searched_files())),
        }
        Ok(search.totals)
    }

    /// Adds the lines of a part. Returns their counts, or what it lacks.
    fn merge_lines(&self, merge: &mut Merge, part: &Part, totals: Option<&Totals>) -> Result<Counts, String> {
        let name = &part.name;
        let choice = self.inputs.lines.as_ref().map(Choice::inside).ok_or("line data is off")?;
        if let Some(path) = choice.missing(&part.report) {
            return Err(format!("no file {path} (--lines)"));
        }
        let found = self.search_lines(&part.report, &choice, totals, None, &format!(" from `{name}`"));
        let found = found.map_err(|error| format!("{error:#}"))?.ok_or("no line data")?;
        if let Proof::Differs { .. } = found.proof {
            return Err("lines that do not add up".to_owned());
        }
        match merge.add(name, &found.lines) {
            0 => {}
            apart => self.log.info(&format!(
                "Note on `{name}`: {} can each be several files of the repository, and were merged with no other \
                 report: let the tool write paths from the root of the repository",
                count(apart, "path")
            )),
        }
        found.lines.counts().ok_or_else(|| "no lines that can be covered".to_owned())
    }

    /// Why the reports have no merged lines.
    fn no_lines(&self) -> Option<String> {
        if self.inputs.lines.is_none() {
            return Some("only lines can be merged, and lines (--lines) is off".to_owned());
        }
        let lacking: Vec<&PartSummary> = self.outcome.parts.iter().filter(|part| part.lack.is_some()).collect();
        let lack = lacking.first()?.lack.as_deref()?;
        let same = lacking.iter().filter(|part| part.lack.as_deref() == Some(lack));
        let named: Vec<String> = same.take(SHOWN_PARTS).map(|part| format!("`{}`", part.name)).collect();
        let others = match lacking.len() - named.len() {
            0 => String::new(),
            others => format!(", and {others} more lack something"),
        };
        Some(format!("{lack} in {}{others}", named.join(", ")))
    }

    /// Percents are never averaged: without all lines, there is no merged total.
    fn record_total(&mut self, found: Result<&FoundLines, &str>) {
        let all = count(self.outcome.parts.len(), "report");
        let counts = match self.inputs.metric.filter(|metric| *metric != "lines") {
            Some(metric) => Err(format!("only lines can be merged, not {metric}")),
            None => found.map_err(ToOwned::to_owned).and_then(|found| {
                found.lines.counts().ok_or_else(|| "the reports have no lines that can be covered".to_owned())
            }),
        };
        match counts {
            Ok(counts) => {
                let totals = Totals {
                    percent: counts.shown(),
                    counts: Some(counts),
                    metric: "lines",
                    tool: TOOL,
                    source: all.clone(),
                    lines: Some(counts),
                    branches: None,
                };
                self.log.info(&format!("Merged {all}: {}% of lines, {counts}", totals.percent));
                self.outcome.totals = Some(totals);
            }
            Err(why) => {
                self.warn(&format!("no merged total: {why}; each report keeps its own total"));
                self.outcome.no_total = Some(why);
            }
        }
        self.outcome.state = Some(self.state());
    }

    fn merged_pages(&self, lines: Option<&Lines>, pages: &[Pages], has_patch: bool) -> Vec<(&'static str, String)> {
        let target = self.inputs.target.as_ref().ok();
        let commit = target.map(|target| target.commit_sha.as_str());
        let mut files: Vec<&SourceFile> = lines.into_iter().flat_map(Lines::files).collect();
        files.sort_by_cached_key(|file| Reverse(file.bits.sums().1 - file.bits.sums().0));
        let linked: Vec<Option<String>> = files
            .iter()
            .take(MAX_LINKED)
            .map(|file| pages.iter().find_map(|pages| pages.link(&file.path)).map(|link| link.page))
            .collect();
        let rows = files.iter().enumerate().filter_map(|(at, file)| {
            let (covered, total) = file.bits.sums();
            let page = linked.get(at).and_then(Option::as_deref);
            Some(FileRow { path: &file.path, counts: Counts::new(covered, total)?, page })
        });
        let parts = self.outcome.parts.iter().map(|part| PartRow {
            name: &part.name,
            page: part.page.as_deref(),
            total: part.total.as_deref(),
            lines: part.lines,
            note: part.lack.as_deref(),
        });
        let patch = self.outcome.patch.as_ref().filter(|_| has_patch);
        let index = Index {
            name: self.inputs.name.as_deref(),
            commit: commit.map(|commit| (commit, format!("{}/commit/{commit}", self.repository_url()))),
            total: match &self.outcome.totals {
                Some(Totals { counts: Some(counts), .. }) => Total::Lines(*counts),
                _ => Total::None(self.outcome.no_total.as_deref().unwrap_or_default()),
            },
            parts: parts.collect(),
            files: rows.collect(),
            patch: patch.map(|patch| (patch.description.as_str(), PAGE)),
        };
        index.pages()
    }
}
