//! The folder, the total, and the uploaded zip.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Command;

use xtask::lab::parts::skip;

use crate::peer::Peer;
use crate::run::Covered;

const STORE: &str = "/store/";

/// The entries of the uploaded zip, read by another implementation that checks sizes and CRC-32.
pub fn uploaded(peer: &Peer) -> BTreeMap<String, Vec<u8>> {
    entries(&peer.one("PUT", STORE).body)
}

fn entries(zip: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let archive = rawzip::ZipArchive::from_slice(zip).unwrap();
    let mut found = BTreeMap::new();
    for entry in archive.entries() {
        let entry = entry.unwrap();
        assert!(!entry.flags().has_data_descriptor());
        let name = String::from_utf8(entry.file_path().as_ref().to_vec()).unwrap();
        let data = archive.get_entry(entry.wayfinder()).unwrap();
        let mut content = Vec::new();
        match entry.compression_method() {
            rawzip::CompressionMethod::DEFLATE => {
                data.verifying_reader(flate2::read::DeflateDecoder::new(data.data())).read_to_end(&mut content).unwrap()
            }
            _ => data.verifying_reader(data.data()).read_to_end(&mut content).unwrap(),
        };
        assert!(found.insert(name, content).is_none());
    }
    found
}

/// Incompressible bytes.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn sample(peer: &Peer) -> Covered {
    let large = "a line of a large page\n".repeat(200_000);
    Covered::new(peer)
        .file("status.json", "{}")
        .file("empty.css", "")
        .file("deep/er/é ü.html", "<p>umlauts</p>".repeat(50))
        .file("noise.png", noise(70_000))
        .file("large.html", large)
        .file("large.bin", noise(2_200_000))
        .arg("--timeout=60")
}

/// A session without a size limit, for reports of some megabytes.
fn accept_large_reports(peer: &Peer) {
    let session = peer.session().replace("1000000", "100000000");
    peer.on("POST", "/coverage/create-site/", [crate::peer::Reply::new(200, &session)]);
}

#[test]
fn every_file_including_dotfiles_is_uploaded_byte_for_byte() {
    let peer = Peer::new();
    accept_large_reports(&peer);
    let covered = sample(&peer);
    let report = covered.report();
    let read = |name: &str| std::fs::read(report.join(name)).unwrap();
    let names = [
        ".gitignore",
        "deep/er/é ü.html",
        "empty.css",
        "index.html",
        "large.bin",
        "large.html",
        "noise.png",
        "sample_py.html",
        "status.json",
    ];
    let expected: BTreeMap<String, Vec<u8>> = names.iter().map(|name| ((*name).to_owned(), read(name))).collect();
    covered.run().succeeds().stdout_contains("Packed 9 files, 6.9 MB -> ");
    let found = uploaded(&peer);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected);
}

#[test]
fn the_same_folder_produces_the_same_zip() {
    let zips = [(); 2].map(|()| {
        let peer = Peer::new();
        accept_large_reports(&peer);
        sample(&peer).run().succeeds();
        peer.one("PUT", STORE).body
    });
    assert!(zips[0] == zips[1]);
}

#[test]
fn pythons_zipfile_reads_the_uploaded_zip() {
    let peer = Peer::new();
    accept_large_reports(&peer);
    sample(&peer).run().succeeds();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.zip");
    std::fs::write(&path, peer.one("PUT", STORE).body).unwrap();
    let script = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; \
                  print([(i.filename, i.compress_type, i.date_time, i.external_attr >> 16) for i in z.infolist()])";
    let Ok(output) = Command::new("python3").args(["-c", script]).arg(&path).output() else {
        return skip("there is no python3");
    };
    let message = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(message.contains("('deep/er/é ü.html', 8, (1980, 1, 1, 0, 0, 0), 33188)"), "{message}");
    assert!(message.contains("('noise.png', 0, "), "{message}");
}

#[test]
fn more_than_65535_files_are_uploaded_as_zip64() {
    let peer = Peer::new();
    accept_large_reports(&peer);
    let covered = Covered::new(&peer).arg("--timeout=120");
    many_files(&covered, 66_000);
    covered.run().succeeds().stdout_contains("Packed 66003 files");
    assert_eq!(uploaded(&peer).len(), 66_003);
}

/// The first file is slow, so that others are packed and wait.
#[cfg(unix)]
#[test]
fn few_files_are_open_while_many_wait() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    let mut dice = 1_u32;
    let mut noise = || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (dice >> 24) as u8
    };
    write("0.bin", &std::iter::repeat_with(&mut noise).take(40 << 20).collect::<Vec<u8>>());
    (0..150).for_each(|number| write(&format!("{number}.html"), &[b' '; 300 << 10]));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" --dry-run \"$1\""]).env_clear();
    let output = command.arg(env!("CARGO_BIN_EXE_covered")).arg(folder.path()).output().unwrap();
    let message = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && message.contains("Packed 151 files"), "{message}");
}

#[cfg(unix)]
#[test]
fn more_than_100_000_files_are_rejected() {
    let peer = Peer::new();
    let covered = Covered::new(&peer);
    many_files(&covered, 50_000);
    // Twice 50,000, and three more files.
    std::os::unix::fs::symlink("many", covered.report().join("again")).unwrap();
    covered.run().fails("error: the folder contains more than 100,000 files: is it the report's own folder?");
    assert!(peer.received().is_empty());
}

fn many_files(covered: &Covered, count: usize) {
    let folder = covered.report().join("many");
    std::fs::create_dir(&folder).unwrap();
    (0..count).for_each(|number| std::fs::write(folder.join(number.to_string()), []).unwrap());
}

#[test]
fn invalid_report_folders_are_rejected_before_anything_is_sent() {
    let peer = Peer::new();
    let folder = tempfile::tempdir().unwrap();
    let (empty, file) = (folder.path().join("empty"), folder.path().join("file"));
    std::fs::create_dir_all(empty.join("deep")).unwrap();
    std::fs::write(&file, "x").unwrap();
    let run = |path: &std::path::Path| {
        let bare = Covered::bare().arg(path).env("COVERED_API_URL", &peer.url).env("COVERED_API_KEY", crate::run::KEY);
        bare.env("GITHUB_REPOSITORY", "octo/app").env("GITHUB_SHA", crate::run::SHA).run()
    };
    run(&empty).fails(&format!(
        "error: the report's folder `{}` is empty: did the tests write a report there?",
        empty.display()
    ));
    run(&file).fails(&format!("error: `{}` is a file: pass the folder that contains the report", file.display()));
    let missing = folder.path().join("missing");
    run(&missing)
        .fails(&format!("error: there is no folder `{}`: did the tests write a report there?", missing.display()))
        .outputs("uploaded=false");
    assert!(peer.received().is_empty());
}

#[test]
fn a_report_without_an_index_is_uploaded_with_a_warning() {
    let peer = Peer::new();
    Covered::new(&peer)
        .without_file("index.html")
        .run()
        .succeeds()
        .stderr_contains("warning: there is no index.html in the report's folder")
        .stderr_contains("warning: no total found")
        .outputs("uploaded=true")
        .outputs(&format!("report-url={}/coverage/{}/", peer.url, crate::run::SITE));
    let status = peer.one("POST", "/repos/").json();
    assert_eq!(
        (&status["state"], &status["description"]),
        (&"failure".into(), &"no total found; a total of at least 80 is required".into())
    );
    assert!(peer.one("POST", "/coverage/invalidate").json().get("percent").is_none());
}

#[test]
fn the_link_opens_the_only_subfolder_with_an_index() {
    let peer = Peer::new();
    let covered = Covered::new(&peer);
    let index = std::fs::read_to_string(covered.report().join("index.html")).unwrap();
    let link = format!("{}/coverage/{}/lcov-report/", peer.url, crate::run::SITE);
    covered
        .without_file("index.html")
        .file("lcov-report/index.html", index)
        .run()
        .succeeds()
        .stdout_contains("Found 84.62% of lines and branches (coverage.py, lcov-report/index.html)")
        .stdout_contains(&format!("Report: {link}"))
        .outputs(&format!("report-url={link}"));
    assert_eq!(peer.one("POST", "/repos/").json()["target_url"], link);
}

#[test]
fn the_link_opens_the_file_list_if_two_subfolders_have_an_index() {
    let peer = Peer::new();
    let covered = Covered::new(&peer).without_file("index.html").file("a/index.html", "x").file("b/index.html", "x");
    covered.run().succeeds().outputs(&format!("report-url={}/coverage/{}/", peer.url, crate::run::SITE));
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn with_link(peer: &Peer, target: &str, link: &str) -> Covered {
        let covered = Covered::new(peer).file("real/page.html", "page");
        symlink(target, covered.report().join(link)).unwrap();
        covered
    }

    #[test]
    fn symlinks_inside_the_folder_are_packed_as_their_targets() {
        let peer = Peer::new();
        let covered = with_link(&peer, "real/page.html", "file.html");
        symlink("real", covered.report().join("folder")).unwrap();
        covered.run().succeeds();
        let found = uploaded(&peer);
        assert_eq!([&found["file.html"], &found["folder/page.html"], &found["real/page.html"]], [b"page"; 3]);
    }

    #[test]
    fn symlinks_out_of_the_folder_are_rejected_before_anything_is_sent() {
        let peer = Peer::new();
        with_link(&peer, "/etc/passwd", "leak")
            .run()
            .fails("error: the symbolic link `leak` points outside the report's folder");
        with_link(&peer, "../event.json", "out")
            .run()
            .fails("error: the symbolic link `out` points outside the report's folder");
        with_link(&peer, "nothing", "gone").run().fails("error: the symbolic link `gone` is broken");
        with_link(&peer, "..", "real/up")
            .run()
            .fails("error: the symbolic link `real/up` points to a folder that contains the link");
        assert!(peer.received().is_empty());
    }

    #[test]
    fn file_names_that_browsers_cannot_request_are_rejected() {
        let peer = Peer::new();
        let named = |name: &[u8]| {
            let covered = Covered::new(&peer);
            std::fs::write(covered.report().join(OsStr::from_bytes(name)), "x").unwrap();
            covered.run()
        };
        named(b"a\\b.html").fails("a\\\\b.html\" contains a backslash or a control character: rename it");
        named(b"a\nb.html").fails("a\\nb.html\" contains a backslash or a control character: rename it");
        named(b"a\xffb.html").fails("b.html\" is not UTF-8: rename it");
        assert!(peer.received().is_empty());
    }

    #[test]
    fn errors_name_unreadable_files() {
        use std::os::unix::fs::PermissionsExt;
        let peer = Peer::new();
        let covered = Covered::new(&peer).file("secret.html", "x");
        let path = covered.report().join("secret.html");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        if std::fs::read(&path).is_ok() {
            return skip("this user reads everything");
        }
        covered.run().fails("error: cannot pack `secret.html`: Permission denied");
        assert!(peer.received().is_empty());
    }

    #[test]
    fn pipes_in_the_folder_are_skipped() {
        let peer = Peer::new();
        let covered = Covered::new(&peer);
        if !Command::new("mkfifo").arg(covered.report().join("pipe")).status().is_ok_and(|status| status.success()) {
            return skip("there is no mkfifo");
        }
        covered.run().succeeds().stdout_contains("Packed 3 files");
    }
}

#[test]
fn git_checkouts_are_rejected() {
    let peer = Peer::new();
    Covered::new(&peer)
        .file(".git/config", "[core]")
        .run()
        .fails("the report contains a git checkout, `.git`: pass the report's own folder, such as htmlcov");
    Covered::new(&Peer::new())
        .file("deep/er/.git", "gitdir: ../..")
        .run()
        .fails("the report contains a git checkout, `deep/er/.git`: pass the report's own folder");
    assert!(peer.requests().is_empty());
}

#[test]
fn a_missing_totals_file_fails_before_anything_is_sent() {
    let peer = Peer::new();
    let run = Covered::new(&peer).arg("--totals").arg("coverage.xlm").run();
    run.fails(
        "totals (--totals) names the file `coverage.xlm`, which is neither in the working directory nor in the report",
    );
    assert!(peer.requests().is_empty());
}

#[test]
fn many_small_incompressible_files_are_packed() {
    let peer = Peer::new();
    accept_large_reports(&peer);
    let noise = noise(700 * 400);
    let pieces = noise.chunks(700).enumerate();
    let covered =
        pieces.fold(Covered::new(&peer), |covered, (number, piece)| covered.file(&format!("{number}.png"), piece));
    covered.run().succeeds();
    let files = uploaded(&peer);
    assert!(noise.chunks(700).enumerate().all(|(number, piece)| files[&format!("{number}.png")] == piece));
}

#[test]
fn errors_for_a_missing_temporary_folder_say_what_to_do() {
    let peer = Peer::new();
    let missing = Covered::new(&peer).env("RUNNER_TEMP", "/nowhere/_temp").run();
    missing
        .fails("error: cannot create a temporary file in /nowhere/_temp: ")
        .stderr_contains("; create it, or set RUNNER_TEMP to a folder that exists");
    assert!(peer.requests().is_empty());
}

#[test]
fn external_hosts_of_pages_are_logged_once() {
    let peer = Peer::new();
    let scoverage = |name: &str| {
        let path = format!("{}/tests/fixtures/totals/scoverage-2.5/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    };
    let mut covered = Covered::new(&peer).without_file("sample_py.html").in_actions();
    for name in ["index.html", "overview.html", "calc.html"] {
        covered = covered.file(name, scoverage(name));
    }
    let text = "Note: the report loads files from ajax.googleapis.com, cdnjs.cloudflare.com, netdna.bootstrapcdn.com, \
                which the covered server's policy blocks: its pages may look different\n";
    let outcome = covered.run().succeeds().stdout_contains(text);
    assert_eq!(outcome.stdout.matches("policy blocks").count(), 1);
    Covered::new(&peer).run().succeeds().omits("policy blocks");
}
