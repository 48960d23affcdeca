//! Several reports of one run that become one.

use std::io::Write;

use serde_json::json;
use xtask::lab::github::{Artifact, ChangedFile, Comparison, Fault};
use xtask::lab::http::{self, Reply};

use crate::action::{TESTED as HEAD, repository};
use crate::patch_job::{Job, NUMBER, Posted, pull_request, world};
use crate::{REPOSITORY, SHA as BASE, World};

/// The run that has the artifacts.
const RUN: u64 = 7;
/// The source file of the reports.
pub const SOURCE: &str = "src/a.py";
/// A line that the pull request adds, after line 2.
pub const PATCH: &str = "@@ -1,3 +1,4 @@\n one\n two\n+added\n three";

/// A report with pages, and with an LCOV file of these lines: the number, and `+` or `-`.
pub fn report(lines: &str) -> Vec<u8> {
    report_of(SOURCE, lines)
}

fn report_of(path: &str, lines: &str) -> Vec<u8> {
    let data = lines.split_whitespace().map(|line| {
        let (number, sign) = line.split_at(line.len() - 1);
        format!("DA:{number},{}\n", u8::from(sign == "+"))
    });
    let trace = format!("TN:\nSF:{path}\n{}end_of_record\n", data.collect::<String>());
    let page: &[u8] = b"<title>own page</title>";
    zip(&[("index.html", page), ("src/a.py.html", page), ("lcov.info", trace.as_bytes())])
}

/// A report with a total and without lines.
pub fn without_lines() -> Vec<u8> {
    let metric = json!({"total": 10, "covered": 9, "skipped": 0, "pct": 90});
    let total = json!({"lines": metric, "statements": metric, "functions": metric, "branches": metric});
    let summary = json!({"total": total}).to_string();
    zip(&[("index.html", b"<title>own page</title>"), ("coverage-summary.json", summary.as_bytes())])
}

pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, content) in files {
        let (mut entry, config) = zip.new_file(name).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    zip.finish().unwrap()
}

fn add(world: &World, commit: &str, artifacts: &[(&str, Vec<u8>)]) {
    for (name, zip) in artifacts {
        let artifact =
            Artifact { run_id: RUN, name: (*name).to_owned(), head_sha: commit.to_owned(), zip: zip.clone() };
        world.github.add_artifact(REPOSITORY, artifact);
    }
}

/// A run after tests: of a push to the default branch, or of a pull request.
fn after<'a>(world: &'a World, commit: &str, is_push: bool, arguments: &[&'static str]) -> Job<'a> {
    let own = json!({"id": 1, "full_name": REPOSITORY, "owner": {"login": "octo"}});
    let (event, branch) = if is_push { ("push", "main") } else { ("pull_request", "change") };
    let payload = json!({"action": "completed", "repository": repository(), "workflow_run": {
        "id": RUN, "event": event, "conclusion": "success", "head_sha": commit, "head_branch": branch,
        "head_repository": own, "repository": repository()}});
    let arguments = [&["--artifact=coverage-*"], arguments].concat();
    Job { event: "workflow_run", payload, arguments, folder: false, ..Job::new(world) }
}

#[track_caller]
fn page(posted: &Posted, name: &str) -> Reply {
    http::get(&format!("{}{name}", posted.output("report-url"))).unwrap()
}

#[track_caller]
fn status(posted: &Posted, commit: &str) -> (String, String) {
    let statuses = posted.world.github.statuses(REPOSITORY, commit).into_iter();
    let status = statuses.rev().find(|status| status.context == "covered");
    let status = status.unwrap_or_else(|| panic!("no status: {}", posted.finished.text()));
    (status.state, status.description)
}

fn said(state: &str, description: &str) -> (String, String) {
    (state.to_owned(), description.to_owned())
}

#[test]
fn artifacts_of_one_run_become_one_report() {
    let world = world();
    world.github.push(REPOSITORY, "main", HEAD);
    world.github.add_pull_request(REPOSITORY, pull_request(vec![ChangedFile::modified(SOURCE, PATCH)]));
    world.github.add_file(REPOSITORY, HEAD, SOURCE, b"");
    // The first attempt of `e2e` covered less.
    add(
        &world,
        HEAD,
        &[
            ("coverage-e2e", report("1-")),
            ("coverage-unit", report("1+ 2+ 3- 4-")),
            ("logs", zip(&[("log.txt", b"")])),
            ("coverage-e2e", report("1- 3+ 5-")),
        ],
    );
    let posted = after(&world, HEAD, false, &["--comment=always"]).run();
    let log = posted.finished.text();
    // Lines 1, 2 and 3 of 5.
    assert_eq!(status(&posted, HEAD), said("failure", "60%, below the threshold of 80%"), "{log}");
    posted.log_contains(&[
        "Run 7 has 2 such artifacts: `coverage-e2e`, `coverage-unit`",
        "Run 7 has 2 artifacts `coverage-e2e`, one per attempt: using the newest",
        "Merged 2 reports: 60% of lines, 3 of 5",
        "Pull request #17: 100% of 1 changed line",
    ]);
    assert_eq!(posted.patch().description, "100% of 1 changed line", "{log}");
    posted.summary_contains("| Total | **60%** of lines (merged reports) |\n| Lines | 3 of 5 |");
    posted.summary_contains("| e2e | 33.33% of lines (lcov) | 1 of 3 |\n| unit | 50.00% of lines (lcov) | 2 of 4 |");
    let comments = world.github.comments(REPOSITORY, NUMBER);
    assert!(comments[0].body.contains("| **100%** (1 of 1) | **60%**"), "{comments:?}");

    let index = page(&posted, "").text();
    for text in ["60%", "3 of 5 lines are covered.", "parts/e2e/index.html", "33.33% of lines (lcov)", "src/a.py"] {
        assert!(index.contains(text), "{text:?} is not in\n{index}");
    }
    let own = page(&posted, "parts/unit/index.html");
    assert_eq!((own.status, own.text().as_str()), (200, "<title>own page</title>"));
    for name in ["_covered/by-path.html", "_covered/by-percent.html", "_covered/patch.html"] {
        assert_eq!(page(&posted, name).status, 200, "{name}");
    }
    // It comes with the changes.
    let trees = posted.requests().iter().filter(|path| path.starts_with("git/trees/")).count();
    assert_eq!(trees, 1, "{:?}", posted.requests());
}

#[test]
fn one_artifact_that_fits_is_a_report_as_ever() {
    let world = world();
    add(&world, BASE, &[("coverage-unit", report("1+ 2-"))]);
    let posted = after(&world, BASE, true, &[]).run();
    assert_eq!(posted.output("coverage"), "50.00", "{}", posted.finished.text());
    assert_eq!(page(&posted, "").text(), "<title>own page</title>");
    assert_eq!(page(&posted, "parts/unit/index.html").status, 404);
    posted.summary_contains("| Total | **50.00%** of lines (lcov) |");
}

#[test]
fn a_report_without_lines_leaves_no_merged_total() {
    let world = world();
    world.github.push(REPOSITORY, "main", HEAD);
    world.github.add_pull_request(REPOSITORY, pull_request(vec![ChangedFile::modified(SOURCE, PATCH)]));
    add(&world, HEAD, &[("coverage-unit", report("1+ 3+")), ("coverage-windows", without_lines())]);
    let posted = after(&world, HEAD, false, &["--comment=always"]).run();
    let text = "no merged total, but at least 80 is required: no line data in `windows`";
    assert_eq!(status(&posted, HEAD), said("failure", text), "{}", posted.finished.text());
    posted.log_contains(&[
        "no merged total: no line data in `windows`; each report keeps its own total",
        "no patch coverage: no line data in `windows`; set lines (--lines) to a coverage file of this run",
    ]);
    posted.summary_contains("| Total | none: no line data in \\`windows\\` |");
    posted.summary_contains("| windows | 90% of lines (istanbul) (no line data) | – |");
    let index = page(&posted, "").text();
    for text in ["No merged total", "no line data in `windows`", "90% of lines (istanbul)", "100.00% of lines (lcov)"] {
        assert!(index.contains(text), "{text:?} is not in\n{index}");
    }
    let comments = world.github.comments(REPOSITORY, NUMBER);
    assert!(comments[0].body.contains("No merged total: "), "{comments:?}");
    assert_eq!(posted.output("coverage"), "");
}

#[test]
fn a_missing_report_makes_the_total_partial_and_keeps_the_badge() {
    let mut world = world();
    world.github.push(REPOSITORY, "main", BASE);
    add(&world, BASE, &[("coverage-unit", report("1+ 2+ 3-")), ("coverage-e2e", report("3+ 4-"))]);
    let parts = ["--parts=unit, coverage-e2e"];
    let posted = after(&world, BASE, true, &parts).run();
    assert_eq!(posted.output("coverage"), "75", "{}", posted.finished.text());
    assert!(world.badge().text().contains("coverage: 75%"), "{}", posted.finished.text());

    world.github.remove_artifacts(REPOSITORY);
    world.github.push(REPOSITORY, "main", HEAD);
    add(&world, HEAD, &[("coverage-unit", report("1+ 2+ 3-"))]);
    let posted = after(&world, HEAD, true, &parts).run();
    let text = "partial: 66.67%, below the threshold of 80%, without e2e";
    assert_eq!(status(&posted, HEAD), said("failure", text), "{}", posted.finished.text());
    posted.log_contains(&[
        "the total is partial, and the badge keeps its value: missing `e2e`",
        "Badge not updated: the total is partial",
    ]);
    posted.summary_contains("| Total | partial: **66.67%** of lines (merged reports) |");
    posted.summary_contains("| e2e | missing | – |");
    assert_eq!(posted.output("delta"), "", "{}", posted.finished.text());
    let index = page(&posted, "").text();
    assert!(index.contains("2 of 3 lines are covered, without e2e."), "{index}");
    assert!(world.badge().text().contains("coverage: 75%"));
    // A server without the value reads the statuses.
    world.restart(&crate::setting("STORAGE_URL", "memory://"));
    assert!(world.badge().text().contains("coverage: 75%"), "{}", world.badge().text());
}

#[test]
fn a_missing_report_is_carried_from_the_default_branch() {
    let world = world();
    world.github.push(REPOSITORY, "main", BASE);
    add(&world, BASE, &[("coverage-unit", report("1+ 2-")), ("coverage-e2e", report("1- 3+ 4-"))]);
    let arguments = ["--parts=unit,e2e", "--carry"];
    let posted = after(&world, BASE, true, &arguments).run();
    assert_eq!(posted.output("coverage"), "50", "{}", posted.finished.text());
    let kept = page(&posted, "_covered/lines.bin");
    assert!(kept.status == 200 && kept.body.starts_with(b"covered lines 1\n"));

    // The pull request adds line 3, which the unit tests hit, and so moves the lines of the end-to-end tests.
    world.github.push(REPOSITORY, "change", HEAD);
    world.github.remove_artifacts(REPOSITORY);
    world.github.add_pull_request(REPOSITORY, pull_request(vec![ChangedFile::modified(SOURCE, PATCH)]));
    add(&world, HEAD, &[("coverage-unit", report("1+ 2- 3-"))]);
    let out = world.folder.path().join("out.info");
    let variables = vec![("COVERED_EXPORT", format!("lcov:{}", out.display()))];
    let job = Job { variables, ..after(&world, HEAD, false, &["--parts=unit,e2e", "--carry", "--comment=always"]) };
    let posted = job.run();
    let log = posted.finished.text();
    // Lines 1 and 4 of 1 to 5.
    let text = "40% (-10%), below the threshold of 80%; e2e from 9f8c2b1, 1 commit old";
    assert_eq!(status(&posted, HEAD), said("failure", text), "{log}");
    posted.log_contains(&["Carried `e2e` from 9f8c2b1, 1 commit old", "Merged 2 reports: 40% of lines, 2 of 5"]);
    assert_eq!(posted.patch().description, "0% of 1 changed line; 1 report is missing", "{log}");
    posted.summary_contains("| e2e | from 9f8c2b1, 1 commit old | 1 of 3 |");
    let comments = world.github.comments(REPOSITORY, NUMBER);
    assert!(comments[0].body.contains("`e2e` is missing: the total has it from [`9f8c2b1`]"), "{comments:?}");
    let exported = std::fs::read_to_string(&out).unwrap();
    assert!(exported.contains("DA:1,1\nDA:2,0\nDA:3,0\nDA:4,1\nDA:5,0\n"), "{exported}");
    let index = page(&posted, "").text();
    assert!(index.contains("2 of 5 lines are covered.") && index.contains("from 9f8c2b1, 1 commit old"), "{index}");

    // Without the diff, nothing is carried.
    world.github.set_fault_at("/compare/", Fault::Status { code: 404, headers: Vec::new(), body: "{}".to_owned() });
    let posted = job.run();
    assert!(status(&posted, HEAD).1.starts_with("partial: 33.33%"), "{}", posted.finished.text());
    posted.log_contains(&["Note: `e2e` cannot be carried: "]);
}

#[test]
fn a_carried_report_is_kept_for_the_next_run() {
    let world = world();
    world.github.push(REPOSITORY, "main", BASE);
    add(&world, BASE, &[("coverage-unit", report("1+ 2-")), ("coverage-e2e", report("3+ 4-"))]);
    let arguments = ["--parts=unit,e2e", "--carry"];
    after(&world, BASE, true, &arguments).run();
    let push = |commit: &str, before: &str| {
        world.github.remove_artifacts(REPOSITORY);
        world.github.push(REPOSITORY, "main", commit);
        let commits = vec![before.to_owned(); if commit == HEAD { 1 } else { 2 }];
        let compared = Comparison { merge_base_sha: BASE.into(), commits, files: Vec::new() };
        world.github.set_compare(REPOSITORY, BASE, commit, compared);
        add(&world, commit, &[("coverage-unit", report("1+ 2+"))]);
        after(&world, commit, true, &arguments).run()
    };
    let posted = push(HEAD, BASE);
    assert_eq!(posted.output("coverage"), "75", "{}", posted.finished.text());
    assert!(world.badge().text().contains("coverage: 75%"), "{}", posted.finished.text());
    let posted = push(crate::NEXT_SHA, HEAD);
    posted.log_contains(&["Carried `e2e` from 9f8c2b1, 2 commits old"]);
}

#[test]
fn a_damaged_file_of_lines_is_not_carried() {
    let world = world();
    world.github.push(REPOSITORY, "main", BASE);
    // A report of the default branch that says it has lines.
    add(&world, BASE, &[("coverage-unit", report("1+")), ("coverage-e2e", report("2-"))]);
    let posted = after(&world, BASE, true, &["--parts=unit,e2e"]).run();
    assert_eq!(page(&posted, "_covered/lines.bin").status, 404);
    world.github.remove_artifacts(REPOSITORY);
    add(&world, BASE, &[("coverage-unit", report("1+"))]);
    let posted = after(&world, BASE, true, &["--parts=unit,e2e", "--carry"]).run();
    posted.log_contains(&[
        "Note: nothing is carried from the default branch: the newest report of the default branch keeps no lines",
    ]);
    assert!(status(&posted, BASE).1.starts_with("partial: 100%"), "{}", posted.finished.text());
}

#[test]
fn too_many_artifacts_are_said_and_names_cannot_leave_the_report() {
    let world = world();
    let small = report("1+");
    let names: Vec<String> = (0..300).map(|number| format!("coverage-{number}")).collect();
    let many: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), small.clone())).collect();
    add(&world, BASE, &many);
    let posted = after(&world, BASE, true, &[]).run();
    let text = "300 artifacts of run 7 fit `coverage-*`, at most 256 can be merged: use a narrower pattern";
    posted.log_contains(&[text]);
    assert!(!posted.finished.ok && posted.statuses.is_empty());
    world.github.remove_artifacts(REPOSITORY);
    let pages: Vec<(&str, Vec<u8>)> =
        names.iter().cycle().take(2_000).map(|name| (name.as_str(), Vec::new())).collect();
    add(&world, BASE, &pages);
    let posted = after(&world, BASE, true, &[]).run();
    posted.log_contains(&["run 7 has more than 2000 artifacts: name each artifact"]);
    for name in ["coverage-../../x", "coverage-a\\b", "coverage-\u{1b}[31m"] {
        world.github.remove_artifacts(REPOSITORY);
        add(&world, BASE, &[("coverage-unit", small.clone()), (name, small.clone())]);
        let posted = after(&world, BASE, true, &[]).run();
        posted.log_contains(&["an artifact of run 7 has a name that GitHub does not allow"]);
        assert!(!posted.finished.ok && posted.statuses.is_empty(), "{}", posted.finished.text());
    }
}

#[test]
fn parts_that_name_each_others_files_are_one_union() {
    let world = world();
    world.github.push(REPOSITORY, "main", HEAD);
    world.github.add_file(REPOSITORY, HEAD, SOURCE, b"");
    world.github.add_file(REPOSITORY, HEAD, "web/src/a.py", b"");
    add(
        &world,
        HEAD,
        &[
            ("coverage-1", report_of("/home/runner/work/app/app/src/a.py", "1+ 2-")),
            ("coverage-2", report_of("D:\\a\\app\\app\\src\\a.py", "2+ 3-")),
            ("coverage-3", report_of("/home/runner/work/app/app/web/src/a.py", "1-")),
        ],
    );
    let posted = after(&world, HEAD, true, &[]).run();
    posted.log_contains(&["Merged 3 reports: 50% of lines, 2 of 4"]);
    let index = page(&posted, "").text();
    for row in [">src/a.py</a></td><td>1</td><td>2 of 3</td>", ">web/src/a.py</a></td><td>1</td><td>0 of 1</td>"] {
        assert!(index.contains(row), "{row} is not in\n{index}");
    }
}
