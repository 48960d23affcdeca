use crate::peer::Peer;
use crate::run::Covered;

const NYC: &str = include_str!("../fixtures/totals/nyc-18/index.html");
const COBERTURA: &str = r#"<coverage line-rate="0.796" lines-valid="1000" lines-covered="796" branch-rate="0" branches-valid="0" branches-covered="0"/>"#;

fn nyc(peer: &Peer) -> Covered {
    Covered::new(peer).file("index.html", NYC)
}

#[test]
fn a_dry_run_logs_the_total_and_writes_the_outputs() {
    let covered = Covered::bare().file("index.html", NYC);
    let folder = covered.report();
    let outcome = covered.arg(folder).arg("--dry-run").arg("--metric=branches").run().succeeds();
    outcome.stdout_contains("Found 25% of branches (istanbul, index.html): 1 of 4").outputs("coverage=25");
}

#[test]
fn metric_and_totals_select_the_total() {
    let peer = Peer::new();
    let found =
        |covered: Covered, text: &str| drop(covered.file("x.xml", COBERTURA).run().succeeds().stdout_contains(text));
    found(nyc(&peer), "Found 40% of lines (istanbul, index.html)");
    found(nyc(&peer).env("COVERED_METRIC", "statements"), "Found 42.85% of statements (istanbul, index.html)");
    found(nyc(&peer).env("INPUT_TOTALS", "x.xml"), "Found 79.60% of lines (Cobertura, x.xml): 796 of 1000");
    found(nyc(&peer).arg("--totals=x.xml:cobertura"), "Found 79.60% of lines (Cobertura, x.xml): 796 of 1000");
}

#[test]
fn unknown_metrics_and_formats_are_rejected() {
    let peer = Peer::new();
    nyc(&peer).arg("--metric=paths").run().rejects("--metric \"paths\" must be one of lines, branches, ");
    nyc(&peer).arg("--totals=x.xml:x").run().rejects("--totals has the unknown format \"x\": use one of coverage.py, ");
}

#[test]
fn a_missing_total_is_logged_with_searched_files_and_what_to_do() {
    let peer = Peer::new();
    let covered = nyc(&peer).file("index.html", "<h1>100%</h1>").file("note.json", "{}");
    covered
        .run()
        .succeeds()
        .stderr_contains("no total found: set totals (--totals) to FILE or FILE:FORMAT")
        .stdout_contains("Searched index.html, note.json")
        .stdout_contains("Supported tools: Clover, Cobertura, ")
        .outputs("state=failure");
    let status = peer.one("POST", "/repos/").json();
    assert_eq!(status["description"], "no total found; a total of at least 80 is required");
}

#[test]
fn the_summary_contains_the_counts() {
    let peer = Peer::new();
    nyc(&peer).run().succeeds().summary_contains("| Lines | 2 of 5 |").summary_contains("| Branches | 1 of 4 |");
}

#[test]
fn the_link_opens_the_page_with_the_total_if_there_is_no_index() {
    let peer = Peer::new();
    let covered = Covered::new(&peer).without_file("index.html").file("report.html", NYC);
    covered.run().succeeds().stdout_contains("/report.html").outputs("coverage=40");
    assert!(peer.one("POST", "/repos/").json()["target_url"].as_str().unwrap().ends_with("/report.html"));
}

#[test]
fn report_texts_cannot_issue_workflow_commands() {
    let peer = Peer::new();
    let hostile = "<coverage line-rate=\"0.5\"><a>\n::error::x\n##[error]x</b></coverage>";
    let json = "{\"totals\": \n::stop-commands::x";
    let covered = nyc(&peer).in_actions().file("a.xml", hostile).file("##[group]b.json", json);
    covered.run().succeeds().stdout_contains("Found 40% of lines").omits("\n::stop").omits("##[").omits("::error");
}
