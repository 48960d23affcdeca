//! Content type and charset of a file, by its name and first bytes.

mod charset;

use std::borrow::Cow;

use hyper::header::HeaderValue;

use charset::Declared;
pub use charset::SNIFFED;

/// The content type of a file by its name and its first [`SNIFFED`] bytes. A charset in the header overrides the file's
/// declaration, so both must match. Text without a declaration is UTF-8.
pub fn content_type(path: &str, start: &[u8]) -> HeaderValue {
    let usual = by_name(path);
    let Some((essence, _)) = usual.split_once(';') else { return HeaderValue::from_static(usual) };
    match charset::declared(essence, start) {
        Declared::Nothing | Declared::Known("UTF-8") => HeaderValue::from_static(usual),
        Declared::Unknown => HeaderValue::from_static(essence),
        Declared::Known(name) => HeaderValue::try_from(format!("{essence}; charset={name}"))
            .unwrap_or_else(|_| HeaderValue::from_static(essence)),
    }
}

/// Whether a file is text, which may declare a charset and compresses well.
pub fn is_text(path: &str) -> bool {
    by_name(path).contains(';')
}

/// Whether a file is stored as gzip and must be sent with that content encoding.
pub fn is_packed(path: &str) -> bool {
    let end = path.len().checked_sub(".svgz".len());
    end.and_then(|end| path.get(end..)).is_some_and(|end| end.eq_ignore_ascii_case(".svgz"))
}

/// The content type by extension, text as UTF-8. Unknown files are offered as a download.
fn by_name(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| !extension.contains('/'));
    let extension = extension.unwrap_or_default();
    let is_lower = !extension.bytes().any(|byte| byte.is_ascii_uppercase());
    match if is_lower { Cow::Borrowed(extension) } else { Cow::Owned(extension.to_ascii_lowercase()) }.as_ref() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" | "cjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "xml" | "xsl" | "xslt" | "xsd" => "text/xml; charset=utf-8",
        "xhtml" | "xht" => "application/xhtml+xml; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        "svgz" => "image/svg+xml",
        "csv" => "text/csv; charset=utf-8",
        "vtt" => "text/vtt; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        "png" => "image/png",
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "bmp" => "image/bmp",
        "ico" => "image/x-icon",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        "ogv" => "video/ogg",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "ogg" | "oga" => "audio/ogg",
        "wav" => "audio/wav",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "eot" => "application/vnd.ms-fontobject",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        other if TEXTS.contains(&other) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Extensions of files that browsers should show as text: texts, data, settings and source code.
const TEXTS: &[&str] = &[
    // Texts and data.
    "txt",
    "text",
    "md",
    "rst",
    "adoc",
    "log",
    "out",
    "err",
    "diff",
    "patch",
    "jsonl",
    "ndjson",
    "tsv",
    "dtd",
    // Coverage.
    "info",
    "lcov",
    "gcov",
    "cov",
    "tap",
    // Settings.
    "gitignore",
    "toml",
    "yml",
    "yaml",
    "ini",
    "cfg",
    "conf",
    "properties",
    "lock",
    "gradle",
    "cmake",
    "mk",
    "bazel",
    "bzl",
    // Sources: C and its family, the JVM's, .NET's, scripts, and others.
    "c",
    "h",
    "cc",
    "cpp",
    "cxx",
    "hh",
    "hpp",
    "hxx",
    "ipp",
    "inl",
    "m",
    "mm",
    "cu",
    "d",
    "s",
    "asm",
    "rs",
    "go",
    "zig",
    "swift",
    "java",
    "kt",
    "kts",
    "scala",
    "sc",
    "groovy",
    "clj",
    "cljs",
    "cs",
    "fs",
    "vb",
    "ts",
    "mts",
    "cts",
    "tsx",
    "jsx",
    "vue",
    "svelte",
    "coffee",
    "py",
    "pyi",
    "pyx",
    "rb",
    "erb",
    "php",
    "pl",
    "pm",
    "t",
    "lua",
    "r",
    "jl",
    "sh",
    "bash",
    "zsh",
    "ps1",
    "bat",
    "ex",
    "exs",
    "erl",
    "hrl",
    "hs",
    "elm",
    "ml",
    "mli",
    "nim",
    "dart",
    "cr",
    "pas",
    "adb",
    "ads",
    "f",
    "f90",
    "cob",
    "sql",
    "proto",
    "graphql",
    "v",
    "sv",
    "vhd",
    "vhdl",
    "sol",
    "tf",
    "hcl",
    "scss",
    "sass",
    "less",
    "el",
    "lisp",
    "scm",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_follow_the_extension() {
        for (path, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("INDEX.HTM", "text/html; charset=utf-8"),
            ("page.xhtml", "application/xhtml+xml; charset=utf-8"),
            ("graph.svgz", "image/svg+xml"),
            ("trace/video.mp4", "video/mp4"),
            ("shot.avif", "image/avif"),
            ("main.js", "text/javascript; charset=utf-8"),
            ("main.mjs", "text/javascript; charset=utf-8"),
            ("a.b/src/main.rs", "text/plain; charset=utf-8"),
            ("app.ts", "text/plain; charset=utf-8"),
            ("App.tsx", "text/plain; charset=utf-8"),
            ("lib.R", "text/plain; charset=utf-8"),
            ("x.c.gcov", "text/plain; charset=utf-8"),
            (".gitignore", "text/plain; charset=utf-8"),
            ("x.unknown", "application/octet-stream"),
            ("a.html/x", "application/octet-stream"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path, b""), expected, "{path}");
        }
    }

    #[test]
    fn declared_charsets_override_utf_8() {
        for (path, start, expected) in [
            ("a.html", "<meta charset=gbk>", "text/html; charset=GBK"),
            ("a.html", "<meta charset=\"utf8\">", "text/html; charset=utf-8"),
            ("a.html", "<meta charset=klingon>", "text/html"),
            ("a.png", "<meta charset=gbk>", "image/png"),
            ("a.js", "<meta charset=gbk>", "text/javascript; charset=utf-8"),
        ] {
            assert_eq!(content_type(path, start.as_bytes()), expected, "{path}: {start}");
        }
    }

    #[test]
    fn svgz_files_are_recognized_by_extension() {
        for (path, packed) in [("a.svgz", true), ("ä.SVGZ", true), ("a.svg", false), ("svgz", false), ("xäsvgz", false)]
        {
            assert_eq!(is_packed(path), packed, "{path}");
        }
    }
}
