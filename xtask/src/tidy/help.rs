//! Compares the flags in a program's help with those in its README.

use std::collections::BTreeSet;

/// Flags that need no documentation.
const STANDARD_FLAGS: &[&str] = &["help", "version"];

/// Every flag of the help must be in the README, and every flag that starts a table row there must be in the help. Both may
/// use the name of the environment variable.
pub fn check(help: &str, program: &str, readme: &str, text: &str) -> Vec<String> {
    let known = flags(help);
    let documented: BTreeSet<String> = text.split('`').filter_map(setting).collect();
    let missing = known.iter().filter(|flag| !documented.contains(*flag));
    let missing = missing.map(|flag| format!("{readme}: does not document `--{flag}` of {program} --help"));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let heads: BTreeSet<String> = rows.filter_map(setting).collect();
    let unknown = heads.iter().filter(|head| !known.contains(*head) && !STANDARD_FLAGS.contains(&head.as_str()));
    let unknown = unknown.map(|flag| format!("{readme}: documents `--{flag}`, which is not in {program} --help"));
    missing.chain(unknown).collect()
}

/// The names of all flags in a help text, which start a line.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let names = lines.map(|line| word(line).to_owned());
    names.filter(|name| !STANDARD_FLAGS.contains(&name.as_str())).collect()
}

/// The setting in text between backticks: `storage-url` for both `--storage-url URL` and `STORAGE_URL`.
fn setting(code: &str) -> Option<String> {
    if let Some(flag) = code.strip_prefix("--") {
        return Some(word(flag).to_owned());
    }
    let name = code.split('=').next()?;
    let variable = name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    variable.then(|| name.to_ascii_lowercase().replace('_', "-"))
}

pub fn word(text: &str) -> &str {
    let end = text.find(|c: char| c != '-' && !c.is_ascii_alphanumeric());
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_readme_must_list_the_same_flags() {
        let help = "usage: x\n\n  --storage-url URL\n      where\n  --help\n";
        assert_eq!(check(help, "x", "R", "Set `STORAGE_URL`.\n"), [""; 0]);
        assert_eq!(
            check(help, "x", "R", "| `--storage-url URL` | where |\n| `GET /` | is none |\n| `--gone` | no |\n").len(),
            1
        );
        assert_eq!(check(help, "x", "R", "nothing\n").len(), 1);
    }
}
