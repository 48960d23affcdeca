//! The built binary: flags, environment, first start, exit codes.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

const ROLE: &str = "arn:aws:iam::123456789012:role/upload";

fn command(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covered-server"));
    command.env_clear().envs(environment.iter().copied()).args(arguments).current_dir(folder);
    command
}

/// Runs a command until it ends: exit code, stdout, stderr.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path(), arguments, environment).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Starts a server in `folder`, reads what it prints up to a blank line, and stops it.
fn first_lines(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    welcome(command(folder, arguments, environment))
}

fn welcome(mut command: Command) -> String {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while output.read_line(&mut text).unwrap() > 0 && !text.ends_with("\n\n") {}
    // The upload command follows the blank line.
    for _ in 0..3 {
        output.read_line(&mut text).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_string(&mut text).unwrap();
    text
}

/// The next line of a JSON log with this message.
fn line_of(output: &mut impl BufRead, message: &str) -> serde_json::Value {
    let lines = output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    let found =
        lines.into_iter().find(|line: &serde_json::Value| line["message"].as_str().unwrap().starts_with(message));
    found.unwrap_or_else(|| panic!("the log ended without {message:?}"))
}

#[test]
fn json_logs_contain_the_banner_and_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let start = |settings: &[(&str, &str)]| {
        let environment = [&[("LISTEN", "127.0.0.1:0"), ("LOG_FORMAT", "json")], settings].concat();
        let mut child = command(folder.path(), &[], &environment).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        (child, output)
    };
    let (mut child, mut output) = start(&[]);
    let key_file = line_of(&mut output, "the API key for uploads is in /").to_string();
    let key = std::fs::read_to_string(folder.path().join("covered-data/api-key")).unwrap();
    assert!(key_file.contains("/covered-data/api-key\"") && !key_file.contains(key.trim()), "{key_file}");
    line_of(&mut output, "GITHUB_TOKEN is not set");
    child.kill().unwrap();
    child.wait().unwrap();
    let keys = "0123456789abcdef,short=octo/*,0123456789abcdefg=octo";
    let (mut child, mut output) = start(&[("API_KEY", keys), ("PUBLIC_URL", "http://covered.example.com")]);
    let line = line_of(&mut output, "API_KEY has 3 keys: one for all repositories, one for octo/*, one for all");
    assert_eq!(line["level"], "INFO");
    for warning in
        ["PUBLIC_URL http://covered.example.com/ is plain HTTP", "API_KEY: key 2 has fewer", "API_KEY: key 3 is"]
    {
        assert_eq!(line_of(&mut output, warning)["level"], "WARN");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, mut output) = start(&[("STORAGE_URL", "memory://"), ("ALLOWED_REPOSITORIES", "octo/*")]);
    assert_eq!(line_of(&mut output, "API_KEY is not set: only workflows of ALLOWED_REPOSITORIES can")["level"], "INFO");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn without_settings_the_server_prints_its_address_and_an_upload_command() {
    let folder = tempfile::tempdir().unwrap();
    let text = first_lines(folder.path(), &["--listen", "127.0.0.1:0"], &[]);
    let key = std::fs::read_to_string(folder.path().join("covered-data/api-key")).unwrap();
    assert!(text.contains("listens on http://127.0.0.1:"), "{text}");
    assert!(!text.contains(":0\n"), "the real port is printed: {text}");
    let command = format!("COVERED_API_KEY=$(cat {}", folder.path().canonicalize().unwrap().display());
    assert!(text.contains(&command) && text.contains("covered htmlcov --api-url http://127.0.0.1:"), "{text}");
    assert!(!text.contains(key.trim()), "the key itself is not printed: {text}");
    let again = first_lines(folder.path(), &["--listen=127.0.0.1:0"], &[]);
    assert!(again.contains("covered-data/api-key"), "{again}");
    assert_eq!(key, std::fs::read_to_string(folder.path().join("covered-data/api-key")).unwrap());
}

/// A hard link to the server in another folder simulates an unpacked release.
#[cfg(unix)]
#[test]
fn the_upload_command_uses_the_uploader_next_to_the_server() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = folder.path().join("covered-server");
    std::fs::hard_link(env!("CARGO_BIN_EXE_covered-server"), &program).unwrap();
    let start = || {
        let mut command = Command::new(&program);
        command.env_clear().args(["--listen", "127.0.0.1:0"]).current_dir(folder.path());
        welcome(command)
    };
    let text = start();
    assert!(text.contains(") covered htmlcov") && text.contains("(`covered` is in the same release)\n"), "{text}");
    let uploader = folder.path().join("covered");
    std::fs::write(&uploader, "").unwrap();
    let text = start();
    assert!(text.contains(&format!(") {} htmlcov", uploader.display())), "{text}");
    assert!(!text.contains("same release"), "{text}");
}

#[test]
fn settings_are_read_from_the_env_file_and_logged_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let key = "correct horse, pa$$word and a battery";
    std::fs::write(&path, format!("api_key={key}\nlisten=nonsense # wrong\nCOMPOSE_PROJECT_NAME='x y'\n")).unwrap();
    let message = format!("settings also come from {}: API_KEY", path.canonicalize().unwrap().display());
    let settings = [("LISTEN", "127.0.0.1:0"), ("LOG_FORMAT", "json"), ("STORAGE_URL", "memory://")];
    let mut child = command(folder.path(), &[], &settings).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(line_of(&mut output, "settings also come from")["message"], message);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = command(folder.path(), arguments, environment).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, text) = run(&["check"], &[("LISTEN", "127.0.0.1:0")]);
    assert!(
        code == Some(0) && text.contains(&format!("settings    ok    {message}")) && !text.contains("horse"),
        "{text}"
    );
    let (code, text) = run(&[], &[]);
    let names = format!("{message}, LISTEN\n");
    assert!(code == Some(2) && text.contains("LISTEN \"nonsense\" is not") && text.contains(&names), "{text}");
    let (code, text) = run(&["healthcheck"], &[]);
    assert!(code == Some(2) && text.contains("LISTEN \"nonsense\" is not"), "{text}");
    std::fs::write(&path, "A=1\nAPI_KEY='hunter2\n").unwrap();
    let (code, text) = run(&["rebind", "octo/app"], &[]);
    assert!(code == Some(2) && text.contains(".env, line 2: API_KEY has an unclosed quote"), "{text}");
    assert!(!text.contains("hunter"), "{text}");
    let (code, text) = run(&["check"], &[("LISTEN", "127.0.0.1:0"), ("API_KEY", "test-key-0123456789")]);
    assert!(code == Some(0) && !text.contains("API_KEY has a quote"), "a value that is not needed: {text}");
    assert_eq!(run(&["--version"], &[]).0, Some(0));
}

#[test]
fn unreadable_lines_in_the_env_file_do_not_prevent_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "LISTEN=127.0.0.1:0\n-----BEGIN hunter2-----\nSOME hunter2=1\n")
        .unwrap();
    let environment = [("LOG_FORMAT", "json"), ("STORAGE_URL", "memory://"), ("API_KEY", "test-key-0123456789")];
    let mut child = command(folder.path(), &[], &environment).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    line_of(&mut output, "settings also come from");
    let warning = line_of(&mut output, &format!("{}/.env: skipped", folder.path().canonicalize().unwrap().display()));
    child.kill().unwrap();
    child.wait().unwrap();
    let message = warning["message"].as_str().unwrap();
    assert!(
        warning["level"] == "WARN" && message.ends_with("skipped lines that are not NAME=VALUE: 2, 3"),
        "{message}"
    );
}

#[test]
fn help_lists_settings_and_version_prints_the_version() {
    let (code, help, _) = run(&["--help"], &[]);
    assert_eq!(code, Some(0));
    for name in [
        "--listen ",
        "LISTEN",
        "--storage-url",
        "STORAGE_URL",
        "API_KEY (secret)",
        "GITHUB_TOKEN",
        "MAX_REPORT_BYTES",
        "CACHE_BYTES",
        "the bucket's region [us-east-1]",
    ] {
        assert!(help.contains(name), "{name} in {help}");
    }
    let (head, _) = help.split_once("\n  --listen ").unwrap();
    assert!(head.lines().all(|line| line.chars().count() <= 80), "wider than a terminal: {head}");
    assert_eq!(run(&["rebind", "--help"], &[]), (Some(0), help, String::new()));
    assert_eq!(
        run(&["--version"], &[]),
        (Some(0), format!("covered-server {}\n", env!("CARGO_PKG_VERSION")), String::new())
    );
}

#[test]
fn all_invalid_settings_are_reported_together() {
    let environment = [
        ("LISTEN", "nonsense"),
        ("MAX_REPORT_BYTES", "0"),
        ("LOG_FORMAT", "xml"),
        ("ALLOWED_REPOSITORIES", "octo"),
        ("GITHUB_TOKEN", "a b"),
        ("MAX_CONNECTIONS", "0"),
        ("STALL_TIMEOUT", "NaN"),
        ("IDLE_TIMEOUT", "1 h"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
    ];
    let (code, _, errors) = run(&["--cache-bytes", "many"], &environment);
    assert_eq!(code, Some(2));
    for expected in [
        "LISTEN \"nonsense\" is not a valid address and port",
        "MAX_REPORT_BYTES \"0\" is not a valid number of bytes: write a whole number above 0",
        "CACHE_BYTES \"many\" is not a valid number of bytes",
        "LOG_FORMAT \"xml\" is not a valid format: write text or json",
        "ALLOWED_REPOSITORIES \"octo\" is not a valid repository: write owner/* or owner/name, id:NUMBER or owner-id:NUMBER",
        "GITHUB_TOKEN contains characters that GitHub tokens do not have",
        "MAX_CONNECTIONS \"0\" is not a valid number: write a whole number above 0",
        "STALL_TIMEOUT \"NaN\" is not a valid time: write seconds, more than 0 and at most 86400",
        "IDLE_TIMEOUT \"1 h\" is not a valid time: write seconds, more than 0 and at most 86400",
        "TRUSTED_PROXIES \"proxy\" is not a valid address or network, such as 10.0.0.0/8",
        "not started because of invalid settings; see covered-server --help",
    ] {
        assert!(errors.contains(expected), "{expected:?} in\n{errors}");
    }
}

/// Asserts that the server does not start with these settings, and names the problem without showing secrets.
#[track_caller]
fn assert_invalid(environment: &[(&str, &str)], expected: &str) {
    let (code, _, errors) = run(&[], environment);
    assert!(!errors.contains("hunter2"), "{errors}");
    assert!(code == Some(2) && errors.contains(expected), "{environment:?}: {code:?}\n{errors}");
}

#[test]
fn contradicting_and_missing_settings_are_reported() {
    for (environment, expected) in [
        (vec![("LISTEN", "0.0.0.0:0")], "PUBLIC_URL is not set, but LISTEN=0.0.0.0:0 is not a loopback address"),
        (vec![("STORAGE_URL", "memory://")], "API_KEY is not set"),
        (
            vec![("STORAGE_URL", "s3://one"), ("AWS_BUCKET", "two"), ("API_KEY", "k")],
            "STORAGE_URL is s3://one, but AWS_BUCKET is two: set one of them",
        ),
        (
            vec![("AWS_BUCKET", "b"), ("AWS_ACCESS_KEY_ID", "id"), ("API_KEY", "k")],
            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not: set both",
        ),
        (
            vec![("AWS_UPLOAD_ROLE_ARN", ROLE)],
            "AWS_UPLOAD_ROLE_ARN is set, but no bucket: set AWS_BUCKET (the default of the Python original was",
        ),
        (vec![("AWS_SECRET_ACCESS_KEY", "hunter2")], "AWS_SECRET_ACCESS_KEY is set, but no bucket: set AWS_BUCKET"),
        (
            vec![("AWS_UPLOAD_ROLE_ARN", ROLE), ("STORAGE_URL", "memory://"), ("API_KEY", "k")],
            "AWS_UPLOAD_ROLE_ARN is set, but reports are not stored in S3",
        ),
        (
            vec![("AWS_UPLOAD_ROLE_ARN", ROLE), ("STORAGE_URL", "s3://b/reports"), ("API_KEY", "k")],
            "AWS_UPLOAD_ROLE_ARN is set, but STORAGE_URL s3://b/reports has a path: the Python CLI writes to the bucket's root",
        ),
        (vec![("TLS_CERT", "cert.pem")], "TLS_CERT is set, but TLS_KEY is not: set both"),
        (vec![("TLS_KEY", "key.pem")], "TLS_KEY is set, but TLS_CERT is not: set both"),
    ] {
        assert_invalid(&environment, expected);
    }
}

#[test]
fn invalid_settings_are_reported() {
    for (environment, expected) in [
        (vec![("PUBLIC_URL", "covered.example.com")], "PUBLIC_URL \"covered.example.com\" is not a valid URL"),
        (
            vec![("PUBLIC_URL", "ftp://example.com")],
            "PUBLIC_URL \"ftp://example.com\" must begin with https:// or http://",
        ),
        (
            vec![("PUBLIC_URL", "https://user:pass@example.com")],
            "PUBLIC_URL must not contain a user name or a password",
        ),
        (
            vec![("ALLOWED_REPOSITORIES", " , ")],
            "ALLOWED_REPOSITORIES \",\" contains no repository: remove it to allow all",
        ),
        (vec![("ALLOWED_REPOSITORIES", " ")], "ALLOWED_REPOSITORIES contains only white space: write a value"),
        (vec![("REPORT_HOST", "\t")], "REPORT_HOST contains only white space: write a value, or remove it"),
        (vec![("TRUSTED_PROXIES", ",")], "TRUSTED_PROXIES \",\" contains no address: remove it if there is no proxy"),
        (vec![("OIDC_ISSUERS", ",")], "OIDC_ISSUERS \",\" contains no issuer: write none to disable tokens"),
        (
            vec![("STORAGE_URL", "ftp://x"), ("API_KEY", "k")],
            "STORAGE_URL has the unknown scheme ftp://: use file, s3, gs, az or memory",
        ),
        (vec![("STORAGE_URL", "reports"), ("API_KEY", "k")], "STORAGE_URL \"reports\" is not a valid URL"),
        (vec![("STORAGE_URL", "s3:///x"), ("API_KEY", "k")], "has no bucket"),
        (
            vec![("AWS_UPLOAD_ROLE_ARN", "upload"), ("AWS_BUCKET", "b"), ("API_KEY", "k")],
            "AWS_UPLOAD_ROLE_ARN \"upload\" is not a valid role ARN",
        ),
        (vec![("API_KEY", " , ")], "API_KEY contains no key"),
        (vec![("GITHUB_API_URL", "nonsense")], "GITHUB_API_URL \"nonsense\" is not a valid URL"),
        (vec![("REDIS_URL", "redis://:hunter2@127.0.0.1/many")], "REDIS_URL cannot be used: "),
        (vec![("REDIS_URL", "http://:hunter2@127.0.0.1")], "REDIS_URL begins with the unknown scheme http://"),
    ] {
        assert_invalid(&environment, expected);
    }
}

#[test]
fn invalid_flags_and_arguments_are_reported() {
    for (arguments, expected) in [
        (vec!["--nonsense", "1"], "invalid option '--nonsense'"),
        (vec!["stray"], "unexpected argument \"stray\""),
        (vec!["--listen"], "missing argument for option '--listen'"),
        (
            vec!["--log-level", "trace", "--listen", "x"],
            "LOG_LEVEL \"trace\" is not a valid level: write error, warn, info or debug",
        ),
        (
            vec!["--log-level", "5", "--listen", "x"],
            "LOG_LEVEL \"5\" is not a valid level: write error, warn, info or debug",
        ),
        (vec!["rebind"], "rebind needs a repository: owner/name"),
        (vec!["rebind", "octo"], "\"octo\" is not a valid repository: write owner/name"),
    ] {
        let (code, _, errors) = run(&arguments, &[]);
        assert!(code == Some(2) && errors.contains(expected), "{arguments:?}: {code:?}\n{errors}");
    }
}

#[test]
fn an_address_in_use_is_reported() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (code, _, errors) = run(&["--listen", &address], &[]);
    let why = "the address is in use. Choose another with LISTEN or --listen";
    let expected = format!("covered-server: cannot listen on {address} (LISTEN): {why}\n");
    assert_eq!((code, errors), (Some(1), expected));
    let metrics = [("METRICS_LISTEN", address.as_str()), ("LISTEN", "127.0.0.1:0")];
    let (code, _, errors) = run(&[], &metrics);
    let expected = format!("cannot listen on {address} (METRICS_LISTEN): the address is in use. Choose another with");
    assert!(code == Some(1) && errors.contains(&expected), "{code:?}\n{errors}");
    // An address reserved for documentation, which no machine has.
    let (code, _, errors) = run(&["--listen", "192.0.2.1:8000"], &[("PUBLIC_URL", "https://covered.example.com")]);
    let expected = "cannot listen on 192.0.2.1:8000 (LISTEN): Cannot assign requested address";
    assert!(code == Some(1) && (errors.contains(expected) || cfg!(not(target_os = "linux"))), "{code:?}\n{errors}");
}

#[test]
fn an_unusable_folder_is_reported() {
    let (code, _, errors) = run(&["--storage-url", "file:///dev/null/x"], &[("LISTEN", "127.0.0.1:0")]);
    assert!(
        code == Some(2)
            && errors.contains("the folder /dev/null/x (STORAGE_URL) cannot be used: it must be writable by uid "),
        "{code:?}\n{errors}"
    );
}

#[test]
fn flags_override_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("LISTEN", "nonsense"), ("PUBLIC_URL", "https://covered.example.com/")];
    let text = first_lines(folder.path(), &["--listen", "127.0.0.1:0"], &environment);
    assert!(text.contains("public address: https://covered.example.com\n"), "{text}");
}

#[cfg(unix)]
#[test]
fn sigterm_stops_the_server_with_exit_code_0_and_each_request_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("LISTEN", "127.0.0.1:0"), ("LOG_FORMAT", "json"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let mut child = command(folder.path(), &[], &environment).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let started = line_of(&mut output, "listening");
    let address = started["address"].as_str().unwrap();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(
        &mut connection,
        b"GET /healthz?token=hunter2 HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9, 192.0.2.1\r\nconnection: close\r\n\r\n",
    )
    .unwrap();
    connection.read_to_end(&mut Vec::new()).unwrap();
    let request = line_of(&mut output, "request");
    assert_eq!(
        (&request["method"], &request["path"], &request["status"]),
        (&"GET".into(), &"/healthz".into(), &200.into())
    );
    assert!(request["bytes"].as_u64().unwrap() > 10 && request["ms"].as_f64().unwrap() >= 0.0, "{request}");
    assert!(!request.to_string().contains("hunter2"), "{request}");
    assert_eq!(request["client"], "192.0.2.1", "{request}");
    let kill = |signal: &str| {
        assert!(Command::new("kill").args([signal, child.id().to_string().as_str()]).status().unwrap().success())
    };
    kill("-HUP");
    line_of(&mut output, "SIGHUP: there is no certificate to reload");
    kill("-TERM");
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("SIGTERM") && rest.contains("stopped, all requests were answered"), "{rest}");
}

#[cfg(unix)]
#[test]
fn a_second_signal_stops_the_server_immediately() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("LISTEN", "127.0.0.1:0"), ("LOG_FORMAT", "json"), ("API_KEY", "test-key")];
    let mut child = command(folder.path(), &[], &environment).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let started = line_of(&mut output, "listening");
    let address = started["address"].as_str().unwrap();
    let send = |request: &str| {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut connection, request.as_bytes()).unwrap();
        connection
    };
    let exchange = |request: &str| {
        let mut text = String::new();
        send(request).read_to_string(&mut text).unwrap();
        text
    };
    let body = format!("{{\"repository\": \"octo/app\", \"commit_sha\": \"{}\"}}", "0".repeat(40));
    let session = exchange(&format!(
        "POST /coverage/create-site/ HTTP/1.1\r\nhost: x\r\ntoken: test-key\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ));
    let session: serde_json::Value = serde_json::from_str(session.split_once("\r\n\r\n").unwrap().1).unwrap();
    // Opening a pipe blocks until somebody writes to it.
    let site = "0123456789abcdef0123456789abcdef";
    let pipe = folder.path().join(format!("covered-data/sites/{site}.zip"));
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let hung = exchange(&format!("GET /coverage/{site}/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    assert!(hung.starts_with("HTTP/1.1 504 "), "{hung}");
    // An upload in progress: the server requested its body.
    let url = session["upload"]["url"].as_str().unwrap();
    let path = url.split_once(address).unwrap().1;
    let mut upload =
        send(&format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n"));
    let mut interim = [0; 12];
    upload.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    let terminate =
        || assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    terminate();
    line_of(&mut output, "SIGTERM: accepting no new requests");
    terminate();
    line_of(&mut output, "second SIGTERM: stopped immediately");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            None if std::time::Instant::now() < deadline => std::thread::sleep(std::time::Duration::from_millis(50)),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the server still runs a minute after it logged that it stopped");
            }
            Some(status) => break status,
        }
    };
    assert_eq!(status.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn the_server_recovers_after_running_out_of_file_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\"", env!("CARGO_BIN_EXE_covered-server")])
        .env_clear()
        .envs([("LISTEN", "127.0.0.1:0"), ("LOG_FORMAT", "json")])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("MAX_CONNECTIONS=10000 exceeds the file descriptors of this process"), "{line}");
    let started = line_of(&mut output, "listening");
    let address = started["address"].as_str().unwrap().to_owned();
    let connect = || std::net::TcpStream::connect(&address).unwrap();
    let flood: Vec<std::net::TcpStream> = (0..200).map(|_| connect()).collect();
    drop(flood);
    // A connection is free after the server noticed that another one ended.
    let recovered = (0..200).any(|_| {
        let mut text = String::new();
        let mut connection = connect();
        let request = b"GET /robots.txt HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let sent = std::io::Write::write_all(&mut connection, request);
        let responded = sent.and_then(|()| connection.read_to_string(&mut text)).is_ok() && text.contains(" 200 ");
        if !responded {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        responded
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(recovered, "the server did not recover from a flood");
}

/// A limit on the file size simulates a full disk: writes beyond it fail.
#[cfg(unix)]
#[test]
fn an_upload_to_a_full_disk_is_507_and_leaves_no_file() {
    use xtask::lab::http::{get, request};
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -f 4000; exec \"$0\"", env!("CARGO_BIN_EXE_covered-server")])
        .env_clear()
        .envs([("LISTEN", "127.0.0.1:0"), ("LOG_FORMAT", "json"), ("API_KEY", "a-key")])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let started = line_of(&mut output, "listening");
    let server = format!("http://{}", started["address"].as_str().unwrap());
    let new = format!(r#"{{"repository": "octo/app", "commit_sha": "{}"}}"#, "0".repeat(40));
    let session = request("POST", &format!("{server}/coverage/create-site/"), &[("token", "a-key")], new).unwrap();
    let session: serde_json::Value = serde_json::from_slice(&session.body).unwrap();
    let put = |size: usize| {
        let zip = crate::support::zip(&[("index.html", &crate::support::noise(size, 3))]);
        request("PUT", session["upload"]["url"].as_str().unwrap(), &[], zip).unwrap()
    };
    let page = || get(session["url"].as_str().unwrap()).unwrap().status;
    let rejected = put(6 << 20);
    assert_eq!(rejected.status, 507, "{}", rejected.text());
    assert!(rejected.text().contains("the server's storage is full, nothing was stored"), "{}", rejected.text());
    assert_eq!(page(), 404);
    assert_eq!(std::fs::read_dir(folder.path().join("covered-data/uploads")).unwrap().count(), 0);
    let accepted = put(100_000);
    assert_eq!((accepted.status, page()), (201, 200), "{}", accepted.text());
    child.kill().unwrap();
    child.wait().unwrap();
}
