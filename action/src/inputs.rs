//! The validated inputs of a run.

mod badge;
mod check;
mod checkout;
mod comments;
mod event;
mod flags;
mod options;
mod parts;
mod pull_request;
mod reader;
mod source;
mod target;

use std::ffi::OsString;

use crate::base::env::Env;
use crate::base::repository::Repository;
use crate::coverage::{Choice, Export};
pub use badge::BadgeUpdate;
pub use check::is_artifact;
pub use comments::Comments;
use event::Event;
use options::{Gate, GitHubAccess, Transfer};
pub use parts::Parts;
pub use pull_request::{Branch, PullRequest, Tested};
use reader::{FromGitHub, Reader};
pub use source::{Artifacts, Source};
pub use target::Target;

pub enum Command {
    Help(String),
    Version,
    /// Why there is nothing to report.
    Nothing(String),
    Run(Box<Inputs>),
}

#[derive(Debug)]
pub struct Inputs {
    pub source: Source,
    pub parts: Parts,
    /// Where to upload to; `Err` lists what a real run would also need.
    pub target: Result<Target, Vec<String>>,
    pub totals: Choice,
    /// Where to read the lines; `None` for `off`.
    pub lines: Option<Choice>,
    pub exports: Vec<Export>,
    /// The requested metric.
    pub metric: Option<&'static str>,
    pub name: Option<String>,
    pub context: String,
    pub badge: BadgeUpdate,
    /// The tested workflow run: an older run must not replace the badge value of a newer one.
    pub run_id: Option<u64>,
    /// Name of the event.
    pub event: String,
    pub pull_request: PullRequest,
    pub gate: Gate,
    pub github: GitHubAccess,
    pub transfer: Transfer,
    /// Warnings about deprecated inputs and about the event file.
    pub notes: Vec<String>,
    pub dry_run: bool,
    /// Why GitHub gives this run no secrets, so that it cannot upload.
    pub no_secrets: Option<&'static str>,
}

/// Reads and validates all inputs; `Err` lists every problem.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, env: Env) -> Result<Command, Vec<String>> {
    let arguments = flags::parse(arguments).map_err(|problem| vec![problem])?;
    if arguments.help {
        return Ok(Command::Help(flags::help()));
    }
    if arguments.version {
        return Ok(Command::Version);
    }
    let env = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    Reader::new(arguments, &env).inputs()
}

impl Reader<'_> {
    fn inputs(mut self) -> Result<Command, Vec<String>> {
        let event = Event::read(self.env);
        if let Some(why) = self.deletion(&event) {
            return Ok(Command::Nothing(why));
        }
        self.notes.extend(event.problem.clone());
        let dry_run = self.get("dry-run", check::boolean).unwrap_or(false);
        let name = self.get("name", check::report_name);
        let context = self.get("context", check::context).unwrap_or_else(|| check::default_context(name.as_deref()));
        self.notes.extend(check::context_warning(&context));
        let repository = self.repository();
        let badge = self.badge(&event, repository.as_ref());
        let target = self.target(&event, repository.clone());
        let has_no_key = self.missing_entry("api-key").is_some();
        let no_secrets =
            repository.as_ref().filter(|_| has_no_key && !dry_run).and_then(|own| event.no_secrets_reason(own));
        let github = self.github();
        let source = self.source(&event, repository, github.token.is_some());
        let parts = self.parts();
        let totals = self.get("totals", Choice::parse).unwrap_or_default();
        let lines = self.get("lines", Choice::parse_or_off);
        let exports = self.get("export", Export::parse_list).unwrap_or_default();
        let metric = self.get("metric", check::metric);
        let (gate, transfer) = (self.gate(), self.transfer(source.as_ref(), target.as_ref()));
        self.check_lines(lines.as_ref(), &exports, &github, gate.as_ref());
        if !dry_run && no_secrets.is_none() {
            self.problems.extend(self.missing.drain(..).map(|missing| format!("missing {missing}")));
        }
        let (Some(source), Some(gate), Some(transfer), true) = (source, gate, transfer, self.problems.is_empty())
        else {
            return Err(self.problems);
        };
        let pull_request = event.pull_request(self.env);
        let (target, run_id, event) = (target.ok_or(self.missing), event.run_id(), event.name);
        Ok(Command::Run(Box::new(Inputs {
            source,
            parts,
            target,
            totals,
            lines: lines.flatten(),
            exports,
            metric,
            name,
            context,
            badge,
            run_id,
            event,
            pull_request,
            gate,
            github,
            transfer,
            notes: self.notes,
            dry_run,
            no_secrets,
        })))
    }

    fn repository(&mut self) -> Option<Repository> {
        let full_name = (self.env)("GITHUB_REPOSITORY").unwrap_or_default();
        let (owner, name) = full_name.split_once('/').unwrap_or_default();
        let part = |value| Some(FromGitHub { from: "GITHUB_REPOSITORY", value });
        let owner = self.get_or("repo-owner", check::repository_part, part(owner));
        let name = self.get_or("repo-name", check::repository_part, part(name));
        Some(Repository { owner: owner?, name: name? })
    }
}

#[cfg(test)]
mod action_yml;

#[cfg(test)]
mod tests;
