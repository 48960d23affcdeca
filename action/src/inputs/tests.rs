//! Precedence of values, events, and invalid values.

use std::ffi::OsString;

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
const HEAD: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// Parses `arguments`, split at spaces, with these variables and with `event` as the event file.
fn read(arguments: &str, variables: &[(&str, &str)], event: &str) -> Result<Inputs, Vec<String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), event).unwrap();
    let path = file.path().to_str().unwrap();
    let env = |name: &str| {
        let given = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        given.or((name == "GITHUB_EVENT_PATH").then_some(path)).map(str::to_owned)
    };
    match parse(arguments.split_whitespace().map(OsString::from), &env)? {
        Command::Run(inputs) => Ok(*inputs),
        _ => panic!("{arguments} does not run"),
    }
}

fn in_event(name: &str, event: &str) -> Inputs {
    run_in_event("htmlcov", name, event)
}

fn run_in_event(arguments: &str, name: &str, event: &str) -> Inputs {
    let variables = [
        ("COVERED_API_URL", "https://covered.example.com"),
        ("COVERED_API_KEY", "key"),
        ("GITHUB_REPOSITORY", "octo/app"),
        ("GITHUB_EVENT_NAME", name),
        ("GITHUB_SHA", SHA),
        ("GITHUB_RUN_ID", "7"),
    ];
    read(arguments, &variables, event).unwrap()
}

fn push(full_name: &str, branch: &str) -> String {
    let repository = format!(r#"{{"full_name":"{full_name}","default_branch":"main"}}"#);
    format!(r#"{{"ref":"{branch}","repository":{repository}}}"#)
}

fn workflow_run(event: &str, from: &str, branch: &str) -> String {
    let run = format!(r#""id":42,"event":"{event}","head_sha":"{HEAD}","head_branch":"{branch}""#);
    format!(
        r#"{{"workflow_run":{{{run},"head_repository":{{"full_name":"{from}"}}}},"repository":{{"default_branch":"main"}}}}"#
    )
}

fn commit_run_and_badge(inputs: &Inputs) -> (&str, Option<u64>, BadgeUpdate) {
    (&inputs.target.as_ref().unwrap().commit_sha, inputs.run_id, inputs.badge)
}

#[test]
fn a_push_to_the_default_branch_updates_the_badge() {
    assert_eq!(
        commit_run_and_badge(&in_event("push", &push("Octo/App", "refs/heads/main"))),
        (SHA, Some(7), BadgeUpdate::SetValue)
    );
    for event in
        [push("octo/app", "refs/heads/topic"), push("octo/app", "refs/tags/main"), push("evil/app", "refs/heads/main")]
    {
        assert_eq!(
            commit_run_and_badge(&in_event("push", &event)),
            (SHA, Some(7), BadgeUpdate::NotDefaultBranch),
            "{event}"
        );
    }
}

#[test]
fn a_pull_requests_commit_is_its_head_not_the_merge_commit() {
    let event = format!(r#"{{"pull_request":{{"head":{{"sha":"{HEAD}"}}}},"repository":{{"default_branch":"main"}}}}"#);
    assert_eq!(commit_run_and_badge(&in_event("pull_request", &event)), (HEAD, Some(7), BadgeUpdate::NotDefaultBranch));
    assert_eq!(
        commit_run_and_badge(&in_event("pull_request_target", &event)),
        (HEAD, Some(7), BadgeUpdate::NotDefaultBranch)
    );
}

#[test]
fn a_workflow_run_uses_the_commit_and_id_of_the_tested_run() {
    let event = workflow_run("push", "octo/app", "main");
    assert_eq!(commit_run_and_badge(&in_event("workflow_run", &event)), (HEAD, Some(42), BadgeUpdate::SetValue));
}

/// Runs that are not a push to the default branch of `octo/app`.
fn other_runs() -> [String; 7] {
    [
        workflow_run("pull_request", "evil/app", "main"),
        workflow_run("push", "evil/app", "main"),
        workflow_run("pull_request", "octo/app", "main"),
        workflow_run("push", "octo/app", "topic"),
        workflow_run("schedule", "octo/app", "main"),
        workflow_run("workflow_dispatch", "octo/app", "main"),
        workflow_run("merge_group", "octo/app", "gh-readonly-queue/main/pr-7-0"),
    ]
}

#[test]
fn runs_of_forks_and_other_events_do_not_update_the_badge() {
    for event in other_runs() {
        assert_eq!(
            commit_run_and_badge(&in_event("workflow_run", &event)),
            (HEAD, Some(42), BadgeUpdate::NotDefaultBranch),
            "{event}"
        );
    }
}

#[test]
fn purge_cache_sets_a_value_only_for_pushes_to_the_default_branch() {
    for flag in ["--purge-cache", "--purge-cache=yes", "--is-default-branch"] {
        let purge = |name: &str, event: &str| run_in_event(&format!("htmlcov {flag}"), name, event).badge;
        for event in other_runs() {
            assert_eq!(purge("workflow_run", &event), BadgeUpdate::DropValue, "{flag} {event}");
        }
        let repository = r#""repository":{"full_name":"octo/app","default_branch":"main"}"#;
        let pull = format!(r#"{{"ref":"refs/heads/main","pull_request":{{"head":{{"sha":"{HEAD}"}}}},{repository}}}"#);
        for name in ["pull_request", "pull_request_target", "workflow_dispatch", "schedule", "create"] {
            assert_eq!(purge(name, &pull), BadgeUpdate::DropValue, "{flag} {name}");
        }
        assert_eq!(purge("push", &push("octo/app", "refs/heads/topic")), BadgeUpdate::DropValue);
        assert_eq!(purge("push", &push("evil/app", "refs/heads/main")), BadgeUpdate::DropValue);
        assert_eq!(purge("workflow_run", &workflow_run("push", "octo/app", "main")), BadgeUpdate::SetValue);
        assert_eq!(purge("push", &push("octo/app", "refs/heads/main")), BadgeUpdate::SetValue);
    }
    let no = run_in_event("htmlcov --purge-cache=no", "push", &push("octo/app", "refs/heads/main"));
    assert_eq!(no.badge, BadgeUpdate::Disabled);
}

#[test]
fn purge_cache_sets_a_value_from_a_terminal_but_not_in_actions_without_an_event() {
    let purge = |variable| read("htmlcov --dry-run --purge-cache", &[variable], "").unwrap().badge;
    assert_eq!(purge(("GITHUB_SHA", SHA)), BadgeUpdate::SetValue);
    assert_eq!(purge(("GITHUB_ACTIONS", "true")), BadgeUpdate::DropValue);
    assert_eq!(purge(("GITHUB_EVENT_NAME", "push")), BadgeUpdate::DropValue);
}

#[test]
fn other_events_use_github_sha_and_do_not_update_the_badge() {
    let repository = r#""repository":{"full_name":"octo/app","default_branch":"main"}"#;
    for (name, event) in [
        ("workflow_dispatch", format!(r#"{{"ref":"refs/heads/main","inputs":null,{repository}}}"#)),
        ("schedule", r#"{"schedule":"0 4 * * *"}"#.to_owned()),
        ("release", format!(r#"{{"action":"published","release":{{"tag_name":"main"}},{repository}}}"#)),
        ("create", format!(r#"{{"ref":"main","ref_type":"tag","master_branch":"main",{repository}}}"#)),
        ("delete", format!(r#"{{"ref":"main","ref_type":"branch",{repository}}}"#)),
    ] {
        assert_eq!(
            commit_run_and_badge(&in_event(name, &event)),
            (SHA, Some(7), BadgeUpdate::NotDefaultBranch),
            "{name} {event}"
        );
    }
    assert_eq!(commit_run_and_badge(&in_event("", "{}")), (SHA, Some(7), BadgeUpdate::NoEvent));
}

#[test]
fn a_merge_groups_commit_is_its_head() {
    let group = format!(
        r#"{{"head_sha":"{HEAD}","head_ref":"refs/heads/gh-readonly-queue/main/pr-7-0","base_ref":"refs/heads/main"}}"#
    );
    let event = format!(
        r#"{{"action":"checks_requested","merge_group":{group},"repository":{{"full_name":"octo/app","default_branch":"main"}}}}"#
    );
    assert_eq!(commit_run_and_badge(&in_event("merge_group", &event)), (HEAD, Some(7), BadgeUpdate::NotDefaultBranch));
    assert_eq!(commit_run_and_badge(&in_event("merge_group", "{}")), (SHA, Some(7), BadgeUpdate::NotDefaultBranch));
}

#[test]
fn github_sha_is_not_used_for_events_with_their_own_commit() {
    for event in ["workflow_run", "pull_request"] {
        let variables = [
            ("INPUT_API_URL", "https://covered.example.com"),
            ("INPUT_API_KEY", "key"),
            ("GITHUB_REPOSITORY", "octo/app"),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_SHA", SHA),
        ];
        let problems = read("htmlcov", &variables, "{}").unwrap_err();
        assert_eq!(problems, ["missing commit-sha: set --commit-sha, INPUT_COMMIT_SHA or COVERED_COMMIT_SHA"]);
        let [problem] = &read("htmlcov", &variables, "no JSON").unwrap_err()[..] else { panic!("{event}") };
        assert!(problem.starts_with("missing commit-sha: the event file "), "{problem}");
        assert!(problem.contains(" (GITHUB_EVENT_PATH) is not valid JSON: "), "{problem}");
    }
}

#[test]
fn errors_in_github_values_name_their_source() {
    let zeros = "0".repeat(40);
    let is_zero = "is all zeros, which is not a commit: GitHub sends zeros when a push deletes a branch";
    let is_bad = r#""abc" must be a full commit hash of 40 hexadecimal digits"#;
    for (name, field, event) in [
        ("workflow_run", "workflow_run.head_sha", r#"{"workflow_run":{"head_sha":"SHA"}}"#),
        ("pull_request", "pull_request.head.sha", r#"{"pull_request":{"head":{"sha":"SHA"}}}"#),
        ("merge_group", "merge_group.head_sha", r#"{"merge_group":{"head_sha":"SHA"}}"#),
    ] {
        for (sha, problem) in [(zeros.as_str(), is_zero), ("abc", is_bad)] {
            let variables = [
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_EVENT_NAME", name),
                ("GITHUB_REPOSITORY", "octo/app"),
                ("INPUT_API_URL", "https://covered.example.com"),
                ("INPUT_API_KEY", "key"),
            ];
            let text = format!("commit-sha: the event's `{field}` {problem}; set commit-sha (--commit-sha)");
            let event = event.replace("SHA", sha);
            assert_eq!(read("htmlcov", &variables, &event).unwrap_err(), [format!("missing {text}")]);
            assert_eq!(read("htmlcov --dry-run", &variables, &event).unwrap().target.unwrap_err(), [text]);
            let given = read(&format!("htmlcov --commit-sha {SHA}"), &variables, &event).unwrap();
            assert_eq!(given.target.unwrap().commit_sha, SHA);
        }
    }
    let variables = [("GITHUB_REPOSITORY", "octo/a b"), ("GITHUB_SHA", "abc")];
    let missing = read("htmlcov --dry-run --api-url https://c --api-key k", &variables, "{}").unwrap().target;
    let is_name = r#""a b" must be the name of a GitHub owner or repository"#;
    let repository = format!("repo-name: GITHUB_REPOSITORY {is_name}; set repo-name (--repo-name)");
    assert_eq!(
        missing.unwrap_err(),
        [repository, format!("commit-sha: GITHUB_SHA {is_bad}; set commit-sha (--commit-sha)")]
    );
}

#[test]
fn flags_override_input_then_covered_then_github_variables() {
    let mut variables = vec![("GITHUB_REPOSITORY", "github/app"), ("INPUT_PATH", "reports")];
    let owner = |arguments: &str, variables: &[(&str, &str)]| {
        let arguments =
            format!("--dry-run --api-url https://c.example.com/ --api-key k --commit-sha {SHA} {arguments}");
        read(&arguments, variables, "").unwrap().target.unwrap().repository.owner
    };
    assert_eq!(owner("", &variables), "github");
    variables.push(("COVERED_REPO_OWNER", "covered"));
    assert_eq!(owner("", &variables), "covered");
    variables.push(("INPUT_REPO_OWNER", "input"));
    assert_eq!(owner("", &variables), "input");
    assert_eq!(owner("--repo-owner flag", &variables), "flag");
    assert_eq!(owner("--repo-owner=", &variables), "input");
}

#[test]
fn empty_values_are_treated_as_unset() {
    let variables = [("INPUT_COVERAGE_THRESHOLD", " "), ("COVERED_COVERAGE_THRESHOLD", "87.5\n"), ("INPUT_NAME", "")];
    let inputs = read("htmlcov --dry-run", &variables, "").unwrap();
    assert_eq!(
        (inputs.gate.threshold.to_string().as_str(), inputs.name, inputs.context.as_str()),
        ("87.5", None, "covered")
    );
}

#[test]
fn defaults_match_the_python_original() {
    let inputs = read("htmlcov --dry-run", &[], "").unwrap();
    assert_eq!(inputs.gate.threshold.to_string(), "100");
    assert_eq!((inputs.transfer.timeout.as_secs(), inputs.context.as_str()), (300, "covered"));
    assert_eq!(
        (inputs.github.api.as_str(), inputs.github.server.as_str()),
        ("https://api.github.com", "https://github.com")
    );
    assert!(inputs.github.token.is_none() && inputs.badge == BadgeUpdate::NoEvent);
}

#[test]
fn a_named_report_has_its_own_context_by_default() {
    let context = |arguments: &str| read(&format!("htmlcov --dry-run {arguments}"), &[], "").unwrap().context;
    assert_eq!(context("--name backend"), "covered/backend");
    assert_eq!(context("--name backend --context coverage"), "coverage");
}

#[test]
fn a_context_of_another_reports_changed_lines_is_a_warning() {
    let notes = |arguments: &str| read(&format!("htmlcov --dry-run {arguments}"), &[], "{}").unwrap().notes;
    for (arguments, context, other) in [
        ("--name patch", "covered/patch", "covered"),
        ("--name Patch", "covered/Patch", "covered"),
        ("--context tests/api/patch", "tests/api/patch", "tests/api"),
    ] {
        let warning = format!(
            "the status `{context}` is also that of the changed lines of a report with the status `{other}`: choose \
             another name (--name) or context (--context)"
        );
        assert_eq!(notes(arguments), [warning]);
    }
    for arguments in ["--name patches", "--name patch --context tests", "--context covered-patch", ""] {
        assert_eq!(notes(arguments), [""; 0], "{arguments}");
    }
}

#[test]
fn purge_cache_needs_no_value() {
    let purge = |arguments: &str, variable| {
        read(&format!("--dry-run {arguments} htmlcov"), &[("COVERED_PURGE_CACHE", variable)], "").unwrap().badge
    };
    assert_eq!(purge("--purge-cache", ""), BadgeUpdate::SetValue);
    assert_eq!(purge("--purge-cache=false", "true"), BadgeUpdate::Disabled);
    assert_eq!(purge("--purge-cache=auto", "true"), BadgeUpdate::NoEvent);
    assert_eq!(purge("", "1"), BadgeUpdate::SetValue);
}

#[test]
fn trailing_slashes_of_urls_are_removed() {
    let variables =
        [("GITHUB_REPOSITORY", "octo/app"), ("GITHUB_SHA", SHA), ("GITHUB_API_URL", "https://ghe.example.com/api/v3/")];
    let inputs = read("htmlcov --api-key k --api-url https://c.example.com/covered//", &variables, "").unwrap();
    assert_eq!(inputs.target.unwrap().api_url, "https://c.example.com/covered");
    assert_eq!(inputs.github.api, "https://ghe.example.com/api/v3");
}

#[test]
fn all_invalid_inputs_are_reported_together() {
    let wrong = "--api-url ftp://x --commit-sha abc --repo-owner a/b --name .x --timeout 0 --coverage-threshold 101 \
                 --patch-threshold 80%";
    let problems = read(wrong, &[("COVERED_PURGE_CACHE", "maybe"), ("GITHUB_API_URL", "x")], "").unwrap_err();
    assert_eq!(
        problems,
        [
            r#"--name ".x" must be a name of 1 to 64 letters, digits, dots, dashes and underscores"#,
            r#"--repo-owner "a/b" must be the name of a GitHub owner or repository"#,
            r#"COVERED_PURGE_CACHE "maybe" must be true or false"#,
            "--api-url \"ftp://x\" must be an address such as https://covered.example.com",
            r#"--commit-sha "abc" must be a full commit hash of 40 hexadecimal digits"#,
            "GITHUB_API_URL \"x\" must be an address such as https://covered.example.com",
            "missing directory: pass the report's folder, as in `covered htmlcov`, or --artifact",
            r#"--coverage-threshold "101" must be between 0 and 100, as in 80, without %"#,
            r#"--patch-threshold "80%" must be between 0 and 100, as in 80, without %"#,
            r#"--timeout "0" must be a number of seconds between 1 and 86400"#,
            "missing repo-name: set --repo-name, INPUT_REPO_NAME or COVERED_REPO_NAME",
            "missing api-key: set --api-key, INPUT_API_KEY or COVERED_API_KEY",
        ]
    );
}

#[test]
fn invalid_urls_are_rejected() {
    for text in [
        "",
        "x",
        "covered.example.com",
        "ftp://x",
        "https://",
        "https:///x",
        "https://k@x",
        "https://x?a",
        "https://x#a",
        "https://x y",
    ] {
        assert!(check::url(text).is_err(), "{text}");
    }
    for text in ["http://127.0.0.1:8000", "https://c.example.com/covered", "http://[::1]:80"] {
        assert_eq!(check::url(text).unwrap(), text);
    }
}

#[test]
fn secrets_are_hidden_in_errors_and_debug_output() {
    let variables = [("COVERED_GH_TOKEN", "hunter2"), ("COVERED_API_KEY", "hunter3 \u{7}")];
    let problems = read("htmlcov --dry-run", &variables, "").unwrap_err();
    assert_eq!(
        problems,
        ["COVERED_API_KEY contains an invalid character: was it truncated or quoted when it was stored?"]
    );
    let inputs = read("htmlcov --dry-run", &variables[..1], "").unwrap();
    assert!(inputs.github.token.is_some() && !format!("{inputs:?}").contains("hunter"), "{inputs:?}");
}
