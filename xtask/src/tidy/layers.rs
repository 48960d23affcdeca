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

/// Folders whose modules and their children may import each other: `coverage/formats.rs` lists all formats, and each format
/// uses the types there.
const WITH_PARENT_CYCLES: &[&str] = &["action/src/coverage/"];

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
            let is_other = |target: &&&Source| target.file != source.file && !is_allowed(&source.file, &target.file);
            if let Some(target) = target.filter(is_other) {
                imports_of.entry(&source.file).or_default().insert(&target.file);
            }
        }
    }
    violations
        .extend(cycles(&imports_of).iter().map(|files| format!("{root}: an import cycle: {}", files.join(" → "))));
    violations
}

/// Whether one file is a parent of the other, in a folder where they may import each other.
fn is_allowed(one: &str, other: &str) -> bool {
    let is_below = |parent: &str, file: &str| {
        let folder = parent.trim_end_matches(".rs").trim_end_matches("/mod");
        file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    let is_exempt = |file: &str| WITH_PARENT_CYCLES.iter().any(|folder| file.starts_with(folder));
    is_exempt(one) && is_exempt(other) && (is_below(one, other) || is_below(other, one))
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

/// The paths in this crate that a file uses: with `crate::`, with `super::`, and in the modules that it declares. Methods
/// are not seen: an `impl` block may be spread over a module's children.
fn imports(text: &str, own: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for rest in after(text, "crate::") {
        paths(rest, &mut Vec::new(), &mut found);
    }
    for mut rest in after(text, "super::") {
        let mut parent = own.len() - 1;
        while let Some(above) = rest.strip_prefix("super::") {
            (rest, parent) = (above, parent.saturating_sub(1));
        }
        paths(rest, &mut own[..parent].to_vec(), &mut found);
    }
    found.extend(used_children(text, own));
    found
}

/// What follows each `start` that begins a path.
fn after<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(start).filter_map(move |(at, _)| {
        let is_inner = text[..at].ends_with(|c: char| is_name(c) || matches!(c, '$' | ':'));
        let rest = &text[at + start.len()..];
        (!is_inner && rest.starts_with(|c: char| is_name(c) || matches!(c, '{' | '*'))).then_some(rest)
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths in declared modules (`mod child;`) that a file uses itself. A re-export (`pub use child::Item;`) is a use only
/// if the rest of the file names the item.
fn used_children(text: &str, own: &[String]) -> Vec<Vec<String>> {
    // The modules that `main.rs` and `lib.rs` declare are at the top.
    let parent = if matches!(own, [root] if root == "main" || root == "lib") { &[] } else { own };
    let (exports, code) = split_reexports(text);
    let words: BTreeSet<&str> = code.split(|c| !is_name(c)).collect();
    let mut found = Vec::new();
    for child in declared_modules(&code) {
        let (start, prefix) = (format!("{child}::"), [parent, &[child.to_owned()]].concat());
        for rest in after(&code, &start) {
            paths(rest, &mut prefix.clone(), &mut found);
        }
        let mut exported = Vec::new();
        for rest in after(&exports, &start) {
            paths(rest, &mut prefix.clone(), &mut exported);
        }
        found.extend(exported.into_iter().filter(|path| path.last().is_some_and(|item| words.contains(item.as_str()))));
    }
    found
}

/// Splits a file's text into its re-exports and the rest.
fn split_reexports(text: &str) -> (String, String) {
    let (mut exports, mut code, mut is_export) = (String::new(), String::new(), false);
    for line in text.split_inclusive('\n') {
        is_export |= line.starts_with("pub use ") || line.starts_with("pub(") && line.contains(") use ");
        if is_export { &mut exports } else { &mut code }.push_str(line);
        is_export &= !line.contains(';');
    }
    (exports, code)
}

fn declared_modules(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
        (before.is_empty() || before.starts_with("pub")).then_some(name)
    })
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

/// Finds a cycle for each import that closes one.
fn cycles<'a>(imports_of: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let (mut done, mut found) = (BTreeSet::new(), Vec::new());
    for start in imports_of.keys() {
        walk(start, imports_of, &mut Vec::new(), &mut done, &mut found);
    }
    found
}

fn walk<'a>(
    file: &'a str,
    imports_of: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    stack: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
    found: &mut Vec<Vec<&'a str>>,
) {
    if let Some(at) = stack.iter().position(|before| *before == file) {
        found.push([&stack[at..], &[file]].concat());
    }
    if !done.insert(file) {
        return;
    }
    stack.push(file);
    for next in imports_of.get(file).into_iter().flatten() {
        walk(next, imports_of, stack, done, found);
    }
    stack.pop();
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
    fn cycles_between_a_module_and_its_children_are_found() {
        let cyclic = ["a/src: an import cycle: a/src/base.rs → a/src/base/b.rs → a/src/base.rs"];
        let child = ("base/b.rs", "use super::{A, c::C};\n");
        for parent in [
            "mod b;\nuse b::B;\nstruct A;\n",
            "pub mod b;\nfn f() { b::f(); }\n",
            "mod b;\npub use b::{B, D};\nstruct A(B);\n",
            "mod b;\nuse crate::base::b::B;\n",
        ] {
            assert_eq!(violations(&[("base.rs", parent), child]), cyclic, "{parent}");
        }
        for parent in ["mod b;\nstruct A;\n", "mod b;\npub use b::B;\npub(crate) use b::{D, E as F};\nstruct A;\n"] {
            assert_eq!(violations(&[("base.rs", parent), child]), [""; 0], "{parent}");
        }
        let apart = ("base/b.rs", "use super::c::C;\n");
        let parent = "mod b;\nmod c;\nuse b::B;\n";
        assert_eq!(violations(&[("base.rs", parent), apart, ("base/c.rs", "")]), [""; 0]);
        assert_eq!(violations(&[("main.rs", "mod base;\nuse base::f;\n"), ("base.rs", "")]), [""; 0]);
        assert!(is_allowed("action/src/coverage/a/b.rs", "action/src/coverage/a.rs"));
        assert!(!is_allowed("action/src/coverage/a/b.rs", "action/src/coverage/a/c.rs"));
        assert!(!is_allowed("action/src/report/zip.rs", "action/src/report.rs"));
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
