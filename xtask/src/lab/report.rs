//! Reports that are made on the spot: the same bytes in every run, none of them in the repository.

use std::fs;
use std::path::Path;

/// A file of a report: its path below the report, with `/`, and its bytes.
pub type File = (String, Vec<u8>);

/// A report with coverage.py's total in its index, and one page.
pub fn small(folder: &Path, percent: &str) -> Vec<File> {
    let index = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Coverage report</title>\
         <link rel=\"icon\" href=\"data:,\"></head><body><header><h1>Coverage report:\n\
         <span class=\"pc_cov\">{percent}%</span></h1></header>\
         <a href=\"app_py.html\">app.py</a></body></html>\n"
    );
    let page = "<!DOCTYPE html><title>app.py</title><pre>def answer():\n    return 42</pre>\n";
    let files =
        vec![("index.html".to_owned(), index.into_bytes()), ("app_py.html".to_owned(), page.as_bytes().to_vec())];
    write(folder, &files);
    files
}

/// A report of `count` files such as a large project's: pages of mixed size, some that do not compress, and
/// names that an address has to escape.
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

/// A report of `megabytes` that hardly compress: a few huge files and many small ones. Its files are made again
/// one by one by [`huge_file`], so that the test itself does not hold them all.
pub fn huge(folder: &Path, megabytes: usize) -> Vec<(String, usize, u64)> {
    let large = (0..4).map(|n| (format!("video/{n}.bin"), megabytes << 17, n));
    let many = (4..4 + megabytes as u64 * 5).map(|n| (format!("pages/{n}.html"), 100 << 10, n));
    small(folder, "87.5");
    let files: Vec<_> = large.chain(many).collect();
    for (name, size, seed) in &files {
        write(folder, &[(name.clone(), huge_file(*size, *seed))]);
    }
    files
}

pub fn huge_file(size: usize, seed: u64) -> Vec<u8> {
    Noise(seed + 1).bytes(size)
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

/// xorshift64: not random, but it does not compress.
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
