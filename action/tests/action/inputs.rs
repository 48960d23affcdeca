use crate::peer::Peer;
use crate::run::Covered;

#[test]
fn help_names_every_flag_with_its_environment() {
    let outcome = Covered::bare().arg("--help").run().succeeds();
    for line in
        ["--api-url URL", "INPUT_API_KEY, COVERED_API_KEY", "INPUT_GITHUB_TOKEN, COVERED_GH_TOKEN", "[default: 300]"]
    {
        assert!(outcome.stdout.contains(line), "{line}");
    }
    assert!(outcome.stderr.is_empty() && outcome.output.is_empty());
}

#[test]
fn version_is_one_line() {
    let outcome = Covered::bare().arg("--version").run().succeeds();
    assert_eq!(outcome.stdout, concat!("covered ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn invalid_inputs_are_reported_before_anything_is_sent() {
    let peer = Peer::new();
    let run =
        Covered::new(&peer).env("COVERED_API_KEY", "").arg("--coverage-threshold=9x").arg("--commit-sha=HEAD").run();
    run.rejects("error: --coverage-threshold \"9x\" must be between 0 and 100")
        .stderr_contains("error: --commit-sha \"HEAD\" must be a full commit hash of 40 hexadecimal digits")
        .stderr_contains("error: missing api-key: set --api-key, INPUT_API_KEY or COVERED_API_KEY")
        .stdout_contains("run `covered --help` for all flags");
    assert!(peer.received().is_empty());
}

#[test]
fn errors_name_unknown_flags_without_their_values() {
    let secret = crate::run::KEY;
    Covered::bare().arg(format!("--api-kee={secret}")).run().rejects("error: unknown flag `--api-kee`");
    Covered::bare().arg(".").arg(secret).run().rejects("error: the DIRECTORY in place 2 of 2 is no folder");
    Covered::bare().arg("--api-key").run().rejects("error: `--api-key` needs a value");
    let forgotten = Covered::bare().arg("--lines").arg("--dry-run");
    forgotten.run().rejects("error: `--lines` needs a value, but `--dry-run` follows");
    Covered::bare().arg("-x").run().rejects("error: unknown flag `-x`");
}

#[test]
fn a_dry_run_needs_no_settings_and_sends_nothing() {
    let covered = Covered::bare();
    let report = covered.report();
    covered
        .arg(report)
        .arg("--dry-run")
        .run()
        .succeeds()
        .stdout_contains("Found 84.62% of lines and branches (coverage.py, index.html)")
        .stdout_contains("Packed 3 files, 14.6 kB -> ")
        .stdout_contains("Dry run: nothing is sent")
        .stdout_contains("A real run also needs api-url: set --api-url, INPUT_API_URL or COVERED_API_URL")
        .stdout_contains(
            "Not tried: patch coverage, its status, the comment and the annotations need a run with a pull",
        )
        .stdout_contains(
            "Would post no status (it would be: failure, 84.62%, below the threshold of 100%): set github-token",
        )
        .outputs("coverage=84.62")
        .outputs("state=failure")
        .outputs("uploaded=false");
}

#[test]
fn a_dry_run_logs_covered_lines_and_whether_they_match_the_totals() {
    let other = r#"<coverage line-rate="0.5" lines-valid="4" lines-covered="2"><packages><package><classes>
        <class filename="a.c"><lines><line number="1" hits="1"/></lines></class></classes></package></packages></coverage>"#;
    let run = |lines: &str| {
        let covered = Covered::bare().file("lines/lcov.info", "SF:a.c\nDA:1,1\nDA:2,0\nend_of_record\n");
        let covered = covered.file("lines/other.xml", other);
        let report = covered.report().join("lines");
        covered.arg(report).arg("--dry-run").arg("--totals").arg("lcov.info").arg("--lines").arg(lines).run()
    };
    run("lcov.info")
        .succeeds()
        .stdout_contains("Read 2 lines in 1 file (lcov, lcov.info): 1 hit; they add up to the report's counts")
        .stdout_contains("Dry run: nothing is sent");
    run("other.xml")
        .succeeds()
        .stdout_contains("1 hit; they do not add up: 1 of 1 in other.xml, but the report shows 2 of 4");
    run("off").succeeds().omits("Read ").omits("patch coverage");
    run("gone.xml").fails("lines (--lines) names the file `gone.xml`");
}

#[test]
fn a_dry_run_logs_what_would_be_sent_and_where() {
    let peer = Peer::new();
    Covered::new(&peer)
        .arg("--dry-run")
        .run()
        .succeeds()
        .stdout_contains(&format!(" to {}, for octo/app at {}", peer.url, crate::run::SHA))
        .stdout_contains("Would post the status `covered`: success, 84.62%")
        .stdout_contains("Would update the badge");
    assert!(peer.received().is_empty());
}

#[test]
fn a_workflow_run_for_a_fork_posts_to_the_tested_commit_without_a_badge_update() {
    let peer = Peer::new();
    let head = "fedcba9876543210fedcba9876543210fedcba98";
    peer.on("POST", &format!("/repos/octo/app/statuses/{head}"), [crate::peer::Reply::new(201, "{}")]);
    let event = format!(
        r#"{{"workflow_run":{{"id":42,"event":"pull_request","head_sha":"{head}","head_branch":"main",
        "head_repository":{{"full_name":"evil/app"}}}},"repository":{{"full_name":"octo/app","default_branch":"main"}}}}"#
    );
    let run = Covered::new(&peer).event("workflow_run", &event).run();
    run.succeeds().stdout_contains("Badge not updated: this run is not a push to the default branch");
    let requests = peer.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert_eq!(requests[2], format!("POST /repos/octo/app/statuses/{head}"));
    assert_eq!(peer.one("POST", "/coverage/create-site/").json()["commit_sha"], head);
}

#[test]
fn a_pull_request_from_a_fork_posts_to_its_head_commit() {
    let peer = Peer::new();
    let head = "fedcba9876543210fedcba9876543210fedcba98";
    peer.on("POST", &format!("/repos/octo/app/statuses/{head}"), [crate::peer::Reply::new(201, "{}")]);
    let event = format!(r#"{{"pull_request":{{"head":{{"sha":"{head}","repo":{{"full_name":"evil/app"}}}}}}}}"#);
    Covered::new(&peer).event("pull_request", &event).run().succeeds();
    peer.one("POST", &format!("/repos/octo/app/statuses/{head}"));
}

#[test]
fn input_variables_override_covered_variables() {
    let peer = Peer::new();
    Covered::new(&peer)
        .env("COVERED_NAME", "one")
        .env("INPUT_NAME", "two")
        .env("INPUT_GITHUB_TOKEN", "")
        .run()
        .succeeds();
    assert_eq!(peer.one("POST", "/coverage/create-site/").json()["name"], "two");
}

#[test]
fn invalid_ports_and_urls_with_credentials_are_rejected() {
    let outcome = Covered::bare().arg("htmlcov").arg("--api-url").arg("http://127.0.0.1:99999").run();
    outcome.rejects("--api-url \"http://127.0.0.1:99999\" must be an address");
    let outcome = Covered::bare().arg("htmlcov").arg("--api-url").arg("http://me:hunter2@127.0.0.1").run();
    outcome.rejects("--api-url must be an address").omits("hunter2");
}

#[cfg(unix)]
#[test]
fn pipes_in_place_of_the_runners_files_are_reported_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let peer = Peer::new();
    let covered = Covered::new(&peer).env("GITHUB_EVENT_PATH", pipe).env("GITHUB_OUTPUT", pipe);
    covered
        .run()
        .succeeds()
        .stderr_contains(&format!("the event file {pipe} (GITHUB_EVENT_PATH) is not a regular file"))
        .stderr_contains(&format!("cannot write to {pipe}: it is not a regular file"));
}

#[test]
fn too_large_and_missing_event_files_are_reported() {
    let large = tempfile::NamedTempFile::new().unwrap();
    large.as_file().set_len((25 << 20) + 1).unwrap();
    let message = |path: &str| Covered::new(&Peer::new()).env("GITHUB_EVENT_PATH", path).run().succeeds();
    message(large.path().to_str().unwrap()).stderr_contains("(GITHUB_EVENT_PATH) is larger than 25 MiB");
    message("/nowhere/event.json")
        .stderr_contains("the event file /nowhere/event.json (GITHUB_EVENT_PATH) cannot be read");
}

/// A push that deleted a branch.
fn deletion(peer: &Peer) -> Covered {
    let event = format!(
        r#"{{"ref":"refs/heads/topic","deleted":true,"after":"{}","repository":{{"full_name":"octo/app",
        "default_branch":"main"}}}}"#,
        "0".repeat(40)
    );
    Covered::without_report(peer).in_actions().event("push", &event).env("GITHUB_SHA", &"0".repeat(40))
}

#[test]
fn a_push_that_deleted_a_branch_succeeds_without_an_upload() {
    let peer = Peer::new();
    let text = "Nothing to report: this push deleted refs/heads/topic, so there is no commit to test. ";
    for covered in [
        deletion(&peer).arg("htmlcov"),
        deletion(&peer).arg("htmlcov").arg("--fail-under").env("COVERED_API_KEY", ""),
        deletion(&peer).arg("htmlcov").env("INPUT_COMMIT_SHA", &"0".repeat(40)),
        deletion(&peer).arg("htmlcov").env("GITHUB_SHA", crate::run::SHA).env("INPUT_COMMIT_SHA", &"0".repeat(40)),
    ] {
        let outcome = covered.run().succeeds().stdout_contains(text).omits("::error::").outputs("uploaded=false");
        outcome
            .stdout_contains("add `if: github.event.deleted != true`")
            .summary_contains("this push deleted refs/heads/topic");
    }
    assert!(peer.received().is_empty());
}

#[test]
fn an_all_zero_commit_is_rejected() {
    let peer = Peer::new();
    let outcome = Covered::new(&peer).env("INPUT_COMMIT_SHA", &"0".repeat(40)).run();
    outcome.rejects(
        "commit-sha (--commit-sha) is all zeros, which is not a commit: GitHub sends zeros when a push deletes a branch",
    );
    // An explicit commit takes precedence.
    let covered = deletion(&peer).arg("--commit-sha").arg(crate::run::SHA);
    let report = covered.report();
    covered.arg(report).run().succeeds().outputs("uploaded=true");
}

const TRACE: &str = "SF:a.c\nDA:1,1\nDA:2,0\nend_of_record\n";

#[test]
fn an_export_holds_the_lines_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let covered = Covered::bare().file("lcov.info", TRACE);
    let report = covered.report();
    let exports = format!("lcov:{0}/new/lcov.info,cobertura:{0}/c.xml", folder.path().display());
    let covered = covered.arg(report).arg("--dry-run").arg("--totals=lcov.info").arg("--export").arg(exports);
    covered.run().succeeds().stdout_contains("Wrote 2 lines of 1 file to ");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("new/lcov.info"), "TN:\nSF:a.c\nDA:1,1\nDA:2,0\nLF:2\nLH:1\nend_of_record\n");
    assert!(read("c.xml").contains("lines-covered=\"1\" lines-valid=\"2\""));
}

#[test]
fn a_dry_run_says_why_it_read_no_lines() {
    for (choice, why) in [
        ("auto", "Read no lines: neither a coverage file nor the pages of the report have them in a known format"),
        ("x.info", "Read no lines: x.info has none in a known format"),
        ("x.info:clover", "Read no lines: x.info has none in the format clover"),
        (
            "x.dat",
            "cannot read the lines of x.dat: EOF while parsing an object at line 1 column 1; its name does not tell the",
        ),
        ("x.dat", "Read no lines: the notes above say why"),
    ] {
        let covered = Covered::bare().without_file("sample_py.html").file("x.info", "").file("x.dat", "{");
        let report = covered.report();
        covered
            .arg(report)
            .arg("--dry-run")
            .arg("--totals=x.info")
            .arg("--lines")
            .arg(choice)
            .run()
            .succeeds()
            .stdout_contains(why);
    }
}

#[test]
fn a_failed_export_fails_the_run_after_the_upload() {
    let peer = Peer::new();
    for detour in ["", "new/../"] {
        let covered = Covered::new(&peer);
        let (report, folder) = (covered.report(), covered.report().parent().unwrap().to_owned());
        let report = report.file_name().unwrap().display();
        let covered = covered.arg("--export").arg(format!("lcov:{}/{detour}{report}/lcov.info", folder.display()));
        let ended = covered.run().fails("it would change the report: choose a file outside of ");
        ended.outputs("uploaded=true");
    }
    let other = "SF:a.c\nDA:1,1\nDA:2,0\nend_of_record\n";
    let differs = Covered::new(&peer).file("lcov.info", other).arg("--lines=lcov.info").arg("--export=lcov:gone/x");
    differs.run().fails("the lines in lcov.info do not add up; set lines (--lines) to another file");
    let none = Covered::new(&peer).without_file("sample_py.html").arg("--export=lcov:gone/x");
    none.run().fails("cannot write the export gone/x: there are no lines to write: the report has no lines that can be read; set lines");
    Covered::new(&peer).arg("--lines=off").arg("--export=lcov:x").run().rejects("error: export (--export) needs lines");
}

#[test]
fn a_run_without_an_export_reads_no_lines() {
    let peer = Peer::new();
    Covered::new(&peer).run().succeeds().omits("Read ");
}
