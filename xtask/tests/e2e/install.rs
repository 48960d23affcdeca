//! The action's script finds the program in a release, the tool cache, a path, or builds it with cargo.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use hyper::Response as HttpResponse;
use tempfile::TempDir;
use xtask::dist::{self, SUMS, TARGETS, archive, record, sha256};
use xtask::lab::http::{Body, Dropped, Serving, full};
use xtask::lab::node::which;
use xtask::lab::parts::{Part, skip_without};
use xtask::lab::paths;
use xtask::lab::process::{Finished, run};

const TARGET: &str = "x86_64-unknown-linux-musl";
/// Replaces the program; prints its environment.
const PROGRAM: &str = "#!/bin/sh\necho covered ran\nexec /usr/bin/env\n";
/// The programs that the script needs besides a shell, a download tool and a hash tool.
const TOOLS: [&str; 10] = ["gzip", "mkdir", "mktemp", "mv", "rm", "sed", "sleep", "tar", "tr", "uname"];

/// A response of the release host.
#[derive(Clone, Copy)]
enum Response {
    Whole,
    Half,
    Changed,
    Status(u16),
    Dropped,
}

/// The requested paths, and the next responses; after these, it returns whole files.
#[derive(Default)]
struct Host {
    requests: Vec<String>,
    next: VecDeque<Response>,
}

/// A runner with a copy of the action, and a host with its newest release.
struct Runner {
    folder: TempDir,
    server: Serving,
    host: Arc<Mutex<Host>>,
    path: PathBuf,
    shell: Vec<&'static str>,
    inputs: Vec<(&'static str, String)>,
}

impl Runner {
    fn new() -> Runner {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("release");
        let host = Arc::new(Mutex::new(Host::default()));
        let server = serve(&files, &host);
        let action = folder.path().join("action");
        for name in ["action", "release", "temp", "path"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::copy(paths::root().join("action/run.sh"), action.join("run.sh")).unwrap();
        let folders: Vec<PathBuf> = TARGETS.iter().map(|target| release(&files, target)).collect();
        record::record(&folders, &action.join("release.txt"), &server.url(), false).unwrap();
        let path = folder.path().join("path");
        let runner = Runner { folder, server, host, path, shell: vec!["sh"], inputs: Vec::new() };
        runner.link(&TOOLS);
        runner.link(&["sh", "curl", "sha256sum"]);
        runner
    }

    /// Adds programs of this system to the search path, which has no others.
    fn link(&self, names: &[&str]) {
        for name in names {
            let program = which(name).unwrap_or_else(|| panic!("there is no {name}"));
            symlink(program, self.path.join(name)).unwrap();
        }
    }

    /// Adds a script to the search path.
    fn script(&self, name: &str, text: &str) {
        program(&self.path.join(name), text);
    }

    fn without(self, name: &str) -> Runner {
        fs::remove_file(self.path.join(name)).unwrap();
        self
    }

    fn input(mut self, name: &'static str, value: impl Into<String>) -> Runner {
        self.inputs.push((name, value.into()));
        self
    }

    fn responds(self, responses: &[Response]) -> Runner {
        self.host.lock().unwrap().next = responses.iter().copied().collect();
        self
    }

    fn run(&self) -> Finished {
        run(&mut self.command()).unwrap()
    }

    fn command(&self) -> Command {
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(self.path.join(self.shell[0]));
        command.env_clear().current_dir(at("temp")).args(&self.shell[1..]).arg(at("action/run.sh"));
        command.env("PATH", &self.path).env("RUNNER_OS", "Linux").env("RUNNER_ARCH", "X64");
        command.env("RUNNER_TOOL_CACHE", at("cache")).env("RUNNER_TEMP", at("temp"));
        command.env("GITHUB_OUTPUT", at("output")).env("GITHUB_STEP_SUMMARY", at("summary"));
        command.env("INPUT_API_KEY", "a-secret").env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "an-identity");
        command.envs(self.inputs.iter().cloned());
        command
    }

    fn requests(&self) -> Vec<String> {
        self.host.lock().unwrap().requests.clone()
    }

    fn cached(&self) -> PathBuf {
        self.folder.path().join("cache/covered").join(dist::VERSION).join(TARGET).join("covered")
    }

    /// The outputs and the summary of the step.
    fn written(&self) -> String {
        let text = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text("output") + &text("summary")
    }

    /// All files in the tool cache and the temporary folder.
    fn files(&self) -> Vec<String> {
        let cache = self.folder.path().join("cache");
        let cached = if cache.is_dir() { crate::keys_in(&cache) } else { Vec::new() };
        [cached, crate::keys_in(&self.folder.path().join("temp"))].concat()
    }
}

fn serve(files: &Path, host: &Arc<Mutex<Host>>) -> Serving {
    let (files, host) = (files.to_owned(), Arc::clone(host));
    Serving::start(move |request| {
        let mut host = host.lock().unwrap();
        let path = request.uri().path().to_owned();
        let response = host.next.pop_front().unwrap_or(Response::Whole);
        let name = path.rsplit('/').next().unwrap();
        let found = TARGETS.iter().find_map(|target| fs::read(files.join(target).join(name)).ok());
        host.requests.push(path);
        let reply = |status: u16, bytes: Vec<u8>| HttpResponse::builder().status(status).body(full(bytes)).unwrap();
        let mut bytes = found.unwrap_or_default();
        let reply: Result<HttpResponse<Body>, Dropped> = match response {
            Response::Whole => Ok(reply(200, bytes)),
            Response::Half => Ok(reply(200, bytes[..bytes.len() / 2].to_vec())),
            Response::Changed => {
                *bytes.last_mut().unwrap() ^= 1;
                Ok(reply(200, bytes))
            }
            Response::Status(status) => Ok(reply(status, Vec::new())),
            Response::Dropped => Err(Dropped),
        };
        async { reply }
    })
}

/// An output folder of `cargo xtask dist`, with another program.
fn release(files: &Path, target: &'static str) -> PathBuf {
    let folder = files.join(target);
    fs::create_dir(&folder).unwrap();
    let bytes = dist::pack(paths::root(), dist::ACTION, target, PROGRAM.into()).unwrap();
    let name = archive::name(dist::ACTION, dist::VERSION, target);
    fs::write(folder.join(SUMS), format!("{}  {name}\n", sha256(&bytes))).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
    folder
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[track_caller]
fn says(log: &str, expected: &[&str]) {
    for text in expected {
        assert!(log.contains(text), "{text:?} is not in\n{log}");
    }
}

#[test]
fn a_release_is_downloaded_once_and_then_read_from_the_tool_cache() {
    let runner = Runner::new().input("INPUT_NAME", "backend");
    let first = runner.run().succeeded().text();
    let asset = format!("/v{0}/covered-{0}-{TARGET}.tar.gz", dist::VERSION);
    says(&first, &["Installed covered ", &asset, "covered ran", "INPUT_NAME=backend"]);
    assert_eq!(runner.files(), [format!("covered/{}/{TARGET}/covered", dist::VERSION)]);
    let second = runner.run().succeeded().text();
    says(&second, &["covered ran"]);
    assert_eq!(runner.requests(), [asset]);
}

#[test]
fn a_modified_cached_program_is_replaced_with_a_warning() {
    let runner = Runner::new();
    runner.run().succeeded();
    program(&runner.cached(), "#!/bin/sh\necho something else ran\n");
    let (found, expected) = (sha256(&fs::read(runner.cached()).unwrap()), sha256(PROGRAM.as_bytes()));
    let log = runner.run().succeeded().text();
    says(&log, &["::warning::", &found, &expected, "covered ran"]);
    assert!(!log.contains("something else ran"), "{log}");
    assert_eq!(fs::read_to_string(runner.cached()).unwrap(), PROGRAM);
    assert_eq!(runner.requests().len(), 2);
}

#[test]
fn an_archive_with_a_wrong_hash_fails_the_step_and_is_not_cached() {
    for response in [Response::Half, Response::Changed] {
        let runner = Runner::new().responds(&[response]).input("INPUT_FAIL_ON_ERROR", "false");
        let list = fs::read_to_string(runner.folder.path().join("action/release.txt")).unwrap();
        let expected = list.lines().find(|line| line.contains(TARGET)).unwrap().split(' ').nth(3).unwrap().to_owned();
        let log = runner.run().failed().text();
        says(&log, &["::error::", &expected, "its SHA-256 is "]);
        let found = log.split("its SHA-256 is ").nth(1).unwrap().split(',').next().unwrap();
        assert!(found.len() == 64 && found != expected, "{log}");
        assert!(!log.contains("covered ran"), "{log}");
        assert_eq!(runner.files(), [""; 0]);
    }
}

#[test]
fn a_program_with_a_wrong_hash_fails_the_step() {
    let runner = Runner::new();
    let list = runner.folder.path().join("action/release.txt");
    let (own, other) = (sha256(PROGRAM.as_bytes()), sha256(b"another"));
    fs::write(&list, fs::read_to_string(&list).unwrap().replace(&own, &other)).unwrap();
    let log = runner.run().failed().text();
    says(&log, &["the program in covered-", &own, &other]);
    assert_eq!(runner.files(), [""; 0]);
}

#[test]
fn a_failed_download_is_a_warning_unless_fail_on_error_is_true() {
    let runner = Runner::new().responds(&[Response::Status(404), Response::Status(404)]);
    let log = runner.run().succeeded().text();
    says(&log, &["::warning::the report was not uploaded", "404"]);
    assert!(!log.contains("covered ran"), "{log}");
    says(&runner.written(), &["uploaded=false\n", "**not uploaded**"]);
    let strict = Runner::new().responds(&[Response::Status(404)]).input("COVERED_FAIL_ON_ERROR", "true");
    says(&strict.run().failed().text(), &["::error::"]);
    let runner = runner.input("INPUT_FAIL_ON_ERROR", "true");
    says(&runner.run().failed().text(), &["::error::cannot download"]);
    // A 404 is not retried.
    assert_eq!(runner.requests().len(), 2);
    assert_eq!(runner.files(), [""; 0]);
}

#[test]
fn downloads_are_tried_four_times() {
    let runner =
        Runner::new().responds(&[Response::Status(503), Response::Dropped, Response::Status(500), Response::Dropped]);
    says(&runner.run().succeeded().text(), &["trying again in 1 s", "trying again in 4 s", "::warning::"]);
    assert_eq!(runner.requests().len(), 4);
}

#[test]
fn unreleased_systems_build_from_source_without_secrets() {
    let mut runner = Runner::new().without("uname").input("RUNNER_OS", "").input("RUNNER_ARCH", "");
    let secrets = [
        "INPUT_GITHUB_TOKEN",
        "COVERED_API_KEY",
        "COVERED_GH_TOKEN",
        "ACTION_DEFAULT_GITHUB_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
    ];
    for secret in secrets {
        runner = runner.input(secret, "a-secret");
    }
    runner.script("uname", "#!/bin/sh\n[ \"$1\" = -s ] && echo Plan9 || echo mips\n");
    let log = runner.run().failed().text();
    says(&log, &["::error::", "no release for Plan9/mips", "no cargo"]);
    TARGETS.iter().for_each(|target| says(&log, &[target]));
    // Replaces cargo: prints its arguments, and whether it sees secrets.
    let build = "#!/bin/sh\ncase $(set) in *a-secret* | *an-identity*) saw='a secret' ;; *) saw='no secret' ;; esac\necho cargo \"$@\" saw \"$saw\"\nd=$RUNNER_TEMP/covered-build/action\n\
                 mkdir -p \"$d\"\nprintf '#!/bin/sh\\necho the build ran' >\"$d/covered\"\nchmod +x \"$d/covered\"\n";
    runner.script("cargo", build);
    runner.link(&["chmod"]);
    let log = runner.run().succeeded().text();
    says(&log, &["cargo build --locked --profile action --package covered", "saw no secret", "the build ran"]);
    assert_eq!(runner.requests(), [""; 0]);
}

#[test]
fn runner_variables_and_uname_select_the_same_release() {
    let systems = [
        ("Linux", "X64", "Linux", "x86_64"),
        ("Linux", "ARM64", "Linux", "aarch64"),
        ("macOS", "X64", "Darwin", "x86_64"),
        ("macOS", "ARM64", "Darwin", "arm64"),
        ("Windows", "X64", "MINGW64_NT-10.0-26100", "x86_64"),
        ("Windows", "ARM64", "MSYS_NT-10.0-26200", "aarch64"),
    ];
    for ((os, arch, kernel, machine), target) in systems.into_iter().zip(TARGETS) {
        let runner = Runner::new().without("uname").responds(&[Response::Status(404), Response::Status(404)]);
        let runner = runner.input("RUNNER_OS", os).input("RUNNER_ARCH", arch);
        runner.run();
        let runner = runner.input("RUNNER_OS", "").input("RUNNER_ARCH", "");
        runner.script("uname", &format!("#!/bin/sh\n[ \"$1\" = -s ] && echo {kernel} || echo {machine}\n"));
        runner.run();
        let asset = format!("/v{}/{}", dist::VERSION, archive::name(dist::ACTION, dist::VERSION, target));
        assert_eq!(runner.requests(), [asset.clone(), asset]);
    }
}

#[test]
fn an_unwritable_tool_cache_is_skipped() {
    let runner = Runner::new();
    // A file in place of the folder, because permissions don't apply to root.
    fs::write(runner.folder.path().join("cache"), "").unwrap();
    let log = runner.run().succeeded().text();
    says(&log, &["::notice::cannot write to the folder ", "covered ran"]);
    assert_eq!(runner.files(), [format!("covered/{}/{TARGET}/covered", dist::VERSION)]);
}

#[test]
fn the_binary_input_must_have_the_recorded_hash() {
    let runner = Runner::new().input("INPUT_BINARY", "own");
    let own = runner.folder.path().join("temp/own");
    says(&runner.run().failed().text(), &["'own', which is not an executable file"]);
    program(&own, PROGRAM);
    says(&runner.run().succeeded().text(), &["covered ran"]);
    program(&own, "#!/bin/sh\necho something else ran\n");
    let log = runner.run().failed().text();
    says(&log, &[&sha256(&fs::read(&own).unwrap()), &sha256(PROGRAM.as_bytes()), "version: source"]);
    says(&runner.input("INPUT_VERSION", "source").run().succeeded().text(), &["something else ran"]);
}

#[test]
fn the_version_input_must_be_a_recorded_version() {
    let runner = Runner::new();
    let list = runner.folder.path().join("action/release.txt");
    let newest = fs::read_to_string(&list).unwrap();
    let older = newest.lines().filter(|line| !line.starts_with('#'));
    let older: String = older.map(|line| format!("{}\n", line.replace(dist::VERSION, "0.9.0"))).collect();
    fs::write(&list, newest + &older).unwrap();
    let runner = runner.responds(&[Response::Status(404)]).input("INPUT_VERSION", "v0.9.0");
    runner.run();
    assert_eq!(runner.requests(), [format!("/v0.9.0/covered-0.9.0-{TARGET}.tar.gz")]);
    let log = runner.input("INPUT_VERSION", "7.0.0").run().failed().text();
    says(&log, &["does not list version 7.0.0", dist::VERSION, "0.9.0", "uses: org/covered@v7.0.0"]);
}

#[test]
fn download_url_replaces_the_release_host() {
    let runner = Runner::new();
    let mirror = format!("{}/mirror/", runner.server.url());
    let runner = runner.input("INPUT_DOWNLOAD_URL", mirror);
    says(&runner.run().succeeded().text(), &["covered ran"]);
    assert_eq!(runner.requests(), [format!("/mirror/v{0}/covered-{0}-{TARGET}.tar.gz", dist::VERSION)]);
    let runner = Runner::new().input("INPUT_DOWNLOAD_URL", "--output=/etc/passwd");
    says(&runner.run().failed().text(), &["'download-url'", "not a URL"]);
}

#[test]
fn urls_cannot_issue_commands_or_show_passwords() {
    let runner = Runner::new();
    let mirror = runner.server.url().replace("://", "://user:pass-word@");
    let log = runner.input("INPUT_DOWNLOAD_URL", mirror).run().succeeded().text();
    says(&log, &["Installed covered ", "covered ran"]);
    assert!(log.lines().all(|line| !line.contains("pass-word") || line.starts_with("INPUT_DOWNLOAD_URL=")), "{log}");
    for address in ["http://user:pass-word@127.0.0.1:1/\n::error::forged", "user:pass-word@host\n::error::forged"] {
        let runner = Runner::new().without("sleep").input("INPUT_DOWNLOAD_URL", address);
        runner.script("sleep", "#!/bin/sh\n");
        let runner = runner.input("INPUT_FAIL_ON_ERROR", "true");
        let log = runner.run().failed().text();
        assert!(!log.contains("pass-word"), "{log}");
        assert!(!log.lines().any(|line| line.starts_with("::error::forged")), "{log}");
    }
    let runner = Runner::new().responds(&[Response::Status(503)]);
    let mirror = format!("{}/a\n##[error]forged\n::error::forged", runner.server.url());
    let log = runner.input("INPUT_DOWNLOAD_URL", mirror).run().text();
    assert!(!log.lines().any(|line| line.starts_with("::error::forged") || line.starts_with("##[")), "{log}");
    let system = Runner::new().input("RUNNER_OS", "Plan9\n::error::forged").run().failed().text();
    assert!(!system.lines().any(|line| line.starts_with("::error::forged")), "{system}");
}

#[test]
fn an_outage_with_unwritable_outputs_is_a_warning() {
    let runner = Runner::new().responds(&[Response::Status(404)]);
    let runner = runner.input("GITHUB_OUTPUT", "/nowhere/output").input("GITHUB_STEP_SUMMARY", "/");
    let log = runner.run().succeeded().text();
    says(&log, &["::warning::the report was not uploaded", "::warning::cannot write to /nowhere/output"]);
}

#[test]
fn a_folder_in_place_of_the_program_is_skipped_with_a_warning() {
    let runner = Runner::new();
    fs::create_dir_all(runner.cached()).unwrap();
    let log = runner.run().succeeded().text();
    says(&log, &["::warning::", "covered, which is a folder: remove it", "covered ran"]);
    assert_eq!(crate::keys_in(&runner.cached()), [""; 0]);
}

#[test]
fn a_last_line_without_a_newline_is_read() {
    let runner = Runner::new();
    let list = runner.folder.path().join("action/release.txt");
    let text = fs::read_to_string(&list).unwrap();
    let own = text.lines().find(|line| line.contains(TARGET)).unwrap();
    fs::write(&list, own).unwrap();
    says(&runner.run().succeeded().text(), &["Installed covered ", "covered ran"]);
}

#[test]
fn concurrent_jobs_install_the_same_program() {
    let runner = Runner::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| says(&runner.run().succeeded().text(), &["covered ran"]));
        }
    });
    assert_eq!(runner.files(), [format!("covered/{}/{TARGET}/covered", dist::VERSION)]);
}

#[test]
fn the_script_works_with_every_shell_and_download_tool() {
    if skip_without(&[Part::Shells]) {
        return;
    }
    for (shell, tools) in [
        (["dash"].as_slice(), ["curl", "sha256sum"]),
        (&["dash"], ["wget", "shasum"]),
        (&["bash", "--posix"], ["wget", "openssl"]),
        (&["bash", "--noprofile", "--norc", "-eo", "pipefail"], ["curl", "sha256sum"]),
    ] {
        // shasum is a Perl script.
        let perl = if tools[1] == "shasum" { ["perl"].as_slice() } else { &[] };
        let mut runner = Runner::new().without("curl").without("sha256sum");
        runner.link(&[&shell[..1], &tools, perl].concat());
        runner.shell = shell.to_vec();
        let runner = runner.responds(&[Response::Status(503), Response::Status(503)]);
        says(&runner.run().succeeded().text(), &["503", "trying again in 2 s", "Installed", "covered ran"]);
        runner.host.lock().unwrap().next = [Response::Status(404)].into();
        fs::remove_file(runner.cached()).unwrap();
        says(&runner.run().succeeded().text(), &["::warning::", "404"]);
        assert_eq!(runner.requests().len(), 4);
    }
}

#[test]
fn the_script_works_with_only_busybox() {
    if skip_without(&[Part::Shells]) {
        return;
    }
    let mut runner = Runner::new();
    fs::remove_dir_all(&runner.path).unwrap();
    fs::create_dir(&runner.path).unwrap();
    for name in TOOLS.iter().chain(&["sh", "sha256sum", "timeout", "wget"]) {
        symlink(which("busybox").unwrap(), runner.path.join(name)).unwrap();
    }
    runner.shell = vec!["sh", "-e"];
    let runner = runner.responds(&[Response::Status(503), Response::Dropped]);
    says(&runner.run().succeeded().text(), &["503", "trying again in 2 s", "Installed", "covered ran"]);
    says(&runner.run().succeeded().text(), &["covered ran"]);
    assert_eq!(runner.requests().len(), 3);
    let runner = runner.responds(&[Response::Status(404)]);
    fs::remove_file(runner.cached()).unwrap();
    says(&runner.run().succeeded().text(), &["::warning::", "404"]);
}

#[test]
fn missing_tools_are_reported() {
    let log = Runner::new().without("curl").run().failed().text();
    says(&log, &["::error::cannot download", "neither curl nor wget"]);
    let log = Runner::new().without("sha256sum").run().failed().text();
    says(&log, &["::error::cannot verify", "neither sha256sum nor shasum nor openssl"]);
}

/// Tests the archive and the names of Windows on this system.
#[test]
fn zips_are_unpacked_on_windows() {
    if skip_without(&[Part::Shells]) {
        return;
    }
    let runner = Runner::new().without("tar").without("gzip").input("RUNNER_OS", "Windows");
    runner.link(&["unzip"]);
    says(&runner.run().succeeded().text(), &["Installed", "covered ran"]);
    let folder = format!("covered/{}/x86_64-pc-windows-msvc", dist::VERSION);
    assert_eq!(runner.files(), [format!("{folder}/covered.exe")]);
}

/// Like GitHub's runner, passes only the variables under `env` to the step of the composite action.
#[test]
fn every_input_reaches_the_program_through_the_steps_environment() {
    let action = fs::read_to_string(paths::root().join("action.yml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let covered = folder.path().join("covered");
    program(&covered, PROGRAM);
    let inputs = action.split_once("\ninputs:\n").unwrap().1.split_once("\noutputs:\n").unwrap().0;
    let inputs: Vec<&str> = inputs.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':')).collect();
    let inputs: Vec<&str> = inputs.into_iter().filter(|name| !name.starts_with(' ')).collect();
    assert!(inputs.len() > 10, "{inputs:?}");
    let value = |name: &str| match name {
        "binary" => covered.display().to_string(),
        "version" => "source".to_owned(),
        _ => format!("value of {name}, \"quoted\" $(and more)"),
    };
    let (env, script) = action.split_once("\n      env:\n").unwrap().1.split_once("\n      run: ").unwrap();
    let step = folder.path().join("step.sh");
    fs::write(&step, script).unwrap();
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).arg("-e").arg(&step);
    for line in env.lines() {
        let (name, expression) = line.trim().split_once(": ").unwrap();
        let Some(expression) = expression.strip_prefix("${{ ") else {
            command.env(name, expression.trim_matches('"'));
            continue;
        };
        let value = match expression.strip_suffix(" }}").unwrap() {
            "github.action_path" => paths::root().display().to_string(),
            "github.token" => "a-token".to_owned(),
            expression => value(expression.strip_prefix("inputs.").unwrap()),
        };
        command.env(name, value);
    }
    let seen = run(&mut command).unwrap().succeeded().text();
    for name in inputs {
        let variable = format!("INPUT_{}={}\n", name.to_uppercase().replace('-', "_"), value(name));
        says(&seen, &[&variable]);
    }
}
