//! Patches of small reports.

use std::fs;
use std::path::Path;

use super::*;
use crate::coverage::State;
use crate::coverage::lines::Lines;

fn lines(files: &[(&str, &[(u64, Hit)])]) -> Lines<'static> {
    let mut lines = Lines::all();
    for (path, hits) in files {
        lines.file(path);
        hits.iter().for_each(|(line, hit)| lines.line(*line, *hit));
    }
    lines.finish().unwrap();
    lines
}

fn changed(path: &str, diff: Result<&str, Unknown>) -> ChangedFile {
    ChangedFile { path: path.to_owned(), commit: "c0ffee".to_owned(), diff: diff.map(ToOwned::to_owned) }
}

fn with_patch<T>(changes: &[ChangedFile], lines: &Lines, check: impl FnOnce(&Patch) -> T) -> T {
    let selection = Selection::new(changes);
    check(&selection.patch(lines))
}

fn percent(text: &str) -> Percent {
    Percent::parse(text).unwrap()
}

const ADDED: &str = "@@ -1,2 +1,6 @@\n a\n+b\n+c\n+d\n+e\n f";

#[test]
fn added_lines_that_can_be_covered_count() {
    let report =
        lines(&[("/w/src/rate.py", &[(1, Hit::No), (2, Hit::Yes), (3, Hit::No), (5, Hit::Partly), (9, Hit::No)])]);
    with_patch(&[changed("src/rate.py", Ok(ADDED))], &report, |patch| {
        assert_eq!(patch.to_string(), "66.67% of 3 changed lines");
        assert_eq!(patch.files[0].lines, [(2, Hit::Yes), (3, Hit::No), (5, Hit::Partly)]);
        assert_eq!((patch.state(&percent("66.67")), patch.state(&percent("66.6"))), (State::Failure, State::Success));
    });
}

#[test]
fn unknown_lines_are_named_and_never_a_number() {
    let report = lines(&[("a/x.py", &[(2, Hit::Yes)]), ("/b/y.py", &[(1, Hit::Yes)]), ("/c/y.py", &[(1, Hit::Yes)])]);
    let changes = [
        changed("a/new.py", Ok(ADDED)),
        changed("src/new.py", Ok(ADDED)),
        changed("y.py", Ok(ADDED)),
        changed("z.py", Err(Unknown::TooLarge)),
        changed("w.py", Err(Unknown::BaseChanged)),
        changed("cut.py", Ok("@@ -1 +1,5 @@\n+x")),
        changed("README.md", Ok(ADDED)),
        changed("gone.py", Ok("@@ -1,2 +0,0 @@\n-a\n-b")),
    ];
    with_patch(&changes, &report, |patch| {
        assert_eq!((patch.counts(), patch.files.len()), (None, 0));
        let expected = [
            ("a/new.py", Unknown::NotInReport),
            ("cut.py", Unknown::TooLarge),
            ("w.py", Unknown::BaseChanged),
            ("y.py", Unknown::Ambiguous),
            ("z.py", Unknown::TooLarge),
        ];
        assert_eq!(patch.unknown, expected);
        assert_eq!(patch.description(&percent("80")), "unknown, at least 80% is required; 5 files not counted");
        assert_eq!((patch.state(&percent("0")), patch.state(&percent("1"))), (State::Success, State::Failure));
    });
    with_patch(&changes[6..], &report, |patch| {
        assert_eq!(patch.to_string(), "no coverable lines changed");
        assert_eq!(patch.state(&percent("100")), State::Success);
    });
}

#[test]
fn an_unchanged_file_of_the_same_name_is_not_the_changed_one() {
    let report = lines(&[("utils.py", &[(2, Hit::Yes)])]);
    let changes = [changed("tests/utils.py", Ok(ADDED))];
    let text = |tree: &'static [&str]| {
        let selection = Selection::new(&changes).with_tree(tree.iter().copied());
        selection.patch(&report).description(&percent("0"))
    };
    assert_eq!(text(&["utils.py", "tests/utils.py"]), "unknown: 1 file not counted (not in the report)");
    // The report may be relative to either folder.
    assert_eq!(text(&["app/utils.py", "tests/utils.py"]), "unknown: 1 file not counted (several files or folders fit)");
    assert_eq!(text(&["tests/utils.py"]), "100% of 1 changed line");
}

/// The result with a threshold of 100 %, for a report, changed files and the unchanged ones.
fn gated(report: &[(&str, &[(u64, Hit)])], changes: &[ChangedFile], tree: &[&str]) -> (String, State) {
    let (report, threshold) = (lines(report), percent("100"));
    let tree: Vec<&str> = tree.iter().copied().chain(changes.iter().map(|file| file.path.as_str())).collect();
    let selection = Selection::new(changes).with_tree(tree.into_iter());
    let patch = selection.patch(&report);
    (patch.to_string(), patch.state(&threshold))
}

#[test]
fn a_decoy_does_not_hide_untested_lines() {
    let code = "@@ -0,0 +1,2 @@\n+def pay(x):\n+    return x";
    let pay: &[(u64, Hit)] = &[(1, Hit::Yes), (2, Hit::No)];
    let report = [("app/__init__.py", &[(1, Hit::Yes)][..]), ("app/pay.py", pay), ("app/ok.py", &[(1, Hit::Yes)])];
    let tree = ["backend/app/__init__.py", "backend/app/ok.py"];
    for decoy in ["app/__init__.py", "docs/app/pay.py"] {
        let changes = [changed("backend/app/pay.py", Ok(code)), changed(decoy, Ok("@@ -0,0 +1 @@\n+\"\"\"x\"\"\""))];
        assert_eq!(gated(&report, &changes, &tree), ("50% of 2 changed lines".to_owned(), State::Failure), "{decoy}");
        assert_eq!(gated(&report[1..2], &changes, &[]).1, State::Failure, "{decoy}");
    }
    // Two roots.
    let report =
        [("/app/src/a.py", &[(1, Hit::Yes)][..]), ("/app/src/b.py", &[(1, Hit::Yes)]), ("/srv/worker/pay.py", pay)];
    let added = "@@ -0,0 +1 @@\n+a = 1";
    let changes = [changed("src/a.py", Ok(added)), changed("src/b.py", Ok(added)), changed("worker/pay.py", Ok(code))];
    assert_eq!(gated(&report, &changes, &[]).1, State::Failure);
}

#[test]
fn a_report_of_other_paths_says_nothing() {
    let changes = [changed("src/pay.py", Ok(ADDED))];
    for report in [["/srv/pay.py", "/srv/lib/x.py"], [r"C:\a\R\Src\Pay.py", r"C:\a\R\Src\b.py"]] {
        let report = report.map(|path| (path, &[(2, Hit::No)][..]));
        assert_eq!(gated(&report, &changes, &["lib/y.py"]), ("unknown".to_owned(), State::Failure));
    }
    let report = [("lib/y.py", &[(2, Hit::No)][..])];
    assert_eq!(gated(&report, &changes, &["lib/y.py"]), ("no coverable lines changed".to_owned(), State::Success));
}

#[test]
fn lines_from_a_folder_that_is_not_measured_are_new() {
    let body = ["total = price * quantity - discount", "return round(total, 2)"];
    let [removed, added] = ["-", "+"].map(|sign| body.map(|line| format!("{sign}{line}\n")).concat());
    let changes = |from: &str| {
        let removed = changed(from, Ok(&format!("@@ -1,2 +0,0 @@\n{removed}")));
        [removed, changed("src/pay.py", Ok(&format!("@@ -0,0 +1,2 @@\n{added}")))]
    };
    let report = lines(&[("src/pay.py", &[(1, Hit::Yes), (2, Hit::No)])]);
    let text = |from: &str| with_patch(&changes(from), &report, |patch| (patch.to_string(), patch.moved));
    assert_eq!(text("tests/fixtures/pay.py"), ("50% of 2 changed lines".to_owned(), 0));
    assert_eq!(text("src/old.py"), ("no coverable lines changed".to_owned(), 2));
}

#[test]
fn what_may_hide_lines_is_unknown() {
    let report =
        lines(&[("src/a.py", &[(2, Hit::Yes)]), ("src/b.py", &[(2, Hit::Yes)]), ("src/c.py", &[(2, Hit::No)])]);
    let code = ["total = price * quantity - discount", "return round(total, 2)"];
    let [removed, added] = ["-", "+"].map(|sign| code.map(|line| format!("{sign}{line}\n")).concat());
    let changes = [
        changed("src/a.py", Ok("@@ -1 +1,3 @@\n+#\r#\n+b\n c")),
        changed("src/b.py", Err(Unknown::NoDiff)),
        changed("src/d.py", Err(Unknown::NoDiff)),
        changed("src/c.py", Ok(&format!("@@ -0,0 +1,2 @@\n{added}"))),
        // Text of another kind was no code.
        changed("notes.md", Ok(&format!("@@ -1,2 +0,0 @@\n{removed}"))),
    ];
    with_patch(&changes, &report, |patch| {
        let unknown =
            [("src/a.py", Unknown::LineBreaks), ("src/b.py", Unknown::NoDiff), ("src/d.py", Unknown::NotInReport)];
        assert_eq!(patch.unknown, unknown);
        assert_eq!((patch.moved, patch.to_string().as_str()), (0, "0% of 1 changed line"));
        assert_eq!(patch.state(&percent("0.01")), State::Failure);
    });
}

#[test]
fn line_breaks_count_where_the_tools_count_them() {
    let is_uncertain = |path: &str, character: char| {
        let report = lines(&[(path, &[(2, Hit::Yes)])]);
        let patch = format!("@@ -1 +1,2 @@\n a\n+b = \"{character}\"");
        with_patch(&[changed(path, Ok(&patch))], &report, |patch| patch.unknown == [(path, Unknown::LineBreaks)])
    };
    let uncertain = |path: &str| -> String {
        let breaks = ['\r', '\u{b}', '\u{c}', '\u{1a}', '\u{85}', '\u{2028}', '\u{2029}'];
        breaks.into_iter().filter(|character| is_uncertain(path, *character)).collect()
    };
    for path in ["a.js", "a.tsx", "a.vue"] {
        assert_eq!(uncertain(path), "\r\u{2028}\u{2029}", "{path}");
    }
    assert_eq!(uncertain("a.cs"), "\r\u{85}\u{2028}\u{2029}");
    assert_eq!(uncertain("a.scala"), "\r\u{c}\u{1a}");
    for path in ["a.py", "a.rs", "a.go", "a.java"] {
        assert_eq!(uncertain(path), "\r", "{path}");
    }
}

#[test]
fn a_gate_needs_a_certain_number() {
    let report = lines(&[("src/a.py", &[(2, Hit::Yes)])]);
    let added = "@@ -1 +1,2 @@\n a\n+b";
    let changes = [changed("src/a.py", Ok(added)), changed("src/b.py", Err(Unknown::BaseChanged))];
    with_patch(&changes, &report, |patch| {
        assert_eq!((patch.state(&percent("80")), patch.state(&percent("0"))), (State::Failure, State::Success));
        let text = "100% of 1 changed line, but the required 80% is not certain; 1 file not counted (the base branch changed it too)";
        assert_eq!(patch.description(&percent("80")), text);
        assert_eq!(patch.gate(&percent("80")), Gate::Uncertain);
        let why = "At least 80% is required: not certain, because 1 file is not counted.";
        assert_eq!(patch.requirement(&percent("80")).as_deref(), Some(why));
        assert_eq!(patch.requirement(&percent("0")), None);
    });
    // Tools leave files out on request.
    let changes = [changed("src/a.py", Ok(added)), changed("src/b.py", Ok(added))];
    with_patch(&changes, &report, |patch| {
        assert_eq!(patch.state(&percent("80")), State::Success);
        assert_eq!(patch.requirement(&percent("80")).as_deref(), Some("At least 80% is required: reached."));
    });
}

#[test]
fn a_result_with_a_threshold_fits_into_a_status() {
    let hits: Vec<_> = (1..=30_000).map(|line| (line, if line % 3 == 0 { Hit::Yes } else { Hit::No })).collect();
    let report = lines(&[("a.py", &hits)]);
    let changes = [changed("a.py", Ok(&format!("@@ -0,0 +1,30000 @@\n{}", "+x\n".repeat(30_000))))];
    let selection = Selection::new(&changes);
    let mut patch = selection.patch(&report);
    for why in [
        Unknown::NotInReport,
        Unknown::Ambiguous,
        Unknown::TooLarge,
        Unknown::BaseChanged,
        Unknown::NoDiff,
        Unknown::LineBreaks,
    ] {
        patch.unknown = vec![("b.py", why); 2_999];
        for threshold in ["33.333333", "80.123456"] {
            let text = patch.description(&percent(threshold));
            assert!(text.chars().count() <= 140 && text.contains("; 2999 files not counted ("), "{text}");
        }
    }
}

#[test]
fn files_that_github_does_not_list_make_the_number_uncertain() {
    let report = lines(&[("src/a.py", &[(2, Hit::Yes)])]);
    let added = "@@ -1 +1,2 @@\n a\n+b";
    let missing = changed("101 files", Err(Unknown::NotListed));
    let texts = |changes: &[ChangedFile]| {
        with_patch(changes, &report, |patch| {
            let states = ["0", "80"].map(|threshold| patch.state(&percent(threshold)));
            assert_eq!(states, [State::Success, State::Failure]);
            ["0", "80"].map(|threshold| patch.description(&percent(threshold)))
        })
    };
    let certain = "100% of 1 changed line, but the required 80% is not certain";
    let rest = "GitHub does not list all changed files";
    let mut changes = vec![changed("src/a.py", Ok(added)), missing.clone()];
    assert_eq!(texts(&changes), [format!("100% of 1 changed line; {rest}"), format!("{certain}; {rest}")]);
    changes.push(changed("src/b.py", Ok(added)));
    let rest = "1 file not counted (not in the report), and GitHub lists no more";
    assert_eq!(texts(&changes), [format!("100% of 1 changed line; {rest}"), format!("{certain}; {rest}")]);
    let none = "unknown, at least 80% is required; GitHub does not list all changed files";
    assert_eq!(texts(&[missing]), ["unknown: GitHub does not list all changed files", none]);
}

#[test]
fn moved_lines_do_not_count() {
    let body = ["total = price * quantity - discount", "return round(total, 2)"];
    let [removed, added] = ["-", "+"].map(|sign| body.map(|line| format!("{sign}{line}\n")).concat());
    let patch = format!("@@ -1,2 +1 @@\n{removed}+moved()\n@@ -9 +8,3 @@\n x\n{added}");
    let report = lines(&[("s.py", &[(1, Hit::Yes), (9, Hit::No), (10, Hit::No)])]);
    with_patch(&[changed("s.py", Ok(&patch))], &report, |patch| {
        assert_eq!((patch.to_string().as_str(), patch.moved), ("100% of 1 changed line", 2));
    });
}

#[test]
fn ranges_join_over_lines_that_cannot_be_covered() {
    let hits = [(1, Hit::No), (3, Hit::No), (4, Hit::Yes), (5, Hit::No), (7, Hit::No), (8, Hit::No)];
    let report = lines(&[("s.py", &hits)]);
    let added: String = (1..9).filter(|line| *line != 6).map(|line| format!("+{line}\n")).collect();
    let (head, tail) = added.split_at(added.find("+7").unwrap());
    let patch = format!("@@ -1 +1,8 @@\n{head} 6\n{tail}");
    with_patch(&[changed("s.py", Ok(&patch))], &report, |patch| {
        assert_eq!(patch.files[0].ranges(Hit::No), [(1, 3), (5, 8)]);
    });
}

#[test]
fn the_page_says_what_was_tested_and_names_partly_covered_lines() {
    let report = lines(&[("s.py", &[(2, Hit::Partly), (3, Hit::No), (4, Hit::Partly)])]);
    let changes = [changed("s.py", Ok(ADDED)), changed("t.py", Err(Unknown::BaseChanged))];
    let page = with_patch(&changes, &report, |patch| {
        let links = Links {
            repository: "https://github.com/octo/app",
            pull_request: 17,
            name: None,
            total: Some(&percent("88.37")),
            head: "c0ffeec0ffee",
            report_pages: &|_| Vec::new(),
            index: "index.html",
        };
        patch.page(&links, &percent("60"))
    });
    for text in [
        "<a href=\"https://github.com/octo/app/commit/c0ffeec0ffee\"><code>c0ffeec</code></a> · total 88.37%</p>",
        "<p>At least 60% is required: not certain, because 1 file is not counted.</p>",
        "<a href=\"#f0L3\">3</a>, partly: <a href=\"#f0L2\">2</a>, <a href=\"#f0L4\">4</a>",
        "<tr class=\"partly\" id=\"f0L4\">",
        "<tr class=\"added\">",
        "uncertain (update the branch of the pull request)</li>",
    ] {
        assert!(page.contains(text), "{text:?} is not in\n{page}");
    }
}

#[test]
fn the_page_escapes_what_a_contributor_wrote() {
    let evil = "</code><script>alert(1)</script>\u{202e}";
    let report = lines(&[(&format!("{evil}.py"), &[(2, Hit::No)])]);
    let patch = format!("@@ -1 +1,2 @@ {evil}\n a\n+{evil}{}", "x".repeat(5_000));
    let changes = [changed(&format!("{evil}.py"), Ok(&patch)), changed(&format!("{evil}2.py"), Ok(&patch))];
    let page = with_patch(&changes, &report, |patch| {
        let links = Links {
            repository: "https://github.com/octo/app",
            pull_request: 17,
            name: None,
            total: None,
            head: "c0ffee",
            report_pages: &|path| vec![page_link(path)],
            index: "index.html",
        };
        patch.page(&links, &percent("80"))
    });
    assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}"), "{page}");
    assert!(page.contains("0 of 1 changed line is covered."), "{page}");
    assert!(page.len() < 10_000, "{}", page.len());
}

#[test]
fn long_paths_and_lines_do_not_make_a_page_of_any_size() {
    let path = format!("{}.py", "\"/".repeat(2_000));
    let hits: Vec<_> = (1..=5_000).map(|line| (line, Hit::No)).collect();
    let report = lines(&[(&path, &hits)]);
    let diff = format!("@@ -0,0 +1,5000 @@\n{}", format!("+{}\n", "\"".repeat(2_000)).repeat(5_000));
    let page = with_patch(&[changed(&path, Ok(&diff))], &report, |patch| {
        let links = Links {
            repository: "https://github.com/octo/app",
            pull_request: 17,
            name: None,
            total: None,
            head: "c0ffee",
            report_pages: &|_| Vec::new(),
            index: "index.html",
        };
        patch.page(&links, &percent("0"))
    });
    assert!(page.len() < 6 << 20, "{}", page.len());
    assert!(page.contains("0 of 5000") && page.contains("The page ends here"), "{page:.2000}");
}

/// Replays the corpus of the fuzz target.
#[test]
fn the_fuzz_corpus_breaks_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/patch");
    let inputs: Vec<_> = fs::read_dir(corpus).unwrap().map(|input| input.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|input| fuzzing::check(&fs::read(input).unwrap()));
}

fn page_link(path: &str) -> PageLink {
    PageLink { label: "in the report".to_owned(), page: format!("{path}.html"), line_anchor: Some("t") }
}
