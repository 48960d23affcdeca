//! The output of `cargo xtask dist` for this system. In a separate test program, because it builds for minutes, which would
//! slow down the services of other tests.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use xtask::dist::build::{self, Build};
use xtask::dist::{ACTION, PROGRAMS, SUMS, VERSION, archive, make, sha256};
use xtask::lab::covered::{API_KEY, clean};
use xtask::lab::github::Github;
use xtask::lab::node::which;
use xtask::lab::parts::{Part, skip, skip_without};
use xtask::lab::process::{Process, run};
use xtask::lab::{paths, report};

const REPOSITORY: &str = "octo/app";
const SHA: &str = "9f8c2b1a0d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70";

/// The output folder of a program, which is built like a release but with this system's C library, linked statically.
fn released(program: &'static str) -> &'static Path {
    static OUT: [OnceLock<PathBuf>; PROGRAMS.len()] = [const { OnceLock::new() }; PROGRAMS.len()];
    let at = PROGRAMS.iter().position(|name| *name == program).unwrap();
    OUT[at].get_or_init(|| {
        let out = paths::lab().join("dist").join(program);
        let _ = fs::remove_dir_all(&out);
        dist(paths::root(), &paths::target(), program, &out);
        out
    })
}

fn dist(source: &Path, folder: &Path, program: &str, out: &Path) {
    let flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    make(&Build { source, folder, target: &build::host().unwrap(), flags }, &[program], out).unwrap();
}

fn archive_of(program: &str) -> String {
    archive::name(program, VERSION, &build::host().unwrap())
}

fn sbom_of(program: &str) -> String {
    archive_of(program).replace(".tar.gz", ".cdx.json")
}

/// The action's program from its archive.
fn unpacked() -> Vec<u8> {
    let bytes = fs::read(released(ACTION).join(archive_of(ACTION))).unwrap();
    archive::unpack(&bytes, &build::host().unwrap(), ACTION).unwrap()
}

#[test]
fn builds_are_reproducible_in_another_folder() {
    let copy = tempfile::tempdir().unwrap();
    let source = copy.path().join("a folder with a longer name");
    let mut git = Command::new("git");
    git.current_dir(paths::root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for name in run(&mut git).unwrap().succeeded().stdout.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (paths::root().join(name), source.join(name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // The file is deleted, but the deletion is not committed yet.
        if from.exists() {
            fs::copy(from, to).unwrap();
        }
    }
    let out = copy.path().join("out");
    dist(&source, &source.join("target"), ACTION, &out);
    for file in [archive_of(ACTION), sbom_of(ACTION)] {
        let (here, there) = (fs::read(released(ACTION).join(&file)).unwrap(), fs::read(out.join(&file)).unwrap());
        assert!(here == there, "{file} differs: {} and {}", sha256(&here), sha256(&there));
    }
    let program = String::from_utf8_lossy(&unpacked()).into_owned();
    for folder in [paths::root().to_owned(), paths::target(), std::env::home_dir().unwrap()] {
        assert!(
            !program.contains(&format!("{}/", folder.display())),
            "the program contains the path {}",
            folder.display()
        );
    }
}

/// Verifies the checksums and the bill of materials: valid CycloneDX, with and without these crates.
#[track_caller]
fn assert_sbom(program: &'static str, has: &[&str], has_not: &[&str]) {
    let out = released(program);
    let sums = run(Command::new("sha256sum").current_dir(out).args(["--check", "--strict", SUMS])).unwrap();
    assert_eq!(sums.succeeded().stdout.matches(": OK").count(), 2);
    let list = out.join(sbom_of(program));
    let parsed: Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    let components = parsed["components"].as_array().unwrap();
    let listed = |name: &&&str| components.iter().any(|component| component["name"] == **name);
    assert_eq!(has.iter().filter(listed).count(), has.len(), "{parsed:#}");
    assert_eq!(has_not.iter().filter(listed).count(), 0, "{parsed:#}");
    if !skip_without(&[Part::Python]) {
        let mut python = Command::new(paths::python("python"));
        run(python.arg(paths::script("sbom.py")).arg(list)).unwrap().succeeded();
    }
}

#[test]
fn the_actions_sbom_lists_the_linked_crates() {
    assert_sbom(ACTION, &["ureq", "ring", "zlib-rs", "rawzip"], &["hyper", "serde_derive", "cc", "object_store"]);
}

#[test]
fn the_servers_sbom_lists_the_linked_crates() {
    assert_sbom("covered-server", &["hyper", "object_store", "rawzip"], &["ureq", "serde_derive", "tar"]);
    let bytes = fs::read(released("covered-server").join(archive_of("covered-server"))).unwrap();
    let server = tempfile::tempdir().unwrap();
    let program = server.path().join("covered-server");
    fs::write(&program, archive::unpack(&bytes, &build::host().unwrap(), "covered-server").unwrap()).unwrap();
    run(Command::new("chmod").arg("755").arg(&program)).unwrap().succeeded();
    let version = run(Command::new(&program).arg("--version")).unwrap().succeeded();
    assert_eq!(version.stdout, format!("covered-server {VERSION}\n"));
}

/// A folder with only the program and a report; `None` if chroot is not possible.
fn empty_root() -> Option<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let user = run(Command::new("id").arg("-u")).unwrap();
    if user.stdout.trim() != "0" || which("chroot").is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must run the program in an empty root");
        skip("chroot needs root");
        return None;
    }
    let covered = folder.path().join("covered");
    fs::write(&covered, unpacked()).unwrap();
    run(Command::new("chmod").arg("755").arg(&covered)).unwrap().succeeded();
    report::small(&folder.path().join("htmlcov"), "87.5");
    fs::create_dir(folder.path().join("tmp")).unwrap();
    Some(folder)
}

#[test]
fn the_program_runs_in_an_empty_root() {
    if skip_without(&[Part::Shells]) {
        return;
    }
    let Some(root) = empty_root() else { return };
    let covered = |arguments: &[&str]| {
        let mut command = clean(&which("chroot").unwrap());
        command.arg(root.path()).arg("/covered").args(arguments);
        command.args(["--repo-owner", "octo", "--repo-name", "app", "--commit-sha", SHA]);
        command
    };
    let version = run(clean(&which("chroot").unwrap()).arg(root.path()).args(["/covered", "--version"])).unwrap();
    assert_eq!(version.succeeded().stdout, format!("covered {VERSION}\n"));
    let log = run(&mut covered(&["htmlcov", "--dry-run"])).unwrap().succeeded().text();
    assert!(log.contains("Found 87.5%"), "{log}");

    let github = Github::start();
    github.add_repository(REPOSITORY, "main");
    github.push(REPOSITORY, "main", SHA);
    let (certificate, key) = certificate(root.path());
    let mut server = clean(&paths::binary("covered-server"));
    server.env("LISTEN", "127.0.0.1:0").env("API_KEY", API_KEY).env("STORAGE_URL", "memory://");
    server.env("TLS_CERT", &certificate).env("TLS_KEY", key);
    server.env("GITHUB_API_URL", github.url()).env("GITHUB_TOKEN", "a-token");
    let server = Process::spawn(&mut server).unwrap();
    let url = server.wait_for_line(|line| Some(format!("https://{}", address(line)?))).unwrap();
    let mut upload = covered(&["htmlcov", "--api-url", &url]);
    upload.env("COVERED_API_KEY", API_KEY).env("COVERED_GH_TOKEN", "a-token").env("GITHUB_API_URL", github.url());
    upload.env("SSL_CERT_FILE", "/certificate.pem");
    let log = run(&mut upload).unwrap().succeeded().text();
    let statuses = github.statuses(REPOSITORY, SHA);
    assert!(statuses.len() == 1 && statuses[0].target_url.starts_with(&url), "{statuses:?}\n{log}");
    let mut page = clean(&which("curl").unwrap());
    page.args(["--silent", "--fail", "--cacert"]).arg(certificate).arg(&statuses[0].target_url);
    assert!(run(&mut page).unwrap().succeeded().stdout.contains("87.5%"));
}

/// `127.0.0.1:PORT` in a line.
fn address(line: &str) -> Option<&str> {
    let rest = &line[line.find("127.0.0.1:")?..];
    rest.split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next()
}

/// Creates a self-signed certificate for this machine, and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key, config) =
        (folder.join("certificate.pem"), folder.join("key.pem"), folder.join("openssl.cnf"));
    let text = "[req]\ndistinguished_name = name\nx509_extensions = extensions\n[name]\n[extensions]\n\
                basicConstraints = critical, CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    fs::write(&config, text).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=covered.test", "-config"]).arg(config);
    run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate)).unwrap().succeeded();
    (certificate, key)
}
