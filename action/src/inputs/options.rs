//! Groups of inputs: what fails the job, how to reach GitHub, and how to transfer files.

use std::path::PathBuf;
use std::time::Duration;

use super::check;
use super::comments::Comments;
use super::reader::Reader;
use super::source::Source;
use super::target::Target;
use crate::base::secret::Secret;
use crate::coverage::{Choice, Export, Percent};
use crate::http::Proxies;
use crate::identity::Identity;

const FILES_NEED_KEY: &str = "--files requires an API key: set api-key (--api-key). The server gives no S3 credentials \
                              to a job's own token";

const NO_COMMENT_TOKEN: &str =
    "github-token: comment (--comment) needs a token that may write comments: set github-token (--gh-token)";

const NO_ANNOTATIONS_TOKEN: &str = "github-token: annotations (--annotations) needs a token that may write checks: set \
                                    github-token (--gh-token)";

/// What fails the commit status and the job.
#[derive(Debug)]
pub struct Gate {
    pub threshold: Percent,
    /// For the changed lines of a pull request.
    pub patch_threshold: Percent,
    /// Whether a failed step fails the job.
    pub fail_on_error: bool,
    /// Whether a total or changed lines below their threshold fail the job.
    pub fail_under: bool,
}

#[derive(Debug)]
pub struct GitHubAccess {
    pub token: Option<Secret>,
    /// Whether the token is `none`: the workflow disables the status.
    pub is_declined: bool,
    /// Without a slash at the end.
    pub api: String,
    pub server: String,
    pub comments: Comments,
    /// Whether to mark the changed lines that are not covered.
    pub annotations: bool,
}

#[derive(Debug)]
pub struct Transfer {
    /// Time limit of the whole run.
    pub timeout: Duration,
    pub proxies: Proxies,
    /// The folder for temporary files.
    pub temp: PathBuf,
    /// Whether to upload each file separately, even if the server accepts a zip.
    pub file_by_file: bool,
    /// Number of parallel uploads of single files.
    pub concurrency: usize,
    /// Endpoint of another S3 service than AWS, without a trailing slash.
    pub s3_endpoint: Option<String>,
}

impl Reader<'_> {
    pub fn gate(&mut self) -> Option<Gate> {
        let threshold = self.threshold("coverage-threshold");
        let patch_threshold = self.threshold("patch-threshold");
        let fail_on_error = self.get("fail-on-error", check::boolean).unwrap_or(true);
        let fail_under = self.get("fail-under", check::boolean).unwrap_or(false);
        Some(Gate { threshold: threshold?, patch_threshold: patch_threshold?, fail_on_error, fail_under })
    }

    fn threshold(&mut self, name: &str) -> Option<Percent> {
        let threshold = self.get(name, check::threshold)?;
        self.notes.extend(check::threshold_warning(name, &threshold));
        Some(threshold)
    }

    pub fn github(&mut self) -> GitHubAccess {
        let token = self.get("gh-token", check::token);
        let is_declined = matches!(token, Some(None));
        let api = self.github_url("GITHUB_API_URL", "https://api.github.com");
        let server = self.github_url("GITHUB_SERVER_URL", "https://github.com");
        let comments = self.get("comment", Comments::parse).unwrap_or_default();
        let token = token.flatten();
        let annotations = self.get("annotations", check::boolean).unwrap_or(false);
        for (is_on, problem) in [(comments.are_on(), NO_COMMENT_TOKEN), (annotations, NO_ANNOTATIONS_TOKEN)] {
            if is_on && token.is_none() {
                self.missing.push(problem.to_owned());
            }
        }
        GitHubAccess { token, is_declined, api, server, comments, annotations }
    }

    /// Reports inputs that need lines, if `lines` is off.
    pub fn check_lines(
        &mut self,
        lines: Option<&Option<Choice>>,
        exports: &[Export],
        github: &GitHubAccess,
        gate: Option<&Gate>,
    ) {
        let has_threshold = gate.is_some_and(|gate| !gate.patch_threshold.is_zero());
        let need_lines = [
            ("export (--export)", !exports.is_empty()),
            ("comment (--comment)", github.comments.are_on()),
            ("annotations (--annotations)", github.annotations),
            ("patch-threshold (--patch-threshold)", has_threshold),
        ];
        for (input, _) in need_lines.into_iter().filter(|(_, is_set)| *is_set && lines == Some(&None)) {
            self.problems.push(format!("{input} needs lines, but lines (--lines) is off"));
        }
    }

    fn github_url(&mut self, variable: &str, default: &str) -> String {
        let value = (self.env)(variable).unwrap_or_else(|| default.to_owned());
        self.validated(variable, &value, check::url).unwrap_or(value)
    }

    pub fn transfer(&mut self, source: Option<&Source>, target: Option<&Target>) -> Option<Transfer> {
        let file_by_file = self.file_by_file(source, target);
        let timeout = self.get("timeout", check::seconds);
        let concurrency = self.get("concurrency", check::concurrency);
        let s3_endpoint = self.s3_endpoint();
        let proxies = Proxies::from_env(self.env).map_err(|problem| self.problems.push(problem)).unwrap_or_default();
        let temp = (self.env)("RUNNER_TEMP").map_or_else(std::env::temp_dir, PathBuf::from);
        Some(Transfer { timeout: timeout?, proxies, temp, file_by_file, concurrency: concurrency?, s3_endpoint })
    }

    /// The endpoint from the variables of AWS's tools; the one for S3 takes precedence.
    fn s3_endpoint(&mut self) -> Option<String> {
        let named = |name: &'static str| (self.env)(name).map(|value| (name, value));
        let (name, value) = named("AWS_ENDPOINT_URL_S3").or_else(|| named("AWS_ENDPOINT_URL"))?;
        self.validated(name, &value, check::url)
    }

    /// Whether to upload each file separately. The server gives credentials for that only to API keys.
    fn file_by_file(&mut self, source: Option<&Source>, target: Option<&Target>) -> bool {
        let files = self.get("files", check::boolean).unwrap_or(false);
        if files && target.is_some_and(|target| matches!(target.identity, Identity::Job(_))) {
            self.problems.push(FILES_NEED_KEY.to_owned());
        }
        if files && let Some(missing) = self.missing_entry("api-key") {
            *missing = format!("api-key: {FILES_NEED_KEY}");
        }
        if files && matches!(source, Some(Source::Artifacts(_))) {
            let text = "--files cannot upload an artifact (--artifact): download it with actions/download-artifact in \
                        an earlier step, and pass its folder";
            self.problems.push(text.to_owned());
        }
        files
    }
}
