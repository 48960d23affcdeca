use crate::peer::{Peer, Reply};
use crate::run::{Covered, KEY, SITE, TOKEN};

#[test]
fn summary_and_outputs_contain_all_results() {
    let peer = Peer::new();
    let url = &peer.url;
    let ended = Covered::new(&peer).run().succeeds();
    let outputs = [
        "uploaded=false".to_owned(),
        "coverage=84.62".to_owned(),
        "state=success".to_owned(),
        format!("report-url={url}/coverage/{SITE}/"),
        format!("badge-url={url}/badge/octo/app.svg"),
        format!("site-id={SITE}"),
        "uploaded=true".to_owned(),
    ];
    assert_eq!(ended.output.lines().collect::<Vec<_>>(), outputs);
    ended
        .summarizes("| Total | **84.62%** of lines and branches (coverage.py) |")
        .summarizes("| Threshold | 80% |")
        .summarizes(&format!("| Report | [open it](<{url}/coverage/{SITE}/>) |"))
        .summarizes("| Packed | 3 files, 14.6 kB -\\> ");
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
        .summarizes("| Report | not uploaded |")
        .summarizes("no \\<b\\>zip\\</b\\> \\| \\[x\\](y)");
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
    let ended = Covered::new(&peer).in_actions().run();
    assert_eq!(ended.code, Some(1));
    let ended = ended
        .says(&format!("::add-mask::{KEY}\n"))
        .says(&format!("::add-mask::{TOKEN}\n"))
        .says("::error::the covered server does not accept the API key (401 Unauthorized: 100%25 wrong)")
        .says("::group::The largest files\n")
        .says("::endgroup::\n");
    assert!(ended.stderr.is_empty());
}

#[test]
fn no_workflow_commands_are_printed_outside_actions() {
    Covered::new(&Peer::new()).run().succeeds().says_not("::");
}

#[cfg(unix)]
#[test]
fn file_names_cannot_issue_workflow_commands() {
    let peer = Peer::new();
    let large = "x".repeat(50_000);
    let covered = Covered::new(&peer).in_actions().file("::stop-commands::x", &large).file("##[error]x", &large);
    covered.run().succeeds().says("50.0 kB  ::stop-commands::x").says("50.0 kB  ## [error]x").says_not("##[");
}

#[test]
fn the_log_has_a_line_per_step_and_ends_with_the_link() {
    let peer = Peer::new();
    let ended = Covered::new(&peer).run().succeeds();
    let words: Vec<&str> = ended.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["Uploading", "Found", "Packed", "Created", "Uploaded", "Posted", "Updated", "Found", "Report:"]);
}
