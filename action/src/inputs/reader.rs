//! Raw values: finds each under its names, and collects what is invalid or missing.

use super::flags::{self, Arguments, Flag};
use crate::base::env::Env;
use crate::base::text::shorten;

const MISSING_KEY: &str = "api-key: the input `api-key` is empty. If it comes from a secret, check that the secret is \
                           set. Without a key, the job needs `permissions: id-token: write`, and the server must \
                           allow this repository";

/// Characters of an error about a value from GitHub.
const SHOWN_PROBLEM: usize = 200;

/// A value from GitHub, and the variable or the event's field that it comes from.
#[derive(Clone, Copy)]
pub struct FromGitHub<'a> {
    pub from: &'static str,
    pub value: &'a str,
}

pub struct Reader<'a> {
    pub arguments: Arguments,
    pub env: Env<'a>,
    /// Errors about invalid values.
    pub problems: Vec<String>,
    pub notes: Vec<String>,
    /// Inputs that a real run needs and a dry run does not: `name: how to set it`.
    pub missing: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(arguments: Arguments, env: Env<'a>) -> Self {
        Self { arguments, env, problems: Vec::new(), notes: Vec::new(), missing: Vec::new() }
    }

    /// The value with the highest precedence, and the name it came from.
    pub fn find(&self, flag: &Flag) -> Option<(String, String)> {
        let arguments = self.arguments.values.iter().rev().find(|(name, _)| *name == flag.name);
        let given =
            |value: &str, name: String| Some((value.trim().to_owned(), name)).filter(|(value, _)| !value.is_empty());
        let from_env = |name: String| given(&(self.env)(&name)?, name);
        arguments
            .and_then(|(name, value)| given(value, format!("--{name}")))
            .or_else(|| from_env(flag.input_variable()))
            .or_else(|| from_env(flag.covered_variable()))
            .or_else(|| from_env(flag.action_default_variable()))
            .or_else(|| given(flag.default, format!("--{}", flag.name)))
    }

    /// The validated value. The error of `check` follows the value's name, as in "must be true or false".
    pub fn get<T>(&mut self, name: &str, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let flag = flags::find(name)?;
        let (value, from) = self.find(flag)?;
        let from = if from == flag.input_variable() { flag.shown_name() } else { from };
        check(&value).map_err(|problem| self.problems.push(format!("{from} {problem}"))).ok()
    }

    /// The validated value, else the one from GitHub. If there is neither, or GitHub's is invalid, it is missing.
    pub fn get_or<T>(
        &mut self,
        name: &str,
        check: fn(&str) -> Result<T, String>,
        github: Option<FromGitHub>,
    ) -> Option<T> {
        let known = self.problems.len();
        let given = self.get(name, check);
        if given.is_some() || self.problems.len() > known {
            return given;
        }
        let flag = flags::find(name)?;
        let checked = github.filter(|github| !github.value.is_empty()).map(|github| (github.from, check(github.value)));
        let missing = match checked {
            Some((_, Ok(value))) => return Some(value),
            Some((from, Err(problem))) => {
                format!("{name}: {from} {}; set {name} (--{name})", shorten(&problem, SHOWN_PROBLEM))
            }
            None => self.how_to_set(flag),
        };
        self.missing.push(missing);
        None
    }

    /// The entry of an input in the list of missing ones.
    pub fn missing_entry(&mut self, name: &str) -> Option<&mut String> {
        self.missing.iter_mut().find(|missing| missing.split_once(':').is_some_and(|(input, _)| input == name))
    }

    fn how_to_set(&self, flag: &Flag) -> String {
        let name = flag.name;
        match (self.env)("GITHUB_ACTIONS").as_deref() {
            Some("true") if name == "api-key" => MISSING_KEY.to_owned(),
            Some("true") => {
                format!("{name}: the input `{name}` is empty. If it comes from a secret, check that the secret is set")
            }
            _ => format!("{name}: set --{name}, {} or {}", flag.input_variable(), flag.covered_variable()),
        }
    }

    /// Validates a value that has only one name.
    pub fn validated<T>(&mut self, name: &str, value: &str, check: fn(&str) -> Result<T, String>) -> Option<T> {
        check(value).map_err(|problem| self.problems.push(format!("{name} {problem}"))).ok()
    }
}
