//! Runs the built binary in a clean environment, and prints everything if an expectation fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::peer::Peer;

pub const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
pub const SITE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
pub const KEY: &str = "api-key-that-must-stay-secret";
pub const TOKEN: &str = "ghs_TokenThatMustStaySecret";
pub const SIGNATURE: &str = "signature-that-must-stay-secret";

/// coverage.py's own pages: the total is 84.62%.
const INDEX: &str = include_str!("../fixtures/coverage_py/index.html");
const FILE_PAGE: &str = include_str!("../fixtures/coverage_py/sample_py.html");

/// A prepared run: the report's folder, the runner's files, and the command.
pub struct Covered {
    folder: TempDir,
    command: Command,
}

impl Covered {
    /// A push to the default branch of octo/app, with a small coverage.py report and all secrets; `peer` is every
    /// server.
    pub fn new(peer: &Peer) -> Self {
        let covered = Self::without_report(peer);
        let report = covered.report();
        covered.arg(report)
    }

    /// The same without a report.
    pub fn without_report(peer: &Peer) -> Self {
        let mut covered = Self::bare();
        covered.command.envs([
            ("COVERED_API_URL", peer.url.as_str()),
            ("COVERED_API_KEY", KEY),
            ("COVERED_GH_TOKEN", TOKEN),
            ("COVERED_COVERAGE_THRESHOLD", "80"),
            ("GITHUB_API_URL", &peer.url),
            ("GITHUB_SERVER_URL", &peer.url),
            ("GITHUB_REPOSITORY", "octo/app"),
            ("GITHUB_SHA", SHA),
            ("GITHUB_RUN_ID", "1658821493"),
        ]);
        let event = r#"{"ref":"refs/heads/main","repository":{"full_name":"octo/app","default_branch":"main"}}"#;
        covered.event("push", event)
    }

    /// A report, and only the runner's files in the environment.
    pub fn bare() -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_covered"));
        command.env_clear();
        for (name, file) in [("GITHUB_OUTPUT", "output"), ("GITHUB_STEP_SUMMARY", "summary"), ("RUNNER_TEMP", "temp")] {
            command.env(name, folder.path().join(file));
        }
        std::fs::create_dir(folder.path().join("temp")).unwrap();
        let covered = Self { folder, command };
        covered.file("index.html", INDEX).file("sample_py.html", FILE_PAGE).file(".gitignore", "*\n")
    }

    pub fn report(&self) -> PathBuf {
        self.folder.path().join("htmlcov")
    }

    pub fn temp(&self) -> PathBuf {
        self.folder.path().join("temp")
    }

    /// Writes a file of the report.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.report().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub fn without_file(self, name: &str) -> Self {
        std::fs::remove_file(self.report().join(name)).unwrap();
        self
    }

    pub fn event(self, name: &str, event: &str) -> Self {
        let path = self.folder.path().join("event.json");
        std::fs::write(&path, event).unwrap();
        self.env("GITHUB_EVENT_NAME", name).env("GITHUB_EVENT_PATH", path.to_str().unwrap())
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn in_actions(self) -> Self {
        self.env("GITHUB_ACTIONS", "true")
    }

    /// Runs it, and verifies that no secret was printed and no temporary file is left.
    pub fn run(mut self) -> Outcome {
        let output = self.command.output().unwrap();
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        let outcome = Outcome {
            command: format!("{:?}", self.command),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            output: read("output"),
            summary: read("summary"),
        };
        for secret in [KEY, TOKEN, SIGNATURE] {
            let shown =
                outcome.everything().lines().any(|line| line.contains(secret) && !line.starts_with("::add-mask::"));
            assert!(!shown, "{secret} was shown\n{}", outcome.message());
        }
        assert!(is_empty(&self.temp()), "a temporary file stayed\n{}", outcome.message());
        outcome
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The results of a run.
pub struct Outcome {
    command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub output: String,
    pub summary: String,
}

impl Outcome {
    fn everything(&self) -> String {
        [&self.stdout, &self.stderr, &self.output, &self.summary].map(String::as_str).join("\n")
    }

    fn message(&self) -> String {
        let Self { command, code, stdout, stderr, output, summary } = self;
        let shown = command.replace(KEY, "KEY").replace(TOKEN, "TOKEN");
        format!(
            "{shown}\n--- code {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n--- output\n{output}\n--- \
             summary\n{summary}"
        )
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.message());
        self
    }

    /// Expects exit code 1, and this on standard error.
    #[track_caller]
    pub fn fails(self, text: &str) -> Self {
        assert_eq!(self.code, Some(1), "{}", self.message());
        self.stderr_contains(text)
    }

    /// Expects exit code 2, and this on standard error.
    #[track_caller]
    pub fn rejects(self, text: &str) -> Self {
        assert_eq!(self.code, Some(2), "{}", self.message());
        self.stderr_contains(text)
    }

    #[track_caller]
    pub fn stderr_contains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected {text:?} on stderr of\n{}", self.message());
        self
    }

    #[track_caller]
    pub fn stdout_contains(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "expected {text:?} on stdout of\n{}", self.message());
        self
    }

    #[track_caller]
    pub fn stdout_contains_in_order(self, texts: &[&str]) -> Self {
        let mut rest = self.stdout.as_str();
        for text in texts {
            let Some((_, after)) = rest.split_once(text) else {
                panic!("expected {texts:?} in this order on stdout of\n{}", self.message())
            };
            rest = after;
        }
        self
    }

    #[track_caller]
    pub fn omits(self, text: &str) -> Self {
        assert!(!self.everything().contains(text), "did not expect {text:?} of\n{}", self.message());
        self
    }

    #[track_caller]
    pub fn outputs(self, line: &str) -> Self {
        let name = line.split('=').next().unwrap();
        // As in GitHub's runner, the last value counts.
        let last = self.output.lines().rfind(|output| output.split('=').next() == Some(name));
        assert!(last == Some(line), "expected the output {line:?} of\n{}", self.message());
        self
    }

    #[track_caller]
    pub fn summary_contains(self, text: &str) -> Self {
        assert!(self.summary.contains(text), "expected {text:?} in the summary of\n{}", self.message());
        self
    }
}
