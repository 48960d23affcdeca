//! Marks the changed lines that are not covered in "Files changed": one neutral check run on the head commit. Annotations
//! of the log would be shown at the run that uploads, not at the pull request.

use anyhow::{Result, anyhow};
use serde::Serialize;
use ureq::http::StatusCode;

use crate::base::text::{count, shorten};
use crate::github::api::GitHub;
use crate::http::{Client, Response};

/// GitHub takes no more in one request.
const MAX_ANNOTATIONS: usize = 50;
/// Characters of a title and of a path.
const MAX_TITLE: usize = 200;

/// Changed lines of a file that are not covered, from the first to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed<'a> {
    pub path: &'a str,
    pub first: u32,
    pub last: u32,
}

/// The check run of a commit.
pub struct CheckRun<'a> {
    pub name: &'a str,
    pub commit: &'a str,
    /// The result, as in `83.33% of 12 changed lines`.
    pub title: &'a str,
    /// The page of the changed lines.
    pub url: &'a str,
    pub missed: Vec<Missed<'a>>,
    /// Files with missed lines that have other line numbers in this commit.
    pub unmarked: usize,
}

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    head_sha: &'a str,
    status: &'static str,
    conclusion: &'static str,
    details_url: &'a str,
    output: Output<'a>,
}

#[derive(Serialize)]
struct Output<'a> {
    title: String,
    summary: String,
    annotations: Vec<Annotation<'a>>,
}

#[derive(Serialize)]
struct Annotation<'a> {
    path: &'a str,
    start_line: u32,
    end_line: u32,
    annotation_level: &'static str,
    message: String,
}

impl<'a> CheckRun<'a> {
    /// The longest ranges come first, as only some are shown.
    fn body(&self) -> Body<'a> {
        let mut missed = self.missed.clone();
        missed.sort_by_key(|range| (std::cmp::Reverse(range.last - range.first), range.path, range.first));
        let more = missed.len().saturating_sub(MAX_ANNOTATIONS);
        missed.truncate(MAX_ANNOTATIONS);
        let annotation = |range: Missed<'a>| Annotation {
            path: range.path,
            start_line: range.first,
            end_line: range.last,
            annotation_level: "notice",
            message: message(range),
        };
        let mut summary = match missed.len() {
            0 if self.unmarked > 0 => String::new(),
            0 => "No changed line is known to be missed.".to_owned(),
            _ => "The tests miss the changed lines below.".to_owned(),
        };
        if self.unmarked > 0 {
            let files = count(self.unmarked, "file");
            summary += &format!(" The tests miss lines of {files} that the base branch changed too: see the page.");
        }
        if more > 0 {
            summary += &format!(" These are the longest {MAX_ANNOTATIONS} ranges, and there are {more} more.");
        }
        Body {
            name: self.name,
            head_sha: self.commit,
            status: "completed",
            conclusion: "neutral",
            details_url: self.url,
            output: Output {
                title: shorten(self.title, MAX_TITLE),
                summary,
                annotations: missed.into_iter().map(annotation).collect(),
            },
        }
    }
}

fn message(range: Missed) -> String {
    match range.last - range.first {
        0 => format!("Line {} is not covered by tests.", range.first),
        _ => format!("Lines {} to {} are not covered by tests.", range.first, range.last),
    }
}

/// Posts the check run. Returns the number of annotations.
pub fn post(client: &Client, github: &GitHub, run: &CheckRun) -> Result<usize> {
    let body = run.body();
    let request = github.request("POST", "check-runs", "application/vnd.github+json")?.json(&body)?;
    let response = github.send(client, request)?;
    if response.status.is_success() { Ok(body.output.annotations.len()) } else { Err(rejection(github, &response)) }
}

/// Explains a rejection by GitHub.
fn rejection(github: &GitHub, response: &Response) -> anyhow::Error {
    let (reason, repository) = (response.describe(), github.repository);
    let text = match (github.common_rejection(response, &reason), response.status) {
        _ if response.is_temporary() => {
            return response.rejection(format!("GitHub did not accept the annotations ({reason})"));
        }
        (Some(text), _) => text,
        (None, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => format!(
            "the token may not write annotations in {repository} ({reason}): give the job `permissions: checks: \
             write`; only the token of a GitHub App can have it, as the job's own one; in `pull_request` runs of forks and of \
             Dependabot the token is read-only: use a `workflow_run` workflow"
        ),
        _ => format!("GitHub did not accept the annotations for {repository} ({reason})"),
    };
    anyhow!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_ranges_are_shown() {
        let range = |first, last| Missed { path: "src/rate.rs", first, last };
        let mut missed: Vec<Missed> = (1..=60).map(|line| range(line * 10, line * 10)).collect();
        missed.push(range(901, 909));
        let run = CheckRun {
            name: "covered/patch",
            commit: "c",
            title: "50% of 2 changed lines",
            url: "",
            missed,
            unmarked: 0,
        };
        let body = run.body();
        let annotations = &body.output.annotations;
        assert_eq!((annotations.len(), annotations[0].start_line, annotations[0].end_line), (50, 901, 909));
        assert_eq!(annotations[0].message, "Lines 901 to 909 are not covered by tests.");
        assert_eq!(annotations[1].message, "Line 10 is not covered by tests.");
        assert!(body.output.summary.ends_with("and there are 11 more."), "{}", body.output.summary);
    }
}
