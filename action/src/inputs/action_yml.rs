//! Tests which source of a value takes precedence in the step of `action.yml`.

use std::ffi::OsString;

use super::flags::FLAGS;
use super::*;

const ACTION: &str = include_str!("../../../action.yml");
/// Inputs that `action/run.sh` reads, to find the program.
const SCRIPT_INPUTS: [&str; 3] = ["version", "binary", "download-url"];
const TOKEN: &str = "the-automatic-token";

type Variables = Vec<(String, String)>;

/// All inputs with their defaults.
fn inputs() -> Vec<(&'static str, &'static str)> {
    let block = ACTION.split_once("\ninputs:\n").unwrap().1.split_once("\noutputs:\n").unwrap().0;
    let names = block.split("\n  ").map(|input| input.trim_start()).filter(|input| !input.is_empty());
    let mut found: Vec<(&str, &str)> = Vec::new();
    for line in names {
        match (line.split_once(": "), line.split_once(':')) {
            (Some(("default", value)), _) => found.last_mut().unwrap().1 = value.trim_matches('"'),
            (None, Some((name, _))) => found.push((name, "")),
            _ => {}
        }
    }
    found
}

/// The environment of the step for a workflow that sets these inputs.
fn step(set: &[(&str, &str)]) -> Variables {
    let inputs = inputs();
    let value = |expression: &str| match expression.strip_prefix("inputs.") {
        Some(name) => {
            let set = set.iter().find(|(input, _)| *input == name).map(|(_, value)| *value);
            set.unwrap_or_else(|| inputs.iter().find(|(input, _)| *input == name).unwrap().1).to_owned()
        }
        None if expression == "github.token" => TOKEN.to_owned(),
        None => String::new(),
    };
    let env = ACTION.split_once("\n      env:\n").unwrap().1.split_once("\n      run: ").unwrap().0;
    let lines = env.lines().map(|line| line.trim().split_once(": ").unwrap());
    let filled = lines.map(|(name, text)| {
        let expression = text.strip_prefix("${{ ").and_then(|text| text.strip_suffix(" }}"));
        (name.to_owned(), expression.map_or_else(|| text.trim_matches('"').to_owned(), value))
    });
    filled.collect()
}

fn with_reader<T>(arguments: &[&str], variables: &Variables, read: impl FnOnce(&mut Reader) -> T) -> T {
    let env = |name: &str| {
        let value = variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        value.filter(|value| !value.is_empty())
    };
    let arguments = flags::parse(arguments.iter().map(OsString::from)).unwrap();
    read(&mut Reader::new(arguments, &env))
}

/// The raw value of an input.
fn value(input: &str, arguments: &[&str], variables: &Variables) -> Option<String> {
    with_reader(arguments, variables, |reader| {
        let Some(flag) = FLAGS.iter().find(|flag| flag.input_variable() == variable("INPUT", input)) else {
            assert_eq!(input, "path", "the input {input} is read neither by the program nor by the script");
            return reader.source(&Event::read(reader.env), None, false).map(|source| source.to_string());
        };
        reader.find(flag).map(|(value, _)| value)
    })
}

fn variable(kind: &str, name: &str) -> String {
    format!("{kind}_{}", name.to_uppercase().replace('-', "_"))
}

/// The name in `COVERED_…`, from the Python original.
fn covered(input: &str) -> String {
    variable("COVERED", if input == "github-token" { "gh-token" } else { input })
}

#[test]
fn inputs_override_environment_variables_which_override_defaults() {
    let inputs: Vec<&str> = inputs().into_iter().map(|(name, _)| name).collect();
    assert!(inputs.len() > 15 && SCRIPT_INPUTS.iter().all(|name| inputs.contains(name)), "{inputs:?}");
    for input in inputs.into_iter().filter(|input| !SCRIPT_INPUTS.contains(input)) {
        let mut variables = step(&[]);
        variables.push((covered(input), "environment".to_owned()));
        assert_eq!(value(input, &[], &variables).as_deref(), Some("environment"), "{input} is not set");
        let mut variables = step(&[(input, "set")]);
        variables.push((covered(input), "environment".to_owned()));
        assert_eq!(value(input, &[], &variables).as_deref(), Some("set"), "{input}");
        let flag = format!("--{}=arguments", if input == "github-token" { "gh-token" } else { input });
        let arguments = if input == "path" { "arguments" } else { flag.as_str() };
        assert_eq!(value(input, &[arguments], &variables).as_deref(), Some("arguments"), "{input}");
    }
}

#[test]
fn unset_inputs_use_the_actions_defaults() {
    let variables = step(&[]);
    for (input, expected) in [
        ("path", Some("htmlcov")),
        ("github-token", Some(TOKEN)),
        ("coverage-threshold", Some("0")),
        ("fail-on-error", Some("false")),
        ("fail-under", Some("false")),
        ("purge-cache", Some("auto")),
        ("timeout", Some("300")),
        ("api-url", None),
    ] {
        assert_eq!(value(input, &[], &variables).as_deref(), expected, "{input}");
    }
}

#[test]
fn an_artifact_without_a_path_is_the_whole_report() {
    for source in ["input", "environment"] {
        let mut variables = step(if source == "input" { &[("artifact", "coverage-html")] } else { &[] });
        if source == "environment" {
            variables.push(("COVERED_ARTIFACT".to_owned(), "coverage-html".to_owned()));
        }
        variables.push(("GITHUB_RUN_ID".to_owned(), "7".to_owned()));
        let repository = Repository { owner: "octo".to_owned(), name: "app".to_owned() };
        let found =
            with_reader(&[], &variables, |reader| reader.source(&Event::read(reader.env), Some(repository), true));
        let Some(Source::Artifacts(artifact)) = found else { panic!("{source}: {found:?}") };
        assert_eq!((artifact.only(), artifact.folder.as_str()), (Some("coverage-html"), ""), "{source}");
    }
}
