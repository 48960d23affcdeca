//! The README's recipe: one step without a key uploads the report from the artifact.

use serde_json::{Value, json};
use xtask::lab::covered::API_KEY;
use xtask::lab::github::Artifact;
use xtask::lab::http;
use xtask::lab::oidc::Issuer;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::{Finished, free_port, run};

use crate::action::{TESTED, act, commit, copy_action, repository, write};
use crate::{REPOSITORY, World, setting};

const RUN: u64 = 1_658_821_493;

/// A server that accepts tokens of the issuer, and a test run with a report as an artifact.
pub struct Keyless {
    pub world: World,
    issuer: Issuer,
}

/// An artifact that GitHub's own client library wrote.
pub fn artifact() -> Vec<u8> {
    std::fs::read(fixtures().join("artifacts/actions-artifact.zip")).unwrap()
}

pub fn fixtures() -> std::path::PathBuf {
    paths::root().join("action/tests/fixtures")
}

/// The workflow in a README that has this text.
pub fn recipe(readme: &str, text: &str) -> String {
    let readme = std::fs::read_to_string(paths::root().join(readme)).unwrap();
    let blocks = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut recipes = blocks.filter(|block| block.contains(text));
    let recipe = recipes.next().unwrap().to_owned();
    assert!(recipes.next().is_none(), "there are two such recipes");
    recipe
}

impl Keyless {
    /// `None` if no runner is installed and the test is skipped.
    pub fn new(zip: Vec<u8>) -> Option<Keyless> {
        Self::with(&[("coverage-html", zip)])
    }

    /// With these artifacts, the oldest first.
    pub fn with(artifacts: &[(&str, Vec<u8>)]) -> Option<Keyless> {
        if skip_without(&[Part::Python, Part::Shells]) {
            return None;
        }
        let (issuer, port) = (Issuer::start(), free_port());
        let mut settings = setting("STORAGE_URL", "memory://");
        // The tokens' audience is the server's URL, so it must be known before the start.
        settings.extend(setting("LISTEN", &format!("127.0.0.1:{port}")));
        settings.extend(setting("PUBLIC_URL", &format!("http://127.0.0.1:{port}")));
        settings.extend(setting("OIDC_ISSUERS", &issuer.url()));
        settings.extend(setting("ALLOWED_REPOSITORIES", "octo/*"));
        let world = World::new(&settings);
        world.github.push(REPOSITORY, "main", TESTED);
        for (name, zip) in artifacts {
            let (name, head_sha, zip) = ((*name).to_owned(), TESTED.to_owned(), zip.clone());
            world.github.add_artifact(REPOSITORY, Artifact { run_id: RUN, name, head_sha, zip });
        }
        Some(Keyless { world, issuer })
    }

    /// Runs the recipe after the tests of a push to the default branch. `permitted`: with `id-token: write`.
    fn run(&self, permitted: bool) -> Finished {
        let from = json!({"full_name": REPOSITORY, "fork": false});
        self.run_after(&json!({"event": "push", "head_branch": "main", "head_repository": from}), permitted)
    }

    /// Runs the recipe after other tests. `tested`: these fields of the event's run.
    pub fn run_after(&self, tested: &Value, permitted: bool) -> Finished {
        self.run_recipe(&recipe("README.md", "artifact: coverage-html"), tested, permitted)
    }

    /// Runs another recipe.
    pub fn run_recipe(&self, recipe: &str, tested: &Value, permitted: bool) -> Finished {
        let folder = self.world.folder.path();
        let (workspace, action) = (folder.join("workspace"), folder.join("action"));
        let workflow = recipe.replace("https://covered.example.com", &self.world.server.url);
        write(&workspace.join(".github/workflows/coverage.yml"), workflow.as_bytes());
        let mut event = json!({"action": "completed", "repository": repository(), "workflow_run": {
            "id": RUN, "conclusion": "success", "head_sha": TESTED, "repository": repository()}});
        for (name, value) in tested.as_object().unwrap() {
            event["workflow_run"][name] = value.clone();
        }
        write(&folder.join("event.json"), event.to_string().as_bytes());
        copy_action(&action);
        // The recipe downloads a released program; the test uses the built one.
        let file = action.join("action.yml");
        let inputs = std::fs::read_to_string(&file).unwrap();
        let (before, binary) = inputs.split_once("\n  binary:\n").unwrap();
        let built = format!("default: \"{}\"", paths::binary("covered").display());
        let binary = binary.replacen("default: \"\"", &built, 1);
        write(&file, format!("{before}\n  binary:\n{binary}").as_bytes());
        commit(&workspace);
        let mut command = act(&self.world, &workspace, &action, "workflow_run");
        if permitted {
            for (name, value) in [("URL", self.issuer.request_url().as_str()), ("TOKEN", self.issuer.request_token())] {
                command.arg("--env").arg(format!("ACTIONS_ID_TOKEN_REQUEST_{name}={value}"));
            }
        }
        let job = run(&mut command).unwrap();
        let secrets = ["a-token", API_KEY, self.issuer.request_token(), "a-signature-to-hide", "eyJ"];
        for line in job.text().lines().filter(|line| !line.contains("::add-mask::")) {
            assert!(secrets.iter().all(|secret| !line.contains(secret)), "a secret is in the log: {line}");
        }
        job
    }

    #[track_caller]
    fn assert_nothing_published(&self, job: &Finished) {
        assert_eq!(self.world.github.statuses(REPOSITORY, TESTED), [], "{}", job.text());
        assert!(self.world.badge().text().contains("coverage: ??"), "{}", job.text());
    }
}

/// Expects these texts in log and summary, which the runner prints both.
#[track_caller]
pub fn assert_log(job: &Finished, expected: &[&str]) {
    let log = job.text();
    expected.iter().for_each(|text| assert!(log.contains(text), "{text:?} is not in\n{log}"));
}

#[test]
fn the_artifact_recipe_uploads_without_a_key_or_a_checkout() {
    let Some(keyless) = Keyless::new(artifact()) else { return };
    let world = &keyless.world;
    let job = keyless.run(true).succeeded();
    assert_log(&job, &["### Coverage", "**84.62%**", "Updated the badge"]);

    let statuses = world.github.statuses(REPOSITORY, TESTED);
    let [status] = statuses.as_slice() else { panic!("expected one status: {statuses:?}\n{}", job.text()) };
    assert_eq!((status.context.as_str(), status.state.as_str()), ("covered", "success"));
    assert_eq!(status.description, "84.62%");
    assert!(world.badge().text().contains("coverage: 84%"), "{}", job.text());
    assert_eq!(status.target_url, format!("{}{}", world.server.url, world.report_path()));

    for name in ["index.html", "sample_py.html"] {
        let reply = http::get(&format!("{}{name}", status.target_url)).unwrap();
        let expected = std::fs::read(fixtures().join("coverage_py").join(name)).unwrap();
        assert!(reply.status == 200 && reply.body == expected, "{name} differs from the uploaded file");
    }
    for (name, expected) in
        [("deep/%C3%A9%20%C3%BC.html", "<p>Umlaute</p>\n"), (".gitignore", "*\n"), ("empty.css", "")]
    {
        let reply = http::get(&format!("{}{name}", status.target_url)).unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, expected), "{name}");
    }

    let stored = world.github.store_requests();
    let [download] = stored.as_slice() else { panic!("expected one download: {stored:?}") };
    assert_eq!((download.header("authorization"), download.header("token")), (None, None));
}

#[test]
fn a_damaged_artifact_is_rejected_and_nothing_is_published() {
    let mut zip = artifact();
    let at = zip.windows(10).position(|window| window == b"index.html").unwrap();
    zip[at + 500] ^= 0x55;
    let Some(keyless) = Keyless::new(zip) else { return };
    let job = keyless.run(true).succeeded();
    assert_log(&job, &["::error::cannot pack `index.html`", "the zip is damaged, or was forged"]);
    keyless.assert_nothing_published(&job);
}

#[test]
fn a_missing_id_token_permission_is_reported() {
    let Some(keyless) = Keyless::new(artifact()) else { return };
    let job = keyless.run(false).failed();
    assert_log(&job, &["`permissions: id-token: write`"]);
    keyless.assert_nothing_published(&job);
}
