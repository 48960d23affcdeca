//! Where the report is: in a folder, or in an artifact of a workflow run.

use std::fmt;
use std::path::PathBuf;

use super::check;
use super::event::Event;
use super::reader::Reader;
use crate::base::repository::Repository;

#[derive(Debug)]
pub enum Source {
    Folder(PathBuf),
    Artifact(Artifact),
}

/// An artifact of a workflow run.
#[derive(Debug)]
pub struct Artifact {
    pub name: String,
    pub run_id: u64,
    pub repository: Repository,
    /// Folder inside the artifact; empty for all of it.
    pub folder: String,
    /// The run's conclusion, if the event is about the run.
    pub conclusion: Option<String>,
}

impl Artifact {
    /// The run's conclusion, unless it is `success`.
    pub fn failure(&self) -> Option<&str> {
        self.conclusion.as_deref().filter(|how| *how != "success")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Artifact(Artifact { name, run_id, .. }) => write!(f, "the artifact `{name}` of run {run_id}"),
        }
    }
}

impl Reader<'_> {
    pub fn source(&mut self, event: &Event, repository: Option<Repository>, has_token: bool) -> Option<Source> {
        let variable = |name| (self.env)(name).map(PathBuf::from);
        let path = self.arguments.directory.take();
        let path = path.or_else(|| variable("INPUT_PATH")).or_else(|| variable("COVERED_PATH"));
        let known = self.problems.len();
        let name = self.get("artifact", check::artifact);
        if self.problems.len() > known {
            return None;
        }
        let run_id = self.get("run-id", check::run_id);
        let Some(name) = name else {
            // For an artifact, the default is all of it.
            let path = path.or_else(|| (self.env)("ACTION_DEFAULT_PATH").map(PathBuf::from));
            match path {
                Some(_) if run_id.is_some() => {
                    self.problems.push("--run-id requires --artifact, the name of the artifact".to_owned());
                }
                None => {
                    let text = "missing directory: pass the report's folder, as in `covered htmlcov`, or --artifact";
                    self.problems.push(text.to_owned());
                }
                Some(_) => {}
            }
            return path.map(Source::Folder);
        };
        let folder = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let run_id = run_id.or(event.run_id());
        let mut need = |is_there: bool, what: &str| {
            if !is_there {
                self.problems.push(format!("cannot find the artifact `{name}`: missing {what}"));
            }
        };
        need(run_id.is_some(), "run-id (--run-id), as the event names no workflow run");
        need(has_token, "github-token (--gh-token): a token with `actions: read`");
        need(repository.is_some(), "repo-owner and repo-name: the repository on GitHub");
        let (run_id, repository) = (run_id?, repository?);
        let conclusion = event.conclusion(run_id).map(str::to_owned);
        Some(Source::Artifact(Artifact { name, run_id, repository, folder, conclusion }))
    }
}
