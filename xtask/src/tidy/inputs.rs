//! Checks that each input of `action.yml` is passed, read and documented, with the right default.

use std::collections::BTreeMap;

/// Every input of `action.yml` must be passed to the script, documented in the README, and read by the program or script.
pub fn check(action: &str, readme: &str, readers: &str) -> Vec<String> {
    let mut violations = Vec::new();
    for name in inputs_of(action) {
        let variable = variable(name);
        if !readme.contains(&format!("`{name}`")) && !readme.contains(&format!("`INPUT_{variable}`")) {
            violations.push(format!("action/README.md: does not document the input `{name}` of action.yml"));
        }
        if !action.contains(&format!("\n        INPUT_{variable}: ${{{{ inputs.{name} }}}}\n")) {
            violations.push(format!("action.yml: does not pass its input {name} as INPUT_{variable} under env"));
        }
        if !readers.contains(&format!("\"{name}\"")) && !readers.contains(&variable) {
            violations.push(format!(
                "action.yml: its input {name} is read neither in action/src/inputs nor in action/run.sh"
            ));
        }
    }
    violations
}

/// The keys below `inputs:`, by their indentation.
fn inputs_of(action: &str) -> Vec<&str> {
    let block = action.lines().skip_while(|line| *line != "inputs:").skip(1);
    let block = block.take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    let keys = block.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    keys.filter(|key| !key.starts_with([' ', '#'])).collect()
}

/// No input may have a default in `inputs:`, which would override `COVERED_…` in the workflow's `env:`. The description of
/// the input must contain the effective default: the action's or else the program's. The README's table must contain both.
pub fn check_defaults(action: &str, readme: &str, help: &str) -> Vec<String> {
    let (programs, actions) = (defaults_of(help), action_defaults(action));
    let mut violations = Vec::new();
    for name in inputs_of(action) {
        let (description, default) = (key(action, name, "description"), key(action, name, "default"));
        if default != "\"\"" {
            violations.push(format!("action.yml: the default of {name} overrides COVERED_…: leave it empty, and set ACTION_DEFAULT_… under env"));
        }
        let flag = if name == "github-token" { "gh-token" } else { name };
        let own = programs.get(flag).copied();
        let effective = actions.get(variable(name).as_str()).copied().or(own);
        let documented = description.split_once("(default `").and_then(|(_, rest)| rest.split('`').next());
        if documented != effective {
            violations.push(format!(
                "action.yml: the default of {name} is {effective:?}, but its description says {documented:?}"
            ));
        }
        let row = readme.lines().find(|line| line.starts_with(&format!("| `--{flag}` |")));
        let column = row.and_then(|row| row.split(" | ").nth(2)).unwrap_or_default();
        let in_action = effective
            .filter(|effective| Some(*effective) != own)
            .map(|effective| format!("in the action `{effective}`"));
        let expected = [own.map(|own| format!("`{own}`")), in_action.filter(|_| row.is_some())];
        if expected.iter().flatten().any(|text| !column.contains(text.as_str())) {
            violations.push(format!(
                "action/README.md: the default of `--{flag}` is {expected:?}, but its row says {column:?}"
            ));
        }
    }
    violations
}

/// `[default: …]` of each flag of the help, if it is a value and not an explanation.
fn defaults_of(help: &str) -> BTreeMap<&str, &str> {
    let flags = help.split("\n  --").skip(1);
    flags
        .filter_map(|flag| {
            let (_, rest) = flag.split_once("[default: ")?;
            let value = rest.split(']').next().filter(|value| !value.contains(' '))?;
            Some((super::help::word(flag), value))
        })
        .collect()
}

/// `ACTION_DEFAULT_…` under the step's `env`, without `${{ }}`.
fn action_defaults(action: &str) -> BTreeMap<&str, &str> {
    let lines = action.lines().filter_map(|line| line.strip_prefix("        ACTION_DEFAULT_")?.split_once(": "));
    lines.map(|(name, value)| (name, value.trim_matches(['"', '$', '{', '}', ' ']))).collect()
}

/// The value of a key of an input.
fn key<'a>(action: &'a str, input: &str, key: &str) -> &'a str {
    let lines = action.lines().skip_while(|line| *line != format!("  {input}:")).skip(1);
    let mut lines = lines.take_while(|line| line.starts_with("    "));
    lines.find_map(|line| line.strip_prefix("    ")?.strip_prefix(key)?.strip_prefix(": ")).unwrap_or_default()
}

/// The name of an input in its environment variable.
fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_must_be_passed_read_and_documented() {
        let inputs = "name: x\ninputs:\n  path:\n    default: a\n\n  api-url:\n    required: true\nruns:\n  using: y\n";
        let env = "        INPUT_PATH: ${{ inputs.path }}\n        INPUT_API_URL: ${{ inputs.api-url }}\n";
        assert_eq!(inputs_of(inputs), ["path", "api-url"]);
        let action = format!("{inputs}{env}");
        assert_eq!(check(&action, "`path` and `api-url`", "\"path\", API_URL"), [""; 0]);
        assert_eq!(check(&action, "", "").len(), 4);
        assert_eq!(check(inputs, "", "").len(), 6);
    }

    #[test]
    fn input_defaults_must_be_empty_and_documented() {
        let help =
            "usage\n\n  --timeout SECONDS\n      limit [default: 300]\n  --name NAME\n      [default: the first one]\n";
        let action = |default: &str, documented: &str, own: &str| {
            format!(
                "inputs:\n  timeout:\n    description: Limit{documented}\n    default: {default}\n  name:\n    default: \"\"\n\nruns:\n      env:\n{own}"
            )
        };
        let row = |default: &str| format!("| `--timeout` | `INPUT_TIMEOUT` | {default} | limit |\n");
        let own = "        ACTION_DEFAULT_TIMEOUT: \"60\"\n";
        assert_eq!(check_defaults(&action("\"\"", " (default `300`)", ""), &row("`300`"), help), [""; 0]);
        let both = row("`300`, in the action `60`");
        assert_eq!(check_defaults(&action("\"\"", " (default `60`)", own), &both, help), [""; 0]);
        for (default, documented, own, row) in [
            ("\"300\"", " (default `300`)", "", row("`300`")),
            ("\"\"", " (default `60`)", "", row("`300`")),
            ("\"\"", "", "", row("`300`")),
            ("\"\"", " (default `300`)", "", row("`60`")),
            ("\"\"", " (default `60`)", own, row("`300`")),
            ("\"\"", " (default `300`)", own, row("`300`, in the action `60`")),
        ] {
            assert_eq!(
                check_defaults(&action(default, documented, own), &row, help).len(),
                1,
                "{default} {documented} {own} {row}"
            );
        }
    }
}
