//! Checks the files of `server/deploy` with their programs, and the proxies in front of a real server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::lab::covered::{Server, clean, covered};
use xtask::lab::github::Github;
use xtask::lab::parts::{Part, nginx, skip_without};
use xtask::lab::process::{Finished, Process, free_port, poll, run};
use xtask::lab::{paths, report};

use crate::{REPOSITORY, SHA, files_in, setting};

/// The maximum exposure by `systemd-analyze security`, of 100. A unit without hardening has 96.
const MAX_EXPOSURE: &str = "15";

fn file(name: &str) -> PathBuf {
    paths::root().join("server/deploy").join(name)
}

/// A file of the folder with replaced texts, which must exist.
#[track_caller]
fn with_changes(name: &str, changes: &[(&str, String)]) -> String {
    changes.iter().fold(fs::read_to_string(file(name)).unwrap(), |text, (from, to)| {
        assert!(text.contains(from), "{name} has no {from:?}");
        text.replace(from, to)
    })
}

#[track_caller]
fn check(program: &Path, arguments: &[&str]) -> Finished {
    run(clean(program).args(arguments)).unwrap().succeeded()
}

#[test]
fn systemd_accepts_the_unit_and_rates_it_as_hardened() {
    if skip_without(&[Part::Deploy]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("covered-server.service");
    let program = paths::binary("covered-server").display().to_string();
    fs::write(&unit, with_changes("covered-server.service", &[("/usr/local/bin/covered-server", program)])).unwrap();
    let unit = unit.display().to_string();
    let verified = check(Path::new("systemd-analyze"), &["verify", &unit]).text();
    // Ignores warnings about the system's own units.
    assert!(!verified.contains("covered-server"), "{verified}");
    let threshold = format!("--threshold={MAX_EXPOSURE}");
    check(Path::new("systemd-analyze"), &["security", "--offline=true", &threshold, &unit]);
}

#[test]
fn hadolint_finds_nothing_in_the_container_file() {
    if skip_without(&[Part::Python]) {
        return;
    }
    check(&paths::python("hadolint"), &["--failure-threshold", "style", &file("Containerfile").display().to_string()]);
    let text = fs::read_to_string(file("Containerfile")).unwrap();
    assert!(text.contains(r#"CMD ["/covered-server", "healthcheck"]"#) && text.contains("USER 65532"), "{text}");
}

#[test]
fn the_kubernetes_manifest_is_valid_and_its_settings_exist() {
    if skip_without(&[Part::Python]) {
        return;
    }
    let manifest = file("kubernetes.yaml").display().to_string();
    let seen = check(&paths::python("kubernetes-validate"), &["--strict", "--no-warn", &manifest]).text();
    for kind in ["namespace", "secret", "configmap", "deployment", "service", "poddisruptionbudget"] {
        assert!(seen.contains(&format!("resource {kind}/covered")), "{kind} in {seen}");
    }
    let script = "import sys, yaml, json; print(json.dumps([d.get('data', d.get('stringData')) \
                  for d in yaml.safe_load_all(open(sys.argv[1])) if d['kind'] in ('Secret', 'ConfigMap')]))";
    let settings = check(&paths::python("python"), &["-c", script, &manifest]).stdout;
    let settings: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&settings).unwrap();
    let help = check(&paths::binary("covered-server"), &["--help"]).stdout;
    let known: BTreeSet<&str> = help.split(|c: char| c != '_' && !c.is_ascii_uppercase()).collect();
    let mut command = clean(&paths::binary("covered-server"));
    for (name, value) in settings.iter().flatten() {
        assert!(known.contains(name.as_str()), "{name} is not a setting:\n{help}");
        command.env(name, value.as_str().unwrap());
    }
    // The services are unreachable, which is exit code 1. Invalid settings would be exit code 2.
    command.arg("check").env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("GITHUB_API_URL", "http://127.0.0.1:1");
    command.env("REDIS_URL", "redis://127.0.0.1:1").env("PUBLIC_URL", "http://127.0.0.1:1");
    let checked = command.output().unwrap();
    let text = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&checked.stderr));
}

/// Creates a certificate for localhost, and its key.
fn certificate(folder: &Path) -> (String, String) {
    let (certificate, key) = (folder.join("fullchain.pem"), folder.join("privkey.pem"));
    // The system's default configuration would create a CA certificate.
    let wanted = "[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n[name]\nCN = localhost\n\
                  [extensions]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost\n";
    fs::write(folder.join("openssl.conf"), wanted).unwrap();
    let mut openssl = clean(Path::new("openssl"));
    openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -config".split(' '));
    openssl.arg(folder.join("openssl.conf")).arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    run(&mut openssl).unwrap().succeeded();
    (certificate.display().to_string(), key.display().to_string())
}

/// Uploads a report through a proxy, and reads it back; it is larger than the default limits of proxies.
fn upload_through_proxy(start: impl FnOnce(&Path, &Server, u16) -> Process) {
    let folder = tempfile::tempdir().unwrap();
    let github = Github::start();
    github.add_repository(REPOSITORY, "main");
    github.push(REPOSITORY, "main", SHA);
    let port = free_port();
    let public = format!("https://localhost:{port}");
    let data = folder.path().join("data");
    let server = Server::start(&[files_in(&data), setting("PUBLIC_URL", &public)].concat());
    let proxy = start(folder.path(), &server, port);
    let trusted = folder.path().join("fullchain.pem");
    poll("the proxy", || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).unwrap();

    let htmlcov = folder.path().join("report");
    report::one_huge(&htmlcov, 3);
    let mut command = covered(&htmlcov, &public, &github.url(), REPOSITORY, SHA);
    let log = run(command.env("SSL_CERT_FILE", &trusted)).unwrap().succeeded().text();
    let status = github.statuses(REPOSITORY, SHA).pop().unwrap_or_else(|| panic!("no status:\n{log}"));
    assert!(status.target_url.starts_with(&format!("{public}/coverage/")), "{status:?}");

    let script = "import sys, ssl, urllib.request as r; c = ssl.create_default_context(cafile=sys.argv[1]); \
                  sys.stdout.buffer.write(r.urlopen(sys.argv[2] + 'video.bin', context=c).read())";
    let mut read = clean(&paths::python("python"));
    let read = read.args(["-c", script]).arg(&trusted).arg(&status.target_url).output().unwrap();
    assert!(read.stdout == fs::read(htmlcov.join("video.bin")).unwrap(), "{}", String::from_utf8_lossy(&read.stderr));
    drop(proxy);
}

#[test]
fn nginx_accepts_its_configuration_and_proxies_reports() {
    if skip_without(&[Part::Deploy, Part::Python]) {
        return;
    }
    upload_through_proxy(|folder, server, port| {
        let (certificate, key) = certificate(folder);
        let upstream = server.url.strip_prefix("http://").unwrap().to_owned();
        let site = with_changes(
            "nginx.conf",
            &[
                ("127.0.0.1:8000;", format!("{upstream};")),
                ("    listen 80;\n    listen [::]:80;\n", format!("    listen 127.0.0.1:{};\n", free_port())),
                ("    listen [::]:443 ssl http2;\n", String::new()),
                ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
                ("covered.example.com;", "localhost;".to_owned()),
                ("/etc/ssl/covered/fullchain.pem", certificate),
                ("/etc/ssl/covered/privkey.pem", key),
            ],
        );
        let at = folder.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        // One process, because a killed master leaves its workers running.
        let main = format!(
            "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{site}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), main).unwrap();
        let configuration = folder.join("nginx.conf").display().to_string();
        let arguments = ["-e", "stderr", "-p", &at.to_string(), "-c", &configuration];
        let tested = check(&nginx().unwrap(), &[&arguments[..], &["-t"]].concat()).text();
        assert!(!tested.contains("[warn]"), "{tested}");
        Process::spawn(clean(&nginx().unwrap()).args(arguments)).unwrap()
    });
}

#[test]
fn caddy_accepts_its_configuration_and_proxies_reports() {
    if skip_without(&[Part::Deploy, Part::Python]) {
        return;
    }
    upload_through_proxy(|folder, server, port| {
        let caddy = |arguments: &[&str]| {
            let mut command: Command = clean(&paths::python("caddy"));
            command.args(arguments).env("HOME", folder).current_dir(folder);
            command
        };
        let own = file("Caddyfile").display().to_string();
        run(&mut caddy(&["validate", "--adapter", "caddyfile", "--config", &own])).unwrap().succeeded();
        // The exit code of `caddy fmt` shows whether the file is formatted.
        run(&mut caddy(&["fmt", &own])).unwrap().succeeded();

        let (certificate, key) = certificate(folder);
        let upstream = server.url.strip_prefix("http://").unwrap().to_owned();
        let site = with_changes(
            "Caddyfile",
            &[
                (
                    "covered.example.com {",
                    format!("https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {key}\n"),
                ),
                ("reverse_proxy 127.0.0.1:8000", format!("reverse_proxy {upstream}")),
            ],
        );
        fs::write(folder.join("Caddyfile"), format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}"))
            .unwrap();
        Process::spawn(&mut caddy(&["run", "--adapter", "caddyfile", "--config", "Caddyfile"])).unwrap()
    });
}
