//! Changed files that GitHub shows without a diff and without changed lines: binary ones, also those that `.gitattributes`
//! makes binary, and those with only a new name or mode.

use xtask::lab::github::{ChangedFile, blob_sha};

use crate::action::{TESTED as HEAD, write};
use crate::patch_job::{FORTY, Job, MERGE, SOURCE, changed, pull_request, source, world};
use crate::{REPOSITORY, SHA as BASE, World};

/// The source file before the pull request added lines 19 to 23.
fn before() -> String {
    let source = source();
    let lines = source.lines().enumerate().filter(|(at, _)| !(18..23).contains(at));
    lines.map(|(_, line)| format!("{line}\n")).collect()
}

/// The file as GitHub lists it, with this content.
fn without_diff(file: ChangedFile, content: &[u8]) -> ChangedFile {
    ChangedFile { patch: None, additions: 0, deletions: 0, sha: blob_sha(content), ..file }
}

fn with_file(content: &[u8]) -> World {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![without_diff(changed(), content)]));
    world.github.add_blob(REPOSITORY, &blob_sha(content), content);
    world
}

fn tree(commit: &str) -> String {
    format!("git/trees/{commit}?recursive=1")
}

#[test]
fn a_source_file_without_a_diff_is_compared_here() {
    let world = with_file(source().as_bytes());
    world.github.add_file(REPOSITORY, BASE, SOURCE, before().as_bytes());
    let posted = Job::new(&world).run();
    posted.total_as_ever();
    let rows = posted.shows("success", FORTY, ["40", "5", "3"]);
    assert_eq!((rows.of("hit"), rows.of("missed")), (vec![19, 20], vec![21, 22, 23]));
    let blob = format!("git/blobs/{}", blob_sha(source().as_bytes()));
    assert_eq!(posted.requests()[4..], [tree(BASE), blob, format!("contents/{SOURCE}?ref={BASE}")]);
    // The head itself was tested.
    Job { checked_out: Some(HEAD), ..Job::new(&world) }.run().shows("success", FORTY, ["40", "5", "3"]);
    // GitHub cannot list all files.
    world.github.truncate_trees(REPOSITORY);
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
}

#[test]
fn a_new_mode_or_name_changes_no_lines() {
    let world = with_file(source().as_bytes());
    world.github.add_file(REPOSITORY, BASE, SOURCE, source().as_bytes());
    let posted = Job::new(&world).with(&["--patch-threshold", "100"]).run();
    posted.shows("success", "no coverable lines changed", ["", "", ""]);
    let merge = format!("git/commits/{MERGE}");
    assert_eq!(posted.requests()[2..], [merge, format!("compare/{HEAD}...{BASE}?per_page=1"), tree(BASE)]);

    world.github.add_file(REPOSITORY, BASE, "old.py", source().as_bytes());
    let renamed = without_diff(ChangedFile::renamed("old.py", SOURCE, ""), source().as_bytes());
    world.github.add_pull_request(REPOSITORY, pull_request(vec![renamed]));
    let posted = Job::new(&world).with(&["--patch-threshold", "100"]).run();
    posted.shows("success", "no coverable lines changed", ["", "", ""]);
    assert_eq!(posted.requests().len(), 5, "{:?}", posted.requests());
}

#[test]
fn a_renamed_file_without_a_diff_may_have_other_lines() {
    let world = with_file(source().as_bytes());
    world.github.add_file(REPOSITORY, BASE, "old.py", before().as_bytes());
    let renamed = without_diff(ChangedFile::renamed("old.py", SOURCE, ""), source().as_bytes());
    world.github.add_pull_request(REPOSITORY, pull_request(vec![renamed]));
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
    // GitHub cannot list all files.
    world.github.truncate_trees(REPOSITORY);
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
    world.github.add_file(REPOSITORY, BASE, "old.py", b"a\0b");
    let posted = Job::new(&world).run();
    posted.shows("success", "unknown: 1 file not counted (GitHub shows no diff)", ["", "", ""]);
    world.github.add_file(REPOSITORY, BASE, "old.py", source().as_bytes());
    Job::new(&world).run().shows("success", "no coverable lines changed", ["", "", ""]);
}

#[test]
fn a_renamed_file_of_a_rare_kind_may_have_other_lines() {
    let world = world();
    let hits: String = (1..=9).map(|line| format!("DA:{line},{}\n", usize::from(line != 2))).collect();
    let report = format!("SF:lib/a.rake\n{hits}end_of_record\n");
    write(&world.folder.path().join("htmlcov/index.html"), b"<h1>A report</h1>");
    write(&world.folder.path().join("htmlcov/lcov.info"), report.as_bytes());
    world.github.add_file(REPOSITORY, BASE, "old.rake", b"a\n");
    let run = |content: &[u8], checked_out: Option<&'static str>| {
        let renamed = without_diff(ChangedFile::renamed("old.rake", "lib/a.rake", ""), content);
        world.github.add_pull_request(REPOSITORY, pull_request(vec![renamed]));
        Job { checked_out, ..Job::new(&world) }.run()
    };
    for checked_out in [None, Some(HEAD)] {
        let unknown = "unknown: 1 file not counted (GitHub shows no diff)";
        run(b"a\nb\n", checked_out).shows("success", unknown, ["", "", ""]);
        run(b"a\n", checked_out).shows("success", "no coverable lines changed", ["", "", ""]);
    }
}

#[test]
fn a_replacement_character_is_a_letter_like_others() {
    let text = format!("{}# \u{fffd}\n", source());
    let world = with_file(text.as_bytes());
    world.github.add_file(REPOSITORY, BASE, SOURCE, before().as_bytes());
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
}

#[test]
fn a_binary_file_that_the_report_measures_is_unknown() {
    let world = with_file(b"a\0b");
    world.github.add_file(REPOSITORY, BASE, SOURCE, before().as_bytes());
    let posted = Job::new(&world).with(&["--patch-threshold", "80"]).run();
    let text = "unknown, at least 80% is required; 1 file not counted (GitHub shows no diff)";
    posted.shows("failure", text, ["", "", ""]).contains(&["<code>temperature.py</code>: GitHub shows no diff"]);
    // Bytes that are no text could hide a change.
    let world = with_file(b"# \xe9\n");
    world.github.add_file(REPOSITORY, BASE, SOURCE, b"# \xe8\n");
    Job::new(&world).run().shows("success", "unknown: 1 file not counted (GitHub shows no diff)", ["", "", ""]);
}

#[test]
fn nothing_is_requested_for_a_picture() {
    let world = world();
    let picture = without_diff(ChangedFile::modified("picture.png", ""), b"\x89PNG");
    world.github.add_pull_request(REPOSITORY, pull_request(vec![picture, changed()]));
    let posted = Job::new(&world).run();
    posted.shows("success", FORTY, ["40", "5", "3"]);
    assert_eq!(posted.requests()[4..], [tree(HEAD)]);
}

#[test]
fn a_deleted_file_has_no_changed_lines() {
    let world = world();
    let gone = ChangedFile { status: "removed".into(), patch: None, deletions: 30_000, ..changed() };
    world.github.add_pull_request(REPOSITORY, pull_request(vec![gone]));
    let posted = Job::new(&world).with(&["--patch-threshold", "100"]).run();
    posted.shows("success", "no coverable lines changed", ["", "", ""]);
}
