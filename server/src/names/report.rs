//! The names of reports, and the paths inside of them.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// The name of one of several reports of a repository. Lower case, as status contexts are case-insensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReportName(Box<str>);

impl FromStr for ReportName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits && text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(format!(
                "{text:?} is not a valid report name: use up to 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit"
            ))
        }
    }
}

impl fmt::Display for ReportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A decoded path inside a report, without empty, `.` or `..` parts, backslashes and control characters. `""` and paths
/// with a trailing slash are folders. Repeated slashes count as one, as on file servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPath(String);

impl ReportPath {
    /// Parses the path of a request's URL.
    pub fn from_url(encoded: &str) -> Option<Self> {
        let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
        Self::of(&decoded).or_else(|| Self::of(&without_empty_parts(&decoded)))
    }

    fn of(decoded: &str) -> Option<Self> {
        let folder = decoded.strip_suffix('/').unwrap_or(decoded);
        (decoded.is_empty() || is_file_path(folder)).then(|| Self(decoded.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_folder(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('/')
    }
}

/// `/a//b/` is `a/b/`.
fn without_empty_parts(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    parts.join("/") + end
}

/// Whether a text is a valid path of a file inside a report.
pub fn is_file_path(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
    text.len() <= 4096 && text.split('/').all(part) && !text.contains(|c: char| c == '\\' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_paths_stay_inside_the_report() {
        for (encoded, decoded) in
            [("", ""), ("a/", "a/"), ("a%20b/%C3%A4%3F.html", "a b/ä?.html"), (".gitignore", ".gitignore")]
        {
            assert_eq!(ReportPath::from_url(encoded).unwrap().as_str(), decoded);
        }
        for wrong in ["..", "a/../b", "%2e%2e/a", "a//../b", "//..", "a%2F%2f..", "a%00b", "%ff", "a//%5cb", "a/%2e"] {
            assert!(ReportPath::from_url(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn repeated_slashes_are_merged() {
        for (encoded, path) in
            [("a//b", "a/b"), ("/a", "a"), ("//", ""), ("/", ""), ("a%2F/%2fb//", "a/b/"), ("///a///", "a/")]
        {
            assert_eq!(ReportPath::from_url(encoded).unwrap().as_str(), path, "{encoded:?}");
        }
    }
}
