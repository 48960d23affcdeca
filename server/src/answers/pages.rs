//! The server's own pages: home, errors and folder lists. They need no scripts and no external resources.

use hyper::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::values::drawing::{self, Appearance};

/// Characters that are not percent-encoded in a path segment.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; overflow-x: auto; }
pre, code { font: 14px/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td + td, th + th { text-align: right; white-space: nowrap; }
footer { margin-top: 3rem; font-size: .875rem; opacity: .75; }
";

fn page(title: &str, body: Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer { "covered-server " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
    .into_string()
}

/// The home page: what the server is, how to upload, and the badge's Markdown. `url`: the public address. `keyless`:
/// whether workflows can upload without an API key.
pub fn home(url: &str, keyless: bool) -> String {
    let (permission, key) = match keyless {
        true => (", id-token: write", ""),
        false => ("", "\n      api-key: ${{ secrets.COVERED_API_KEY }}"),
    };
    let workflow = format!(
        "permissions: {{contents: read, statuses: write{permission}}}\nsteps:\n  # … run the tests, write the HTML report to htmlcov/ …\n  - uses: org/covered@v1\n    with:\n      path: htmlcov\n      api-url: {url}{key}\n      coverage-threshold: \"80\""
    );
    let command = format!(
        "COVERED_API_KEY=… covered htmlcov \\\n  --api-url {url} \\\n  --repo-owner OWNER --repo-name REPO --commit-sha SHA \\\n  --coverage-threshold 80 --purge-cache"
    );
    // Inline: an image link would need a repository of that name.
    let sample = drawing::svg(None, &Appearance::new(None, None)).unwrap_or_default();
    let badge = format!("[![coverage]({url}/badge/OWNER/REPO.svg)]({url}/badge/redirect/OWNER/REPO/)");
    page(
        "Covered",
        html! {
            h1 { "Covered" }
            p { "This server hosts coverage reports and badges of GitHub repositories." }
            h2 { "Upload a report" }
            p { "In the job that runs the tests:" }
            pre { code { (workflow) } }
            p { code { "org" } " is the owner of Covered's repository on GitHub." }
            p { "From any other machine:" }
            pre { code { (command) } }
            p { code { "--purge-cache" } " updates the badge. Use it on the default branch only." }
            h2 { "Show the badge" }
            p { "Add this to the README, and replace OWNER and REPO:" }
            pre { code { (badge) } }
            p { (PreEscaped(sample)) }
            p { "The badge is green if the total reaches coverage-threshold, red below it, and grey without a number. The action's default threshold is 0, the program's is 100." }
            p { "Add " code { "?name=NAME" } " for a named report, and " code { "?branch=BRANCH" } " for a branch. Branches need a GITHUB_TOKEN on this server." }
        },
    )
}

/// An error page. `home`: the address of the home page.
pub fn error(status: StatusCode, detail: &str, home: &str) -> String {
    let reason = status.canonical_reason().unwrap_or("Error");
    page(
        reason,
        html! {
            h1 { (reason) }
            p { (sentence(detail)) }
            p { a href=(home) { "About this server" } }
        },
    )
}

/// Turns an error text (lower case, no final period) into a sentence.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// One row of a folder's list.
pub struct Row<'a> {
    /// A file's name, or a folder's name with a trailing slash.
    pub name: &'a str,
    /// Bytes of a file.
    pub size: Option<u64>,
}

/// The list of a folder without an `index.html`. `more`: the number of entries left out.
pub fn list(folder: &str, rows: &[Row<'_>], more: usize) -> String {
    let title = if folder.is_empty() { "Report" } else { folder };
    page(
        title,
        html! {
            h1 { (title) }
            p { "This folder of the report has no " code { "index.html" } ". It contains:" }
            table {
                thead { tr { th { "Name" } th { "Size" } } }
                tbody {
                    @if !folder.is_empty() { tr { td { a href="../" { "../" } } td {} } }
                    @for row in rows {
                        tr {
                            td { a href=(href(row.name)) { (row.name) } }
                            td { @if let Some(size) = row.size { (bytes(size)) } }
                        }
                    }
                }
            }
            @if more > 0 { p { "And " (more) " more." } }
        },
    )
}

/// A link to an entry of the page's own folder. Without `./`, browsers would read a name with a colon as a scheme.
pub fn href(name: &str) -> String {
    match name.strip_suffix('/') {
        Some(folder) => format!("./{}/", utf8_percent_encode(folder, UNRESERVED)),
        None => format!("./{}", utf8_percent_encode(name, UNRESERVED)),
    }
}

/// A percent-encoded path.
pub fn encoded_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Bytes in decimal units.
fn bytes(size: u64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{:.1} kB", size as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size as f64 / 1e6),
        _ => format!("{:.1} GB", size as f64 / 1e9),
    }
}
