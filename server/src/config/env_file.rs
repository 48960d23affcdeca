//! Reads `.env` in the working directory like the Python original does: UTF-8, names in any case.
//!
//! The syntax is python-dotenv's, where `$`, spaces and backslashes are literal in unquoted values. Another syntax
//! would silently change keys with these characters.

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::config::settings::is_setting;

/// The maximum size of the file in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The maximum number of line numbers in the warning about skipped lines.
const MAX_NUMBERS: usize = 10;

/// The settings in a file, by their names in the environment.
#[derive(Default)]
pub struct EnvFile {
    path: PathBuf,
    /// Values, or why a value cannot be used. An error contains the line number, not the value.
    values: HashMap<String, Result<String, String>>,
    /// Numbers of the lines that are not `NAME=VALUE` and name no setting.
    skipped: Vec<usize>,
    /// The names that were looked up here.
    used: BTreeSet<String>,
}

impl EnvFile {
    /// Reads the file; a missing file counts as empty. Ignores names that are not settings of this server.
    pub fn read(path: &Path) -> Result<Self, String> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let display = path.display();
        let unreadable =
            |why| format!("{display} cannot be read: {why}; make it readable, or start the server in another folder");
        let remedy = "remove it, or start the server in another folder";
        // Check the type before opening the file: opening a named pipe can block.
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(format!("{display} is not a file: {remedy}")),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unreadable(error)),
            Err(_) if path.is_symlink() => return Err(format!("{display} is a link to a missing file: {remedy}")),
            Err(_) => return Ok(Self::default()),
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!(
                "{display} is larger than 1 MiB: make it smaller, or start the server in another folder"
            ));
        }
        // UTF-16 contains zero bytes; no setting does.
        if bytes.contains(&0) {
            return Err(format!("{display} is not UTF-8: save the file as UTF-8"));
        }
        let mut file = Self { path, ..Self::default() };
        file.parse(&String::from_utf8_lossy(&bytes));
        Ok(file)
    }

    /// A setting's value, or the error in its line.
    pub fn get(&mut self, name: &str) -> Option<Result<String, String>> {
        let value = self.values.get(name)?;
        if value.as_ref().is_ok_and(|value| !value.is_empty()) {
            self.used.insert(name.to_owned());
        }
        Some(value.clone().map_err(|why| format!("{}, {why}", self.path.display())))
    }

    /// Lists the settings from the file, without their values.
    pub fn summary(&self) -> Option<String> {
        let names: Vec<&str> = self.used.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("settings also come from {}: {}", self.path.display(), names.join(", ")))
    }

    /// Which lines were skipped, without their text.
    pub fn skipped_lines(&self) -> Option<String> {
        let numbers: Vec<_> = self.skipped.iter().take(MAX_NUMBERS).map(ToString::to_string).collect();
        let others = self.skipped.len() - numbers.len();
        let others = if others > 0 { format!(" and {others} more") } else { String::new() };
        let display = self.path.display();
        (!numbers.is_empty())
            .then(|| format!("{display}: skipped lines that are not NAME=VALUE: {}{others}", numbers.join(", ")))
    }

    /// Parses the settings of a text. If a name occurs twice, the last value counts.
    fn parse(&mut self, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut line, mut counted) = (1, 0);
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let start = text.len() - rest.len();
            line += text[counted..start].matches('\n').count();
            counted = start;
            let (name, after) = name_of(rest);
            let (value, next) = match after.strip_prefix('=').map(|value| value_of(skip_blanks(value))) {
                Some(Some((value, next))) => (Ok(value), next),
                Some(None) => (Err("has an unclosed quote, or text after its quotes"), next_line(after)),
                None => (Err("must be followed by = and its value"), next_line(after)),
            };
            rest = next.trim_start();
            // A comment, or a name without a value.
            if ends_line(after) {
                continue;
            }
            let name = name.to_ascii_uppercase();
            if is_setting(&name) {
                let value = value.and_then(usable).map_err(|what| format!("line {line}: {name} {what}"));
                self.values.insert(name, value);
            } else if value.is_err() {
                self.skipped.push(line);
            }
        }
    }
}

/// A setting's value, or why it cannot be used.
fn usable(value: String) -> Result<String, &'static str> {
    match value {
        value if value.contains("${") => Err("contains ${…}, which is not supported: write the value itself"),
        value if value.contains(char::REPLACEMENT_CHARACTER) => Err("is not UTF-8: save the file as UTF-8"),
        value => Ok(value),
    }
}

/// Splits a line after its name.
fn name_of(line: &str) -> (&str, &str) {
    let exported = line.strip_prefix("export").filter(|after| after.starts_with([' ', '\t']));
    let line = exported.map_or(line, skip_blanks);
    let quoted = line.strip_prefix('\'').and_then(|line| line.split_once('\''));
    let is_end = |c: char| c == '=' || c == '#' || c.is_whitespace();
    let (name, after) = quoted.unwrap_or_else(|| line.split_at(line.find(is_end).unwrap_or(line.len())));
    (name, skip_blanks(after))
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
                let after = &text[at + 2..];
                return ends_line(skip_blanks(after)).then(|| (value, next_line(after)));
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
fn skip_blanks(text: &str) -> &str {
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

    fn of(text: &str) -> EnvFile {
        let mut file = EnvFile { path: "/x/.env".into(), ..EnvFile::default() };
        file.parse(text);
        file
    }

    #[test]
    fn values_are_parsed_like_python_dotenv() {
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
            ("API_KEY='open\nAPI_KEY=new", Some("new")),
            ("# API_KEY=key", None),
            ("API_KEY", None),
            ("OTHER=${API_KEY} 'x", None),
            ("\u{feff}API_KEY=key\r\n", Some("key")),
        ] {
            assert_eq!(of(line).get("API_KEY"), value.map(|value| Ok(value.to_owned())), "{line:?}");
        }
    }

    #[test]
    fn errors_name_the_line_and_omit_the_value() {
        for (text, what) in [
            ("\n\nAPI_KEY='hunter2\n", "line 3: API_KEY has an unclosed quote"),
            ("OTHER=\"1\n\"\nAPI_KEY=\"hunter2\" hunter3", "line 3: API_KEY has an unclosed quote"),
            ("API_KEY hunter2", "line 1: API_KEY must be followed by = and its value"),
            ("API_KEY=hunter2${x}", "line 1: API_KEY contains ${…}"),
            ("API_KEY=key\nAPI_KEY=hunter2\u{fffd}", "line 2: API_KEY is not UTF-8: save the file as UTF-8"),
        ] {
            let mut file = of(text);
            let message = file.get("API_KEY").unwrap().unwrap_err();
            assert!(
                message.starts_with(&format!("/x/.env, {what}")) && !message.contains("hunter"),
                "{text:?}: {message}"
            );
            assert_eq!((file.summary(), file.skipped_lines()), (None, None), "{text:?}");
        }
    }

    #[test]
    fn unreadable_lines_of_other_programs_are_skipped_and_counted() {
        let pem = "KEY=-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhunter2==\n-----END PRIVATE KEY-----\n";
        let mut file = of(&format!("{pem}SOME OTHER=1\nOTHER='open\nAPI_KEY=key\n"));
        assert_eq!(file.get("API_KEY"), Some(Ok("key".to_owned())));
        assert_eq!(file.skipped_lines().unwrap(), "/x/.env: skipped lines that are not NAME=VALUE: 4, 5, 6");
        let message = of(&"a b\n".repeat(30)).skipped_lines().unwrap();
        assert!(message.ends_with(": 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 20 more"), "{message}");
    }

    #[test]
    fn large_files_are_parsed_quickly_up_to_the_size_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let mut text = "A=1\n".repeat(MAX_BYTES as usize / 4);
        std::fs::write(&path, &text).unwrap();
        let started = std::time::Instant::now();
        EnvFile::read(&path).unwrap();
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
        text.push('\n');
        std::fs::write(&path, &text).unwrap();
        let why = EnvFile::read(&path).err().unwrap();
        assert!(why.contains(".env is larger than 1 MiB: "), "{why}");
    }

    #[test]
    fn invalid_files_are_reported_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        assert!(EnvFile::read(&path).unwrap().get("API_KEY").is_none());
        std::fs::write(&path, "API_KEY=x".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
        let why = EnvFile::read(&path).err().unwrap();
        assert!(why.ends_with(".env is not UTF-8: save the file as UTF-8"), "{why}");
        std::fs::write(&path, b"# caf\xe9\nA=\xff\nAPI_KEY=\xff\nLISTEN=x\n").unwrap();
        let mut file = EnvFile::read(&path).unwrap();
        let why = file.get("API_KEY").unwrap().unwrap_err();
        assert!(why.ends_with(".env, line 3: API_KEY is not UTF-8: save the file as UTF-8"), "{why}");
        assert_eq!(file.get("LISTEN"), Some(Ok("x".to_owned())));
        std::fs::write(&path, "API_KEY=hunter2\nListen=127.0.0.1:1\nPATH=/x\nREDIS_URL=\n").unwrap();
        let mut file = EnvFile::read(&path).unwrap();
        assert_eq!(file.get("PATH"), None, "no setting of this server");
        assert_eq!(file.get("LISTEN"), Some(Ok("127.0.0.1:1".to_owned())));
        assert_eq!(file.get("REDIS_URL"), Some(Ok(String::new())));
        assert_eq!(file.summary(), Some(format!("settings also come from {}: LISTEN", path.display())));
    }

    #[cfg(unix)]
    #[test]
    fn folders_pipes_and_broken_links_are_rejected_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let why = |path: &Path| EnvFile::read(path).err().unwrap();
        assert!(why(folder.path()).contains(" is not a file: "));
        let path = folder.path().join(".env");
        std::os::unix::fs::symlink("missing", &path).unwrap();
        assert!(why(&path).contains(".env is a link to a missing file: "));
        for made in [&["mkfifo"][..], &["ln", "-s", "/dev/null"]] {
            std::fs::remove_file(&path).unwrap();
            assert!(std::process::Command::new(made[0]).args(&made[1..]).arg(&path).status().unwrap().success());
            assert!(why(&path).contains(".env is not a file: "), "{made:?}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.path().join("other"), "API_KEY=key").unwrap();
        std::os::unix::fs::symlink("other", &path).unwrap();
        assert_eq!(EnvFile::read(&path).unwrap().get("API_KEY"), Some(Ok("key".to_owned())));
    }
}
