//! The table of flags, which `--help` and the environment variables follow from; and parsing of arguments.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};

pub struct Flag {
    pub name: &'static str,
    /// The placeholder in `--help`. The value of a flag with `[=…]` is optional and then `true`.
    value: &'static str,
    pub default: &'static str,
    help: &'static str,
}

pub const FLAGS: &[Flag] = &[
    flag("api-url", "URL", "", "address of the covered server"),
    flag(
        "api-key",
        "KEY",
        "",
        "API key of the server; keep it in the environment [default: the job's token from GitHub]",
    ),
    flag(
        "artifact",
        "NAME",
        "",
        "read the report from this artifact of a workflow run; several by commas, line breaks, or as a pattern with * are \
         merged",
    ),
    flag(
        "parts",
        "NAMES",
        "",
        "names of the reports to expect, by commas or line breaks, if several are merged; if one is missing, the total is \
         partial and does not replace the badge's value",
    ),
    flag(
        "carry",
        "[=true|false]",
        "false",
        "take the lines of missing reports from the newest report of the default branch; needs --parts",
    ),
    flag("run-id", "ID", "", "workflow run of the artifact [default: the run that the event names, else this run]"),
    flag("repo-owner", "OWNER", "", "owner of the GitHub repository [default: from GITHUB_REPOSITORY]"),
    flag("repo-name", "REPO", "", "name of the GitHub repository [default: from GITHUB_REPOSITORY]"),
    flag("commit-sha", "SHA", "", "tested commit [default: from the event file, else GITHUB_SHA]"),
    flag(
        "coverage-threshold",
        "PERCENT",
        "100",
        "the commit status fails if the total is lower or not found; 0: it never fails",
    ),
    flag(
        "patch-threshold",
        "PERCENT",
        "0",
        "the commit status of a pull request's changed lines fails if fewer are covered, or if the report does not say; no \
         effect if GitHub does not return the changes; 0: it never fails",
    ),
    flag(
        "comment",
        "off|problems|always",
        "off",
        "comment on the pull request; problems: only if changed lines are not covered, or the total drops",
    ),
    flag(
        "annotations",
        "[=true|false]",
        "false",
        "mark the changed lines that are not covered in the pull request's \"Files changed\"",
    ),
    flag(
        "fail-under",
        "[=true|false]",
        "false",
        "exit with code 1 if the total or the changed lines are below their threshold or not found",
    ),
    flag(
        "fail-on-error",
        "[=true|false]",
        "true",
        "exit with code 1 if a step fails; false: log the error and exit with 0",
    ),
    flag(
        "totals",
        "auto|FILE|FILE:FORMAT",
        "auto",
        "file with the total; auto: the index page, else a coverage file in the report",
    ),
    flag(
        "lines",
        "auto|FILE|FILE:FORMAT|off",
        "auto",
        "where to read which lines are covered; auto: a coverage file in the report, else its pages; off: no changed lines",
    ),
    flag(
        "export",
        "FORMAT:FILE",
        "",
        "write the covered lines to FILE as lcov or cobertura; several by commas or line breaks",
    ),
    flag(
        "metric",
        "METRIC",
        "",
        "lines, branches, statements, functions or instructions [default: lines, else the tool's own total]",
    ),
    flag(
        "gh-token",
        "TOKEN",
        "",
        "GitHub token that may write commit statuses and read the artifact; none: use no token and post no status",
    ),
    flag(
        "name",
        "NAME",
        "",
        "name of this report, if the repository has several; not patch: covered/patch is the status of the changed lines",
    ),
    flag("context", "CONTEXT", "", "context of the commit status [default: covered, or covered/NAME]"),
    flag(
        "purge-cache",
        "[=auto|true|false]",
        "auto",
        "update the badge; auto: after a push to the default branch (in GitHub Actions, only such a push sets a value)",
    ),
    flag("is-default-branch", "[=true|false]", "", "deprecated, use --purge-cache"),
    flag(
        "files",
        "[=true|false]",
        "false",
        "upload each file separately to S3, with temporary credentials from the server; requires an API key",
    ),
    flag("concurrency", "FILES", "50", "files uploaded at once, with --files or to a backend of the Python original"),
    flag("timeout", "SECONDS", "300", "time limit of the whole run"),
    flag("dry-run", "[=true|false]", "false", "upload and post nothing; log what would be sent"),
];

/// The flag with this name.
pub fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

const fn flag(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, value, default, help }
}

impl Flag {
    /// `INPUT_…`, which the composite action sets. Inputs have the names of the flags, except for the token.
    pub fn input_variable(&self) -> String {
        format!("INPUT_{}", variable_part(self.input_name()))
    }

    /// `ACTION_DEFAULT_…`, which the composite action sets if its default differs. A default of the input itself would
    /// look like a value from the workflow and take precedence over `COVERED_…`.
    pub fn action_default_variable(&self) -> String {
        format!("ACTION_DEFAULT_{}", variable_part(self.input_name()))
    }

    /// As a workflow and the command line call it: `name (--name)`.
    pub fn shown_name(&self) -> String {
        format!("{} (--{})", self.input_name(), self.name)
    }

    fn input_name(&self) -> &'static str {
        if self.name == "gh-token" { "github-token" } else { self.name }
    }

    /// `COVERED_…`, the name in the Python original.
    pub fn covered_variable(&self) -> String {
        format!("COVERED_{}", variable_part(self.name))
    }

    fn has_optional_value(&self) -> bool {
        self.value.starts_with('[')
    }
}

fn variable_part(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// The raw arguments.
#[derive(Default)]
pub struct Arguments {
    pub directories: Vec<PathBuf>,
    pub values: Vec<(&'static str, String)>,
    pub help: bool,
    pub version: bool,
}

pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut arguments = Arguments::default();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("help") | Short('h') => arguments.help = true,
            Long("version") | Short('V') => arguments.version = true,
            Value(directory) => arguments.directories.push(directory.into()),
            // The Python original's names for switched-off flags.
            Long("no-purge-cache") => arguments.values.push(("purge-cache", "false".to_owned())),
            Long("no-is-default-branch") => arguments.values.push(("is-default-branch", "false".to_owned())),
            Long(name) => {
                let flag = find(name).ok_or_else(|| format!("unknown flag `--{name}`"))?;
                arguments.values.push((flag.name, value_of(flag, &mut parser)?));
            }
            Short(letter) => return Err(format!("unknown flag `-{letter}`")),
        }
    }
    Ok(arguments)
}

fn value_of(flag: &Flag, parser: &mut lexopt::Parser) -> Result<String, String> {
    let value = if flag.has_optional_value() {
        parser.optional_value().unwrap_or_else(|| "true".into())
    } else {
        parser.value().map_err(|_| format!("`--{}` needs a value", flag.name))?
    };
    // The value was forgotten. Without this check, `--lines --dry-run` would upload the report.
    let next = value.to_str().and_then(|value| FLAGS.iter().find(|flag| value.strip_prefix("--") == Some(flag.name)));
    if let Some(next) = next {
        return Err(format!("`--{}` needs a value, but `--{}` follows", flag.name, next.name));
    }
    value.into_string().map_err(|_| format!("the value of `--{}` is not UTF-8", flag.name))
}

pub fn help() -> String {
    let mut text = String::from(HEAD);
    for flag in FLAGS {
        let separator = if flag.has_optional_value() { "" } else { " " };
        let default = match flag.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        text += &format!(
            "  --{}{separator}{}\n      {}{default}\n      [environment: {}, {}]\n",
            flag.name,
            flag.value,
            flag.help,
            flag.input_variable(),
            flag.covered_variable()
        );
    }
    text + TAIL
}

const HEAD: &str = "\
Upload a coverage report to a covered server, post its total as a commit status, and update the badge.

Usage: covered [DIRECTORY…] [FLAGS]

  DIRECTORY
      folder with the HTML report, such as htmlcov; the reports of several are merged; with --artifact: a folder in the
      artifact [default: all of it]
      [environment: INPUT_PATH, COVERED_PATH]
";

const TAIL: &str = "  -h, --help
      show this help
  -V, --version
      show the version

Precedence: flag, INPUT_…, COVERED_…, GitHub's environment, default. The action sets its own defaults as
ACTION_DEFAULT_…. An empty value counts as unset.

Other environment variables:
  GitHub: GITHUB_ACTOR, GITHUB_REPOSITORY, GITHUB_EVENT_NAME, GITHUB_EVENT_PATH, GITHUB_SHA, GITHUB_RUN_ID,
      GITHUB_API_URL, GITHUB_SERVER_URL, GITHUB_WORKSPACE, GITHUB_OUTPUT, GITHUB_STEP_SUMMARY, RUNNER_TEMP,
      RUNNER_DEBUG
  Token without an API key (`id-token: write`): ACTIONS_ID_TOKEN_REQUEST_URL, ACTIONS_ID_TOKEN_REQUEST_TOKEN
  S3 endpoint other than AWS: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL
  Proxies: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
  Certificates [default: the system's]: SSL_CERT_FILE, SSL_CERT_DIR

Exit codes: 0 success, 1 failure (see --fail-on-error and --fail-under), 2 invalid arguments.
";
