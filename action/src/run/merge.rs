//! Steps 2 and 3 for several reports: finds the total of each, merges their lines, and adds pages with the result.

use std::cmp::Reverse;

use anyhow::{Context, Result};

use super::carry::CarriedPart;
use super::fetch::Fetched;
use super::lines::select;
use super::patch::ReportLinks;
use super::state::Run;
use crate::base::text::count;
use crate::coverage::lines::{Lines, SourceFile};
use crate::coverage::merge::{FileRow, Index, Keeper, LINES, Merge, Merged, PartRow, Places, Total};
use crate::coverage::patch::{PAGE, PageLink, ReportPages};
use crate::coverage::{self, Choice, Counts, FoundLines, Proof, Totals, line_anchor};
use crate::github::changes::{self, Changes};
use crate::log::summary::PartSummary;
use crate::report::{Entry, Part, Report, join_parts};

const TOOL: &str = "merged reports";
const TOO_MANY: &str = "together they have more lines or files than fit into 32 MB";
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
    pub(super) fn merge(&mut self, fetched: Fetched, changes: Option<&Changes>) -> Result<Report> {
        let Fetched { parts, missing } = fetched;
        let own_tree = if changes.is_some_and(|changes| changes.tree.is_some()) { None } else { self.fetch_tree() };
        let tree = changes.and_then(|changes| changes.tree.as_deref()).or(own_tree.as_deref());
        let mut merge = Merge::new(tree, self.inputs.parts.carry.then(Keeper::default));
        let pages: Vec<Pages> =
            parts.iter().map(|part| self.add_part(&mut merge, part, parts.len())).collect::<Result<_>>()?;
        let merged = match (self.no_lines(), merge.finish()) {
            (Some(why), _) => Err(why),
            (None, Ok(merged)) => Ok(merged),
            (None, Err(_)) => Err(TOO_MANY.to_owned()),
        };
        let carried = if merged.is_ok() { self.carry(missing) } else { self.carry_nothing(missing) };
        let all = count(parts.len() + carried.len(), "report");
        let (own, places, keeper) = match merged {
            Ok(Merged { lines, places, keeper }) => (Ok(lines), places, keeper),
            Err(why) => (Err(why), Places::default(), None),
        };
        let kept = keeper.and_then(|keeper| self.keep(keeper, &carried));
        let with_carried = own.as_ref().ok().filter(|_| !carried.is_empty()).map(|own| union(own, &carried));
        self.record_missing(carried);
        let found =
            |lines| FoundLines { lines, tool: TOOL, source: all.clone(), is_pages: false, proof: Proof::NotShown };
        let (own, with_carried) = (own.map(found), with_carried.map(|lines| lines.map(found)));
        let own = own.as_ref().map_err(String::as_str);
        let whole = match &with_carried {
            Some(whole) => whole.as_ref().map_err(|_| TOO_MANY),
            None => own,
        };
        self.record_total(whole, &all);
        let selection = changes.map(|changes| select(changes, tree).with_places(&places));
        let of_file = |path: &str| pages.iter().filter_map(|pages| pages.link(path)).take(SHOWN_PARTS).collect();
        let links = ReportLinks { of_file: &of_file, index: "index.html" };
        // What other tests covered in an earlier commit says nothing about changed lines.
        let derived = self.derive((own, Some(whole)), changes.zip(selection.as_ref()), &links);
        let patch = self.record(derived);
        let generated = self.merged_pages(whole.ok().map(|found| &found.lines), &pages, patch.is_some());
        drop(pages);
        let mut report = join_parts(parts)?;
        generated.into_iter().for_each(|(name, page)| report.add(Entry::generated(name, page)));
        kept.into_iter().for_each(|lines| report.add(Entry::generated(LINES, lines)));
        self.add_page(&mut report, patch);
        Ok(report)
    }

    /// Reads the total of a report, and merges its lines. `all`: how many reports there are.
    fn add_part<'p>(&mut self, merge: &mut Merge, part: &'p Part, all: usize) -> Result<Pages<'p>> {
        let totals = self.part_totals(part)?;
        let commit = self.inputs.target.as_ref().map_or("", |target| &target.commit_sha);
        let lines = self.merge_lines(merge, part, commit, totals.as_ref());
        let line_anchor = totals.as_ref().and_then(|totals| line_anchor(totals.tool));
        self.outcome.parts.push(PartSummary {
            name: part.name.clone(),
            page: part.report.index().map(|index| format!("{}{index}", part.folder())),
            total: totals.map(|totals| format!("{}% of {} ({})", totals.percent, totals.metric, totals.tool)),
            lines: lines.as_ref().ok().copied(),
            lack: lines.err(),
        });
        Ok(Pages { part, pages: ReportPages::new(&part.report, all), line_anchor })
    }

    /// Without merged lines, those of earlier commits are of no use.
    fn carry_nothing(&mut self, missing: Vec<String>) -> Vec<CarriedPart> {
        self.outcome.missing = missing;
        Vec::new()
    }

    /// The file of all lines, from which a later run takes those of a missing part.
    fn keep(&self, mut keeper: Keeper, carried: &[CarriedPart]) -> Option<Vec<u8>> {
        for CarriedPart { kept, .. } in carried {
            let files = kept.lines.files().map(|file| (file.path.as_str(), &file.bits));
            keeper.add(&kept.name, &kept.commit, files);
        }
        let kept = keeper.finish();
        kept.map_err(|error| self.log.info(&format!("Note: later runs cannot carry these reports: {error:#}"))).ok()
    }

    /// Adds the expected reports that are missing to the others.
    fn record_missing(&mut self, carried: Vec<CarriedPart>) {
        for CarriedPart { carried, lines, .. } in carried {
            let (name, total) = (carried.name.clone(), Some(carried.to_string()));
            self.outcome.parts.push(PartSummary { name, page: None, total, lines: lines.counts(), lack: None });
            self.outcome.carried.push(carried);
        }
        for name in self.outcome.missing.clone() {
            let lack = Some("missing".to_owned());
            self.outcome.parts.push(PartSummary { name, page: None, total: None, lines: None, lack });
        }
        if self.outcome.is_partial() {
            let missing = self.outcome.missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            self.warn(&format!("the total is partial, and the badge keeps its value: missing {missing}"));
        }
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
    fn merge_lines(
        &self,
        merge: &mut Merge,
        part: &Part,
        commit: &str,
        totals: Option<&Totals>,
    ) -> Result<Counts, String> {
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
        match merge.add(name, commit, &found.lines) {
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
    fn record_total(&mut self, found: Result<&FoundLines, &str>, all: &str) {
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
                    source: all.to_owned(),
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
            missing: &self.outcome.missing,
            parts: parts.collect(),
            files: rows.collect(),
            patch: patch.map(|patch| (patch.description.as_str(), PAGE)),
        };
        index.pages()
    }
}

/// The lines of the reports and of those from earlier commits.
fn union(own: &Lines, carried: &[CarriedPart]) -> Result<Lines<'static>> {
    let mut lines = Lines::all();
    for file in carried.iter().map(|part| &part.lines).chain([own]).flat_map(Lines::files) {
        lines.add_part(&file.path, &file.bits);
    }
    lines.finish()?;
    Ok(lines)
}
