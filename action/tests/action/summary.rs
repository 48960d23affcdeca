use crate::peer::{Peer, Reply};
use crate::run::{Covered, KEY, SITE, TOKEN};

#[test]
fn summary_and_outputs_contain_all_results() {
    let peer = Peer::new();
    let url = &peer.url;
    let outcome = Covered::new(&peer).run().succeeds();
    let outputs = [
        "uploaded=false".to_owned(),
        "coverage=84.62".to_owned(),
        "state=success".to_owned(),
        format!("report-url={url}/coverage/{SITE}/"),
        format!("badge-url={url}/badge/octo/app.svg"),
        format!("site-id={SITE}"),
        "uploaded=true".to_owned(),
    ];
    assert_eq!(outcome.output.lines().collect::<Vec<_>>(), outputs);
    outcome
        .summary_contains("| Total | **84.62%** of lines and branches (coverage.py) |")
        .summary_contains("| Threshold | 80% |")
        .summary_contains(&format!("| Report | [open it](<{url}/coverage/{SITE}/>) |"))
        .summary_contains("| Packed | 3 files, 14.6 kB -\\> ");
}

#[test]
fn known_results_are_written_if_a_step_fails() {
    let peer = Peer::new();
    peer.on("PUT", &format!("/store/{SITE}.zip"), [Reply::new(400, r#"{"detail":"no <b>zip</b> | [x](y)"}"#)]);
    Covered::new(&peer)
        .run()
        .fails("error: the store did not accept the report")
        .outputs("coverage=84.62")
        .outputs("uploaded=false")
        .summary_contains("| Report | not uploaded |")
        .summary_contains("no \\<b\\>zip\\</b\\> \\| \\[x\\](y)");
}

#[test]
fn outputs_and_summary_are_appended_to_existing_files() {
    let peer = Peer::new();
    let folder = tempfile::tempdir().unwrap();
    let (output, summary) = (folder.path().join("o"), folder.path().join("s"));
    std::fs::write(&output, "before=1\n").unwrap();
    std::fs::write(&summary, "before\n").unwrap();
    let covered = Covered::new(&peer).env("GITHUB_OUTPUT", output.to_str().unwrap());
    covered.env("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()).run().succeeds();
    assert!(std::fs::read_to_string(output).unwrap().starts_with("before=1\nuploaded=false\ncoverage=84.62\n"));
    assert!(std::fs::read_to_string(summary).unwrap().starts_with("before\n### Coverage\n"));
}

#[test]
fn in_actions_errors_are_annotations_and_secrets_are_masked() {
    let peer = Peer::new();
    peer.on("POST", "/coverage/create-site/", [Reply::new(401, r#"{"detail":"100% wrong"}"#)]);
    let outcome = Covered::new(&peer).in_actions().run();
    assert_eq!(outcome.code, Some(1));
    let outcome = outcome
        .stdout_contains(&format!("::add-mask::{KEY}\n"))
        .stdout_contains(&format!("::add-mask::{TOKEN}\n"))
        .stdout_contains("::error::the covered server does not accept the API key (401 Unauthorized: 100%25 wrong)")
        .stdout_contains("::group::The largest files\n")
        .stdout_contains("::endgroup::\n");
    assert!(outcome.stderr.is_empty());
}

#[test]
fn no_workflow_commands_are_printed_outside_actions() {
    Covered::new(&Peer::new()).run().succeeds().omits("::");
}

#[cfg(unix)]
#[test]
fn file_names_cannot_issue_workflow_commands() {
    let peer = Peer::new();
    let large = "x".repeat(50_000);
    let covered = Covered::new(&peer).in_actions().file("::stop-commands::x", &large).file("##[error]x", &large);
    covered
        .run()
        .succeeds()
        .stdout_contains("50.0 kB  ::stop-commands::x")
        .stdout_contains("50.0 kB  ## [error]x")
        .omits("##[");
}

#[test]
fn the_log_has_a_line_per_step_and_ends_with_the_link() {
    let peer = Peer::new();
    let outcome = Covered::new(&peer).run().succeeds();
    let words: Vec<&str> = outcome.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["Uploading", "Found", "Packed", "Created", "Uploaded", "Posted", "Updated", "Found", "Report:"]);
}
