//! Where the reports are: in folders, or in artifacts of a workflow run.

use std::fmt;
use std::path::{Path, PathBuf};

use super::check;
use super::event::Event;
use super::reader::Reader;
use crate::base::pattern::{has_wildcard, split_list};
use crate::base::repository::Repository;

#[derive(Debug)]
pub enum Source {
    /// Folders, or patterns of their paths.
    Folders(Vec<PathBuf>),
    Artifacts(Artifacts),
}

/// Artifacts of a workflow run.
#[derive(Debug)]
pub struct Artifacts {
    /// Names, or patterns of names.
    pub names: Vec<String>,
    pub run_id: u64,
    pub repository: Repository,
    /// Folder inside each artifact; empty for all of it.
    pub folder: String,
    /// The run's conclusion, if the event is about the run.
    pub conclusion: Option<String>,
}

impl Artifacts {
    /// The name, if there is only one and no pattern.
    pub fn only(&self) -> Option<&str> {
        match &self.names[..] {
            [name] if !has_wildcard(name) => Some(name),
            _ => None,
        }
    }

    /// The run's conclusion, unless it is `success`.
    pub fn failure(&self) -> Option<&str> {
        self.conclusion.as_deref().filter(|how| *how != "success")
    }
}

/// As in "artifact `a`" or "artifacts `a`, `b`".
impl fmt::Display for Artifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.only().is_some() { "" } else { "s" };
        write!(f, "artifact{plural} `{}`", self.names.join("`, `"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folders(folders) => {
                let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
                f.write_str(&shown.join(", "))
            }
            Self::Artifacts(artifacts) => write!(f, "the {artifacts} of run {}", artifacts.run_id),
        }
    }
}

impl Reader<'_> {
    pub fn source(&mut self, event: &Event, repository: Option<Repository>, has_token: bool) -> Option<Source> {
        let folders = self.folders();
        let known = self.problems.len();
        let names = self.get("artifact", check::artifacts);
        if self.problems.len() > known {
            return None;
        }
        let run_id = self.get("run-id", check::run_id);
        let Some(names) = names else {
            // For an artifact, the default is all of it.
            let default = || (self.env)("ACTION_DEFAULT_PATH").map(|path| vec![path.into()]);
            let folders = folders.or_else(default);
            match folders {
                Some(_) if run_id.is_some() => {
                    self.problems.push("--run-id requires --artifact, the name of the artifact".to_owned());
                }
                None => {
                    let text = "missing directory: pass the report's folder, as in `covered htmlcov`, or --artifact";
                    self.problems.push(text.to_owned());
                }
                Some(_) => {}
            }
            return folders.map(Source::Folders);
        };
        let folder = match &folders.unwrap_or_default()[..] {
            [] => String::new(),
            [folder] => folder.to_string_lossy().into_owned(),
            _ => {
                let text =
                    "with artifact (--artifact), path (DIRECTORY) must be one folder, which is inside each artifact";
                self.problems.push(text.to_owned());
                return None;
            }
        };
        let run_id = run_id.or(event.run_id());
        let shown = names.join("`, `");
        let mut need = |is_there: bool, what: &str| {
            if !is_there {
                self.problems.push(format!("cannot find the artifact `{shown}`: missing {what}"));
            }
        };
        need(run_id.is_some(), "run-id (--run-id), as the event names no workflow run");
        need(has_token, "github-token (--gh-token): a token with `actions: read`");
        need(repository.is_some(), "repo-owner and repo-name: the repository on GitHub");
        let (run_id, repository) = (run_id?, repository?);
        let conclusion = event.conclusion(run_id).map(str::to_owned);
        Some(Source::Artifacts(Artifacts { names, run_id, repository, folder, conclusion }))
    }

    /// The folders from the command line, else from the variables.
    fn folders(&mut self) -> Option<Vec<PathBuf>> {
        let given = std::mem::take(&mut self.arguments.directories);
        if given.is_empty() {
            let variable = |name| (self.env)(name);
            let text = variable("INPUT_PATH").or_else(|| variable("COVERED_PATH"))?;
            // A folder's name may have a comma.
            let is_one = !text.contains('\n') && Path::new(&text).is_dir();
            let folders = if is_one { vec![text.into()] } else { split_list(&text).map(PathBuf::from).collect() };
            return Some(folders).filter(|folders| !folders.is_empty());
        }
        let all = given.len();
        // Such an argument may be a misplaced secret, which must not get into the log.
        let is_folder = |folder: &PathBuf| folder.is_dir() || has_wildcard(&folder.to_string_lossy());
        if let Some(at) = given.iter().position(|folder| all > 1 && !is_folder(folder)) {
            self.problems.push(format!(
                "the DIRECTORY in place {} of {all} is no folder: pass only folders of reports, and write the values of \
                 flags as in --name=VALUE",
                at + 1
            ));
        }
        Some(given)
    }
}
