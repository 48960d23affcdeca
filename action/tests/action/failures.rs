//! What fails the job: `fail-on-error` and `fail-under`.

use std::net::TcpListener;

use crate::peer::{Peer, Reply, Request};
use crate::run::{Covered, Outcome, SHA};

const CREATE: &str = "/coverage/create-site/";

/// A run in Actions with `fail-on-error: false`, and this response of the server.
fn run_without_fail_on_error(reply: Reply) -> Outcome {
    let peer = Peer::new();
    peer.on("POST", CREATE, [reply]);
    without_fail_on_error(&peer)
        .run()
        .succeeds()
        .outputs("uploaded=false")
        .stdout_contains("The job continues because fail-on-error is false")
}

fn without_fail_on_error(peer: &Peer) -> Covered {
    Covered::new(peer).in_actions().env("INPUT_FAIL_ON_ERROR", "false")
}

#[test]
fn outages_are_reported_in_log_summary_and_outputs() {
    let text = "the covered server at http://127.0.0.1:";
    let down = || Reply::new(503, r#"{"detail":"the store is away"}"#).with("retry-after", "0");
    run_without_fail_on_error(down())
        .stdout_contains(&format!("::warning::{text}"))
        .omits("::error::")
        .summary_contains("created no site (503 Service Unavailable after 6 tries: the store is away)")
        .summary_contains("| Report | not uploaded |")
        .outputs("coverage=84.62");
    let peer = Peer::new();
    peer.on("POST", CREATE, [down()]);
    Covered::new(&peer).run().fails(&format!("error: {text}"));
}

#[test]
fn an_unreachable_server_is_an_outage() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let peer = Peer::new();
    let covered = without_fail_on_error(&peer).env("COVERED_API_URL", &format!("http://{address}")).arg("--timeout=1");
    covered
        .run()
        .succeeds()
        .stdout_contains("::warning::http://127.0.0.1:")
        .stdout_contains("refused the connection")
        .omits("::error::");
}

#[test]
fn an_outage_of_github_is_a_warning_after_the_upload() {
    let peer = Peer::new();
    let down = Reply::new(502, "<html>").with("retry-after", "0");
    peer.on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [down]);
    let outcome = without_fail_on_error(&peer).run().succeeds().outputs("uploaded=true");
    outcome
        .stdout_contains("::warning::GitHub did not accept the status (502 Bad Gateway after 6 tries")
        .omits("::error::");
}

#[test]
fn configuration_errors_are_error_annotations_even_if_the_job_continues() {
    run_without_fail_on_error(Reply::new(403, r#"{"detail":"wrong API key"}"#))
        .stdout_contains("::error::the covered server does not accept");
    run_without_fail_on_error(Reply::new(404, "<html>")).stdout_contains("::error::there is no covered server at ");
    let peer = Peer::new();
    let covered = without_fail_on_error(&peer).env("COVERED_API_URL", "http://covered.invalid").arg("--timeout=1");
    covered.run().succeeds().stdout_contains("::error::http://covered.invalid/");
    peer.on("POST", &format!("/repos/octo/app/statuses/{SHA}"), [Reply::new(403, r#"{"message":"no"}"#)]);
    without_fail_on_error(&peer)
        .run()
        .succeeds()
        .stdout_contains("::error::the token may not write statuses")
        .outputs("uploaded=true");
}

#[test]
fn a_missing_report_fails_the_job_if_fail_on_error_is_true() {
    let peer = Peer::new();
    let missing = |covered: Covered| {
        let report = covered.report();
        std::fs::remove_dir_all(report).unwrap();
        covered.run()
    };
    let outcome = missing(without_fail_on_error(&peer))
        .succeeds()
        .stdout_contains("::error::there is no folder `")
        .outputs("uploaded=false");
    outcome.summary_contains("there is no folder ");
    missing(Covered::new(&peer)).fails("error: there is no folder `");
    assert!(peer.requests().is_empty());
}

#[test]
fn invalid_inputs_fail_even_without_fail_on_error() {
    let peer = Peer::new();
    without_fail_on_error(&peer)
        .arg("--timeout=0")
        .run()
        .rejects("")
        .stdout_contains("::error::--timeout \"0\" must be")
        .outputs("uploaded=false");
    without_fail_on_error(&peer)
        .env("COVERED_API_KEY", "")
        .run()
        .rejects("")
        .stdout_contains("::error::missing api-key");
    Covered::new(&peer).arg("--fail-on-error=maybe").run().rejects("--fail-on-error \"maybe\" must be true or false");
}

#[test]
fn fail_under_fails_the_job_below_the_threshold() {
    let peer = Peer::new();
    let gate = |threshold: &str| {
        without_fail_on_error(&peer).arg("--fail-under").arg(format!("--coverage-threshold={threshold}"))
    };
    let outcome = gate("84.62").run();
    assert_eq!(outcome.code, Some(1));
    let text = "the job fails because of fail-under: 84.62% (84.6153…%), below the threshold of 84.62%";
    outcome
        .stdout_contains(&format!("::error::{}", text.replace('%', "%25")))
        .summary_contains(text)
        .outputs("state=failure");
    gate("84.6").run().succeeds().omits("fail-under");
    let plain = Covered::new(&peer).arg("--fail-under").arg("--coverage-threshold=90").run();
    plain.fails("error: the job fails because of fail-under: 84.62%, below the threshold of 90%");
}

#[test]
fn fail_under_fails_the_job_even_if_the_upload_failed() {
    let peer = Peer::new();
    peer.on("POST", CREATE, [Reply::new(503, "").with("retry-after", "0")]);
    let outcome = without_fail_on_error(&peer).arg("--fail-under").arg("--coverage-threshold=90").run();
    assert_eq!(outcome.code, Some(1));
    outcome
        .stdout_contains("::warning::")
        .stdout_contains("::error::the job fails because of fail-under: ")
        .outputs("uploaded=false");
}

#[test]
fn a_missing_total_fails_the_status_if_a_threshold_is_set() {
    let peer = Peer::new();
    let run = |threshold: &str, flag: &str| {
        let covered = Covered::new(&peer).file("index.html", "<p>none</p>").without_file("sample_py.html");
        covered.arg(format!("--coverage-threshold={threshold}")).arg(flag).run()
    };
    let why = "no total found; a total of at least 80 is required";
    run("80", "--fail-under=false")
        .succeeds()
        .stdout_contains(&format!("Posted the status `covered`: failure, {why}"))
        .outputs("state=failure")
        .summary_contains("| Total | none found |")
        .summary_contains("| Threshold | 80%, missed |");
    run("0", "--fail-under").succeeds().outputs("state=success");
    run("80", "--fail-under")
        .fails(&format!("error: the job fails because of fail-under: {why}"))
        .outputs("state=failure");
    let posted: Vec<_> =
        peer.received().iter().filter(|request| request.target.contains("/statuses/")).map(Request::json).collect();
    let expected = [("failure", why), ("success", "report uploaded, no total found"), ("failure", why)];
    for (status, (state, description)) in posted.iter().zip(expected) {
        assert_eq!((&status["state"], &status["description"]), (&state.into(), &description.into()));
    }
    assert_eq!(posted.len(), expected.len());
}

fn pull_request(from: &str) -> String {
    format!(
        r#"{{"repository":{{"full_name":"octo/app","default_branch":"main"}},"pull_request":{{"number":7,
        "user":{{"login":"dependabot[bot]"}},"head":{{"sha":"{SHA}","ref":"main","repo":{{"full_name":"{from}"}}}}}}}}"#
    )
}

fn without_key(peer: &Peer, event: &str, from: &str) -> Covered {
    without_fail_on_error(peer).event(event, &pull_request(from)).env("COVERED_API_KEY", "").env("COVERED_API_URL", "")
}

#[test]
fn pull_requests_from_forks_report_the_total_and_why_nothing_was_uploaded() {
    let peer = Peer::new();
    let text = "nothing was uploaded: GitHub gives pull requests from forks no secrets";
    let fork = || without_key(&peer, "pull_request", "stranger/app");
    let outcome = fork()
        .run()
        .succeeds()
        .stdout_contains(&format!("::warning::{text}"))
        .omits("::error::")
        .summary_contains(text);
    outcome
        .stdout_contains(
            "No patch coverage either: without an upload there is no page to link to, and the token can only",
        )
        .outputs("uploaded=false")
        .outputs("coverage=84.62")
        .outputs("state=success");
    let strict = fork().env("INPUT_FAIL_ON_ERROR", "true").run();
    assert_eq!(strict.code, Some(1));
    strict.stdout_contains(&format!("::error::{text}"));
    assert_eq!(fork().arg("--fail-under").arg("--coverage-threshold=90").run().code, Some(1));
    let own = without_key(&peer, "pull_request", "octo/app").run().rejects("");
    own.stdout_contains(
        "::error::missing api-key: the input `api-key` is empty. If it comes from a secret, check that the secret is \
         set",
    );
    assert!(peer.requests().is_empty());
}

#[test]
fn missing_secrets_in_dependabot_runs_are_explained() {
    let peer = Peer::new();
    let text = "::warning::nothing was uploaded: GitHub gives runs that Dependabot started no Actions secrets";
    let by = |event: &str, actor: &str| without_key(&peer, event, "octo/app").env("GITHUB_ACTOR", actor).run();
    by("pull_request", "dependabot[bot]")
        .succeeds()
        .stdout_contains(text)
        .stdout_contains("add it to the repository's Dependabot secrets");
    by("push", "dependabot[bot]").succeeds().stdout_contains(text);
    by("pull_request_target", "octocat").succeeds().stdout_contains(text);
    by("pull_request", "octocat").rejects("").omits("Dependabot");
    // A workflow_run has all secrets, so a missing key is a mistake.
    by("workflow_run", "dependabot[bot]").rejects("").stdout_contains("::error::missing api-key");
    assert!(peer.requests().is_empty());
}
