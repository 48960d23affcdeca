//! Patch coverage against diff-cover: for random pull requests, both find the same covered and missed lines. Where they
//! differ, the difference has a name.

mod generator;
mod reports;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use covered::base::deadline::Deadline;
use covered::coverage::diff::{self, Hunk};
use covered::coverage::lines::Hit;
use covered::coverage::patch::{ChangedFile, Patch, Selection, Unknown};
use covered::coverage::{Choice, LineSearch};
use covered::report::Report;
use serde_json::Value;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process;

use generator::{Change, Random, Tree};
use reports::Reports;
use repository::{Repository, without_config};

const PULL_REQUESTS: usize = 300;
const SEED: u64 = 7;
/// GitHub's diffs have three lines around a change.
const CONTEXT: &str = "-U3";

/// The files that a pull request changes, as GitHub and as diff-cover read them, and all files of its head.
struct ChangeFiles<'a> {
    ours: &'a [ChangedFile],
    theirs: &'a [ChangedFile],
    tree: &'a Tree,
}

/// Covered and missed lines by path, of the files that have any.
type Lines = BTreeMap<String, (Vec<u32>, Vec<u32>)>;

/// What was compared, and the lines of each difference: none of them may be left out by chance.
#[derive(Debug, Default)]
struct Seen {
    covered: u64,
    missed: u64,
    not_in_report: usize,
    /// Moved lines are not new.
    moved: usize,
    /// diff-cover counts git's mark for "no line break at the end" as a line, so it looks at the line after an added one.
    after_mark: usize,
    /// Of two equal blocks, git takes the other one for the new one without context, as diff-cover asks for.
    other_copy: usize,
    /// A line in two classes: diff-cover takes it for missed if one of them says so, Cobertura and we take it for covered.
    half_missed: usize,
    /// Files with lone carriage returns.
    line_breaks: usize,
}

#[test]
fn patch_coverage_is_that_of_diff_cover() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(SEED);
    let changes: Vec<_> = (0..PULL_REQUESTS).map(|_| Change::random(&mut random)).collect();
    let repository = Repository::new(&folder.path().join("repository"), &changes);
    let folder = folder.path().join("reports");
    let root = repository.folder.to_str().unwrap();
    let reports: Vec<_> = changes.iter().map(|change| Reports::random(&mut random, &change.head, root)).collect();
    for (number, reports) in reports.iter().enumerate() {
        let folder = folder.join(number.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("lcov.info"), &reports.lcov).unwrap();
        fs::write(folder.join("cobertura.xml"), &reports.cobertura).unwrap();
    }
    let mut script = without_config(Command::new(paths::python("python")));
    script.arg(paths::script("diff_cover_all.py")).arg(&repository.folder).arg(&folder);
    process::run(&mut script).unwrap().succeeded();
    let mut seen = Seen::default();
    for (number, reports) in reports.iter().enumerate() {
        let files = [CONTEXT, "-U0"].map(|context| repository.changed_files(number, context));
        let change = ChangeFiles { ours: &files[0], theirs: &files[1], tree: &changes[number].head };
        let folder = folder.join(number.to_string());
        compare(&folder.join("lcov.info"), &change, &BTreeMap::new(), &mut seen);
        compare(&folder.join("cobertura.xml"), &change, &reports.half_missed, &mut seen);
    }
    println!("{seen:?}");
    let Seen { covered, missed, not_in_report, moved, after_mark, half_missed, line_breaks, .. } = seen;
    assert!(covered > 1_900 && missed > 1_300);
    assert!(not_in_report.min(moved).min(after_mark).min(half_missed).min(line_breaks) > 40);
}

/// `half_missed`: by file, the lines that are in two classes of the report and missed in one.
fn compare(
    report: &Path,
    &ChangeFiles { ours: changes, theirs: without_context, tree }: &ChangeFiles,
    half_missed: &BTreeMap<String, BTreeSet<u32>>,
    seen: &mut Seen,
) {
    let (mut theirs, shown) = (read_result(report), report.display());
    let selection = Selection::new(changes).with_tree(tree.keys().map(String::as_str));
    let choice = Choice::File { path: report.to_str().unwrap().to_owned(), format: None, is_inside: false };
    let (needs, inside) = (|path: &str| selection.needs(path), Report::default());
    let search =
        LineSearch { report: &inside, choice: &choice, totals: None, filter: Some(&needs), deadline: Deadline::NEVER };
    let mut notes = Vec::new();
    let Some(found) = search.run(&mut notes) else {
        let text = fs::read_to_string(report).unwrap();
        assert!(!text.contains("\nDA:") && !text.contains("<line ") && theirs.is_empty(), "{shown}: {notes:?}");
        return;
    };
    let patch = selection.patch(&found.lines);
    // Files with lone carriage returns have no certain line numbers.
    let is_of = |wanted| move |(_, why): &&(&str, Unknown)| *why == wanted;
    for (path, _) in patch.unknown.iter().filter(is_of(Unknown::LineBreaks)) {
        theirs.remove(*path);
        seen.line_breaks += 1;
    }
    let expected = as_diff_cover(&patch, without_context, half_missed, seen);
    assert_eq!(expected, theirs, "ours with the named differences, and diff-cover's: {shown} of {changes:#?}");
    let not_in_report = patch.unknown.iter().filter(is_of(Unknown::NotInReport)).count();
    let others = patch.unknown.iter().filter(is_of(Unknown::LineBreaks)).count();
    assert_eq!(not_in_report + others, patch.unknown.len(), "{shown}: {:?}", patch.unknown);
    let counts = patch.counts();
    seen.covered += counts.map_or(0, |counts| counts.covered);
    seen.missed += counts.map_or(0, |counts| counts.total - counts.covered);
    seen.not_in_report += not_in_report;
    seen.moved += moved(&patch, changes);
}

/// Our result with all named differences applied. `without_context`: the diffs that diff-cover reads.
fn as_diff_cover(
    patch: &Patch,
    without_context: &[ChangedFile],
    half_missed: &BTreeMap<String, BTreeSet<u32>>,
    seen: &mut Seen,
) -> Lines {
    let mut result = Lines::new();
    for file in &patch.files {
        let change = without_context.iter().find(|change| change.path == file.path).unwrap();
        let after_mark = after_mark(change);
        let hunks = diff::parse(change.diff.as_ref().unwrap()).unwrap();
        seen.other_copy += other_copies(&file.hunks, &hunks);
        let is_half_missed = |line: &u32| half_missed.get(file.path).is_some_and(|lines| lines.contains(line));
        let (mut covered, mut missed) = (Vec::new(), Vec::new());
        for (number, _) in added(&hunks) {
            let is_after = after_mark.contains(&number);
            let line = number + u32::from(is_after);
            let Some(hit) = file.hit(line) else { continue };
            seen.after_mark += usize::from(is_after);
            seen.half_missed += usize::from(is_half_missed(&line));
            if hit == Hit::No || is_half_missed(&line) { missed.push(line) } else { covered.push(line) }
        }
        if !covered.is_empty() || !missed.is_empty() {
            result.insert(file.path.to_owned(), (covered, missed));
        }
    }
    result
}

/// Added lines that are in another place without context: git then ends the comparison earlier, and takes the other one of
/// two equal blocks for the new one.
fn other_copies(ours: &[Hunk], theirs: &[Hunk]) -> usize {
    let [our_numbers, their_numbers] =
        [ours, theirs].map(|hunks| added(hunks).map(|(number, _)| number).collect::<BTreeSet<_>>());
    let [our_texts, their_texts] = [ours, theirs].map(|hunks| {
        let mut texts: Vec<_> = added(hunks).map(|(_, text)| text).collect();
        texts.sort_unstable();
        texts
    });
    assert_eq!(our_texts, their_texts);
    our_numbers.difference(&their_numbers).count()
}

fn added<'a>(hunks: &'a [Hunk]) -> impl Iterator<Item = (u32, &'a str)> {
    hunks.iter().flat_map(|hunk| &hunk.lines).filter_map(|line| Some((line.added()?, line.text)))
}

/// The added lines after the mark "no line break at the end" of a removed line: they are the last ones.
fn after_mark(change: &ChangedFile) -> Vec<u32> {
    let patch = change.diff.as_ref().unwrap();
    let Some((_, after)) = patch.split_once("\n\\ No newline at end of file\n+") else { return Vec::new() };
    let count = 1 + after.split('\n').skip(1).filter(|line| line.starts_with('+')).count();
    let hunks = diff::parse(patch).unwrap();
    let numbers: Vec<u32> = added(&hunks).map(|(number, _)| number).collect();
    numbers[numbers.len() - count..].to_vec()
}

/// The lines that we left out because they only moved: each was removed elsewhere in the pull request.
fn moved(patch: &Patch, changes: &[ChangedFile]) -> usize {
    let all: Vec<_> = changes.iter().map(|change| diff::parse(change.diff.as_ref().unwrap()).unwrap()).collect();
    let removed = all.iter().flatten().flat_map(|hunk| &hunk.lines).filter(|line| line.is_removed());
    let mut removed: Vec<&str> = removed.map(|line| line.text).collect();
    let mut moved = 0;
    for file in &patch.files {
        for (number, text) in added(&file.hunks) {
            let counted = file.lines.iter().find(|(line, _)| *line == number).map(|(_, hit)| *hit);
            if counted.is_some() || file.hit(number).is_none() {
                assert_eq!(counted, file.hit(number), "{} in line {number}", file.path);
                continue;
            }
            let place = removed.iter().position(|removed| *removed == text);
            removed.swap_remove(place.unwrap_or_else(|| panic!("{}: {text:?} is new, and not counted", file.path)));
            moved += 1;
        }
    }
    assert_eq!(moved, patch.moved);
    moved
}

fn read_result(report: &Path) -> Lines {
    let text = fs::read_to_string(format!("{}.json", report.display())).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    let files = result["src_stats"].as_object().unwrap().iter();
    let numbers = |lines: &Value| lines.as_array().unwrap().iter().map(|line| line.as_u64().unwrap() as u32).collect();
    files
        .map(|(path, file)| (path.clone(), (numbers(&file["covered_lines"]), numbers(&file["violation_lines"]))))
        .collect()
}
