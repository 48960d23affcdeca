//! Generated reports: the same bytes in every run.

use std::fs;
use std::path::Path;

use super::paths;

/// The total in the index of the sample's report.
const TOTAL: &str = "<span class=\"pc_cov\">88%</span>";
/// The cell of its table with the same total.
const TOTAL_CELL: &str = "<td data-ratio=\"38 43\">88%</td>";

/// A file of a report: its relative path, with `/`, and its bytes.
pub type File = (String, Vec<u8>);

/// Writes the sample's coverage.py report, with this total in its index.
pub fn small(folder: &Path, percent: &str) -> Vec<File> {
    let sample = paths::root().join("xtask/sample/report");
    let entries = fs::read_dir(sample).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<File> = entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    // The order of read_dir is not defined.
    files.sort();
    let index = files.iter_mut().find(|(name, _)| name == "index.html").unwrap();
    let html = String::from_utf8_lossy(&index.1);
    assert!(
        html.contains(TOTAL) && html.contains(TOTAL_CELL),
        "the sample's total changed: update TOTAL and TOTAL_CELL"
    );
    let html = html.replace(TOTAL, &format!("<span class=\"pc_cov\">{percent}%</span>"));
    // Different counts would contradict the total.
    index.1 = html.replace(TOTAL_CELL, &format!("<td>{percent}%</td>")).into_bytes();
    write(folder, &files);
    files
}

/// Writes a report of `count` files like a large project's: pages of mixed size, some incompressible files, and names that
/// URLs must escape.
pub fn large(folder: &Path, count: usize) -> Vec<File> {
    let mut noise = Noise(42);
    let mut files = small(folder, "87.5");
    let odd = [
        ".gitignore",
        "with space.html",
        "sharp #1.html",
        "what?.html",
        "100%.html",
        "100%25.html",
        "größe/Überblick.html",
        "日本語/テスト.html",
        "plus+and&ampersand;semicolon.html",
        "quote'and\"quote.html",
        "deep/er/and/deeper/still/page.html",
        "no-extension",
    ];
    files.extend(odd.map(|name| (name.to_owned(), page(name, &mut noise))));
    files.push(("empty.css".to_owned(), Vec::new()));
    while files.len() < count {
        let number = files.len();
        let module = format!("src_package_{}_module_{number}", number % 40);
        files.push(match number % 50 {
            0 => (format!("img/{module}.png"), noise.bytes(20_000)),
            1 => (format!("data/{module}.json"), format!("{{\"n\":{number}}}").into_bytes()),
            _ => (format!("{module}_py.html"), page(&module, &mut noise)),
        });
    }
    write(folder, &files);
    files
}

/// Writes an incompressible report of `megabytes`: a few huge files and many small ones. Returns their names.
pub fn huge(folder: &Path, megabytes: usize) -> Vec<String> {
    let mut noise = Noise(42);
    small(folder, "87.5");
    let large = (0..4).map(|number| (format!("video/{number}.bin"), megabytes << 17));
    let many = (0..megabytes * 5).map(|number| (format!("pages/{number}.html"), 100 << 10));
    let sized = large.chain(many);
    let written = sized.map(|(name, size)| {
        write(folder, &[(name.clone(), noise.bytes(size))]);
        name
    });
    written.collect()
}

/// Writes a report of `megabytes` in `count` HTML pages, like a large project's.
pub fn pages(folder: &Path, megabytes: usize, count: usize) {
    let mut noise = Noise(42);
    small(folder, "87.5");
    let size = (megabytes << 20) / count;
    for number in 0..count {
        let name = format!("module_{number}_py.html");
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            bytes.extend(page(&name, &mut noise));
        }
        bytes.truncate(size);
        write(folder, &[(name, bytes)]);
    }
}

/// Writes a report with one huge file, `video.bin`.
pub fn one_huge(folder: &Path, megabytes: usize) {
    small(folder, "87.5");
    write(folder, &[("video.bin".to_owned(), Noise(42).bytes(megabytes << 20))]);
}

fn write(folder: &Path, files: &[File]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn page(name: &str, noise: &mut Noise) -> Vec<u8> {
    let mut html = format!("<!DOCTYPE html><html><head><title>{name}</title></head><body><pre>\n");
    let lines = noise.next() % 400;
    for line in 0..lines {
        let hits = noise.next() % 3;
        html += &format!("<p class=\"hit{hits}\"><a id=\"t{line}\">{line}</a> value_{line} = f({hits})</p>\n");
    }
    html += "</pre></body></html>\n";
    html.into_bytes()
}

/// xorshift64: deterministic, and incompressible.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }
}
