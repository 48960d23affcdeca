//! Merged lines of small reports.

use super::*;
use crate::coverage::lines::Hit;

type Hits = &'static [(u64, Hit)];

const ONE: Hits = &[(1, Hit::Yes), (2, Hit::No)];
const OTHER: Hits = &[(1, Hit::No), (2, Hit::Yes), (3, Hit::No)];

fn lines(files: &[(&str, Hits)]) -> Lines<'static> {
    let mut lines = Lines::all();
    for (path, hits) in files {
        lines.file(path);
        hits.iter().for_each(|(number, hit)| lines.line(*number, *hit));
    }
    lines.finish().unwrap();
    lines
}

/// The merged files with their sums, of parts `a`, `b` and so on.
fn merged(tree: Option<&[&str]>, parts: &[&[(&str, Hits)]]) -> Vec<(String, (u64, u64))> {
    let tree: Option<Vec<String>> = tree.map(|tree| tree.iter().map(ToString::to_string).collect());
    let mut merge = Merge::new(tree.as_deref(), None);
    for (part, name) in parts.iter().zip(["a", "b", "c"]) {
        merge.add(name, "c0ffee", &lines(part));
    }
    let lines = merge.finish().unwrap().lines;
    lines.files().map(|file| (file.path.clone(), file.bits.sums())).collect()
}

fn files(expected: &[(&str, (u64, u64))]) -> Vec<(String, (u64, u64))> {
    expected.iter().map(|(path, sums)| ((*path).to_owned(), *sums)).collect()
}

#[test]
fn a_line_is_hit_if_any_part_hit_it() {
    assert_eq!(merged(None, &[&[("x.py", ONE)], &[("x.py", OTHER)]]), files(&[("x.py", (2, 3))]));
}

#[test]
fn a_line_that_two_parts_hit_partly_may_be_hit_entirely() {
    let parts: [Hits; 2] = [&[(1, Hit::Partly), (2, Hit::Partly), (3, Hit::Partly)], &[(1, Hit::Partly), (2, Hit::No)]];
    let mut merge = Merge::new(None, None);
    parts.iter().for_each(|hits| _ = merge.add("a", "c0ffee", &lines(&[("x.py", hits)])));
    let lines = merge.finish().unwrap().lines;
    let bits = &lines.get("x.py").unwrap().bits;
    assert_eq!([1, 2, 3].map(|line| bits.get(line)), [Hit::Yes, Hit::Partly, Hit::Partly].map(Some));
}

#[test]
fn one_file_under_several_roots_is_one() {
    let paths = ["/home/runner/work/a/a/src/x.py", r"D:\a\a\a\src\x.py", "src/x.py"];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let parts = order.map(|at| [(paths[at], if at == 1 { OTHER } else { ONE })]);
        let parts: Vec<&[_]> = parts.iter().map(|part| &part[..]).collect();
        for tree in [None, Some(&["src/x.py", "lib/src/x.py", "x.py"][..])] {
            assert_eq!(merged(tree, &parts), files(&[("src/x.py", (2, 3))]), "{order:?} {tree:?}");
        }
    }
    // A container's own folder.
    let container: [(&str, Hits); 2] = [("/app/src/x.py", OTHER), ("/app/src/y.py", OTHER)];
    let expected = files(&[("src/x.py", (2, 3)), ("src/y.py", (1, 3))]);
    assert_eq!(merged(Some(&["src/x.py", "src/y.py"]), &[&[("src/x.py", ONE)], &container]), expected);
    let whole: [(&str, Hits); 2] = [("src/x.py", ONE), ("src/y.py", OTHER)];
    assert_eq!(merged(None, &[&whole, &container]), expected);
}

#[test]
fn files_that_only_look_alike_stay_apart() {
    let tree = ["web/src/index.ts", "web/src/app.ts", "api/src/index.ts", "api/src/db.ts"];
    let web: [(&str, Hits); 2] = [("src/index.ts", ONE), ("src/app.ts", ONE)];
    let api: [(&str, Hits); 2] = [("src/index.ts", OTHER), ("src/db.ts", OTHER)];
    let expected = [(tree[3], (1, 3)), (tree[2], (1, 3)), (tree[1], (1, 2)), (tree[0], (1, 2))];
    assert_eq!(merged(Some(&tree), &[&web, &api]), files(&expected));
    // Generated files are where the others of their part are.
    let web: [(&str, Hits); 2] = [("src/app.ts", ONE), ("src/version.ts", ONE)];
    let api: [(&str, Hits); 2] = [("src/db.ts", OTHER), ("src/version.ts", OTHER)];
    let expected =
        [(tree[3], (1, 3)), ("api/src/version.ts", (1, 3)), (tree[1], (1, 2)), ("web/src/version.ts", (1, 2))];
    assert_eq!(merged(Some(&tree), &[&web, &api]), files(&expected));
    // Nothing says which of both it is.
    let index: [(&str, Hits); 1] = [("src/index.ts", ONE)];
    let expected = [("parts/a/src/index.ts", (1, 2)), ("parts/b/src/index.ts", (1, 2))];
    assert_eq!(merged(Some(&tree), &[&index, &index]), files(&expected));
}

#[test]
fn only_files_that_are_certain_count_as_such() {
    let tree = ["web/src/index.ts", "api/src/index.ts", "lib.ts", "docs/lib.ts"].map(ToOwned::to_owned);
    let mut merge = Merge::new(Some(&tree), None);
    assert_eq!(merge.add("a", "c0ffee", &lines(&[("src/index.ts", ONE)])), 1);
    assert_eq!(merge.add("b", "c0ffee", &lines(&[("/home/runner/work/r/r/lib.ts", ONE)])), 0);
    // It may be the one in `docs`.
    assert_eq!(merge.add("c", "c0ffee", &lines(&[("lib.ts", OTHER)])), 0);
    let Merged { lines: merged, places, .. } = merge.finish().unwrap();
    assert_eq!(places.uncertain, [&*tree[0], &*tree[1]].into());
    assert_eq!(places.certain, ["lib.ts"].into());
    assert_eq!(merged.get("lib.ts").unwrap().bits.sums(), (2, 3));
}

#[test]
fn too_many_lines_are_an_error() {
    let mut merge = Merge::new(None, None);
    for part in 0..3 {
        let names: Vec<String> = (0..10_000).map(|file| format!("{part}/{file}.py")).collect();
        let far: Hits = &[(12_000, Hit::Yes)];
        merge.add("a", "c0ffee", &lines(&names.iter().map(|name| (name.as_str(), far)).collect::<Vec<_>>()));
    }
    let error = merge.finish().err().unwrap();
    assert_eq!(error.to_string(), "it has more lines or files than fit into 32 MB");
}
