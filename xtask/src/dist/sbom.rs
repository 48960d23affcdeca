//! The bill of materials of one program: the crates that are linked into it on one system, as CycloneDX 1.6.
//!
//! Cargo resolves them as for the build. Crates that only run during the build (build scripts, procedural macros) are not
//! listed. The list has no time and no serial number, so that the same source gives the same list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::build::Build;
use crate::lab::process;

/// Cargo's information about one crate.
#[derive(Debug, Default)]
struct Package {
    license: String,
    uses: BTreeSet<String>,
    is_macro: bool,
}

/// The crates by their package URL.
type Tree = BTreeMap<String, Package>;

pub fn of(build: &Build, program: &str) -> anyhow::Result<String> {
    let mut cargo = build.cargo("tree");
    cargo.args(["--package", program, "--edges", "normal", "--prefix", "depth", "--format", "{p}|{l}"]);
    let listed = process::run(&mut cargo)?;
    ensure!(listed.ok, "cargo tree failed for {program}: {}", listed.stderr);
    let (root, tree) = parse(&listed.stdout)?;
    let sums = checksums(&build.source.join("Cargo.lock"))?;
    let linked = linked(&root, &tree);
    let component = |url: &String, kind: &str| component(url, &tree[url], kind, sums.get(url));
    let others = linked.iter().filter(|url| **url != root);
    let depends = |url: &String| {
        let uses: Vec<_> = tree[url].uses.iter().filter(|used| linked.contains(*used)).collect();
        json!({"ref": url, "dependsOn": uses})
    };
    let mut application = component(&root, "application");
    application["properties"] = json!([{"name": "cargo:target", "value": build.target}]);
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": application},
        "components": others.map(|url| component(url, "library")).collect::<Vec<_>>(),
        "dependencies": linked.iter().map(depends).collect::<Vec<_>>(),
    });
    Ok(format!("{document:#}\n"))
}

fn component(url: &str, package: &Package, kind: &str, sum: Option<&String>) -> Value {
    let (name, version) = url.trim_start_matches("pkg:cargo/").split_once('@').unwrap_or_default();
    let mut component = json!({"type": kind, "bom-ref": url, "purl": url, "name": name, "version": version});
    if !package.license.is_empty() {
        // Older crates separate licenses with a slash.
        let license = package.license.replace('/', " OR ");
        component["licenses"] = json!([{"expression": license}]);
    }
    if let Some(sum) = sum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
    }
    component
}

/// Parses lines such as `2serde_derive v1.0.228 (proc-macro)|MIT OR Apache-2.0`, which follow the crate that uses them.
/// A repeated crate has a mark instead of its own lines. Returns the root crate, and all crates.
fn parse(listed: &str) -> anyhow::Result<(String, Tree)> {
    let mut tree = Tree::new();
    let mut above: Vec<String> = Vec::new();
    for line in listed.lines().filter(|line| !line.is_empty()) {
        let unknown = || format!("cannot parse the line {line:?} of cargo tree");
        let end = line.find(|c: char| !c.is_ascii_digit()).with_context(unknown)?;
        let (depth, rest) = line.split_at(end);
        let (package, license) = rest.split_once('|').with_context(unknown)?;
        let mut words = package.split(' ');
        let name = words.next().unwrap_or_default();
        let version = words.next().and_then(|word| word.strip_prefix('v')).with_context(unknown)?;
        let url = format!("pkg:cargo/{name}@{version}");
        above.truncate(depth.parse().with_context(unknown)?);
        if let Some(user) = above.last() {
            tree.entry(user.clone()).or_default().uses.insert(url.clone());
        }
        let entry = tree.entry(url.clone()).or_default();
        entry.license = license.trim_end_matches(" (*)").to_owned();
        entry.is_macro = package.contains("(proc-macro)");
        above.push(url);
    }
    let root = above.into_iter().next().context("cargo tree printed nothing")?;
    Ok((root, tree))
}

/// The crates that are reachable without a procedural macro.
fn linked(root: &str, tree: &Tree) -> BTreeSet<String> {
    let mut linked = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(url) = open.pop() {
        let Some(package) = tree.get(&url).filter(|package| !package.is_macro) else { continue };
        if linked.insert(url) {
            open.extend(package.uses.iter().cloned());
        }
    }
    linked
}

/// The SHA-256 of each crate's own archive, from the lock file.
fn checksums(lock: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let packages = text.split("[[package]]").map(|package| {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.and_then(|value| value.strip_suffix('"'))
        };
        Some((format!("pkg:cargo/{}@{}", field("name")?, field("version")?), field("checksum")?.to_owned()))
    });
    Ok(packages.flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_procedural_macros_are_not_listed() {
        let listed = "0a v1.0.0 (/a)|MIT\n1b v2.0.0|MIT/Apache-2.0\n2c v3.0.0 (proc-macro)|MIT\n3d v4.0.0|MIT\n\
                      3b v2.0.0|MIT/Apache-2.0 (*)\n1e v5.0.0|ISC\n";
        let (root, tree) = parse(listed).unwrap();
        assert_eq!(root, "pkg:cargo/a@1.0.0");
        assert_eq!(tree["pkg:cargo/b@2.0.0"].license, "MIT/Apache-2.0");
        let expected = ["pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0", "pkg:cargo/e@5.0.0"];
        assert_eq!(linked(&root, &tree).into_iter().collect::<Vec<_>>(), expected);
    }
}
