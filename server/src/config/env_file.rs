//! Reads `.env` in the working directory like the Python original: UTF-8, names in any case.
//!
//! The syntax is python-dotenv's, where `$`, spaces and backslashes are literal in unquoted values. Another syntax
//! would silently change keys with these characters.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::settings::is_setting;

/// The settings in the file, by name.
#[derive(Default)]
pub struct EnvFile {
    path: PathBuf,
    values: HashMap<String, String>,
    /// The names that were used.
    used: BTreeSet<String>,
}

impl EnvFile {
    /// Reads the file. A missing file counts as empty, and unknown names are ignored.
    pub fn read(path: &Path) -> Result<Self, String> {
        // It may also be the folder of a Python environment.
        if !path.is_file() {
            return Ok(Self::default());
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let shown = path.display();
        let unreadable =
            |why| format!("{shown} cannot be read: {why}; make it readable, or start the server in another folder");
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            format!("{shown}, line {line}, is not UTF-8: save the file as UTF-8")
        })?;
        let values = settings(&text).map_err(|(line, what)| format!("{shown}, line {line}: {what}"))?;
        Ok(Self { path, values, used: BTreeSet::new() })
    }

    pub fn get(&mut self, name: &str) -> Option<String> {
        let value = self.values.get(name)?;
        if !value.is_empty() {
            self.used.insert(name.to_owned());
        }
        Some(value.clone())
    }

    /// Lists the settings from the file, without their values.
    pub fn summary(&self) -> Option<String> {
        let names: Vec<&str> = self.used.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("settings also come from {}: {}", self.path.display(), names.join(", ")))
    }
}

/// Parses settings; the last one of a name counts. Errors contain the line number, but no value.
fn settings(text: &str) -> Result<HashMap<String, String>, (usize, String)> {
    let mut settings = HashMap::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    while !rest.is_empty() {
        let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let (name, behind) = name_of(rest);
        let name = name.to_ascii_uppercase();
        let is_known = is_setting(&name);
        let value = behind.strip_prefix('=').map(|behind| value_of(blank(behind)));
        rest = match value {
            // A comment, or a name without a value.
            None if ends_line(behind) => next_line(behind),
            None => return Err((line, "must be NAME=VALUE or a comment".to_owned())),
            Some(None) if is_known => {
                return Err((line, format!("{name} has an unclosed quote, or text after its quotes")));
            }
            Some(None) => next_line(behind),
            Some(Some((value, _))) if is_known && value.contains("${") => {
                return Err((line, format!("{name} contains ${{…}}, which is not supported: write the value itself")));
            }
            Some(Some((value, behind))) => {
                if is_known {
                    settings.insert(name, value);
                }
                behind
            }
        }
        .trim_start();
    }
    Ok(settings)
}

/// Splits a line after its name.
fn name_of(line: &str) -> (&str, &str) {
    let exported = line.strip_prefix("export").filter(|behind| behind.starts_with([' ', '\t']));
    let line = exported.map_or(line, blank);
    let quoted = line.strip_prefix('\'').and_then(|line| line.split_once('\''));
    let is_end = |c: char| c == '=' || c == '#' || c.is_whitespace();
    let (name, behind) = quoted.unwrap_or_else(|| line.split_at(line.find(is_end).unwrap_or(line.len())));
    (name, blank(behind))
}

/// Splits a value from the following lines; `None` if a quote is not closed, or if text follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let line = &text[..text.find(['\r', '\n']).unwrap_or(text.len())];
        let comment = line.match_indices('#').map(|(at, _)| at);
        let end = comment.into_iter().find(|at| line[..*at].ends_with(char::is_whitespace)).unwrap_or(line.len());
        return Some((line[..end].trim_end().to_owned(), &text[line.len()..]));
    };
    let mut value = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                let behind = &text[at + 2..];
                return ends_line(blank(behind)).then(|| (value, next_line(behind)));
            }
            '\\' => match chars.next()?.1 {
                c if c == '\\' || c == quote || (quote == '"' && c == '\'') => value.push(c),
                'n' if quote == '"' => value.push('\n'),
                'r' if quote == '"' => value.push('\r'),
                't' if quote == '"' => value.push('\t'),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

/// Skips white space within a line.
fn blank(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() && c != '\r' && c != '\n')
}

/// Whether the rest of a line is empty or a comment.
fn ends_line(text: &str) -> bool {
    text.is_empty() || text.starts_with(['\r', '\n', '#'])
}

fn next_line(text: &str) -> &str {
    &text[text.find(['\r', '\n']).unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_python_dotenv_reads_them() {
        for (line, value) in [
            ("API_KEY=key", Some("key")),
            ("  export api_key = key  ", Some("key")),
            ("'API_KEY'=key", Some("key")),
            ("API_KEY=two words, pa$$word and c:\\dir", Some("two words, pa$$word and c:\\dir")),
            ("API_KEY=a#b # a comment", Some("a#b")),
            ("API_KEY= #key", Some("#key")),
            ("API_KEY='a # \"b\" \\'c\\' \\n'   # a comment", Some("a # \"b\" 'c' \\n")),
            ("API_KEY=\"a\\n\\\"b\\\" $c \\d\"", Some("a\n\"b\" $c \\d")),
            ("API_KEY=\"one\r\ntwo\"", Some("one\r\ntwo")),
            ("API_KEY=a'b\"c", Some("a'b\"c")),
            ("API_KEY=", Some("")),
            ("API_KEY=old\nOTHER=\"open\napi_key=new", Some("new")),
            ("# API_KEY=key", None),
            ("API_KEY", None),
            ("OTHER=${API_KEY} 'x", None),
            ("\u{feff}API_KEY=key\r\n", Some("key")),
        ] {
            let read = settings(line).unwrap();
            assert_eq!(read.get("API_KEY").map(String::as_str), value, "{line:?}");
        }
    }

    #[test]
    fn an_error_names_its_line_and_shows_no_value() {
        for (text, line, what) in [
            ("\n\nAPI_KEY='hunter2\n", 3, "API_KEY has an unclosed quote"),
            ("OTHER=1\nAPI_KEY=\"hunter2\" hunter3", 2, "API_KEY has an unclosed quote, or text after"),
            ("API KEY=hunter2", 1, "must be NAME=VALUE"),
            ("API_KEY=hunter2${x}", 1, "API_KEY contains ${…}"),
        ] {
            let (at, told) = settings(text).unwrap_err();
            assert!(at == line && told.contains(what) && !told.contains("hunter"), "{text:?}: {at}: {told}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(EnvFile::read(folder.path()).unwrap().summary().is_none(), "a folder is no file");
        let path = folder.path().join(".env");
        assert!(EnvFile::read(&path).unwrap().get("API_KEY").is_none());
        std::fs::write(&path, b"A=1\nAPI_KEY=\xff\n").unwrap();
        let why = EnvFile::read(&path).err().unwrap();
        assert!(why.ends_with(".env, line 2, is not UTF-8: save the file as UTF-8"), "{why}");
        std::fs::write(&path, "API_KEY=hunter2\nListen=127.0.0.1:1\nPATH=/x\nREDIS_URL=\n").unwrap();
        let mut file = EnvFile::read(&path).unwrap();
        assert_eq!(file.get("PATH"), None, "no setting of this server");
        assert_eq!(file.get("LISTEN").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(file.get("REDIS_URL").as_deref(), Some(""));
        assert_eq!(file.summary(), Some(format!("settings also come from {}: LISTEN", path.display())));
    }
}
