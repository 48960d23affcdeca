//! The union of lines, and its limits.

use super::*;

fn lines_of(file: &SourceFile) -> Vec<(u32, Hit)> {
    file.bits.iter().collect()
}

fn filled(lines: &[(u64, Hit)]) -> Lines<'static> {
    let mut all = Lines::all();
    assert!(all.file("a"));
    lines.iter().for_each(|(number, hit)| all.line(*number, *hit));
    all.finish().unwrap();
    all
}

#[test]
fn a_line_is_hit_if_one_of_its_entries_is() {
    use Hit::{No, Partly, Yes};
    let kinds = [No, Partly, Yes];
    let best = |one: Hit, other: Hit| kinds.into_iter().rfind(|kind| [one, other].contains(kind)).unwrap();
    for one in kinds {
        for other in kinds {
            for line in [1, 63, 64, 1000] {
                let both = filled(&[(line, one), (line, other)]);
                assert_eq!(lines_of(both.get("a").unwrap()), [(line as u32, best(one, other))], "{one:?} {other:?}");
                let mut merged = filled(&[(line, one), (7, No)]);
                merged.merge(filled(&[(line, other), (2000, Yes)]));
                let expected = [(7, No), (line as u32, best(one, other)), (2000, Yes)];
                let mut found = lines_of(merged.get("a").unwrap());
                found.sort_by_key(|(line, _)| *line != 7);
                let mut expected = expected.to_vec();
                expected.sort_by_key(|(line, _)| *line != 7);
                assert_eq!(found, expected, "{one:?} {other:?}");
            }
        }
    }
}

#[test]
fn files_are_kept_once_and_in_order() {
    let mut lines = Lines::all();
    for (path, number) in [("b", 1), ("a", 2), ("b", 3)] {
        assert!(lines.file(path));
        lines.line(number, Hit::Yes);
    }
    assert!(lines.file("without lines"));
    lines.finish().unwrap();
    let paths: Vec<_> = lines.files().map(|file| (file.path.as_str(), file.bits.sums())).collect();
    assert_eq!(paths, [("a", (1, 1)), ("b", (2, 2))]);
    assert_eq!(lines.counts(), Counts::new(3, 3));
}

#[test]
fn what_nobody_needs_is_not_kept() {
    let mut off = Lines::off();
    assert!(!off.file("a") && !off.is_on());
    off.line(1, Hit::Yes);
    off.finish().unwrap();
    assert_eq!((off.files().count(), off.counts()), (0, None));
    let is_wanted = |path: &str| path.ends_with("b.rs");
    let mut some = Lines::only(Some(&is_wanted));
    for path in ["a.rs", "src/b.rs", "c.rs"] {
        some.file(path);
        some.line(5, Hit::No);
    }
    assert_eq!(some.files().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["src/b.rs"]);
}

#[test]
fn ten_million_lines_fit_and_hostile_numbers_do_not() {
    let mut lines = Lines::all();
    for file in 0..1000 {
        lines.file(&format!("src/{file}.c"));
        (1..=10_000).for_each(|line| lines.line(line, Hit::of(line % 3)));
    }
    lines.finish().unwrap();
    assert_eq!(lines.counts().map(|counts| counts.total), Some(10_000_000));
    assert!(lines.bytes < 3_000_000, "{} bytes", lines.bytes);
    let mut sparse = Lines::all();
    for file in 0..10_000 {
        sparse.file(&file.to_string());
        sparse.line(MAX_LINE, Hit::Yes);
    }
    let kept: usize = sparse.files().map(SourceFile::bytes).sum();
    let mut merged = Lines::all();
    merged.merge(filled(&[(1, Hit::Yes)]));
    assert!(merged.finish().is_ok());
    let mut dropped = Lines::all();
    dropped.file("a");
    dropped.line(MAX_LINE + 1, Hit::Yes);
    merged.merge(dropped);
    assert!(merged.finish().is_err());
    assert!(sparse.finish().is_err() && kept < MAX_BYTES + (8 << 20), "{kept} bytes");
    let mut long = Lines::all();
    assert!(!long.file(&"a".repeat(MAX_PATH + 1)) && long.finish().is_err());
    let mut large = Lines::all();
    large.file("a");
    large.line(MAX_LINE + 1, Hit::Yes);
    assert!(large.finish().is_err());
}

#[test]
fn branches_that_nobody_needs_take_no_memory() {
    let mut lines = Lines::only(Some(&|path: &str| path == "b"));
    lines.file("a");
    (0..4_000_000).for_each(|_| lines.branches(1, 0, 2));
    assert!(lines.finish().is_ok() && lines.bytes == 0, "{} bytes", lines.bytes);
}

#[test]
fn branches_of_a_line_are_kept_once() {
    let mut lines = filled(&[(4, Hit::Partly), (9, Hit::Yes)]);
    lines.file("a");
    lines.branches(9, 2, 2);
    lines.branches(4, 0, 2);
    lines.branches(4, 1, 2);
    lines.finish().unwrap();
    let expected = [Branches { line: 4, taken: 1, total: 2 }, Branches { line: 9, taken: 2, total: 2 }];
    assert_eq!(lines.get("a").unwrap().branches, expected);
}

#[test]
fn lines_that_a_tool_counts_twice_add_up_in_its_own_way() {
    let mut lines = filled(&[(4, Hit::Yes), (9, Hit::No)]);
    assert_eq!(lines.counted(), (1, 2));
    lines.count(2, 3);
    let mut other = Lines::all();
    other.count(1, 1);
    lines.merge(other);
    assert_eq!((lines.counted(), lines.sums()), ((3, 4), (1, 2)));
}

#[test]
fn counts_that_the_report_shows_are_compared() {
    let mut lines = filled(&[(4, Hit::Partly), (9, Hit::No)]);
    assert!(lines.get("a").unwrap().adds_up());
    for (shown, adds_up) in [((1, 2), true), ((2, 2), false)] {
        lines.file("a");
        lines.shown(shown.0, shown.1);
        assert_eq!(lines.get("a").unwrap().adds_up(), adds_up);
    }
}

#[test]
fn lines_of_a_tool_that_counts_functions_are_at_most_those_that_it_counts() {
    let mut lines = Lines::all();
    lines.file("a.cpp");
    [(1, Hit::Yes), (2, Hit::Partly), (3, Hit::No)].into_iter().for_each(|(line, hit)| lines.line(line, hit));
    assert!(!lines.may_be_part_of((4, 6)));
    lines.count_functions();
    let mut all = Lines::all();
    all.merge(lines);
    let fits = [(4, 6), (2, 3), (2, 9), (1, 6), (3, 3), (4, 4), (9, 4)].map(|shown| all.may_be_part_of(shown));
    assert_eq!(fits, [true, true, true, false, false, false, false]);
}

#[test]
fn hostile_numbers_of_branches_are_not_kept() {
    for (number, is_kept) in [(MAX_BRANCHES / 2, true), (MAX_BRANCHES / 2 + 1, false)] {
        let (mut one, mut other) = (filled(&[(4, Hit::Partly)]), filled(&[(9, Hit::Partly)]));
        for (lines, line) in [(&mut one, 4), (&mut other, 9)] {
            lines.file("a");
            lines.branches(line, 1, number);
            assert!(lines.finish().is_ok());
        }
        one.merge(other);
        assert_eq!(one.finish().is_ok(), is_kept, "{number}");
    }
}

#[test]
fn counts_that_differ_are_the_same_in_any_order() {
    let shown = |counts: [(u64, u64); 2]| {
        let mut all = filled(&[(4, Hit::Yes)]);
        for (covered, total) in counts {
            let mut page = filled(&[(4, Hit::Yes)]);
            page.file("a");
            page.shown(covered, total);
            all.merge(page);
        }
        all.get("a").unwrap().shown
    };
    assert_eq!(shown([(1, 1), (2, 3)]), Some((2, 3)));
    assert_eq!(shown([(2, 3), (1, 1)]), Some((2, 3)));
}
