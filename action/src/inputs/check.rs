//! Validates single values. An error follows the input's name, as in "must be true or false".

use std::time::Duration;

use ureq::http::Uri;

use crate::base::pattern::split_list;
use crate::base::secret::Secret;
use crate::coverage::{METRICS, Percent};
use crate::report::MAX_PARTS;

/// A longer limit is a mistake: a job on a runner ends after six hours.
const MAX_TIMEOUT: u64 = 24 * 60 * 60;
const MAX_NAME: usize = 64;
const MAX_CONCURRENCY: usize = 200;
/// GitHub's limit for a status context.
const MAX_CONTEXT: usize = 255;

/// An http(s) address; a trailing slash is removed.
pub fn url(text: &str) -> Result<String, String> {
    // The address may contain a password.
    let shown = if text.contains('@') { String::new() } else { format!("{text:?} ") };
    let problem = || format!("{shown}must be an address such as https://covered.example.com");
    let uri: Uri = text.parse().map_err(|_| problem())?;
    let has_user = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_wrong_port = uri.authority().is_some_and(|authority| {
        let port = authority.as_str().len() > authority.host().len();
        port && authority.port_u16().is_none()
    });
    if !is_http
        || has_user
        || has_wrong_port
        || uri.query().is_some()
        || text.contains('#')
        || uri.host().is_none_or(str::is_empty)
    {
        return Err(problem());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

pub fn secret(text: &str) -> Result<Secret, String> {
    secret_of(text, |byte| byte.is_ascii_graphic())
}

/// Any ASCII text that fits into a header, including spaces, as the servers accept it.
pub fn api_key(text: &str) -> Result<Secret, String> {
    secret_of(text, |byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
}

fn secret_of(text: &str, fits: impl Fn(u8) -> bool) -> Result<Secret, String> {
    if !text.is_empty() && text.bytes().all(fits) {
        return Ok(Secret::new(text));
    }
    Err("contains an invalid character: was it truncated or quoted when it was stored?".to_owned())
}

/// A GitHub token. `none` means no token, because an empty input means the job's token in the action.
pub fn token(text: &str) -> Result<Option<Secret>, String> {
    if text.eq_ignore_ascii_case("none") { Ok(None) } else { secret(text).map(Some) }
}

pub fn repository_part(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=100).contains(&text.len()) && text.bytes().all(fits) && !matches!(text, "." | "..") {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} must be the name of a GitHub owner or repository"))
}

/// Whether it is git's null hash, which stands for no commit.
pub fn is_zero(sha: &str) -> bool {
    matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte == b'0')
}

pub fn commit_sha(text: &str) -> Result<String, String> {
    if is_zero(text) {
        return Err("is all zeros, which is not a commit: GitHub sends zeros when a push deletes a branch".to_owned());
    }
    if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("{text:?} must be a full commit hash of 40 hexadecimal digits"))
}

pub fn report_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.len() <= MAX_NAME && text.bytes().all(fits) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
    {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} must be a name of 1 to {MAX_NAME} letters, digits, dots, dashes and underscores"))
}

pub fn context(text: &str) -> Result<String, String> {
    if text.chars().count() <= MAX_CONTEXT && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("must have at most {MAX_CONTEXT} characters and no control characters"))
}

pub fn default_context(name: Option<&str>) -> String {
    name.map_or_else(|| "covered".to_owned(), |name| format!("covered/{name}"))
}

/// A warning if the status of another report's changed lines has this context, too. GitHub ignores case.
pub fn context_warning(context: &str) -> Option<String> {
    let other = &context[..context.to_ascii_lowercase().strip_suffix("/patch")?.len()];
    Some(format!(
        "the status `{context}` is also that of the changed lines of a report with the status `{other}`: choose \
         another name (--name) or context (--context)"
    ))
}

pub fn threshold(text: &str) -> Result<Percent, String> {
    Percent::parse(text).ok_or_else(|| format!("{text:?} must be between 0 and 100, as in 80, without %"))
}

/// A warning about a share of 1, such as `0.8`.
pub fn threshold_warning(name: &str, threshold: &Percent) -> Option<String> {
    let share: f64 = threshold.to_string().parse().ok()?;
    let percent = (share * 1e4).round() / 1e2;
    (share > 0.0 && share < 1.0)
        .then(|| format!("{name} (--{name}) is {threshold}, which means {threshold}%, not {percent}%"))
}

pub fn metric(text: &str) -> Result<&'static str, String> {
    let known = METRICS.iter().find(|metric| **metric == text);
    known.copied().ok_or_else(|| format!("{text:?} must be one of {}", METRICS.join(", ")))
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=MAX_TIMEOUT).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} must be a number of seconds between 1 and {MAX_TIMEOUT}"))
}

pub fn concurrency(text: &str) -> Result<usize, String> {
    let files = text.parse().ok().filter(|files| (1..=MAX_CONCURRENCY).contains(files));
    files.ok_or_else(|| format!("{text:?} must be a number of files between 1 and {MAX_CONCURRENCY}"))
}

/// Artifact names, by the rules of actions/upload-artifact, or patterns with `*` and `?`.
pub fn artifacts(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = split_list(text).map(str::to_owned).collect();
    let wrong = names.iter().find(|name| !is_artifact(&name.replace(['*', '?'], "")));
    match wrong {
        None if names.is_empty() => Err("must be the name of an artifact".to_owned()),
        None => Ok(names),
        Some(wrong) => Err(format!("{wrong:?} must be a valid artifact name")),
    }
}

/// The names of expected reports, each once.
pub fn parts(text: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for name in split_list(text) {
        if !is_artifact(name) {
            return Err(format!("{name:?} must be the name of a report, without wildcards"));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    if names.len() > MAX_PARTS {
        return Err(format!("has {} names, at most {MAX_PARTS} can be merged", names.len()));
    }
    if names.is_empty() { Err("must have names of reports".to_owned()) } else { Ok(names) }
}

/// Whether it is a name that actions/upload-artifact accepts.
pub fn is_artifact(name: &str) -> bool {
    name.len() <= MAX_CONTEXT && !name.contains(|letter: char| letter.is_control() || "\":<>|*?\\/".contains(letter))
}

pub fn run_id(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} must be the ID of a workflow run, such as 1658821493"))
}

/// The words that the Python original accepts.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Ok(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Ok(false),
        _ => Err(format!("{text:?} must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_below_1_is_doubtful() {
        let warning = |text| threshold_warning("patch-threshold", &threshold(text).unwrap());
        let expected = |text, percent| {
            Some(format!("patch-threshold (--patch-threshold) is {text}, which means {text}%, not {percent}%"))
        };
        assert_eq!(warning("0.8"), expected("0.8", "80"));
        assert_eq!(warning("0.07"), expected("0.07", "7"));
        assert_eq!(["0", "0.0", "1", "80"].map(warning), [None, None, None, None]);
    }

    #[test]
    fn api_keys_may_contain_spaces_but_tokens_may_not() {
        assert!(api_key("correct horse, battery").is_ok() && secret("correct horse").is_err());
        for wrong in ["", "line\nbreak", "h\u{fc}nter2", "bell\u{7}"] {
            assert!(api_key(wrong).is_err(), "{wrong:?}");
        }
    }
}
