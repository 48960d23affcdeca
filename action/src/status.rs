//! Step 5: posts the commit status.

use std::fmt;

use anyhow::{Result, bail};
use serde::Serialize;
use ureq::http::StatusCode;

use crate::github::GitHub;
use crate::http::Client;
use crate::totals::{Percent, State, Totals};

#[derive(Serialize)]
pub struct Status<'a> {
    pub state: State,
    pub description: String,
    pub target_url: &'a str,
    pub context: &'a str,
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}, {}", self.context, self.state.as_str(), self.description)
    }
}

/// The number first: GitHub shows the start. At most 140 characters, which is all that GitHub takes.
pub fn description(totals: Option<&Totals>, threshold: &Percent, state: State) -> String {
    match totals {
        None if state == State::Failure => format!("no total found, and the threshold is {threshold}%"),
        None => "report uploaded, no total found".to_owned(),
        Some(totals) if totals.reaches(threshold) => format!("{}%", totals.percent),
        Some(totals) => {
            // Shown rounded up to the threshold, the number alone would not explain the failure.
            let exact = totals.exact().filter(|_| totals.percent.reaches(threshold));
            let exact = exact.map_or_else(String::new, |exact| format!(" ({exact}%)"));
            format!("{}%{exact}, below the threshold of {threshold}%", totals.percent)
        }
    }
}

/// Posts the status of `commit_sha`.
pub fn post(client: &Client, github: &GitHub, commit_sha: &str, status: &Status) -> Result<()> {
    let repository = github.repository;
    let request =
        github.request("POST", &format!("statuses/{commit_sha}"), "application/vnd.github+json")?.json(status)?;
    let answer = client.send(&request)?;
    let said = answer.describe();
    match answer.status {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED => {
            bail!("GitHub does not accept the token ({said}): check github-token (--gh-token), it may have expired")
        }
        StatusCode::FORBIDDEN => bail!(
            "the token may not write statuses in {repository} ({said}): give the job `permissions: statuses: write`; the token of a \
             pull request from a fork can only read, post from a `workflow_run` workflow there"
        ),
        StatusCode::NOT_FOUND => bail!(
            "the token does not see {repository}, or may not write statuses there ({said}): check github-token and the repository's \
             name, and give the job `permissions: statuses: write`"
        ),
        StatusCode::UNPROCESSABLE_ENTITY => {
            bail!(
                "GitHub takes no status for commit {commit_sha} of {repository} ({said}): check commit-sha, and that the commit was pushed"
            )
        }
        _ => Err(answer.refusal(format!("GitHub did not take the status ({said})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totals::Counts;

    fn totals(percent: Percent, counts: Option<Counts>) -> Totals {
        let source = "index.html".to_owned();
        Totals { percent, counts, of: "lines", tool: "coverage.py", source, lines: None, branches: None }
    }

    #[test]
    fn a_description_starts_with_the_number_and_fits() {
        let told = |total: &str, threshold: &str| {
            let percent = Percent::parse(total).unwrap();
            description(Some(&totals(percent, None)), &Percent::parse(threshold).unwrap(), State::Success)
        };
        let rounded = totals(Percent::parse("80").unwrap(), Counts::new(796, 1000));
        assert_eq!(
            description(Some(&rounded), &Percent::parse("80").unwrap(), State::Failure),
            "80% (79.6%), below the threshold of 80%"
        );
        assert_eq!(told("87.42", "80"), "87.42%");
        assert_eq!(told("87.42", "90"), "87.42%, below the threshold of 90%");
        assert_eq!(
            description(None, &Percent::parse("90").unwrap(), State::Success),
            "report uploaded, no total found"
        );
        assert!(told("099.123456789012", "099.999999999999").len() <= 140);
    }
}
