//! Changed lines in real workflow runs, and their page in a real browser.

use serde_json::{Value, json};
use xtask::lab::github::{ChangedFile, Comparison, PullRequest, Status};
use xtask::lab::http;
use xtask::lab::node::{Step, browse};
use xtask::lab::parts::{Part, skip_without};

use crate::action::{self, TESTED as HEAD, Workflow, repository};
use crate::artifact::{Keyless, artifact, assert_log, fixtures};
use crate::patch_job::{FORTY, Job, NUMBER, Rows, TOTAL, adding, changed, pull_request, source, world};
use crate::{REPOSITORY, World};

/// A workflow of the pull request, whose merge commit is the one that is checked out.
fn workflow<'a>(world: &'a World, inputs: &'static str) -> Workflow<'a> {
    let payload = json!({"number": NUMBER, "repository": repository(), "pull_request": {"number": NUMBER,
        "head": {"sha": HEAD, "ref": "change", "repo": {"full_name": REPOSITORY}}}});
    let steps = vec![("htmlcov", inputs)];
    let workflow = Workflow { event: "pull_request", payload, percent: TOTAL, steps, ..Workflow::push(world) };
    let merge = workflow.commit();
    let base = "5".repeat(40);
    let pull = PullRequest {
        merge_commit_sha: Some(merge),
        base_sha: base.clone(),
        merge_base_sha: base,
        ..pull_request(vec![changed()])
    };
    world.github.add_pull_request(REPOSITORY, pull);
    workflow
}

#[track_caller]
fn statuses(world: &World) -> [Status; 2] {
    let mut all = world.github.statuses(REPOSITORY, HEAD);
    all.sort_by(|one, other| one.context.cmp(&other.context));
    all.try_into().unwrap_or_else(|all| panic!("expected two statuses: {all:?}"))
}

#[test]
fn a_pull_request_of_the_same_repository_gets_its_number_in_the_tested_workflow() {
    let Some(world) = action::world() else { return };
    let result = workflow(&world, "").execute().succeeded();
    let [total, patch] = statuses(&world);
    assert_eq!((total.context.as_str(), total.description.as_str()), ("covered", "88.37%"), "{}", result.log());
    assert_eq!((patch.context.as_str(), patch.state.as_str()), ("covered/patch", "success"));
    assert_eq!(patch.description, FORTY, "{}", result.log());
    assert_eq!(patch.target_url, format!("{}_covered/patch.html", result.output("report-url")));
    for (name, expected) in [("patch-coverage", "40"), ("patch-lines", "5"), ("patch-missed", "3"), ("coverage", TOTAL)]
    {
        assert_eq!(result.output(name), expected, "{name}: {}", result.log());
    }
    result.log_contains(&[
        "Pull request #17: 40% of 5 changed lines",
        "| Changed lines | 40% of 5 changed lines, [see the lines](",
    ]);
    let rows = Rows(http::get(&patch.target_url).unwrap().text());
    assert_eq!((rows.of("hit"), rows.of("missed")), (vec![19, 20], vec![21, 22, 23]));
}

#[test]
fn a_missed_patch_threshold_fails_the_workflow_with_fail_under() {
    let Some(world) = action::world() else { return };
    let result = workflow(&world, "patch-threshold: 80\nfail-under: true").execute().red();
    let [total, patch] = statuses(&world);
    assert_eq!((total.state.as_str(), patch.state.as_str()), ("success", "failure"), "{}", result.log());
    assert_eq!(patch.description, format!("{FORTY}, below the threshold of 80%"));
    result.log_contains(&["::error::the job fails because of fail-under: 40%25 of 5 changed lines, below"]);
    assert_eq!((result.output("uploaded"), result.output("patch-missed")), ("true", "3"));
}

/// The fork's pull request that changes the file in the artifact's report.
fn fork() -> (PullRequest, Value) {
    let page = std::fs::read_to_string(fixtures().join("coverage_py/sample_py.html")).unwrap();
    assert!(page.contains("Coverage for sample.py"), "the fixture changed");
    let patch = "@@ -4,1 +4,6 @@\n def sign(number):\n+    if number > 0:\n+        return \"plus\"\n+    if number < 0:\n\
                 +        return \"minus\"\n+    return \"zero\"";
    let from = json!({"id": 77, "full_name": "stranger/app", "fork": true, "owner": {"login": "stranger"}});
    let pull = PullRequest {
        head_repository: Some((77, "stranger/app".into())),
        ..pull_request(vec![ChangedFile::modified("sample.py", patch)])
    };
    (pull, json!({"event": "pull_request", "head_branch": "change", "head_repository": from}))
}

#[test]
fn the_artifact_recipe_finds_the_pull_request_of_a_fork() {
    let Some(keyless) = Keyless::new(artifact()) else { return };
    let (world, (pull, tested)) = (&keyless.world, fork());
    let base = pull.base_sha.clone();
    world.github.add_pull_request(REPOSITORY, pull);
    // The base branch has moved on to the commit with the workflow.
    let moved = |files| Comparison { merge_base_sha: base.clone(), commits: Vec::new(), files };
    world.github.set_compare(REPOSITORY, HEAD, "main", moved(Vec::new()));
    let job = keyless.run_after(&tested, true).succeeded();
    let text = "80% of 5 changed lines";
    assert_log(&job, &["**84.62%**", &format!("Pull request #17: {text}"), "Badge not updated"]);
    let [total, patch] = statuses(world);
    assert_eq!((total.description.as_str(), patch.description.as_str()), ("84.62%", text), "{}", job.text());
    assert_eq!(patch.target_url, format!("{}_covered/patch.html", total.target_url));
    let rows = Rows(http::get(&patch.target_url).unwrap().text());
    assert_eq!((rows.of("hit"), rows.of("partly"), rows.of("missed")), (vec![5, 6, 8], vec![7], vec![9]));
    rows.contains(&["4 of 5 changed lines are covered, 1 of them only partly", "../sample_py.html"]);

    // The base branch changed the same file: which lines were tested is not known.
    let same = ChangedFile::modified("sample.py", "@@ -1 +1,2 @@\n a\n+b");
    world.github.set_compare(REPOSITORY, HEAD, "main", moved(vec![same]));
    let job = keyless.run_after(&tested, true).succeeded();
    assert_log(&job, &["Not counted, the base branch changed it too, so its line numbers are uncertain: sample.py"]);
    let patch = world.github.statuses(REPOSITORY, HEAD).into_iter().rfind(|status| status.context == "covered/patch");
    assert_eq!(patch.unwrap().description, "unknown: 1 file not counted (the base branch changed it too)");
}

/// A page with all kinds of lines and long names.
fn page(world: &World) -> String {
    let long = "a/very/long/path/".repeat(12) + "module_with_a_name_that_never_ends.py";
    let wide = format!("@@ -16 +16,3 @@ {}\n x\n+{}\n+\tpass", "heading ".repeat(30), "wide ".repeat(80));
    let moved = ChangedFile { patch: Some(adding(&source(), 4, 13) + "\n" + &adding(&source(), 17, 33)), ..changed() };
    let moved = ChangedFile { additions: 27, ..moved };
    let tests = ChangedFile::modified("test_temperature.py", &wide);
    world
        .github
        .add_pull_request(REPOSITORY, pull_request(vec![moved, tests, ChangedFile::added(&long, "@@ -0,0 +1 @@\n+x")]));
    let posted = Job::new(world).with(&["--patch-threshold", "80"]).run();
    posted.patch().target_url.clone()
}

#[test]
fn the_page_is_readable_in_every_window() {
    if skip_without(&[Part::Node, Part::Chromium]) {
        return;
    }
    let world = world();
    let url = page(&world);
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let dead_links =
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(link => !document.querySelector(link.hash)).length";
    let colors = "getComputedStyle(document.querySelector('.missed td:last-child')).backgroundColor";
    let seen = browse(&[
        Step::Open(&url),
        Step::Evaluate("document.scripts.length"),
        Step::Evaluate(overflow),
        Step::Evaluate(colors),
        Step::Screenshot("patch-light.png"),
        Step::Axe,
        Step::Colors("dark"),
        Step::Axe,
        Step::Evaluate("getComputedStyle(document.documentElement).colorScheme"),
        Step::Screenshot("patch-dark.png"),
        Step::Size(375, 812),
        Step::Evaluate(overflow),
        Step::Screenshot("patch-phone.png"),
        Step::Colors("light"),
        Step::Evaluate("window.scrollTo(0, 900)"),
        Step::Screenshot("patch-phone-lines.png"),
        Step::Evaluate(dead_links),
        Step::Click("text=21–23"),
        Step::Evaluate("document.querySelector(':target').innerText.startsWith('21')"),
        Step::Click("text=in the report"),
        Step::Open(&url),
        Step::Click("text=The whole report"),
    ]);
    assert_eq!(seen.results[0], 200);
    assert_eq!((&seen.results[1], &seen.results[2], &seen.results[11]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!((&seen.results[5], &seen.results[7]), (&json!([]), &json!([])));
    assert!(seen.results[3].as_str().unwrap().starts_with("rgba(207, 34, 46"), "{}", seen.results[3]);
    let report = url.strip_suffix("_covered/patch.html").unwrap();
    assert_eq!(seen.results[19], format!("{report}temperature_py.html#t21"));
    assert_eq!(seen.results[21], format!("{report}index.html"));
    assert_eq!((&seen.results[16], &seen.results[18]), (&json!(0), &json!(true)));
    assert_eq!(seen.problems, [json!(null); 0]);
}
