//! coverage.py, 4.5 and newer: the headline of `index.html`.
//!
//! ```html
//! <h1>Coverage report:
//!     <span class="pc_cov">87.42%</span>
//! </h1>
//! ```
//!
//! The same span stands on each file's page, with that file's number, but there the headline holds other tags
//! before it. `--title` replaces the words `Coverage report`, escaped: it may hold a percent, but no tag.

use super::{Found, Percent};

const SPAN: &str = "<span class=\"pc_cov\">";

pub fn total(html: &str) -> Option<Found> {
    let table = between(html, "<table class=\"index\"", "</thead>")?;
    let headline = between(html, "<h1>", "</h1>").filter(|_| html.contains("coverage.py"))?;
    let (title, rest) = headline.split_once(SPAN)?;
    let (number, _) = rest.split_once("%</span>")?;
    let is_index = !title.contains('<') && title.trim_end().ends_with(':');
    let percent = is_index.then(|| Percent::parse(number.trim()))??;
    let branches = table.to_ascii_lowercase().contains(">branches");
    Some((percent, if branches { "lines and branches" } else { "lines" }))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const INDEX: &str = include_str!("../../tests/fixtures/coverage_py/index.html");
    const FILE_PAGE: &str = include_str!("../../tests/fixtures/coverage_py/sample_py.html");

    fn shown(html: &str) -> Option<String> {
        total(html).map(|(percent, of)| format!("{percent}% of {of}"))
    }

    #[test]
    fn the_index_shows_the_total() {
        assert_eq!(shown(INDEX).unwrap(), "84.62% of lines and branches");
    }

    #[test]
    fn a_files_own_page_shows_none() {
        assert!(FILE_PAGE.contains(SPAN));
        assert_eq!(shown(FILE_PAGE), None);
    }

    #[test]
    fn a_title_may_hold_anything() {
        let titled = |title: &str| shown(&INDEX.replace("Coverage report", title)).unwrap();
        assert_eq!(titled("99% pc_cov"), "84.62% of lines and branches");
        assert_eq!(titled("&lt;span class=\"pc_cov\"&gt;99%&lt;/span&gt;: x"), "84.62% of lines and branches");
    }

    #[test]
    fn a_number_that_is_no_percent_is_no_total() {
        for number in ["1e999", "100.01", "-1", "", "Unknown", "<b>1</b>"] {
            assert_eq!(shown(&INDEX.replace("84.62", number)), None, "{number}");
        }
    }

    #[test]
    fn no_other_tools_page_is_taken() {
        for html in ["", "<h1>", "<h1>x: <span class=\"pc_cov\">50%</span></h1>", "pc_cov 50%"] {
            assert_eq!(shown(html), None, "{html}");
        }
    }

    /// Reports written by the real tools, where they lie beside the repository.
    #[test]
    fn every_report_of_the_corpus_gives_the_total_that_it_shows() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
        let Ok(reports) = std::fs::read_dir(&corpus) else {
            return eprintln!("skipped: no corpus at {}", corpus.display());
        };
        for report in reports.map(|report| report.unwrap().path()) {
            let truth = std::fs::read_to_string(report.join("truth.json")).unwrap();
            let truth: serde_json::Value = serde_json::from_str(&truth).unwrap();
            for page in std::fs::read_dir(report.join("report")).unwrap().map(|page| page.unwrap().path()) {
                let Ok(html) = std::fs::read_to_string(&page) else { continue };
                let found = total(&html).map(|(percent, _)| format!("{percent}%"));
                if truth["tool"] == "coverage.py" && page.ends_with("index.html") {
                    assert_eq!(found.as_deref(), truth["displayed_total"].as_str(), "{}", page.display());
                } else if !page.to_string_lossy().ends_with("_index.html") {
                    assert_eq!(found, None, "{}", page.display());
                }
            }
        }
    }
}
