//! Texts of comments.

use super::*;
use crate::coverage::{Counts, Percent, Totals};

const GITHUB: &str = "https://github.com/octo/app";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPORT: &str = "https://covered.example.com/coverage/1/";

fn percent(text: &str) -> Percent {
    Percent::parse(text).unwrap()
}

fn missed(path: &str, covered: u64, total: u64, ranges: &[(u32, u32)]) -> MissedFile {
    let counts = Counts::new(covered, total).unwrap();
    let (path, commit) = (path.to_owned(), COMMIT.to_owned());
    MissedFile { path, commit, counts, ranges: ranges.to_vec(), partly: Vec::new() }
}

fn patch(counts: Option<(u64, u64)>, missed: Vec<MissedFile>) -> PatchSummary {
    let counts = counts.and_then(|(covered, total)| Counts::new(covered, total));
    PatchSummary {
        pull_request: 7,
        pull_request_url: format!("{GITHUB}/pull/7"),
        description: String::new(),
        state: State::Success,
        requirement: None,
        percent: counts.map(|counts| counts.percent(2)),
        counts,
        partly: 0,
        missed,
        unknown: Vec::new(),
    }
}

fn outcome(total: &str, baseline: Option<&str>, patch: Option<PatchSummary>) -> Outcome {
    let mut outcome = Outcome::new(percent("80"), None);
    let source = "index.html".to_owned();
    let (tool, metric) = ("coverage.py", "lines");
    outcome.totals =
        Some(Totals { percent: percent(total), counts: None, metric, tool, source, lines: None, branches: None });
    outcome.state = Some(State::Success);
    outcome.baseline = baseline.map(percent);
    outcome.patch = patch;
    outcome.report_url = Some(REPORT.to_owned());
    outcome.patch_url = Some(format!("{REPORT}_covered/patch.html"));
    outcome
}

#[test]
fn the_text_shows_the_numbers_and_the_missed_lines() {
    let partly = vec![(6, 6), (8, 8)];
    let mut patch =
        patch(Some((9, 12)), vec![MissedFile { partly, ..missed("src/größe.py", 2, 5, &[(3, 4), (9, 9)]) }]);
    patch.partly = 2;
    patch.requirement = Some("At least 90% is required: missed.".to_owned());
    patch.unknown = vec![("src/new.py".to_owned(), Unknown::NotInReport)];
    let mut outcome = outcome("87.42", Some("87.73"), Some(patch));
    outcome.name = Some("backend".to_owned());
    let file = format!("{GITHUB}/blob/{COMMIT}/src/gr%C3%B6%C3%9Fe.py");
    let expected = format!(
        "<!-- covered: backend -->\n\
         ### Coverage of `backend`: 3 of 12 changed lines are not covered, and the total drops\n\
         \n\
         | Changed lines | Total | Default branch |\n\
         |:---|:---|:---|\n\
         | **75.00%** (9 of 12, 2 only partly)<br>At least 90% is required: missed. | **87.42%** (-0.31%) | 87.73% |\n\
         \n\
         | File | Covered | Not covered |\n\
         |:---|:---|:---|\n\
         | [`src/größe.py`](<{file}>) | 2 of 5 | [3–4](<{file}#L3-L4>), [9](<{file}#L9>), \
         partly: [6](<{file}#L6>), [8](<{file}#L8>) |\n\
         \n\
         1 changed file is not counted:\n\
         \n\
         - `src/new.py`: not in the report (let the tool measure it, unless you left it out)\n\
         \n\
         [Changed lines](<{REPORT}_covered/patch.html>) · [Report](<{REPORT}>) · \
         commit [`0123456`](<{GITHUB}/commit/{COMMIT}>)\n"
    );
    assert_eq!(text(&outcome, GITHUB, COMMIT), expected);
}

#[test]
fn the_first_line_says_what_matters() {
    let line = |baseline, patch| headline(&outcome("80", baseline, patch));
    let counts = |covered, total| Some(patch(Some((covered, total)), Vec::new()));
    let partly = |covered, total, partly| Some(PatchSummary { partly, ..counts(covered, total).unwrap() });
    assert_eq!(line(None, counts(0, 1)), "the changed line is not covered");
    assert_eq!(line(None, counts(0, 239)), "none of the 239 changed lines is covered");
    assert_eq!(line(None, counts(11, 12)), "1 of 12 changed lines is not covered");
    assert_eq!(line(None, partly(10, 12, 3)), "2 of 12 changed lines are not covered");
    assert_eq!(line(Some("80.01"), counts(10, 12)), "2 of 12 changed lines are not covered, and the total drops");
    assert_eq!(line(Some("80"), counts(1, 1)), "the changed line is covered");
    assert_eq!(line(None, partly(1, 1, 1)), "the changed line is covered only partly");
    assert_eq!(line(None, partly(12, 12, 1)), "all 12 changed lines are covered, 1 of them only partly");
    assert_eq!(line(Some("79.9"), counts(12, 12)), "all 12 changed lines are covered");
    assert_eq!(line(Some("80.01"), counts(12, 12)), "all 12 changed lines are covered, but the total drops");
    assert_eq!(line(Some("80.01"), Some(patch(None, Vec::new()))), "no coverable lines changed, but the total drops");
    assert_eq!(line(None, None), "unknown for the changed lines");
    assert_eq!(line(Some("80.01"), None), "unknown for the changed lines, and the total drops");
    let unknown = || PatchSummary { unknown: vec![("a".to_owned(), Unknown::TooLarge)], ..patch(None, Vec::new()) };
    assert_eq!(line(None, Some(unknown())), "unknown for the changed lines");
    assert_eq!(line(Some("80.01"), Some(unknown())), "unknown for the changed lines, and the total drops");
}

#[test]
fn files_that_are_not_listed_are_counted() {
    let rest = |files: usize| {
        let files = (0..files).map(|at| missed(&format!("{at}.py"), 0, 1, &[(1, 1)])).collect();
        missed_files(&patch(Some((0, 99)), files), GITHUB, COMMIT, None)
    };
    assert!(rest(SHOWN_FILES).ends_with(" |\n"));
    assert!(rest(SHOWN_FILES + 1).ends_with(" |\n\n1 more file has such lines.\n"));
    assert!(rest(SHOWN_FILES + 2).ends_with(" |\n\n2 more files have such lines.\n"));
    let unknown = |files: usize| unknown_files(&vec![("a.py".to_owned(), Unknown::NotInReport); files]);
    assert!(unknown(1).starts_with("\n1 changed file is not counted:\n\n- `a.py`: not in the report (let the tool"));
    assert!(unknown(2).starts_with("\n2 changed files are not counted:\n"));
}

#[test]
fn files_with_the_line_numbers_of_the_merge_are_named() {
    let own = || missed("a.py", 0, 1, &[(1, 1)]);
    let merged = || MissedFile { commit: "f".repeat(40), ..missed("`b`.py", 1, 1, &[]) };
    let of = |files| missed_files(&patch(Some((0, 2)), files), GITHUB, COMMIT, None);
    let end = " are those of the merge commit, and may differ from “Files changed”.\n";
    assert!(!of(vec![own()]).contains("merge"));
    assert!(of(vec![merged(), merged()]).ends_with(&format!("\n\nThe line numbers{end}")));
    assert!(of(vec![own(), merged()]).ends_with(&format!("\n\nThe line numbers of `` `b`.py ``{end}")));
}

#[test]
fn the_reason_without_a_number_is_inert_text() {
    let mut outcome = outcome("80", Some("81"), None);
    outcome.patch_url = None;
    outcome.no_patch = Some("the lines in `a|@octo`\n# <b>.info do not add up".to_owned());
    let expected = format!(
        "<!-- covered -->\n\
         ### Coverage: unknown for the changed lines, and the total drops\n\
         \n\
         | Changed lines | Total | Default branch |\n\
         |:---|:---|:---|\n\
         | unknown | **80%** (-1%) | 81% |\n\
         \n\
         The changed lines could not be counted: ``the lines in `a¦@octo` # <b>.info do not add up``\n\
         \n\
         [Report](<{REPORT}>) · commit [`0123456`](<{GITHUB}/commit/{COMMIT}>)\n"
    );
    assert_eq!(text(&outcome, GITHUB, COMMIT), expected);
    // With a threshold, there is a status without a number.
    let requirement = "At least 80% is required: not certain, because the changed lines are unknown.".to_owned();
    let unknown =
        PatchSummary { state: State::Failure, requirement: Some(requirement.clone()), ..patch(None, Vec::new()) };
    outcome.patch = Some(unknown);
    let with_threshold = expected.replace("| unknown |", &format!("| unknown<br>{requirement} |"));
    assert_eq!(text(&outcome, GITHUB, COMMIT), with_threshold);
    assert!(has_problems(&outcome));
    outcome.no_patch = Some("`x".repeat(9_999));
    assert!(text(&outcome, GITHUB, COMMIT).chars().count() < 1_000);
}

#[test]
fn missed_lines_a_failure_and_a_lower_total_are_problems() {
    let is_problem = |baseline, patch| has_problems(&outcome("80", baseline, patch));
    let covered = || patch(Some((12, 12)), Vec::new());
    assert!(is_problem(Some("80"), Some(patch(Some((11, 12)), Vec::new()))));
    assert!(is_problem(Some("80.01"), Some(covered())));
    assert!(is_problem(Some("80.01"), None));
    assert!(is_problem(None, Some(PatchSummary { state: State::Failure, ..patch(None, Vec::new()) })));
    assert!(!is_problem(Some("80"), Some(covered())));
    assert!(!is_problem(None, Some(patch(None, Vec::new()))));
    assert!(!is_problem(None, None));
}

#[test]
fn missing_numbers_are_named() {
    let mut outcome = outcome("80", None, None);
    assert!(text(&outcome, GITHUB, COMMIT).contains("| unknown | **80%** | unknown |\n"));
    outcome.totals = None;
    outcome.state = Some(State::Failure);
    outcome.patch_url = None;
    let text = text(&outcome, GITHUB, COMMIT);
    assert!(text.contains("| unknown | none found, at least 80% required | unknown |\n"), "{text}");
    assert!(text.contains("\n[Report]("), "{text}");
}

#[test]
fn hostile_paths_stay_in_their_code_spans() {
    for (path, expected) in [
        ("a|b`c.py", "``a¦b`c.py``"),
        ("`", "`` ` ``"),
        ("``@octo``", "``` ``@octo`` ```"),
        (" a", "`  a `"),
        ("a\n\n# b\r<!-- covered -->", "`a  # b <!-- covered -->`"),
        ("](https://evil.example)\\", "`](https://evil.example)\\`"),
        ("a\u{202e}yp.\u{200b}", "`a\u{fffd}yp.\u{fffd}`"),
    ] {
        assert_eq!(code(path), expected, "{path:?}");
    }
}

#[test]
fn long_paths_show_their_end() {
    let end = "ä".repeat(SHOWN_PATH - 2);
    assert_eq!(code(&format!("b/{end}")), format!("`b/{end}`"));
    assert_eq!(code(&format!("bc/{end}")), format!("`…/{end}`"));
    assert_eq!(code(&format!("folder/{end}/e.py")), "`…/e.py`");
    assert_eq!(code(&"x".repeat(300)), format!("`…{}`", "x".repeat(SHOWN_PATH - 1)));
}

#[test]
fn hostile_paths_are_percent_encoded_in_links() {
    let row = file_row(&missed("a) <b>#L1?x|`@octo`\n%2F.py", 0, 1, &[(1, 1)]), GITHUB);
    let url = format!("{GITHUB}/blob/{COMMIT}/a%29%20%3Cb%3E%23L1%3Fx%7C%60%40octo%60%0A%252F.py");
    assert_eq!(row, format!("| [``a) <b>#L1?x¦`@octo` %2F.py``](<{url}>) | 0 of 1 | [1](<{url}#L1>) |\n"));
}

#[test]
fn the_text_is_bounded() {
    let ranges: Vec<(u32, u32)> = (0..500).map(|at| (at * 3_000_000, at * 3_000_000 + 1)).collect();
    let path = |at: usize, length: usize| format!("{at}{}", "`x".repeat(length));
    // The longest address that is repeated, and paths that are too long for it.
    let fitting = (MAX_FILE_URL - GITHUB.len() - COMMIT.len() - 10) / 4;
    for length in [fitting, 2_000] {
        let file = |at| {
            let (partly, commit) = (ranges.clone(), "f".repeat(40));
            MissedFile { partly, commit, ..missed(&path(at, length), 500, 1_500, &ranges) }
        };
        let files = (0..3_000).map(file).collect();
        let mut patch = patch(Some((1, 4_000_000)), files);
        patch.unknown = (0..3_000).map(|at| (path(at, length), Unknown::BaseChanged)).collect();
        let text = text(&outcome("80", Some("90"), Some(patch)), GITHUB, COMMIT);
        assert!(text.chars().count() < 60_000, "{}", text.chars().count());
        assert!(text.contains("\n[2990 more files](<https://covered.example.com/"), "{text}");
        assert!(text.contains("\n- and 2990 more\n"));
        assert_eq!(text.matches("| 500 of 1500 |").count(), SHOWN_FILES);
        assert_eq!(text.contains("#L3000000-L3000001>"), length == fitting);
    }
}

#[test]
fn missing_reports_are_named() {
    let mut partial = outcome("87.42", Some("90"), None);
    partial.missing = vec!["win|dows`".to_owned(), "@team".to_owned()];
    let shown = text(&partial, GITHUB, COMMIT);
    assert!(shown.contains("\nThe total is partial: `` win¦dows` ``, `@team` are missing.\n"), "{shown}");
    // A partial total is not compared.
    assert!(shown.contains("| **87.42%** | 90% |") && !has_problems(&partial), "{shown}");
    partial.missing = (0..200).map(|number| format!("{}{number}", "x".repeat(250))).collect();
    let shown = text(&partial, GITHUB, COMMIT);
    assert!(shown.contains("190 more are missing") && shown.len() < 3_000, "{shown}");

    let mut carried = outcome("87.42", None, None);
    let part = |name: &str, commits| Carried { name: name.to_owned(), commit: COMMIT.to_owned(), commits };
    carried.carried = vec![part("e2e", 3), part("unit", 0)];
    let shown = text(&carried, GITHUB, COMMIT);
    let link = format!("[`0123456`](<{GITHUB}/commit/{COMMIT}>)");
    assert!(shown.contains(&format!("\n`e2e` is missing: the total has it from {link}, 3 commits old.\n")), "{shown}");
    assert!(shown.contains(&format!("\n`unit` is missing: the total has it from {link}.\n")), "{shown}");

    let mut none = outcome("87.42", None, None);
    (none.totals, none.no_total) = (None, Some("no line data in `windows`".to_owned()));
    let shown = text(&none, GITHUB, COMMIT);
    assert!(shown.contains("\nNo merged total: `` no line data in `windows` ``\n"), "{shown}");
}
