//! The changed lines of a pull request: which ones count, and where their number shows.

use serde_json::json;
use xtask::lab::github::{ChangedFile, Comparison, PullRequest, blob_sha};
use xtask::lab::http;
use xtask::lab::paths;

use crate::action::{TESTED as HEAD, repository, write};
use crate::patch_job::{
    FORK_POINT, FORTY, Job, MERGE, NUMBER, SOURCE, adding, changed, move_base, pull_request, source, world,
};
use crate::{REPOSITORY, SHA as BASE};

#[test]
fn a_pull_request_gets_a_status_and_a_page_of_its_changed_lines() {
    let world = world();
    let readme = ChangedFile::modified("README.md", "@@ -1 +1,2 @@\n a\n+b");
    world.github.add_pull_request(REPOSITORY, pull_request(vec![readme, changed()]));
    let posted = Job::new(&world).run();
    posted.total_as_ever();
    let rows = posted.shows("success", FORTY, ["40", "5", "3"]);
    assert_eq!((rows.of("hit"), rows.of("missed")), (vec![19, 20], vec![21, 22, 23]));
    assert_eq!((rows.of("kept"), rows.of("partly"), rows.of("added")), (vec![18, 24], vec![], vec![]));
    let github = world.github.url();
    rows.contains(&[
        &format!("Changed lines of <a href=\"{github}/octo/app/pull/17\">#17</a>"),
        "<p class=\"number\">40%</p>",
        &format!("/commit/{HEAD}\"><code>{}</code></a> · total 88.37%</p>", &HEAD[..7]),
        "2 of 5 changed lines are covered.",
        &format!("<a href=\"{github}/octo/app/blob/{HEAD}/{SOURCE}#L21\">21</a>"),
        "<a href=\"../temperature_py.html#t21\">in the report</a>",
        "<td><a href=\"#f0L21\">21–23</a></td>",
        "<tr class=\"missed\" id=\"f0L21\">",
        &format!("<a href=\"{github}/octo/app/blob/{HEAD}/{SOURCE}#L18-L24\">Lines 18–24</a>"),
        "    if scale == &quot;K&quot;:",
    ]);
    let page_url = posted.output("patch-url");
    posted.log_contains(&[
        &format!("\nChanged lines: {page_url}"),
        "Read 26 lines in 1 file (coverage.py, index.html and its pages): 22 hit; they add up to the report's counts; only changed \
         files were read",
    ]);
    let html = posted.page();
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(!html.text().contains("<script"), "{}", html.text());
    let source_page = http::get(&format!("{}temperature_py.html", posted.output("report-url"))).unwrap();
    assert_eq!(source_page.status, 200, "the page links to it");
    let expected = ["pulls/17/files?per_page=100&page=1", "pulls/17", &format!("git/commits/{MERGE}")];
    assert_eq!(posted.requests()[..3], expected);
    assert_eq!(posted.requests().len(), 5, "{:?}", posted.requests());
}

#[test]
fn a_base_branch_that_changed_other_files_changes_nothing() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    move_base(&world, vec![ChangedFile::modified("other.py", "@@ -1 +1 @@\n-a\n+b")]);
    let posted = Job::new(&world).run();
    assert_eq!(posted.shows("success", FORTY, ["40", "5", "3"]).of("hit"), [19, 20]);
    assert!(posted.requests().len() <= 5, "{:?}", posted.requests());
}

#[test]
fn lines_of_a_file_that_the_base_branch_changed_are_those_of_the_merge() {
    let world = world();
    // The head has the lines one line higher.
    let shifted = ChangedFile::modified(SOURCE, &adding(&source(), 18, 22));
    world.github.add_pull_request(REPOSITORY, pull_request(vec![shifted]));
    move_base(&world, vec![ChangedFile::modified(SOURCE, "@@ -1 +1,2 @@\n a\n+b")]);
    let merged = Comparison { merge_base_sha: BASE.into(), commits: vec![MERGE.into()], files: vec![changed()] };
    world.github.set_compare(REPOSITORY, BASE, MERGE, merged);
    let posted = Job::new(&world).run();
    let rows = posted.shows("success", FORTY, ["40", "5", "3"]);
    assert_eq!((rows.of("hit"), rows.of("missed")), (vec![19, 20], vec![21, 22, 23]));
    rows.contains(&[&format!("/blob/{MERGE}/{SOURCE}#L21"), "The line numbers are those of the merge commit"]);
    assert_eq!(posted.requests().len(), 5, "{:?}", posted.requests());
}

#[test]
fn after_a_fork_a_file_that_the_base_branch_changed_is_left_out_and_named() {
    let world = world();
    let tests = std::fs::read_to_string(paths::root().join("xtask/sample/test_temperature.py")).unwrap();
    let tests = ChangedFile::modified("test_temperature.py", &adding(&tests, 5, 12));
    let fork = PullRequest { head_repository: Some((77, "stranger/app".into())), ..pull_request(vec![changed()]) };
    world.github.add_pull_request(REPOSITORY, fork);
    move_base(&world, vec![ChangedFile::modified(SOURCE, "@@ -1 +1,2 @@\n a\n+b")]);
    let posted = Job::after(&world, "pull_request", (77, "stranger")).run();
    posted.total_as_ever();
    let reason = "unknown: 1 file not counted (the base branch changed it too)";
    let rows = posted.shows("success", reason, ["", "", ""]);
    rows.contains(&["<p class=\"number\">Unknown</p>", "<code>temperature.py</code>: the base branch changed it too"]);
    posted.log_contains(&[
        "Not counted, the base branch changed it too, so its line numbers are uncertain: temperature.py",
    ]);

    world.github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.files.push(tests));
    let posted = Job::after(&world, "pull_request", (77, "stranger")).run();
    let text = &posted.patch().description;
    assert!(
        text.starts_with("100% of ") && text.ends_with("; 1 file not counted (the base branch changed it too)"),
        "{text}"
    );
    // No threshold is reached for certain, however low.
    let job =
        Job::after(&world, "pull_request", (77, "stranger")).with(&["--patch-threshold", "10", "--comment", "always"]);
    let posted = job.run();
    let requirement = "At least 10% is required: not certain, because 1 file is not counted.";
    assert_eq!(posted.patch().state, "failure");
    assert!(posted.patch().description.contains(", but the required 10% is not certain; 1 file not counted ("));
    assert!(posted.page().text().contains(requirement));
    posted.summary_contains(&format!("| Threshold of the changed lines | {requirement} |"));
    let comment = world.github.comments(REPOSITORY, NUMBER).pop().unwrap();
    assert!(comment.body.contains(&format!("<br>{requirement} |")), "{}", comment.body);
    let posted = Job::after(&world, "pull_request", (77, "stranger")).run();
    let expected = "pulls?state=open&head=stranger%3Achange&per_page=100";
    assert_eq!(posted.requests()[0], expected);
    assert_eq!(posted.requests().len(), 5, "{:?}", posted.requests());
}

#[test]
fn a_job_that_checked_out_the_head_needs_no_merge() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    move_base(&world, vec![ChangedFile::modified(SOURCE, "@@ -1 +1,2 @@\n a\n+b")]);
    let posted = Job { checked_out: Some(HEAD), ..Job::new(&world) }.run();
    let rows = posted.shows("success", FORTY, ["40", "5", "3"]);
    rows.contains(&[&format!("/blob/{HEAD}/{SOURCE}#L21")]);
    let tree = format!("git/trees/{HEAD}?recursive=1");
    assert_eq!(posted.requests(), ["pulls/17/files?per_page=100&page=1", "pulls/17", &tree]);
    // A branch with this commit is as good.
    let folder = world.folder.path().join("workspace/.git");
    write(&folder.join("refs/heads/change"), HEAD.as_bytes());
    let posted = Job { checked_out: Some("ref: refs/heads/change"), ..Job::new(&world) }.run();
    posted.shows("success", FORTY, ["40", "5", "3"]);
    // Any other commit may have other lines.
    let posted = Job { checked_out: Some("4444444444444444444444444444444444444444"), ..Job::new(&world) }.run();
    posted.shows("success", "unknown: 1 file not counted (the base branch changed it too)", ["", "", ""]);
}

#[test]
fn a_base_branch_that_changed_hundreds_of_files_is_compared_by_blobs() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    move_base(&world, (0..300).map(|at| ChangedFile::modified(&format!("{at}.c"), "@@ -1 +1 @@\n-a\n+b")).collect());
    for (commit, text) in [(FORK_POINT, "same"), (BASE, "same")] {
        world.github.add_file(REPOSITORY, commit, SOURCE, text.as_bytes());
    }
    let posted = Job::new(&world).run();
    posted.shows("success", FORTY, ["40", "5", "3"]);
    let unknown = "unknown: 1 file not counted (the base branch changed it too)";
    world.github.add_file(REPOSITORY, BASE, SOURCE, b"other");
    Job::after(&world, "pull_request", (1, "octo")).run().shows("success", unknown, ["", "", ""]);
    // Nothing is known of a tree that GitHub cut.
    world.github.add_file(REPOSITORY, BASE, SOURCE, b"same");
    world.github.truncate_trees(REPOSITORY);
    Job::after(&world, "pull_request", (1, "octo")).run().shows("success", unknown, ["", "", ""]);
}

#[test]
fn a_list_of_files_is_requested_once() {
    let world = world();
    let renamed = ChangedFile { sha: blob_sha(b"same"), ..ChangedFile::renamed("old.rs", "new.rs", "") };
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed(), renamed]));
    move_base(&world, (0..300).map(|at| ChangedFile::modified(&format!("{at}.c"), "@@ -1 +1 @@\n-a\n+b")).collect());
    for commit in [FORK_POINT, BASE] {
        world.github.add_file(REPOSITORY, commit, SOURCE, b"same");
        world.github.add_file(REPOSITORY, commit, "old.rs", b"same");
    }
    let posted = Job::new(&world).run();
    posted.shows("success", FORTY, ["40", "5", "3"]);
    let tree = |commit: &str| format!("git/trees/{commit}?recursive=1");
    assert_eq!(posted.requests()[4..], [tree(FORK_POINT), tree(BASE)]);
}

#[test]
fn a_folder_is_no_file() {
    let world = world();
    let path = format!("backend/{SOURCE}");
    let file = ChangedFile { filename: path.clone(), ..changed() };
    world.github.add_pull_request(REPOSITORY, pull_request(vec![file]));
    world.github.add_file(REPOSITORY, HEAD, &path, source().as_bytes());
    world.github.add_file(REPOSITORY, HEAD, &format!("x/{SOURCE}/README.md"), b"a folder of the same name");
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
}

#[test]
fn a_renamed_file_counts_only_what_changed_in_it() {
    let world = world();
    let renamed = |patch: &str| pull_request(vec![ChangedFile::renamed("old.py", SOURCE, patch)]);
    let same = ChangedFile { sha: blob_sha(b"same"), ..ChangedFile::renamed("old.py", SOURCE, "") };
    world.github.add_file(REPOSITORY, BASE, "old.py", b"same");
    world.github.add_pull_request(REPOSITORY, pull_request(vec![same]));
    Job::new(&world).run().shows("success", "no coverable lines changed", ["", "", ""]);
    world.github.add_pull_request(REPOSITORY, renamed(&adding(&source(), 19, 23)));
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
    // The base branch knows it by its old name.
    move_base(&world, vec![ChangedFile::modified("old.py", "@@ -1 +1,2 @@\n a\n+b")]);
    let unknown = "unknown: 1 file not counted (the base branch changed it too)";
    Job::after(&world, "pull_request", (1, "octo")).run().shows("success", unknown, ["", "", ""]);
}

#[test]
fn lines_that_cannot_be_covered_need_no_number() {
    let world = world();
    let readme = ChangedFile::modified("README.md", "@@ -1 +1,2 @@\n a\n+b");
    let comment = ChangedFile::modified(SOURCE, &adding(&source(), 7, 9));
    let gone = ChangedFile { status: "removed".into(), ..ChangedFile::modified("gone.py", "@@ -1 +0,0 @@\n-a") };
    let picture = ChangedFile { patch: None, ..ChangedFile::added("picture.png", "") };
    let module =
        ChangedFile::modified("lib.py", &format!("@@ -1 +1 @@\n-Subproject commit {MERGE}\n+Subproject commit {HEAD}"));
    world.github.add_pull_request(REPOSITORY, pull_request(vec![readme.clone()]));
    let posted = Job::new(&world).run();
    posted.shows("success", "no coverable lines changed", ["", "", ""]);
    posted.log_contains(&["Read no lines of changed files (coverage.py, index.html and its pages)"]);
    world.github.add_pull_request(REPOSITORY, pull_request(vec![readme, comment, gone, picture, module]));
    let posted = Job::new(&world).with(&["--patch-threshold", "100", "--fail-under"]).run();
    posted.total_as_ever();
    let rows = posted.shows("success", "no coverable lines changed", ["", "", ""]);
    rows.contains(&["<p class=\"number\">No coverable lines changed</p>"]);
}

#[test]
fn changed_files_outside_of_the_report_are_unknown_and_named() {
    let world = world();
    let other = ChangedFile::modified("src/rate.py", "@@ -1 +1,2 @@\n a\n+b");
    world.github.add_pull_request(REPOSITORY, pull_request(vec![other]));
    let posted = Job::new(&world).run();
    posted.total_as_ever();
    let rows = posted.shows("success", "unknown: 1 file not counted (not in the report)", ["", "", ""]);
    rows.contains(&["<code>src/rate.py</code>: not in the report"]);
    posted.log_contains(&["Not counted, not in the report: src/rate.py"]);
    let posted = Job::new(&world).with(&["--patch-threshold", "80"]).run();
    let text = "unknown, at least 80% is required; 1 file not counted (not in the report)";
    posted.shows("failure", text, ["", "", ""]);
}

#[test]
fn a_missed_threshold_fails_the_job_only_with_fail_under() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let posted = Job::new(&world).with(&["--patch-threshold", "40", "--fail-under"]).run();
    posted.shows("success", FORTY, ["40", "5", "3"]).contains(&["<p>At least 40% is required: reached.</p>"]);
    posted.summary_contains("| Threshold of the changed lines | At least 40% is required: reached. |");
    let posted = Job::new(&world).with(&["--patch-threshold", "80"]).run();
    posted.total_as_ever();
    let text = format!("{FORTY}, below the threshold of 80%");
    let rows = posted.shows("failure", &text, ["40", "5", "3"]);
    rows.contains(&["<p>At least 80% is required: missed.</p>"]);
    posted.summary_contains("| Threshold of the changed lines | At least 80% is required: missed. |");
    let posted = Job::new(&world).with(&["--patch-threshold", "80", "--fail-under"]).run();
    assert!(!posted.finished.ok, "{}", posted.finished.text());
    posted.shows("failure", &text, ["40", "5", "3"]);
    posted
        .log_contains(&["::error::the job fails because of fail-under: 40%25 of 5 changed lines, below the threshold"]);
    assert_eq!(posted.status("covered").unwrap().state, "success");
}

#[test]
fn a_named_report_has_its_own_patch_status() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let posted = Job::new(&world).with(&["--name", "backend"]).run();
    let status = posted.status("covered/backend/patch").unwrap();
    assert_eq!(status.description, FORTY, "{}", posted.finished.text());
    assert_eq!(posted.statuses.len(), 2, "{:?}", posted.statuses);
    assert!(posted.page().text().contains("#17</a>: backend</h1>"), "{}", posted.page().text());
}

#[test]
fn a_push_to_the_branch_of_a_pull_request_gets_the_number_of_its_head() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    move_base(&world, vec![ChangedFile::modified(SOURCE, "@@ -1 +1,2 @@\n a\n+b")]);
    let push = |branch: &str| {
        let payload = json!({"ref": format!("refs/heads/{branch}"), "repository": repository()});
        let variables = vec![("GITHUB_SHA", HEAD.to_owned())];
        Job { event: "push", payload, variables, ..Job::new(&world) }.run()
    };
    let posted = push("change");
    posted.shows("success", FORTY, ["40", "5", "3"]);
    let list = "pulls?state=open&head=octo%3Achange&per_page=100";
    let tree = format!("git/trees/{HEAD}?recursive=1");
    assert_eq!(posted.requests(), [list, "pulls/17/files?per_page=100&page=1", "pulls/17", &tree]);
    let before = posted.statuses.len();
    let posted = push("main");
    posted.log_contains(&["no patch coverage: the tests ran for the default branch"]);
    assert_eq!(posted.requests(), ["readme"], "only the badge's image is purged");
    assert_eq!(posted.statuses.len(), before + 1, "{:?}", posted.statuses);
}

#[test]
fn lines_that_only_moved_are_not_counted() {
    let world = world();
    // Lines 21 to 23 come from another file.
    let removed: Vec<String> = source().lines().skip(20).take(3).map(|line| format!("-{line}\n")).collect();
    let old = ChangedFile::modified("old.py", &format!("@@ -1,3 +0,0 @@\n{}", removed.concat().trim_end()));
    world.github.add_pull_request(REPOSITORY, pull_request(vec![old, changed()]));
    let posted = Job::new(&world).run();
    let rows = posted.shows("success", "100% of 2 changed lines", ["100", "2", "0"]);
    assert_eq!((rows.of("hit"), rows.of("added")), (vec![19, 20], vec![21, 22, 23]));
    rows.contains(&["3 lines were only moved within this pull request, and not counted."]);
    posted.log_contains(&["Not counted: 3 changed lines that only moved"]);
}
