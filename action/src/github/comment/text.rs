//! The text of the comment: numbers, links of our own, and escaped paths. A contributor chose the paths, so each is in a
//! code span, where GitHub renders no markup, mention or link. So is the reason why there is no number.

use std::fmt::Write;

use crate::base::text::{count, markdown_link, short_sha, shorten, visible};
use crate::coverage::patch::Unknown;
use crate::coverage::{Counts, State, encoded};
use crate::log::summary::{Carried, MissedFile, Outcome, PatchSummary};

/// Named files with missed lines, and named files whose lines are unknown.
const SHOWN_FILES: usize = 10;
/// Named ranges of a file.
const SHOWN_RANGES: usize = 8;
/// The same of those that are covered only partly.
const SHOWN_PARTLY: usize = 4;
/// Characters of a path, whose end says most. GitHub does not break lines in a path in a table.
const SHOWN_PATH: usize = 50;
/// Characters of the address of a file, which each of its ranges repeats. With these limits, the text has less than 60,000
/// characters; GitHub accepts 65,536.
const MAX_FILE_URL: usize = 350;
/// Characters of an address in the report: a file's name is in it.
const MAX_REPORT_URL: usize = 1_000;
/// Characters of the reason why there is no number.
const MAX_REASON: usize = 400;

/// The first line, which GitHub does not show. It identifies the comment of a report.
pub fn marker(name: Option<&str>) -> String {
    name.map_or_else(|| "<!-- covered -->".to_owned(), |name| format!("<!-- covered: {name} -->"))
}

/// Whether the reviewer should know: changed lines are not covered, or too few of them, or the total drops.
pub fn has_problems(outcome: &Outcome) -> bool {
    let is_patch_bad = |patch: &PatchSummary| patch.missed_lines() > 0 || patch.state == State::Failure;
    outcome.patch.as_ref().is_some_and(is_patch_bad) || outcome.has_dropped()
}

/// The text with its marker. `repository`: its address on GitHub; `commit`: the head of the pull request.
pub fn text(outcome: &Outcome, repository: &str, commit: &str) -> String {
    let name = outcome.name.as_deref();
    let of = name.map_or_else(String::new, |name| format!(" of {}", code(name)));
    let mut text = format!("{}\n### Coverage{of}: {}\n\n{}", marker(name), headline(outcome), totals(outcome));
    text += &missing_parts(outcome, repository);
    if let Some(why) = &outcome.no_patch {
        let _ = writeln!(text, "\nThe changed lines could not be counted: {}", code_span(&shorten(why, MAX_REASON)));
    }
    if let Some(patch) = &outcome.patch {
        text += &missed_files(patch, repository, commit, outcome.patch_url.as_deref());
        text += &unknown_files(&patch.unknown);
    }
    let commit = markdown_link(&format!("`{}`", short_sha(commit)), &format!("{repository}/commit/{commit}"));
    let report = link("Report", outcome.report_url.as_deref());
    let links = [link("Changed lines", outcome.patch_url.as_deref()), report, Some(format!("commit {commit}"))];
    let links: Vec<String> = links.into_iter().flatten().collect();
    text + &format!("\n{}\n", links.join(" · "))
}

/// Which expected reports are missing, and why several reports have no merged total.
fn missing_parts(outcome: &Outcome, repository: &str) -> String {
    let mut text = String::new();
    if let Some(why) = &outcome.no_total {
        let _ = writeln!(text, "\nNo merged total: {}", code_span(&shorten(why, MAX_REASON)));
    }
    let named = outcome.missing.iter().take(SHOWN_FILES).map(|name| code(name));
    let more = outcome.missing.len().checked_sub(SHOWN_FILES).filter(|more| *more > 0);
    let named: Vec<String> = named.chain(more.map(|more| format!("{more} more"))).collect();
    if !named.is_empty() {
        let verb = if outcome.missing.len() == 1 { "is" } else { "are" };
        let _ = writeln!(text, "\nThe total is partial: {} {verb} missing.", named.join(", "));
    }
    for Carried { name, commit, commits } in outcome.carried.iter().take(SHOWN_FILES) {
        let link = markdown_link(&format!("`{}`", short_sha(commit)), &format!("{repository}/commit/{commit}"));
        let old = if *commits == 0 { String::new() } else { format!(", {} old", count(*commits, "commit")) };
        let _ = writeln!(text, "\n{} is missing: the total has it from {link}{old}.", code(name));
    }
    text
}

/// The result in one line, as in `2 of 12 changed lines are not covered`.
fn headline(outcome: &Outcome) -> String {
    let patch = outcome.patch.as_ref();
    let counts = patch.and_then(|patch| patch.counts);
    let mut text = match (patch, counts) {
        (Some(patch), Some(counts)) => covered_lines(patch, counts),
        (Some(patch), None) if patch.unknown.is_empty() && outcome.no_patch.is_none() => {
            "no coverable lines changed".to_owned()
        }
        _ => "unknown for the changed lines".to_owned(),
    };
    if outcome.has_dropped() {
        let is_good = patch.is_some_and(|patch| match counts {
            Some(counts) => counts.covered == counts.total,
            None => patch.unknown.is_empty() && outcome.no_patch.is_none(),
        });
        text += if is_good { ", but the total drops" } else { ", and the total drops" };
    }
    text
}

fn covered_lines(patch: &PatchSummary, counts: Counts) -> String {
    let missed = counts.total - counts.covered;
    match (missed, counts.total, patch.partly) {
        (0, 1, 0) => "the changed line is covered".to_owned(),
        (0, 1, _) => "the changed line is covered only partly".to_owned(),
        (0, total, 0) => format!("all {total} changed lines are covered"),
        (0, total, partly) => format!("all {total} changed lines are covered, {partly} of them only partly"),
        (1, 1, _) => "the changed line is not covered".to_owned(),
        (1, total, _) => format!("1 of {total} changed lines is not covered"),
        (missed, total, _) if missed == total => format!("none of the {total} changed lines is covered"),
        (missed, total, _) => format!("{missed} of {total} changed lines are not covered"),
    }
}

/// A table of the numbers.
fn totals(outcome: &Outcome) -> String {
    let change = outcome.change().map_or_else(String::new, |change| format!(" ({change})"));
    let total = outcome.totals.as_ref();
    let total = total.map_or_else(|| "none found".to_owned(), |totals| format!("**{}%**{change}", totals.percent));
    let branch = outcome.baseline.as_ref().map_or_else(|| "unknown".to_owned(), |baseline| format!("{baseline}%"));
    let patch = outcome.patch.as_ref().filter(|_| outcome.no_patch.is_none());
    let patch = patch.map_or_else(|| "unknown".to_owned(), changed_lines);
    let requirement = outcome.patch.as_ref().and_then(|patch| patch.requirement.as_ref());
    let patch_required = requirement.map_or_else(String::new, |requirement| format!("<br>{requirement}"));
    let is_below = outcome.state == Some(State::Failure);
    let total_required = if is_below { format!(", at least {}% required", outcome.threshold) } else { String::new() };
    format!(
        "| Changed lines | Total | Default branch |\n|:---|:---|:---|\n\
         | {patch}{patch_required} | {total}{total_required} | {branch} |\n"
    )
}

fn changed_lines(patch: &PatchSummary) -> String {
    match (&patch.percent, patch.counts) {
        (Some(percent), Some(counts)) => {
            let partly = match patch.partly {
                0 => String::new(),
                partly => format!(", {partly} only partly"),
            };
            format!("**{percent}%** ({counts}{partly})")
        }
        _ if patch.unknown.is_empty() => "none".to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// A table of the files with missed or partly covered lines. `head`: the commit that others have the lines of.
fn missed_files(patch: &PatchSummary, repository: &str, head: &str, page: Option<&str>) -> String {
    if patch.missed.is_empty() {
        return String::new();
    }
    let mut text = "\n| File | Covered | Not covered |\n|:---|:---|:---|\n".to_owned();
    let shown = &patch.missed[..patch.missed.len().min(SHOWN_FILES)];
    shown.iter().for_each(|file| text += &file_row(file, repository));
    text += &merged_files(shown, head);
    if let Some(rest) = patch.missed.len().checked_sub(SHOWN_FILES).filter(|rest| *rest > 0) {
        let (noun, verb) = if rest == 1 { ("file", "has") } else { ("files", "have") };
        let more = format!("{rest} more {noun}");
        let more = link(&more, page).unwrap_or(more);
        let _ = write!(text, "\n{more} {verb} such lines.\n");
    }
    text
}

/// Says which files have the line numbers of the merge commit.
fn merged_files(shown: &[MissedFile], head: &str) -> String {
    let merged: Vec<String> = shown.iter().filter(|file| file.commit != head).map(|file| code(&file.path)).collect();
    let of = match merged.len() {
        0 => return String::new(),
        all if all == shown.len() => String::new(),
        _ => format!(" of {}", merged.join(", ")),
    };
    format!("\nThe line numbers{of} are those of the merge commit, and may differ from “Files changed”.\n")
}

fn file_row(file: &MissedFile, repository: &str) -> String {
    let url = format!("{repository}/blob/{}/{}", file.commit, encoded(&file.path));
    let linked = |text: String, fragment: &str| {
        if url.len() > MAX_FILE_URL { text } else { markdown_link(&text, &format!("{url}{fragment}")) }
    };
    let range = |&(first, last): &(u32, u32)| {
        if first == last {
            linked(first.to_string(), &format!("#L{first}"))
        } else {
            linked(format!("{first}–{last}"), &format!("#L{first}-L{last}"))
        }
    };
    let list = |ranges: &[(u32, u32)], limit: usize| {
        let rest = (ranges.len() > limit).then(|| "…".to_owned());
        ranges.iter().take(limit).map(range).chain(rest).collect::<Vec<_>>().join(", ")
    };
    let partly = (!file.partly.is_empty()).then(|| format!("partly: {}", list(&file.partly, SHOWN_PARTLY)));
    let missed = (!file.ranges.is_empty()).then(|| list(&file.ranges, SHOWN_RANGES));
    let lines: Vec<String> = missed.into_iter().chain(partly).collect();
    format!("| {} | {} | {} |\n", linked(code(&file.path), ""), file.counts, lines.join(", "))
}

fn unknown_files(unknown: &[(String, Unknown)]) -> String {
    if unknown.is_empty() {
        return String::new();
    }
    let verb = if unknown.len() == 1 { "is" } else { "are" };
    let mut text = format!("\n{} {verb} not counted:\n\n", count(unknown.len(), "changed file"));
    for (path, why) in unknown.iter().take(SHOWN_FILES) {
        let _ = writeln!(text, "- {}: {} ({})", code(path), why.reason(), why.advice());
    }
    if unknown.len() > SHOWN_FILES {
        let _ = writeln!(text, "- and {} more", unknown.len() - SHOWN_FILES);
    }
    text
}

fn link(text: &str, url: Option<&str>) -> Option<String> {
    url.filter(|url| url.len() <= MAX_REPORT_URL).map(|url| markdown_link(text, url))
}

/// The end of a path as a code span.
fn code(path: &str) -> String {
    code_span(&end_of(path))
}

/// A code span that also fits into a table. Its fence is longer than every run of backticks in the text.
fn code_span(text: &str) -> String {
    // No escape of `|` works in every cell: a backslash before it in the text would end the cell.
    let shown = visible(text).replace('|', "¦");
    let longest = shown.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let is_edge = |letter| matches!(letter, '`' | ' ');
    let pad = if shown.starts_with(is_edge) || shown.ends_with(is_edge) { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// The end of a long path, without the first part of its folders.
fn end_of(path: &str) -> String {
    let length = path.chars().count();
    if length <= SHOWN_PATH {
        return path.to_owned();
    }
    let end: String = path.chars().skip(length - SHOWN_PATH + 1).collect();
    let folder = end.find('/').map_or(end.as_str(), |at| &end[at..]);
    format!("…{folder}")
}

#[cfg(test)]
mod tests;
