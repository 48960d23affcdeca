//! Raw settings: a flag takes precedence over the environment, and the environment over `.env`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;

use crate::config::env_file::EnvFile;
use crate::config::settings::{FILE, SECRETS};

/// The entries of a comma-separated list.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// A number of bytes above 0.
pub fn bytes(text: &str) -> Result<u64, String> {
    number("bytes")(text)
}

/// A number above 0. `of`: what it counts, for errors.
pub fn number(of: &str) -> impl Fn(&str) -> Result<u64, String> {
    move |text| match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is not a valid number of {of}: write a whole number above 0")),
        Ok(number) => Ok(number),
    }
}

/// The settings as they were given, and the problems that were found in them.
pub struct Raw<E> {
    pub flags: HashMap<String, OsString>,
    pub environment: E,
    pub file: EnvFile,
    pub problems: Vec<String>,
}

impl<E: Fn(&str) -> Option<OsString>> Raw<E> {
    /// The value of a setting; a secret may be in a file.
    pub fn get(&mut self, name: &str) -> Option<String> {
        let raw_value = self.raw_value(name);
        if !SECRETS.contains(&name) {
            return raw_value;
        }
        let variable = format!("{name}{FILE}");
        let Some(path) = self.raw_value(&variable) else {
            return raw_value;
        };
        if raw_value.is_some() {
            self.report(&variable, format!("is set, and so is {name}: set only one of them"));
            return None;
        }
        let text = std::fs::read_to_string(&path).map(|text| text.trim().to_owned());
        match text {
            Ok(text) if text.is_empty() => self.report(&variable, format!("is {path}, which is empty")),
            Ok(text) => return Some(text),
            Err(why) => self.report(&variable, format!("is {path}, which cannot be read: {why}")),
        }
        None
    }

    /// The raw value. Empty counts as not set; white space alone is an error.
    fn raw_value(&mut self, name: &str) -> Option<String> {
        let value = self.flag_or_variable(name).or_else(|| self.env_file_value(name))?;
        match value.into_string() {
            Ok(text) if text.is_empty() => {}
            Ok(text) if text.trim().is_empty() => {
                self.report(name, "contains only white space: write a value, or remove it");
            }
            Ok(text) => return Some(text.trim().to_owned()),
            Err(_) => self.report(name, "is not UTF-8"),
        }
        None
    }

    fn flag_or_variable(&self, name: &str) -> Option<OsString> {
        self.flags.get(name).cloned().or_else(|| (self.environment)(name))
    }

    /// A secret (or its file) in a flag or the environment takes precedence over both forms in `.env`.
    fn env_file_value(&mut self, name: &str) -> Option<OsString> {
        let other = name.strip_suffix(FILE).map_or_else(|| format!("{name}{FILE}"), ToOwned::to_owned);
        let value = self.flag_or_variable(&other).is_none().then(|| self.file.get(name)).flatten()?;
        value.map(OsString::from).map_err(|problem| self.add_problem(problem)).ok()
    }

    /// Records a problem of a setting.
    pub fn report(&mut self, name: &str, what: impl std::fmt::Display) {
        self.add_problem(format!("{name} {what}"));
    }

    fn add_problem(&mut self, problem: String) {
        // A setting that is read twice is reported once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The address for metrics, which must not be public.
    pub fn metrics_listen(&mut self, listen: SocketAddr) -> Option<SocketAddr> {
        let metrics = self.parse("METRICS_LISTEN", None, |text| {
            let address = text.parse().map(Some);
            address.map_err(|_| format!("{text:?} is not a valid address and port, such as 127.0.0.1:9100"))
        })?;
        if metrics == listen && listen.port() != 0 {
            self.report(
                "METRICS_LISTEN",
                format!("and LISTEN are both {listen}: metrics need an address of their own"),
            );
        }
        Some(metrics)
    }

    /// Whether OpenTelemetry's variables enable traces. The library reads the rest of them.
    pub fn traces(&mut self) -> bool {
        let mut is = |name: &str, what: &str| self.get(name).is_some_and(|value| value.eq_ignore_ascii_case(what));
        let off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
        let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        !off && endpoints.iter().any(|name| self.get(name).is_some())
    }

    /// Warns about OpenTelemetry variables that have no effect.
    pub fn trace_warnings(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        let protocol =
            self.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| self.get("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(protocol) = protocol.filter(|protocol| self.traces() && protocol != "http/protobuf") {
            warnings.push(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, but the server sends traces by http/protobuf: the collector receives it on \
                 another port, usually 4318"
            ));
        }
        warnings
    }

    /// Parses a setting. An invalid value is recorded as a problem and replaced by the default.
    pub fn parse<T>(&mut self, name: &str, default: T, read: impl Fn(&str) -> Result<T, String>) -> T {
        let Some(text) = self.get(name) else {
            return default;
        };
        read(&text).unwrap_or_else(|why| {
            self.report(name, why);
            default
        })
    }
}
