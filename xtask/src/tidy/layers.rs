//! The layers of each crate, and the check that imports only go down and have no cycles.

use std::collections::{BTreeMap, BTreeSet};

/// The top-level modules of a crate (files and folders in `src`) by layer, from the top. A module may import from lower
/// layers and from itself.
const LAYERS: &[(&str, &[&[&str]])] = &[
    (
        "action/src",
        &[
            &["main", "lib"],
            &["run"],
            &["server", "github"],
            &["original"],
            &["inputs"],
            &["identity"],
            &["http"],
            &["log"],
            &["archive", "coverage"],
            &["report"],
            &["base"],
        ],
    ),
    (
        "server/src",
        &[
            &["main"],
            &["lib", "check", "fuzz"],
            &["serve"],
            &["routes"],
            &["app"],
            &["answers"],
            &["config", "values"],
            &["reports", "identity"],
            &["error"],
            &["store", "cache", "github"],
            &["telemetry", "names"],
            &["network", "base"],
        ],
    ),
    ("xtask/src", &[&["main"], &["bench", "demo", "dist", "test", "tidy"], &["setup"], &["cargo"], &["lib", "lab"]]),
];

/// A source file: its path in the repository, and its lines without comments and tests.
pub struct Source {
    pub file: String,
    pub text: String,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Self {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().lines();
        let code: Vec<&str> = code.filter(|line| !line.trim_start().starts_with("//")).collect();
        Self { file: file.to_owned(), text: code.join("\n") }
    }
}

/// Reports imports that go up or sideways, top-level modules without a layer, and import cycles.
pub fn check(sources: &[Source]) -> Vec<String> {
    LAYERS.iter().flat_map(|(root, layers)| check_crate(root, layers, sources)).collect()
}

fn check_crate(root: &str, layers: &[&[&str]], sources: &[Source]) -> Vec<String> {
    let modules: BTreeMap<Vec<String>, &Source> =
        sources.iter().filter_map(|source| Some((module(root, &source.file)?, source))).collect();
    let mut violations = Vec::new();
    let mut imports_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (own, source) in &modules {
        let Some(from) = layer(layers, own) else {
            violations.push(format!(
                "{}: its top-level module has no layer: add it in xtask/src/tidy/layers.rs",
                source.file
            ));
            continue;
        };
        for path in imports(&source.text, own) {
            let to = layer(layers, &path);
            if path[0] != own[0] && to.is_some_and(|to| to <= from) {
                let direction = if to == Some(from) { "sideways" } else { "up" };
                violations.push(format!("{}: imports {direction}, from crate::{}", source.file, path.join("::")));
            }
            let target = (1..=path.len()).rev().find_map(|length| modules.get(&path[..length]));
            let is_own = |target: &&&Source| target.file == source.file;
            if let Some(target) = target.filter(|target| !is_own(target)) {
                imports_of.entry(&source.file).or_default().insert(&target.file);
            }
        }
    }
    violations.extend(cycle(&imports_of).map(|files| format!("{root}: an import cycle: {}", files.join(" → "))));
    violations
}

/// The module path of a file: `src/a/b.rs` is `a::b`, and `src/main.rs` is `main`.
fn module(root: &str, file: &str) -> Option<Vec<String>> {
    let path = file.strip_prefix(root)?.strip_prefix('/')?.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    Some(path.split('/').map(ToOwned::to_owned).collect())
}

fn layer(layers: &[&[&str]], module: &[String]) -> Option<usize> {
    layers.iter().position(|names| names.contains(&module[0].as_str()))
}

/// The paths in this crate that a file imports with `crate::`, or with `super::` if they are not items of its parent. A
/// parent and its children are one unit.
fn imports(text: &str, own: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let is_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if !is_word {
            paths(&text[at + "crate::".len()..], &mut Vec::new(), &mut found);
        }
    }
    for (at, _) in text.match_indices("super::") {
        // Only the first of several `super::`, and not the end of another path.
        if text[..at].ends_with("::") {
            continue;
        }
        let mut rest = &text[at + "super::".len()..];
        let mut parent = own.len() - 1;
        while let Some(above) = rest.strip_prefix("super::") {
            (rest, parent) = (above, parent.saturating_sub(1));
        }
        let mut below = Vec::new();
        paths(rest, &mut own[..parent].to_vec(), &mut below);
        // An item of the parent, unless a module follows.
        found.extend(below.into_iter().filter(|path| path.len() > parent + 1));
    }
    found
}

/// Expands `a::{b, c::d}` into its paths; returns the rest of the text.
fn paths<'a>(mut text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = prefix.len();
    loop {
        if let Some(group) = text.strip_prefix('{') {
            text = group.trim_start();
            while !text.starts_with('}') && !text.is_empty() {
                text = paths(text, prefix, found).trim_start_matches([',', ' ', '\n']);
            }
            prefix.truncate(depth);
            return text.strip_prefix('}').unwrap_or(text);
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        if end == 0 {
            // A `*`, or not a path.
            text = text
                .strip_prefix('*')
                .unwrap_or(text.get(text.chars().next().map_or(0, char::len_utf8)..).unwrap_or(""));
            break;
        }
        if &text[..end] != "self" {
            prefix.push(text[..end].to_owned());
        }
        text = &text[end..];
        match text.strip_prefix("::") {
            Some(more) => text = more,
            None => break,
        }
    }
    if !prefix.is_empty() {
        found.push(prefix.clone());
    }
    prefix.truncate(depth);
    // `as name` is not a path.
    text.strip_prefix(" as ").map_or(text, |name| name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Finds a cycle.
fn cycle<'a>(imports_of: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut done = BTreeSet::new();
    imports_of.keys().find_map(|start| walk(start, imports_of, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    file: &'a str,
    imports_of: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    stack: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(at) = stack.iter().position(|before| *before == file) {
        return Some([&stack[at..], &[file]].concat());
    }
    if !done.insert(file) {
        return None;
    }
    stack.push(file);
    let found = imports_of.get(file).into_iter().flatten().find_map(|next| walk(next, imports_of, stack, done));
    stack.pop();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: &[&[&str]] = &[&["main", "lib"], &["serve", "routes"], &["base"]];

    fn violations(sources: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            sources.iter().map(|(file, text)| Source::new(&format!("a/src/{file}"), text)).collect();
        check_crate("a/src", MODULES, &sources)
    }

    #[test]
    fn imports_must_go_down_or_stay_in_the_same_module() {
        let down =
            "//! See crate::main.\nuse crate::base::{self, hex, random::Random as R};\nuse crate::serve::listen;\n";
        assert_eq!(
            violations(&[("main.rs", down), ("serve/tls.rs", "use super::listen;\n"), ("base.rs", "")]),
            [""; 0]
        );
        let up = violations(&[("base.rs", "fn f() { crate::serve::listen(); }"), ("serve.rs", "")]);
        assert_eq!(up, ["a/src/base.rs: imports up, from crate::serve::listen"]);
        let sideways =
            violations(&[("serve/tls.rs", "use crate::{base, routes};"), ("routes.rs", ""), ("base.rs", "")]);
        assert_eq!(sideways, ["a/src/serve/tls.rs: imports sideways, from crate::routes"]);
        let above = violations(&[("base/hex.rs", "use super::super::routes::badge;"), ("routes/badge.rs", "")]);
        assert_eq!(above, ["a/src/base/hex.rs: imports up, from crate::routes::badge"]);
        let unknown = violations(&[("other.rs", "")]);
        assert!(unknown[0].starts_with("a/src/other.rs: its top-level module has no layer"), "{unknown:?}");
    }

    #[test]
    fn import_cycles_are_found() {
        let (one, other) = ("use crate::base::b::B;", "use super::c::{C, D};");
        assert_eq!(violations(&[("base/a.rs", one), ("base/b.rs", other), ("base/c.rs", "use super::Own;")]), [""; 0]);
        let cyclic = violations(&[("base/a.rs", one), ("base/b.rs", other), ("base/c.rs", "use crate::base::a;")]);
        assert_eq!(
            cyclic,
            ["a/src: an import cycle: a/src/base/a.rs → a/src/base/b.rs → a/src/base/c.rs → a/src/base/a.rs"]
        );
    }

    #[test]
    fn grouped_imports_are_expanded() {
        let own = ["x".to_owned()];
        let joined = |text: &str| -> Vec<String> { imports(text, &own).iter().map(|path| path.join("::")).collect() };
        let text = "use crate::{a, b::{self, c::D as E, *}};\nuse other_crate::f;\nlet g = crate::h::i();";
        assert_eq!(joined(text), ["a", "b", "b::c::D", "b", "h::i"]);
        assert_eq!(joined("use crate::a::{\n    B,\n    c::{D, E},\n};\n"), ["a::B", "a::c::D", "a::c::E"]);
    }
}
