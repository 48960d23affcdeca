//! The comment on a pull request: when there is one, whose it is, and that there is never a second one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use serde_json::json;
use xtask::lab::covered;
use xtask::lab::github::{Author, ChangedFile, Comment, Permission, PullRequest};
use xtask::lab::process::{self, Finished};

use crate::{REPOSITORY, SHA, World, setting};

pub const NUMBER: u64 = 7;
pub const HEAD: &str = "2222222222222222222222222222222222222222";
const MARKER: &str = "<!-- covered -->";
/// Adds the lines 2, 3 and 4.
const PATCH: &str = "@@ -1,2 +1,5 @@\n first\n+second\n+third\n+fourth\n last";
/// All ten lines are covered.
pub const WELL: &str = "1111111111";
/// Line 3 is not covered, which the pull request adds.
pub const MISSED: &str = "1101111111";

/// A server, and pull request 7 of a fork.
pub struct Review {
    pub world: World,
}

impl Review {
    pub fn new() -> Review {
        let world = World::new(&setting("STORAGE_URL", "memory://"));
        world.github.add_pull_request(
            REPOSITORY,
            PullRequest {
                number: NUMBER,
                head_sha: HEAD.to_owned(),
                head_repository: Some((77, "stranger/app".to_owned())),
                base_sha: SHA.to_owned(),
                merge_base_sha: SHA.to_owned(),
                files: vec![ChangedFile::modified("src/rate.py", PATCH)],
                ..PullRequest::default()
            },
        );
        Review { world }
    }

    /// A report of `src/rate.py`: a digit for each line, the number of its hits.
    fn report(&self, hits: &str) -> PathBuf {
        let folder = self.world.folder.path().join(format!("report-{hits}"));
        let lines = hits.chars().enumerate().map(|(at, hits)| format!("DA:{},{hits}\n", at + 1));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.html"), "<h1>A report</h1>").unwrap();
        let lines: String = lines.collect();
        fs::write(folder.join("lcov.info"), format!("TN:\nSF:src/rate.py\n{lines}end_of_record\n")).unwrap();
        folder
    }

    /// `covered` after the tests of the pull request's head.
    pub fn command(&self, comment: &str, hits: &str) -> Command {
        let folder = self.world.folder.path();
        let event = json!({"number": NUMBER, "pull_request": {"number": NUMBER, "head": {"sha": HEAD}}});
        fs::write(folder.join("event.json"), event.to_string()).unwrap();
        // The head is checked out, not the merge with the base branch.
        fs::create_dir_all(folder.join(".git")).unwrap();
        fs::write(folder.join(".git/HEAD"), HEAD).unwrap();
        let (server, github) = (&self.world.server.url, self.world.github.url());
        let mut command = covered::covered(&self.report(hits), server, &github, REPOSITORY, HEAD);
        command.args(["--coverage-threshold=0", &format!("--comment={comment}")]);
        command.env("GITHUB_EVENT_NAME", "pull_request").env("GITHUB_EVENT_PATH", folder.join("event.json"));
        command.env("GITHUB_WORKSPACE", folder).env("GITHUB_STEP_SUMMARY", folder.join("summary.md"));
        command
    }

    #[track_caller]
    fn run(&self, comment: &str, hits: &str) -> Finished {
        process::run(&mut self.command(comment, hits)).unwrap().succeeded()
    }

    fn comments(&self) -> Vec<Comment> {
        self.world.github.comments(REPOSITORY, NUMBER)
    }

    #[track_caller]
    fn only_comment(&self, run: &Finished) -> Comment {
        let comments = self.comments();
        let [comment] = comments.as_slice() else { panic!("expected one comment: {comments:?}\n{}", run.text()) };
        assert_eq!(comment.author, Author::github_actions());
        comment.clone()
    }

    fn say(&self, author: Author, body: &str) -> u64 {
        self.world.github.add_comment(REPOSITORY, NUMBER, author, body)
    }

    pub fn summary(&self) -> String {
        fs::read_to_string(self.world.folder.path().join("summary.md")).unwrap()
    }

    /// Expects a run without a comment that ends well, and that log and summary say why.
    #[track_caller]
    fn warns(&self, run: &Finished, why: &str) {
        assert_eq!(self.comments(), [], "{}", run.text());
        assert!(run.stderr.contains(&format!("warning: no comment: {why}")), "{}", run.text());
        assert!(self.summary().contains("\n- no comment: "), "{}", self.summary());
    }
}

#[track_caller]
pub fn assert_log(run: &Finished, expected: &str) {
    assert!(run.stdout.contains(expected), "{expected:?} is not in\n{}", run.text());
}

#[test]
fn without_the_input_there_is_no_comment() {
    let review = Review::new();
    let run = review.run("off", MISSED);
    assert_eq!(review.comments(), [], "{}", run.text());
    assert_log(&run, "Pull request #7: 66.67% of 3 changed lines");
    let requests = review.world.github.requests();
    assert!(requests.iter().all(|request| !request.path.contains("/issues/")), "{requests:?}");
}

#[test]
fn problems_are_commented_and_then_called_solved() {
    let review = Review::new();
    let run = review.run("problems", WELL);
    assert_eq!(review.comments(), [], "{}", run.text());
    assert_log(&run, "No comment on pull request #7: there are no problems");

    let run = review.run("problems", MISSED);
    let posted = review.only_comment(&run);
    assert_log(&run, "Commented on pull request #7 (");
    let github = review.world.github.url();
    let report = run.stdout.lines().find_map(|line| line.strip_prefix("Report: ")).unwrap();
    for expected in [
        "<!-- covered -->\n### Coverage: 1 of 3 changed lines is not covered\n",
        "| **66.67%** (2 of 3) | **90.00%** | unknown |\n",
        &format!("| [`src/rate.py`](<{github}/octo/app/blob/{HEAD}/src/rate.py>) | 2 of 3 | [3](<"),
        &format!("/blob/{HEAD}/src/rate.py#L3>) |\n"),
        &format!("\n[Changed lines](<{report}_covered/patch.html>) · [Report](<{report}>) · "),
    ] {
        assert!(posted.body.contains(expected), "{expected:?} is not in\n{}", posted.body);
    }

    let run = review.run("problems", WELL);
    let updated = review.only_comment(&run);
    assert_log(&run, "Updated the comment on pull request #7 (");
    assert_eq!(updated.id, posted.id);
    assert!(updated.body.contains("### Coverage: all 3 changed lines are covered\n"), "{}", updated.body);
}

#[test]
fn a_lower_total_is_a_problem() {
    let review = Review::new();
    review.world.upload(&review.report(WELL), SHA);
    let run = review.run("problems", "1111111101");
    let comment = review.only_comment(&run);
    assert!(comment.body.contains("all 3 changed lines are covered, but the total drops"), "{}", comment.body);
    assert!(comment.body.contains("| **100%** (3 of 3) | **90.00%** (-10%) | 100% |"), "{}", comment.body);
}

#[test]
fn always_comments_without_problems_once_for_each_report() {
    let review = Review::new();
    for _ in 0..2 {
        let run = review.run("always", WELL);
        assert!(review.only_comment(&run).body.starts_with(MARKER));
    }
    for name in ["back-end", "back-end", "b"] {
        process::run(review.command("always", MISSED).args(["--name", name])).unwrap().succeeded();
    }
    let comments = review.comments();
    let starts: Vec<&str> = comments.iter().map(|comment| comment.body.lines().next().unwrap()).collect();
    assert_eq!(starts, [MARKER, "<!-- covered: back-end -->", "<!-- covered: b -->"]);
    assert!(comments[0].body.contains("all 3 changed lines"), "{}", comments[0].body);
}

#[test]
fn two_jobs_at_once_leave_one_comment() {
    let review = Review::new();
    review.world.github.gather_comments(2);
    let runs = thread::scope(|scope| {
        let commands = [review.command("always", WELL), review.command("always", MISSED)];
        let jobs = commands.map(|mut command| scope.spawn(move || process::run(&mut command).unwrap().succeeded()));
        jobs.map(|job| job.join().unwrap())
    });
    let requests = review.world.github.requests();
    let sent = |method: &str, start: &str| {
        let path = format!("/repos/{REPOSITORY}/issues/{start}");
        requests.iter().filter(|request| request.method == method && request.path.starts_with(&path)).count()
    };
    assert_eq!(sent("POST", "7/comments"), 2, "each job found no comment");
    assert!(sent("DELETE", "comments/") >= 1);
    let comment = review.only_comment(&runs[0]);
    for run in &runs {
        assert_log(run, "Commented on pull request #7 (");
    }
    // The next job updates it.
    let run = review.run("always", WELL);
    assert_eq!(review.only_comment(&run).id, comment.id);
}

#[test]
fn an_edited_comment_is_updated() {
    let review = Review::new();
    let posted = review.only_comment(&review.run("always", MISSED));
    review.world.github.edit_comment(REPOSITORY, posted.id, &format!("{MARKER}\r\nI doubt it."));
    let updated = review.only_comment(&review.run("always", MISSED));
    // The links lead to another report.
    let numbers = |body: &str| body.split_once("\n[Changed lines](").map(|(numbers, _)| numbers.to_owned()).unwrap();
    assert_eq!((updated.id, numbers(&updated.body)), (posted.id, numbers(&posted.body)));
}

#[test]
fn the_comment_is_found_behind_300_others() {
    let review = Review::new();
    for at in 0..300 {
        review.say(Author::person("ann"), &format!("Number {at} quotes {MARKER}"));
    }
    review.run("always", MISSED);
    let run = review.run("always", WELL);
    let comments = review.comments();
    assert_eq!(comments.len(), 301, "{}", run.text());
    assert!(comments[300].body.contains("all 3 changed lines are covered"), "{}", comments[300].body);
    assert!(comments[..300].iter().all(|comment| comment.body.contains("quotes")));
}

#[test]
fn comments_of_others_with_the_marker_are_left_alone() {
    let review = Review::new();
    let bot = Author { login: "other[bot]".to_owned(), id: 9, ..Author::github_actions() };
    for author in [Author::person("mallory"), Author::person("github-actions"), bot] {
        review.say(author, &format!("{MARKER}\n100%"));
    }
    let others = review.comments();
    review.run("always", MISSED);
    let run = review.run("problems", WELL);
    let comments = review.comments();
    assert_eq!((&comments[..3], comments.len()), (others.as_slice(), 4), "{}", run.text());
    assert!(comments[3].body.contains("all 3 changed lines are covered"), "{}", comments[3].body);
}

#[test]
fn a_persons_token_updates_the_comment_of_this_person() {
    let review = Review::new();
    review.say(Author::github_actions(), &format!("{MARKER}\nof a job's token"));
    review.world.github.set_author(Author::person("ann"));
    review.run("always", MISSED);
    let run = review.run("always", WELL);
    let authors: Vec<String> = review.comments().into_iter().map(|comment| comment.author.login).collect();
    assert_eq!(authors, ["github-actions[bot]", "ann"], "{}", run.text());
    assert!(review.comments()[0].body.ends_with("of a job's token"));
}

#[test]
fn a_second_comment_of_an_earlier_run_is_deleted() {
    let review = Review::new();
    let first = review.say(Author::github_actions(), &format!("{MARKER}\nfirst"));
    review.say(Author::github_actions(), &format!("{MARKER}\nsecond"));
    let run = review.run("problems", WELL);
    assert_eq!(review.only_comment(&run).id, first);
}

#[test]
fn closed_and_newer_pull_requests_get_no_comment() {
    let review = Review::new();
    review.world.github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.state = "closed".to_owned());
    assert_log(&review.run("always", MISSED), "No patch coverage and no comment: pull request #7 is closed");
    review.world.github.change_pull_request(REPOSITORY, NUMBER, |pull| {
        (pull.state, pull.head_sha) = ("open".to_owned(), SHA.to_owned());
    });
    let run = review.run("always", MISSED);
    assert_log(&run, &format!("No patch coverage and no comment: pull request #7 has moved on to {}, ", &SHA[..7]));
    assert_eq!(review.comments(), []);
    assert!(!review.summary().contains("no comment"), "{}", review.summary());
}

#[test]
fn without_the_changes_the_comment_shows_the_total_and_why() {
    const MERGE: &str = "3333333333333333333333333333333333333333";
    let review = Review::new();
    review.world.upload(&review.report(WELL), SHA);
    let github = &review.world.github;
    github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.merge_commit_sha = Some(MERGE.to_owned()));
    github.set_private(REPOSITORY);
    let run = || {
        let mut command = review.command("always", MISSED);
        fs::write(review.world.folder.path().join(".git/HEAD"), MERGE).unwrap();
        process::run(command.env("GITHUB_SHA", MERGE)).unwrap().succeeded()
    };
    // Nothing shows that the pull request is still open, and that its head was tested.
    github.allow(&[Permission::StatusesWrite]);
    review.warns(&run(), "GitHub did not list the comments of pull request #7 of octo/app (403 Forbidden: ");
    assert!(review.summary().contains("permissions: pull-requests: write"), "{}", review.summary());

    github.allow(&[Permission::PullRequestsWrite, Permission::StatusesWrite]);
    let posted = run();
    assert_log(&posted, "Commented on pull request #7 (");
    let comment = review.only_comment(&posted);
    let report = posted.stdout.lines().find_map(|line| line.strip_prefix("Report: ")).unwrap();
    for expected in [
        "<!-- covered -->\n### Coverage: unknown for the changed lines, and the total drops\n",
        "| unknown | **90.00%** (-10%) | 100% |\n\nThe changed lines could not be counted: ``the token has no access to",
        " give the job `permissions: contents: read` (a personal token: Contents, read)``\n",
        &format!("\n\n[Report](<{report}>) · commit ["),
    ] {
        assert!(comment.body.contains(expected), "{expected:?} is not in\n{}", comment.body);
    }
    let warning = "warning: no patch coverage: the token has no access to the merge commit";
    assert!(posted.stderr.contains(warning), "{}", posted.text());
}

#[test]
fn a_missing_permission_is_named_and_fails_nothing() {
    let review = Review::new();
    review.world.github.allow(&[Permission::PullRequestsRead, Permission::ContentsRead, Permission::StatusesWrite]);
    let run = review.run("always", MISSED);
    review.warns(&run, "GitHub did not post the comment of pull request #7 of octo/app (403 Forbidden: ");
    assert!(run.stderr.contains("`permissions: pull-requests: write`"), "{}", run.text());
}

#[test]
fn a_locked_conversation_gets_no_comment() {
    let review = Review::new();
    review.world.github.change_pull_request(REPOSITORY, NUMBER, |pull| pull.locked = true);
    let run = review.run("always", MISSED);
    review.warns(&run, "GitHub did not post the comment of pull request #7 of octo/app (403 Forbidden: ");
    assert!(run.stderr.contains("unlock the conversation"), "{}", run.text());
}
