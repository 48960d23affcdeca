//! The server's own pages: home, errors, the list of a folder. They need no script, and nothing from elsewhere.

use hyper::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::values::drawing::{self, Look};

/// What stays as it is in a link's path part.
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

/// What this server is, how to upload to it, how the badge is written. `url`: the server's public address. `keyless`:
/// whether workflows need no key.
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
    // Drawn here: an image would ask for a repository of that name.
    let sample = drawing::svg(None, &Look::new(None, None)).unwrap_or_default();
    let badge = format!("[![coverage]({url}/badge/OWNER/REPO.svg)]({url}/badge/redirect/OWNER/REPO/)");
    page(
        "Covered",
        html! {
            h1 { "Covered" }
            p { "This server keeps the coverage reports of GitHub repositories, shows them, and draws their badges." }
            h2 { "Upload a report" }
            p { "In the job that runs the tests:" }
            pre { code { (workflow) } }
            p { code { "org" } " stands for the owner of Covered's own repository on GitHub." }
            p { "From anywhere else:" }
            pre { code { (command) } }
            p { code { "--purge-cache" } " gives the badge the new number: for the default branch." }
            h2 { "Show the badge" }
            p { "In the README, with OWNER and REPO replaced:" }
            pre { code { (badge) } }
            p { (PreEscaped(sample)) }
            p { "It is green from coverage-threshold on (without one always), red below it, and grey where no number is known." }
            p { "The badge of a report with a name: " code { "?name=NAME" } "; of a branch, where this server has a GITHUB_TOKEN: " code { "?branch=BRANCH" } "." }
        },
    )
}

/// A refusal or a failure, for a person. `home`: the address of the home page.
pub fn error(status: StatusCode, detail: &str, home: &str) -> String {
    let reason = status.canonical_reason().unwrap_or("Error");
    page(
        reason,
        html! {
            h1 { (reason) }
            p { (sentence(detail)) }
            p { a href=(home) { "What this server is" } }
        },
    )
}

/// Error texts are lower case without a final period; a page has sentences.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// One row of a folder's list.
pub struct Row<'a> {
    /// The name of a file, or of a folder with a slash behind.
    pub name: &'a str,
    /// Bytes of a file.
    pub size: Option<u64>,
}

/// The list of a folder without an `index.html`. `more`: children that it leaves out.
pub fn list(folder: &str, rows: &[Row<'_>], more: usize) -> String {
    let title = if folder.is_empty() { "Report" } else { folder };
    page(
        title,
        html! {
            h1 { (title) }
            p { "This folder of the report has no " code { "index.html" } ". Its files:" }
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

/// A link to a child of the page's own folder; `./` keeps a name with a colon from being a scheme.
pub fn href(name: &str) -> String {
    match name.strip_suffix('/') {
        Some(folder) => format!("./{}/", utf8_percent_encode(folder, UNRESERVED)),
        None => format!("./{}", utf8_percent_encode(name, UNRESERVED)),
    }
}

/// A path as it stands in an address.
pub fn in_address(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Bytes as a person reads them, in decimal units.
fn bytes(size: u64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{:.1} kB", size as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size as f64 / 1e6),
        _ => format!("{:.1} GB", size as f64 / 1e9),
    }
}
