//! Pull requests without a number for their changed lines, or with one for a part of them: what GitHub refuses, leaves
//! out, or returns late. The report is uploaded, and its total is posted, as without a pull request.

use std::time::Duration;

use serde_json::json;
use xtask::lab::github::{ChangedFile, Fault, Permission, PullRequest, blob_sha};
use xtask::lab::http;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::report;
use xtask::lab::s3::MiniStack;

use crate::action::{TESTED as HEAD, write};
use crate::original::{backend, with_role};
use crate::patch_job::{FORTY, Job, NUMBER, SOURCE, TOTAL, changed, move_base, pull_request, source, world};
use crate::{REPOSITORY, SHA, World};

/// An event about this repository's own branch, whose pull request is not named.
fn after_own(world: &World) -> Job<'_> {
    Job::after(world, "pull_request", (1, "octo"))
}

fn refusal(code: u16) -> Fault {
    let message = if code == 404 { "Not Found" } else { "Resource not accessible by integration" };
    let body = json!({"message": message, "status": code.to_string()}).to_string();
    Fault::Status { code, headers: Vec::new(), body }
}

#[test]
fn of_3100_changed_files_the_first_3000_count() {
    let world = world();
    let others = (1..3100).map(|at| ChangedFile::modified(&format!("src/{at}.py"), "@@ -1 +1,2 @@\n a\n+b"));
    world.github.add_pull_request(REPOSITORY, pull_request([changed()].into_iter().chain(others).collect()));
    let posted = Job::new(&world).run();
    posted.total_as_ever();
    let text = format!("{FORTY}; 2999 files not counted (not in the report), and GitHub lists no more");
    let rows = posted.shows("success", &text, ["40", "5", "3"]);
    rows.contains(&["<code>100 files</code>: not listed by GitHub", "<li>and 2000 more</li>"]);
    posted.log_contains(&[
        "Note: GitHub lists only 3000 of the 3100 changed files of #17",
        "Not counted, not listed by GitHub: 100 files",
        "Not counted, not in the report: src/1.py, ",
        ", and 2989 more",
    ]);
}

#[test]
fn a_list_that_ends_too_early_is_not_taken_as_whole() {
    let world = world();
    let other = ChangedFile::modified("other.py", "@@ -1 +1,2 @@\n a\n+b");
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed(), other]));
    let patch = changed().patch;
    let first = json!([{"filename": SOURCE, "status": "modified", "additions": 5, "changes": 5, "patch": patch}]);
    let body = first.to_string();
    world.github.set_fault_at("/pulls/17/files", Fault::Status { code: 200, headers: Vec::new(), body });
    let posted = Job::new(&world).with(&["--patch-threshold", "40"]).run();
    let text = format!("{FORTY}, but the required 40% is not certain; GitHub does not list all changed files");
    posted.shows("failure", &text, ["40", "5", "3"]).contains(&["<code>1 file</code>: not listed by GitHub"]);
}

#[test]
fn a_comparison_without_files_leaves_no_number() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let body = json!({"merge_base_commit": {"sha": SHA}}).to_string();
    world.github.set_fault_at("/compare/", Fault::Status { code: 200, headers: Vec::new(), body });
    Job::new(&world).run().has_no_patch("cannot read GitHub's response about the comparison with the base branch");
}

#[test]
fn diffs_that_a_large_response_lacks_are_in_a_smaller_one() {
    let world = world();
    let lines = 10_001;
    let large = format!("@@ -0,0 +1,{lines} @@\n{}", "+x\n".repeat(lines));
    let cut = ChangedFile { counts_in_pages_up_to: Some(10), ..changed() };
    let mut files = vec![ChangedFile::added("large.txt", large.trim_end())];
    files.extend((0..10).map(|at| ChangedFile::modified(&format!("{at}.md"), "@@ -1 +1 @@\n-a\n+b")));
    files.push(cut);
    world.github.add_pull_request(REPOSITORY, pull_request(files));
    let posted = Job::new(&world).run();
    let rows = posted.shows("success", FORTY, ["40", "5", "3"]);
    assert_eq!((rows.of("hit"), rows.of("missed")), (vec![19, 20], vec![21, 22, 23]));
    assert_eq!(posted.requests()[1], "pulls/17/files?per_page=10&page=2");
    assert!(posted.requests().len() <= 5, "{:?}", posted.requests());
}

#[test]
fn a_diff_that_github_never_returns_is_made_from_the_files() {
    let world = world();
    let new = source();
    let old: Vec<&str> =
        new.lines().enumerate().filter(|(at, _)| !(18..23).contains(at)).map(|(_, line)| line).collect();
    let sha = blob_sha(new.as_bytes());
    let file = ChangedFile { patch: None, sha: sha.clone(), ..changed() };
    world.github.add_pull_request(REPOSITORY, pull_request(vec![file]));
    // Without the two files, nothing is known.
    let posted = Job::new(&world).run();
    posted.total_as_ever();
    let rows = posted.shows("success", "unknown: 1 file not counted (the diff is too large)", ["", "", ""]);
    rows.contains(&["<code>temperature.py</code>: the diff is too large"]);

    world.github.add_blob(REPOSITORY, &sha, new.as_bytes());
    world.github.add_file(REPOSITORY, SHA, SOURCE, (old.join("\n") + "\n").as_bytes());
    let posted = Job::new(&world).run();
    let rows = posted.shows("success", FORTY, ["40", "5", "3"]);
    assert_eq!((rows.of("hit"), rows.of("missed")), (vec![19, 20], vec![21, 22, 23]));
    assert_eq!(posted.requests()[4..], [format!("git/blobs/{sha}"), format!("contents/{SOURCE}?ref={SHA}")]);
}

#[test]
fn a_force_push_after_the_tests_leaves_no_number() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let pushed = "4".repeat(40);
    world.github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.head_sha.clone_from(&pushed));
    let moved_on = format!("pull request #17 has moved on to {}, this run tested {}", &pushed[..7], &HEAD[..7]);
    Job::new(&world).run().has_no_patch(&moved_on);
    let none = "no open pull request from the branch octo:change has the tested commit";
    after_own(&world).run().has_no_patch(none);
    // A threshold that nothing was compared with is a warning.
    let posted = Job::new(&world).with(&["--patch-threshold", "80"]).run();
    posted.has_no_patch(&moved_on);
    posted.log_contains(&[&format!("::warning::no patch coverage: {moved_on}")]);
}

#[test]
fn a_run_that_belongs_to_no_single_open_pull_request_gets_no_number() {
    let world = world();
    world.github.push(REPOSITORY, "change", HEAD);
    after_own(&world).run().has_no_patch("no open pull request is from the branch octo:change");
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    after_own(&world).run().shows("success", FORTY, ["40", "5", "3"]);

    // The branch of another repository with the same owner and name is another one.
    Job::after(&world, "pull_request", (99, "octo")).run();
    let world = self::world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let other = Job::after(&world, "pull_request", (99, "octo"));
    other.run().has_no_patch("no open pull request from the branch octo:change has the tested commit");

    world.github.add_pull_request(REPOSITORY, PullRequest { number: 18, ..pull_request(vec![changed()]) });
    let several = format!("several open pull requests have the tested commit {HEAD}: #18, #17");
    after_own(&world).run().has_no_patch(&several);

    for number in [NUMBER, 18] {
        world.github.change_pull_request(REPOSITORY, number, |pull| pull.state = "closed".into());
    }
    Job::new(&world).run().has_no_patch("pull request #17 is closed");
    after_own(&world).run().has_no_patch("no open pull request is from the branch octo:change");

    let queue = json!({"merge_group": {"head_sha": HEAD}, "repository": {"id": 1, "full_name": REPOSITORY}});
    let posted = Job { event: "merge_group", payload: queue, ..Job::new(&world) }.run();
    posted.has_no_patch("a merge queue tests several pull requests together");
    assert_eq!(posted.requests(), [""; 0]);
    Job::after(&world, "merge_group", (1, "octo")).run().has_no_patch("a merge queue tests");
}

#[test]
fn a_token_without_permission_gets_the_total_and_the_name_of_the_permission() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    world.github.set_private(REPOSITORY);
    let missing = |permission: &str| {
        for job in [Job::new(&world), after_own(&world)] {
            let posted = job.run();
            posted.has_no_patch("the token ");
            posted.log_contains(&[&format!("give the job `permissions: {permission}`")]);
        }
    };
    world.github.allow(&[Permission::StatusesWrite, Permission::ContentsRead]);
    missing("pull-requests: read");
    world.github.allow(&[Permission::StatusesWrite, Permission::PullRequestsRead]);
    missing("contents: read");
    world.github.allow(&[Permission::StatusesWrite, Permission::PullRequestsRead, Permission::ContentsRead]);
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
}

#[test]
fn every_refused_request_names_its_permission() {
    for code in [403, 404] {
        for (path, permission) in [
            ("/pulls?", "pull-requests: read"),
            ("/files?", "pull-requests: read"),
            ("/pulls/17", "pull-requests: read"),
            ("/git/commits/", "contents: read"),
            ("/compare/", "contents: read"),
            ("/git/trees/", "contents: read"),
        ] {
            let world = world();
            world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
            let many = (0..300).map(|at| ChangedFile::modified(&format!("{at}.c"), "@@ -1 +1 @@\n-a\n+b"));
            move_base(&world, many.collect());
            world.github.set_fault_at(path, refusal(code));
            if path == "/pulls/17" {
                world.github.set_fault_at("/files?", Fault::None);
            }
            let job = if path == "/pulls?" { after_own(&world) } else { Job::new(&world) };
            let posted = job.run();
            posted.has_no_patch(if code == 403 { "the token may not read " } else { "the token has no access to " });
            posted.log_contains(&[&format!("give the job `permissions: {permission}` (a personal token: ")]);
            assert!(posted.requests().last().is_some_and(|last| format!("/{last}").contains(path)), "{path}");
        }
    }
}

#[test]
fn a_slow_or_broken_github_delays_only_the_number() {
    let unavailable = Fault::Status { code: 502, headers: Vec::new(), body: "{}".into() };
    let faults = [
        // Longer than the time limit, of which the pull request gets a half.
        (Fault::Stall(Duration::from_secs(30)), "sent no response"),
        (Fault::Drop, "closed the connection"),
        (unavailable, "502"),
        (Fault::RateLimited, "rate limit exceeded"),
        (Fault::Garbage, "cannot read GitHub's response about the changed files of pull request #17"),
    ];
    std::thread::scope(|scope| {
        for (fault, expected) in faults {
            scope.spawn(move || {
                let world = world();
                world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
                world.github.set_fault_at("/pulls/17", fault);
                let posted = Job::new(&world).with(&["--timeout", "8"]).run();
                posted.has_no_patch("");
                posted.log_contains(&[expected]);
                if expected == "502" {
                    posted.log_contains(&["; the time limit of 4 s (half of --timeout) leaves no time for another"]);
                }
            });
        }
    });
}

#[test]
fn a_broken_request_after_the_files_leaves_no_number() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    world.github.set_fault_at("/compare/", Fault::Garbage);
    Job::new(&world).run().has_no_patch("cannot read GitHub's response about the comparison with the base branch");
    // The head itself was tested, so nothing is compared.
    Job { checked_out: Some(HEAD), ..Job::new(&world) }.run().shows("success", FORTY, ["40", "5", "3"]);
}

#[test]
fn a_status_that_github_refuses_fails_like_the_totals() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    world.github.set_fault_at("/statuses/", refusal(403));
    let posted = Job::new(&world).run();
    assert!(!posted.finished.ok && posted.statuses.is_empty(), "{}", posted.finished.text());
    let refused = posted.finished.text().matches("::error::the token may not write statuses").count();
    assert_eq!(refused, 1, "both posts fail for one reason");
    posted.log_contains(&[&format!("Posted no status `covered/patch` (it would be: success, {FORTY})")]);
    assert_eq!((posted.output("uploaded"), posted.output("patch-coverage")), ("true", "40"));
    posted.log_contains(&["give the job `permissions: statuses: write`"]);
    assert_eq!(posted.page().status, 200);
}

#[test]
fn without_lines_there_is_no_number() {
    let world = world();
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let posted = Job::new(&world).with(&["--lines", "off"]).run();
    posted.shows_only_the_total();
    assert_eq!(posted.requests(), [""; 0]);

    // The index shows a total, but there are no pages with lines.
    std::fs::remove_file(world.folder.path().join("htmlcov/temperature_py.html")).unwrap();
    std::fs::remove_file(world.folder.path().join("htmlcov/test_temperature_py.html")).unwrap();
    let why = "the report has no lines that can be read";
    let posted = Job::new(&world).run();
    posted.has_no_patch(&format!("{why}; set lines (--lines) to a coverage file of this run"));

    // A gate that nothing is compared with is not passed.
    for arguments in [
        &["--patch-threshold", "80", "--fail-under"] as &[_],
        &["--patch-threshold", "80", "--fail-under", "--lines", "none.info"],
    ] {
        let posted = Job::new(&world).with(arguments).run();
        let log = posted.finished.text();
        let patch = posted.patch();
        let text = format!("unknown: {why}");
        assert_eq!((patch.state.as_str(), patch.description.as_str()), ("failure", text.as_str()), "{log}");
        assert_eq!((posted.output("patch-state"), posted.output("patch-coverage")), ("failure", ""), "{log}");
        assert_eq!(patch.target_url, posted.output("report-url"));
        assert!(!posted.finished.ok, "{log}");
        posted.log_contains(&[&format!("::error::the job fails because of fail-under: {text}")]);
        posted.summary_contains(&format!("| Changed lines | {text} (["));
        posted.summary_contains("At least 80% is required: not certain, because the changed lines are unknown. |");
        assert!(!posted.outputs.contains_key("patch-url"), "{log}");
    }
}

#[test]
fn a_page_of_this_name_in_the_report_is_not_uploaded() {
    let world = world();
    let report = world.folder.path().join("htmlcov");
    report::small(&report, TOTAL);
    write(&report.join("_covered/patch.html"), b"All changed lines are covered");
    write(&report.join("_covered/other.html"), b"something else");
    let reserved = "because Covered reserves the folder `_covered`";
    let warning = &format!("::warning::not uploaded: `_covered/other.html` and 1 file more, {reserved}");
    world.github.push(REPOSITORY, "change", HEAD);
    let posted = after_own(&world).run();
    posted.has_no_patch("no open pull request");
    posted.log_contains(&[warning]);
    let other = http::get(&format!("{}_covered/other.html", posted.output("report-url"))).unwrap();
    assert_eq!(other.status, 404, "{}", other.text());

    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let posted = Job::new(&world).run();
    let rows = posted.shows("success", FORTY, ["40", "5", "3"]);
    assert!(!rows.0.contains("All changed"), "{}", rows.0);
    posted.log_contains(&[warning]);

    // A folder of the page's name, and a file of the folder's name.
    std::fs::remove_dir_all(report.join("_covered")).unwrap();
    write(&report.join("_covered/patch.html/index.html"), b"All changed lines are covered");
    Job::new(&world).run().shows("success", FORTY, ["40", "5", "3"]);
    std::fs::remove_dir_all(report.join("_covered")).unwrap();
    write(&report.join("_covered"), b"a file");
    let posted = Job::new(&world).run();
    posted.shows("success", FORTY, ["40", "5", "3"]);
    posted.log_contains(&[&format!("::warning::not uploaded: `_covered`, {reserved}")]);
}

#[test]
fn single_files_and_the_originals_backend_get_the_page_too() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let s3 = MiniStack::start();
    let world = World::new(&with_role(&s3));
    world.github.add_pull_request(REPOSITORY, pull_request(vec![changed()]));
    let endpoint = vec![("AWS_ENDPOINT_URL", s3.url())];
    let posted = Job { variables: endpoint.clone(), ..Job::new(&world) }.with(&["--files"]).run();
    posted.total_as_ever();
    posted.shows("success", FORTY, ["40", "5", "3"]);

    let backend = backend(&world.server);
    let job = Job { variables: endpoint, server: backend.url(), ..Job::new(&world) };
    let posted = job.with(&["--context", "coverage"]).run();
    let log = posted.finished.text();
    let ours: Vec<_> = posted.statuses.iter().filter(|status| status.context.starts_with("coverage")).collect();
    let shown: Vec<_> = ours.iter().map(|status| (status.context.as_str(), status.description.as_str())).collect();
    // The backend shows the newest status with this word in its badge.
    assert_eq!(shown, [("coverage/patch", FORTY), ("coverage", "88.37%")], "{log}");
    let page = ours[0].target_url.strip_prefix(&backend.url()).unwrap();
    let page = world.server.get(page);
    assert!(page.status == 200 && page.text().contains("2 of 5 changed lines are covered."), "{}", page.text());
}

#[test]
fn what_a_fork_wrote_is_only_text() {
    let world = world();
    let name = "a/::error::%0A\n::error::x<script>alert(1)</script>|`[x](http://evil.test)\u{202e}.py";
    let branch = "x\n::error::x|<script>";
    let patch = format!("@@ -0,0 +1 @@ {}\n+</td></table><script>alert(1)</script>", name.replace('\n', " "));
    let hostile = PullRequest {
        title: name.into(),
        head_ref: branch.into(),
        head_repository: Some((77, "stranger/app".into())),
        ..pull_request(vec![
            ChangedFile::added(name, &patch),
            ChangedFile::added(&name.replace("a/", "b/"), "@@ -0,0 +1 @@"),
        ])
    };
    world.github.add_pull_request(REPOSITORY, hostile);
    let mut job = Job::after(&world, "pull_request", (77, "stranger"));
    job.payload["workflow_run"]["head_branch"] = branch.into();
    let posted = job.run();
    posted.total_as_ever();
    let text = "unknown: 2 files not counted";
    let rows = posted.shows("success", text, ["", "", ""]);
    assert!(!rows.0.contains("<script") && !rows.0.contains('\u{202e}'), "{}", rows.0);
    let log = posted.finished.text();
    assert!(log.lines().all(|line| !line.starts_with("::error::")) && !log.contains('\u{202e}'), "{log}");

    // The name of a branch that has no pull request is in the log, too.
    world.github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.state = "closed".into());
    let posted = job.run();
    posted.log_contains(&["No patch coverage: no open pull request is from the branch stranger:x ::error::x|<script>"]);
    let log = posted.finished.text();
    assert!(log.lines().all(|line| !line.starts_with("::error::")), "{log}");
}
