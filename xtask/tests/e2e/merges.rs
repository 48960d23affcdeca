//! Merged lines are those that the tools' own merging gives for the same reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xtask::lab::covered::clean;
use xtask::lab::node::which;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process;

use crate::artifact::fixtures;

/// The lines of each source file that can be covered, and whether they are.
type Lines = BTreeMap<String, BTreeMap<u64, bool>>;

/// Shards of a test run.
const SHARDS: usize = 4;

#[track_caller]
fn run(folder: &Path, command: &mut Command) -> String {
    process::run(command.current_dir(folder)).unwrap().succeeded().stdout
}

/// The lines that Covered exports for the reports in these folders.
#[track_caller]
fn merged(folder: &Path, reports: &[&str]) -> Lines {
    let mut covered = clean(&paths::binary("covered"));
    covered.args(reports).args(["--dry-run", "--export=lcov:merged.info"]);
    let text = run(folder, &mut covered);
    assert!(reports.len() == 1 || text.contains(&format!("Merged {} reports: ", reports.len())), "{text}");
    tracefile(&fs::read_to_string(folder.join("merged.info")).unwrap())
}

fn tracefile(text: &str) -> Lines {
    let mut lines = Lines::new();
    let mut file = String::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = path.to_owned();
        } else if let Some((number, hits)) = line.strip_prefix("DA:").and_then(|data| data.split_once(',')) {
            let is_hit = hits.split(',').next() != Some("0");
            lines.entry(file.clone()).or_default().insert(number.parse().unwrap(), is_hit);
        }
    }
    lines
}

#[track_caller]
fn same(found: &Lines, expected: &Lines) {
    let sums = |lines: &Lines| lines.values().map(BTreeMap::len).sum::<usize>();
    assert!(sums(expected) > 15, "there is little to compare: {expected:?}");
    assert!(expected.values().flatten().any(|(_, is_hit)| !is_hit), "every line is hit");
    for path in found.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        assert_eq!(found.get(path), expected.get(path), "{path}");
    }
}

/// A module whose functions have branches.
fn module(number: usize) -> String {
    let mut text = "import os\n".to_owned();
    for function in 0..8 {
        let _ = write!(
            text,
            "\ndef f{function}(x):\n    if x % {}:\n        return x\n    for _ in range(x):\n        x -= 1\n    else:\n        \
             x += {number}\n    return x\n\n",
            function + 2
        );
    }
    text
}

/// Each shard calls other functions.
const SHARD: &str = "\
import sys
from app import one, two
shard = int(sys.argv[1])
for module in (one, two):
    for number in range(8):
        if number % 4 == shard or (number + shard) % 7 == 0:
            getattr(module, f'f{number}')(number + shard)
";

/// Runs the shards with coverage.py. Each gets a report; returns the lines that `coverage combine` gives.
fn python(folder: &Path, options: &[&str]) -> Lines {
    fs::create_dir(folder.join("app")).unwrap();
    fs::write(folder.join("app/__init__.py"), "").unwrap();
    fs::write(folder.join("app/one.py"), module(1)).unwrap();
    fs::write(folder.join("app/two.py"), module(2)).unwrap();
    fs::write(folder.join("shard.py"), SHARD).unwrap();
    let coverage = |arguments: &[&str]| {
        let mut command = Command::new(paths::python("coverage"));
        command.env("COVERAGE_RCFILE", "/dev/null");
        run(folder, command.args(arguments))
    };
    let data: Vec<String> = (0..SHARDS).map(|shard| format!("--data-file=.coverage.{shard}")).collect();
    for (shard, data) in data.iter().enumerate() {
        coverage(&[&["run", "--source=app", data], options, &["shard.py", &shard.to_string()]].concat());
        coverage(&["html", data, "-d", &format!("shard{shard}")]);
        coverage(&["json", data, "-q", "-o", &format!("shard{shard}/coverage.json")]);
    }
    coverage(&["combine", "--keep", "-q", "--data-file=.coverage"]);
    coverage(&["json", "-q", "--data-file=.coverage", "-o", "all.json"]);
    let json: Value = serde_json::from_slice(&fs::read(folder.join("all.json")).unwrap()).unwrap();
    let numbers = |file: &Value, key: &str| -> Vec<u64> {
        file[key].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
    };
    let files = json["files"].as_object().unwrap().iter().map(|(path, file)| {
        let hit = numbers(file, "executed_lines").into_iter().map(|number| (number, true));
        (path.clone(), hit.chain(numbers(file, "missing_lines").into_iter().map(|number| (number, false))).collect())
    });
    files.filter(|(_, lines): &(_, BTreeMap<_, _>)| !lines.is_empty()).collect()
}

const SHARD_FOLDERS: [&str; SHARDS] = ["shard0", "shard1", "shard2", "shard3"];

#[test]
fn shards_of_coverage_py_are_as_combined() {
    if skip_without(&[Part::Python]) {
        return;
    }
    for options in [&[][..], &["--branch"]] {
        let folder = tempfile::tempdir().unwrap();
        let expected = python(folder.path(), options);
        same(&merged(folder.path(), &SHARD_FOLDERS), &expected);
        // Without the JSON file, the lines are in the pages.
        fs::remove_file(folder.path().join("shard1/coverage.json")).unwrap();
        same(&merged(folder.path(), &SHARD_FOLDERS), &expected);
    }
}

#[test]
fn shards_of_several_systems_are_as_combined() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let expected = python(folder.path(), &[]);
    for (shard, root) in [(1, r"D:\\a\\app\\app\\"), (2, "/home/runner/work/app/app/"), (3, "/__w/app/app/")] {
        let file = folder.path().join(format!("shard{shard}/coverage.json"));
        let json = fs::read_to_string(&file).unwrap();
        let path = |name: &str| format!("\"{root}app{}{name}.py\"", if shard == 1 { r"\\" } else { "/" });
        let moved =
            ["one", "two"].iter().fold(json, |json, name| json.replace(&format!("\"app/{name}.py\""), &path(name)));
        assert!(moved.contains(&path("one")), "{moved}");
        fs::write(&file, moved).unwrap();
    }
    same(&merged(folder.path(), &SHARD_FOLDERS), &expected);
}

const PROGRAM: &str = "\
#include <stdio.h>
#include <stdlib.h>
static int half(int x) {
  if (x % 2)
    return x;
  return x / 2;
}
static int many(int x) {
  int sum = 0;
  for (int i = 0; i < x; i++) {
    sum += i;
    if (sum > 10)
      return sum;
  }
  return -1;
}
int main(int count, char **arguments) {
  int x = atoi(arguments[count - 1]);
  switch (x) {
  case 0:
    puts(\"none\");
    break;
  case 1:
    printf(\"%d\", half(4));
    break;
  case 2:
    printf(\"%d\", many(9));
    break;
  default:
    puts(\"other\");
    abort();
  }
  return 0;
}
";

#[test]
fn tracefiles_are_as_lcov_adds_them() {
    if skip_without(&[Part::Lcov]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("program.c"), PROGRAM).unwrap();
    run(folder, Command::new("gcc").args(["--coverage", "-O0", "-o", "program", "program.c"]));
    let lcov = |arguments: &[&str]| run(folder, Command::new("lcov").arg("--quiet").args(arguments));
    let mut add = Vec::new();
    for shard in 0..3 {
        lcov(&["--zerocounters", "--directory", "."]);
        run(folder, Command::new("./program").arg(shard.to_string()));
        fs::create_dir(folder.join(format!("shard{shard}"))).unwrap();
        let info = format!("shard{shard}/lcov.info");
        lcov(&["--capture", "--directory", ".", "--rc", "lcov_branch_coverage=1", "--output-file", &info]);
        add.extend(["--add-tracefile".to_owned(), info]);
    }
    let add: Vec<&str> = add.iter().map(String::as_str).chain(["--output-file", "all.info"]).collect();
    lcov(&add);
    let expected = tracefile(&fs::read_to_string(folder.join("all.info")).unwrap());
    same(&merged(folder, &SHARD_FOLDERS[..3]), &expected);
}

/// Sets some counters of istanbul's statements, functions and branches to 0.
fn forget(value: &mut Value, next: &mut impl FnMut() -> u64) {
    match value {
        Value::Number(_) if next().is_multiple_of(2) => *value = Value::from(0),
        Value::Array(values) => values.iter_mut().for_each(|value| forget(value, next)),
        Value::Object(values) => values.values_mut().for_each(|value| forget(value, next)),
        _ => {}
    }
}

#[test]
fn maps_of_istanbul_are_as_nyc_merges_them() {
    if skip_without(&[Part::Node]) {
        return;
    }
    let mut seed = 7u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed >> 33
    };
    for fixture in ["nyc-18-json", "jest-30-json", "vitest-4-istanbul"] {
        let whole = fs::read(fixtures().join("totals").join(fixture).join("coverage-final.json")).unwrap();
        for _ in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let mut node = Command::new(which("node").unwrap());
            node.env("NODE_PATH", paths::node_modules()).arg(paths::script("istanbul-merge.cjs"));
            for shard in SHARD_FOLDERS {
                let mut map: Value = serde_json::from_slice(&whole).unwrap();
                for file in map.as_object_mut().unwrap().values_mut() {
                    ["s", "f", "b"].iter().for_each(|kind| forget(&mut file[kind], &mut next));
                }
                let file = folder.path().join(shard).join("coverage-final.json");
                fs::create_dir(file.parent().unwrap()).unwrap();
                fs::write(&file, map.to_string()).unwrap();
                node.arg(file);
            }
            let lines: Value = serde_json::from_str(&run(folder.path(), &mut node)).unwrap();
            let hits = |lines: &Value| {
                let lines = lines.as_object().unwrap().iter();
                lines.map(|(number, hits)| (number.parse().unwrap(), hits.as_u64() != Some(0))).collect()
            };
            let expected = lines.as_object().unwrap().iter().map(|(path, lines)| (path.clone(), hits(lines)));
            let expected: Lines = expected.filter(|(_, lines): &(_, BTreeMap<_, _>)| !lines.is_empty()).collect();
            let found = merged(folder.path(), &SHARD_FOLDERS);
            for (path, lines) in found.keys().chain(expected.keys()).map(|path| (path, expected.get(path))) {
                assert_eq!(found.get(path), lines, "{fixture}: {path}");
            }
        }
    }
}

/// What `gocovmerge` does: the same blocks, with the sum of their counts.
#[test]
fn profiles_of_go_are_as_the_union_of_their_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let profile = fs::read_to_string(fixtures().join("totals/go-1.19-blocks/cover.out")).unwrap();
    let (mode, blocks) = profile.split_once('\n').unwrap();
    let blocks: Vec<&str> = blocks.lines().map(|block| block.rsplit_once(' ').unwrap().0).collect();
    assert!(blocks.len() > 10, "{profile}");
    let write = |name: &str, is_hit: &dyn Fn(usize) -> bool| {
        let lines: String =
            blocks.iter().enumerate().map(|(at, block)| format!("{block} {}\n", u8::from(is_hit(at)))).collect();
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("cover.out"), format!("{mode}\n{lines}")).unwrap();
    };
    let hits = |shard: usize| move |at: usize| (at * 7 + shard).is_multiple_of(9);
    (0..SHARDS).for_each(|shard| write(SHARD_FOLDERS[shard], &hits(shard)));
    write("all", &|at| (0..SHARDS).any(|shard| hits(shard)(at)));
    same(&merged(folder.path(), &SHARD_FOLDERS), &merged(folder.path(), &["all"]));
}
