//! The log, with GitHub's workflow commands (groups, annotations, masks) and files (outputs, summary).

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::env::Env;
use crate::base::secret::Secret;
use crate::base::text::{one_line, visible};

/// Fits into every terminal.
const BAR_WIDTH: usize = 79;

#[derive(Debug, Default)]
pub struct ActionsLog {
    /// Whether it runs in GitHub Actions.
    in_actions: bool,
    /// Whether standard output is a terminal.
    is_terminal: bool,
    /// Whether a progress bar is visible.
    has_bar: AtomicBool,
    /// Whether debug logging is on.
    is_debug: bool,
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
}

impl ActionsLog {
    pub fn from_env(env: Env) -> Self {
        let file = |name: &str| env(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let in_actions = env("GITHUB_ACTIONS").as_deref() == Some("true");
        Self {
            in_actions,
            is_terminal: !in_actions && io::stdout().is_terminal(),
            has_bar: AtomicBool::new(false),
            is_debug: env("RUNNER_DEBUG").as_deref() == Some("1"),
            output: file("GITHUB_OUTPUT"),
            summary: file("GITHUB_STEP_SUMMARY"),
        }
    }

    /// Prints a trusted text unchanged.
    pub fn print(&self, text: &str) {
        let _ = write!(io::stdout(), "{text}");
    }

    /// Logs one line. No text in it can become a workflow command, or look like another one.
    pub fn info(&self, text: &str) {
        let text = visible(text);
        self.clear_bar();
        print(if self.in_actions { neutralize(&text) } else { text });
    }

    pub fn warn(&self, text: &str) {
        self.annotate("warning", text);
    }

    pub fn error(&self, text: &str) {
        self.annotate("error", text);
    }

    /// Logs a line for debugging.
    pub fn debug(&self, text: &str) {
        if self.is_debug {
            self.annotate("debug", text);
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Shows a progress bar in place of the last one; only for a terminal.
    pub fn show_bar(&self, bar: &str) {
        let mut out = io::stdout();
        let _ = write!(out, "\r{bar:<BAR_WIDTH$}");
        let _ = out.flush();
        self.has_bar.store(true, Ordering::Relaxed);
    }

    /// Removes the progress bar.
    pub fn clear_bar(&self) {
        if self.has_bar.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stdout(), "\r{:BAR_WIDTH$}\r", "");
        }
    }

    fn annotate(&self, level: &str, text: &str) {
        self.clear_bar();
        if self.in_actions {
            print(format!("::{level}::{}", escape(text)));
        } else {
            let _ = writeln!(io::stderr(), "{level}: {}", visible(text));
        }
    }

    /// Logs details, folded in GitHub Actions and omitted elsewhere.
    pub fn group(&self, title: &str, lines: &[String]) {
        if self.in_actions {
            print(format!("::group::{}", escape(title)));
            lines.iter().for_each(|line| self.info(line));
            print("::endgroup::".to_owned());
        }
    }

    /// Masks the secret in the runner's log.
    pub fn mask(&self, secret: &Secret) {
        if self.in_actions {
            print(format!("::add-mask::{}", escape(secret.expose())));
        }
    }

    /// Appends to the step's outputs.
    pub fn write_outputs(&self, outputs: &[(&str, String)]) {
        let text: String = outputs.iter().map(|(name, value)| format!("{name}={}\n", one_line(value))).collect();
        self.append(self.output.as_ref(), &text);
    }

    /// Appends Markdown to the job's summary.
    pub fn write_summary(&self, markdown: &str) {
        self.append(self.summary.as_ref(), markdown);
    }

    fn append(&self, path: Option<&PathBuf>, text: &str) {
        let Some(path) = path else { return };
        // Opening a pipe would block.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return self.warn(&format!("cannot write to {}: it is not a regular file", path.display()));
        }
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            self.warn(&format!("cannot write to {}: {error}", path.display()));
        }
    }
}

/// Ignores errors, because a closed log must not stop the run.
fn print(line: String) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The runner treats `::` at the start of a line, also after spaces, and `##[` anywhere as a command.
fn neutralize(line: &str) -> String {
    let line = line.replace("##[", "## [");
    if line.trim_start().starts_with("::") { format!("- {line}") } else { line }
}

/// Escapes a command's data like GitHub's toolkit.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_cannot_become_workflow_commands() {
        assert_eq!(neutralize("::error::x"), "- ::error::x");
        assert_eq!(neutralize("  ::set-output name=a::b"), "-   ::set-output name=a::b");
        assert_eq!(neutralize("file ##[add-mask]x"), "file ## [add-mask]x");
        assert_eq!(neutralize("Packed a::b"), "Packed a::b");
    }

    #[test]
    fn workflow_command_data_is_escaped() {
        assert_eq!(escape("100%\r\n::x"), "100%25%0D%0A::x");
    }
}
