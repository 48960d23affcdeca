//! Step 5: posts the commit status.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::Serialize;
use ureq::http::StatusCode;

use crate::base::text::shorten;
use crate::coverage::{Percent, State, Totals};
use crate::github::api::GitHub;
use crate::http::{Client, Response};

/// Characters of a description, GitHub's limit.
pub const MAX_DESCRIPTION: usize = 140;

#[derive(Serialize)]
pub struct Status<'a> {
    pub state: State,
    pub description: String,
    pub target_url: &'a str,
    pub context: &'a str,
}

impl Status<'_> {
    /// The state and its description, as in `failure, 86%, below the threshold of 99%`.
    pub fn outcome(&self) -> String {
        format!("{}, {}", self.state.as_str(), self.description)
    }
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.context, self.outcome())
    }
}

/// At most 140 characters, GitHub's limit; the total first, as GitHub shows the start. `change`: the difference to the
/// default branch; `why`: why there is no total, if that is known. Without a total there is no percent sign, because badges
/// read the number before it.
pub fn description(
    totals: Option<&Totals>,
    threshold: &Percent,
    state: State,
    change: Option<&str>,
    why: Option<&str>,
) -> String {
    let Some(totals) = totals else {
        let text = match (why, state) {
            (Some(why), State::Failure) => format!("no merged total, but at least {threshold} is required: {why}"),
            (Some(why), State::Success) => format!("no merged total: {why}"),
            (None, State::Failure) => format!("no total found; a total of at least {threshold} is required"),
            (None, State::Success) => "report uploaded, no total found".to_owned(),
        };
        return shorten(&text.replace('%', ""), MAX_DESCRIPTION);
    };
    let is_below = !totals.reaches(threshold);
    // Rounded up to the threshold, the total alone would not explain the failure.
    let exact = totals.exact().filter(|_| is_below && totals.percent.reaches(threshold));
    let more: Vec<String> =
        exact.map(|exact| format!("{exact}%")).into_iter().chain(change.map(str::to_owned)).collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    let below = if is_below { format!(", below the threshold of {threshold}%") } else { String::new() };
    format!("{}%{more}{below}", totals.percent)
}

/// The description if expected reports are missing. Badges show no number of a partial total, as it is not at the start.
/// `carried`: as in `e2e from abc1234`.
pub fn with_missing(description: &str, missing: &[String], carried: &[String]) -> String {
    let partial = if missing.is_empty() { "" } else { "partial: " };
    let list = |names: &[String]| match names {
        [] => String::new(),
        [first] => first.replace('%', ""),
        [first, more @ ..] => format!("{} and {} more", first.replace('%', ""), more.len()),
    };
    let without = if missing.is_empty() { String::new() } else { format!(", without {}", list(missing)) };
    let from = if carried.is_empty() { String::new() } else { format!("; {}", list(carried)) };
    shorten(&format!("{partial}{description}{without}{from}"), MAX_DESCRIPTION)
}

/// Posts the status of `commit_sha`.
pub fn post(client: &Client, github: &GitHub, commit_sha: &str, status: &Status) -> Result<()> {
    let request =
        github.request("POST", &format!("statuses/{commit_sha}"), "application/vnd.github+json")?.json(status)?;
    let response = github.send(client, request)?;
    if response.status.is_success() { Ok(()) } else { Err(rejection(github, commit_sha, status.context, &response)) }
}

/// Explains a rejection by GitHub.
fn rejection(github: &GitHub, commit_sha: &str, context: &str, response: &Response) -> anyhow::Error {
    let (reason, repository) = (response.describe(), github.repository);
    let has = |words: &str| reason.contains(words);
    let text = match response.status {
        _ if response.is_temporary() => {
            return response.rejection(format!("GitHub did not accept the status ({reason})"));
        }
        StatusCode::NOT_FOUND => format!(
            "the token has no access to {repository}, or may not write commit statuses there ({reason}): check \
             github-token and the repository's name, and give the job `permissions: statuses: write`"
        ),
        StatusCode::UNPROCESSABLE_ENTITY if has("maximum number of statuses") => format!(
            "commit {commit_sha} of {repository} already has 1000 statuses of context `{context}`, which is GitHub's \
             limit ({reason}): push a new commit, or set another context"
        ),
        StatusCode::UNPROCESSABLE_ENTITY if has("No commit found") => format!(
            "GitHub has no commit {commit_sha} in {repository} ({reason}): check commit-sha, and that the commit was \
             pushed"
        ),
        _ => match (github.common_rejection(response, &reason), response.status) {
            (Some(text), _) => text,
            (None, StatusCode::FORBIDDEN) => format!(
                "the token may not write statuses in {repository} ({reason}): give the job `permissions: statuses: \
                 write` (a personal token: Commit statuses, write); in pull requests from forks or by Dependabot the \
                 token is read-only: post from a `workflow_run` workflow instead"
            ),
            _ => format!("GitHub did not accept the status for commit {commit_sha} of {repository} ({reason})"),
        },
    };
    anyhow!(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Counts;

    fn totals(percent: Percent, counts: Option<Counts>) -> Totals {
        let source = "index.html".to_owned();
        Totals { percent, counts, metric: "lines", tool: "coverage.py", source, lines: None, branches: None }
    }

    #[test]
    fn descriptions_start_with_the_total_and_fit_githubs_limit() {
        let message = |total: &str, threshold: &str| {
            let percent = Percent::parse(total).unwrap();
            description(Some(&totals(percent, None)), &Percent::parse(threshold).unwrap(), State::Success, None, None)
        };
        let rounded = totals(Percent::parse("80").unwrap(), Counts::new(796, 1000));
        assert_eq!(
            description(Some(&rounded), &Percent::parse("80").unwrap(), State::Failure, None, None),
            "80% (79.6%), below the threshold of 80%"
        );
        assert_eq!(message("87.42", "80"), "87.42%");
        assert_eq!(message("87.42", "90"), "87.42%, below the threshold of 90%");
        let delta = |percent: Totals, threshold: &str| {
            description(Some(&percent), &Percent::parse(threshold).unwrap(), State::Failure, Some("-0.31%"), None)
        };
        assert_eq!(delta(totals(Percent::parse("87.42").unwrap(), None), "80"), "87.42% (-0.31%)");
        assert_eq!(delta(rounded, "80"), "80% (79.6%, -0.31%), below the threshold of 80%");
        assert!(message("099.123456789012", "099.999999999999").len() <= 140);
    }

    #[test]
    fn a_partial_total_is_not_at_the_start() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let text = with_missing("87%", &names(&["windows", "mac"]), &names(&["e2e from abc1234, 3 commits old"]));
        assert_eq!(text, "partial: 87%, without windows and 1 more; e2e from abc1234, 3 commits old");
        assert_eq!(with_missing("87% (+1%)", &[], &[]), "87% (+1%)");
        assert!(with_missing("87%", &names(&[&"x".repeat(200)]), &[]).chars().count() <= MAX_DESCRIPTION);
    }

    #[test]
    fn descriptions_without_a_total_contain_no_percentage() {
        let message = |state| description(None, &Percent::parse("80").unwrap(), state, Some("+1%"), None);
        assert_eq!(message(State::Failure), "no total found; a total of at least 80 is required");
        assert_eq!(message(State::Success), "report uploaded, no total found");
        assert!([State::Failure, State::Success].iter().all(|state| !message(*state).contains('%')));
        let why = format!("`90%{}` has no line data", "x".repeat(200));
        let message = description(None, &Percent::parse("80").unwrap(), State::Failure, None, Some(&why));
        assert!(message.starts_with("no merged total, but at least 80 is required: `90xxx"), "{message}");
        assert!(!message.contains('%') && message.chars().count() == MAX_DESCRIPTION, "{message}");
    }
}
