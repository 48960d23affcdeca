//! Every value that the run needs: by which name it comes, which name wins, and whether it makes sense.

mod check;
mod event;
mod flags;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::totals::Percent;
use event::Event;
use flags::{FLAGS, Flag, Typed};

/// Looks a variable of the environment up; an empty one counts as unset.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A text that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the header that sends it and for the runner's mask.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub owner: String,
    pub name: String,
}

impl Repository {
    /// Whether `full_name` (`owner/name`) is this repository; GitHub ignores case.
    pub fn is(&self, full_name: &str) -> bool {
        full_name.eq_ignore_ascii_case(&self.to_string())
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

pub enum Command {
    Help(String),
    Version,
    Run(Box<Inputs>),
}

#[derive(Debug)]
pub struct Inputs {
    pub directory: PathBuf,
    /// Where to upload to and what for; `Err` says what a dry run is short of for a real one.
    pub target: Result<Target, Vec<String>>,
    pub token: Option<Secret>,
    pub threshold: Percent,
    pub name: Option<String>,
    pub context: String,
    pub purge: Purge,
    /// The tested workflow run, so that an older run's value never replaces a newer one's.
    pub run_id: Option<u64>,
    pub timeout: Duration,
    pub dry_run: bool,
    /// Without a slash at the end.
    pub github_api: String,
    pub github_server: String,
    pub temp: PathBuf,
}

#[derive(Debug)]
pub struct Target {
    /// Without a slash at the end.
    pub api_url: String,
    pub api_key: Secret,
    pub repository: Repository,
    pub commit_sha: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    Yes,
    /// `--purge-cache=false`.
    No,
    /// `auto`, and the tested event was no push to the default branch.
    NotDefaultBranch,
}

impl Purge {
    /// Why the badge is left alone.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Yes => None,
            Self::No => Some("Left the badge alone, as told by --purge-cache=false"),
            Self::NotDefaultBranch => {
                Some("Left the badge alone: the tests did not run for a push to the default branch")
            }
        }
    }
}

/// Reads and checks everything; `Err` holds all that is wrong.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, env: Env) -> Result<Command, Vec<String>> {
    let typed = flags::parse(arguments).map_err(|problem| vec![problem])?;
    if typed.help {
        return Ok(Command::Help(flags::help()));
    }
    if typed.version {
        return Ok(Command::Version);
    }
    let env = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    Reader { typed, env: &env, problems: Vec::new(), missing: Vec::new() }.inputs()
}

struct Reader<'a> {
    typed: Typed,
    env: Env<'a>,
    /// Values that make no sense.
    problems: Vec<String>,
    /// Values that a real run needs and a dry run does not, and how to set them.
    missing: Vec<String>,
}

impl Reader<'_> {
    fn inputs(mut self) -> Result<Command, Vec<String>> {
        let event = Event::read(self.env);
        let dry_run = self.get("dry-run", check::boolean).unwrap_or(false);
        let directory = self.typed.directory.take().or_else(|| (self.env)("INPUT_PATH").map(PathBuf::from));
        if directory.is_none() {
            self.problems.push("missing directory: name the report's folder, as in `covered htmlcov`".to_owned());
        }
        let name = self.get("name", check::report_name);
        let context = self.get("context", check::context).unwrap_or_else(|| check::default_context(name.as_deref()));
        let target = self.target(&event);
        let purge = self.purge(&event, target.as_ref());
        let token = self.get("gh-token", check::secret);
        let threshold = self.get("coverage-threshold", check::threshold);
        let timeout = self.get("timeout", check::seconds);
        let github_api = self.github_url("GITHUB_API_URL", "https://api.github.com");
        let github_server = self.github_url("GITHUB_SERVER_URL", "https://github.com");
        let temp = (self.env)("RUNNER_TEMP").map_or_else(std::env::temp_dir, PathBuf::from);
        if !dry_run {
            self.problems.extend(self.missing.drain(..).map(|missing| format!("missing {missing}")));
        }
        match (directory, threshold, timeout) {
            (Some(directory), Some(threshold), Some(timeout)) if self.problems.is_empty() => {
                let target = target.ok_or(self.missing);
                let run_id = event.run_id();
                Ok(Command::Run(Box::new(Inputs {
                    directory,
                    target,
                    token,
                    threshold,
                    name,
                    context,
                    purge,
                    run_id,
                    timeout,
                    dry_run,
                    github_api,
                    github_server,
                    temp,
                })))
            }
            _ => Err(self.problems),
        }
    }

    fn target(&mut self, event: &Event) -> Option<Target> {
        let api_url = self.need("api-url", check::url);
        let api_key = self.need("api-key", check::secret);
        let full_name = (self.env)("GITHUB_REPOSITORY").unwrap_or_default();
        let (owner, name) = full_name.split_once('/').unwrap_or_default();
        let owner = self.get_or("repo-owner", check::repository_part, owner);
        let name = self.get_or("repo-name", check::repository_part, name);
        let commit_sha = self.get_or("commit-sha", check::commit_sha, event.commit().unwrap_or_default());
        let repository = Repository { owner: owner?, name: name? };
        Some(Target { api_url: api_url?, api_key: api_key?, repository, commit_sha: commit_sha? })
    }

    fn purge(&mut self, event: &Event, target: Option<&Target>) -> Purge {
        let auto = |text: &str| if text == "auto" { Ok(None) } else { check::boolean(text).map(Some) };
        match self.get("purge-cache", auto).flatten() {
            Some(true) => Purge::Yes,
            Some(false) => Purge::No,
            None if target.is_some_and(|target| event.is_default_branch_push(&target.repository)) => Purge::Yes,
            None => Purge::NotDefaultBranch,
        }
    }

    /// The flag's value by the order of precedence, else its default, and the name that it came by.
    fn find(&self, flag: &Flag) -> Option<(String, String)> {
        let typed = self.typed.values.iter().rev().find(|(name, _)| *name == flag.name);
        let given =
            |value: &str, name: String| Some((value.trim().to_owned(), name)).filter(|(value, _)| !value.is_empty());
        let from_env = |name: String| given(&(self.env)(&name)?, name);
        typed
            .and_then(|(name, value)| given(value, format!("--{name}")))
            .or_else(|| from_env(flag.input()))
            .or_else(|| from_env(flag.covered()))
            .or_else(|| given(flag.default, format!("--{}", flag.name)))
    }

    /// The flag's value, checked. A check's error says what the value is, as in "is no number".
    fn get<T>(&mut self, name: &str, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let flag = FLAGS.iter().find(|flag| flag.name == name)?;
        let (value, from) = self.find(flag)?;
        check(&value).map_err(|problem| self.problems.push(format!("{from} {problem}"))).ok()
    }

    fn need<T>(&mut self, name: &str, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.get(name, check).or_else(|| self.lack(name))
    }

    /// As `need`, with what GitHub says where no name is set.
    fn get_or<T>(&mut self, name: &str, check: fn(&str) -> Result<T, String>, github: &str) -> Option<T> {
        self.get(name, check).or_else(|| check(github).ok()).or_else(|| self.lack(name))
    }

    fn lack<T>(&mut self, name: &str) -> Option<T> {
        let flag = FLAGS.iter().find(|flag| flag.name == name)?;
        if self.find(flag).is_none() {
            let names = format!("--{name}, {} or {}", flag.input(), flag.covered());
            self.missing.push(format!("{name}: set {names}"));
        }
        None
    }

    fn github_url(&mut self, variable: &str, default: &str) -> String {
        let value = (self.env)(variable).unwrap_or_else(|| default.to_owned());
        check::url(&value).unwrap_or_else(|problem| {
            self.problems.push(format!("{variable} {problem}"));
            value
        })
    }
}
