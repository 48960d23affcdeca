//! Several reports in one, each in a folder of its own.

use anyhow::{Result, ensure};

use super::files::{Entry, MAX_DIRECTORY, MAX_FILES, MAX_UNPACKED, RECORD, Report};

/// Parts of one report. A matrix of GitHub Actions has at most 256 jobs.
pub const MAX_PARTS: usize = 256;

/// Files that are added to a report of several parts: its own pages.
const OWN_PAGES: usize = 16;

/// One of several reports that are merged.
pub struct Part {
    /// Such as `unit`: a part of an address.
    pub name: String,
    /// The artifact or the folder.
    pub source: String,
    pub report: Report,
}

impl Part {
    /// Its folder in the merged report.
    pub fn folder(&self) -> String {
        format!("parts/{}/", self.name)
    }
}

/// One report with the files of each part in its folder, unchanged. Fails if a server would not accept it.
pub fn join_parts(parts: Vec<Part>) -> Result<Report> {
    let mut files: Vec<Entry> = Vec::new();
    for part in parts {
        let folder = part.folder();
        files
            .extend(part.report.files.into_iter().map(|file| Entry { name: format!("{folder}{}", file.name), ..file }));
    }
    let names: usize = files.iter().map(|file| file.name.len() + RECORD).sum();
    let unpacked: u64 = files.iter().map(|file| file.size).sum();
    ensure!(files.len() + OWN_PAGES <= MAX_FILES, "the reports have more than 100,000 files together: merge fewer");
    ensure!(names <= MAX_DIRECTORY, "the names of all files of the reports take more than 16 MiB: merge fewer");
    ensure!(unpacked <= MAX_UNPACKED, "the reports take more than {} GiB unpacked: merge fewer", MAX_UNPACKED >> 30);
    files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(Report { files })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Content;

    fn part(name: &str, files: usize) -> Part {
        let entry = |number| Entry { name: format!("{number}.html"), size: 7, content: Content::Generated(Vec::new()) };
        Part {
            name: name.to_owned(),
            source: name.to_owned(),
            report: Report { files: (0..files).map(entry).collect() },
        }
    }

    #[test]
    fn each_part_has_a_folder_of_its_own() {
        // Sorted by name, `a-b/` is before `a/`.
        let report = join_parts(vec![part("a", 1), part("a-b", 1)]).unwrap();
        let names: Vec<&str> = report.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["parts/a-b/0.html", "parts/a/0.html"]);
        assert!(report.get("parts/a/0.html").is_some());
    }

    #[test]
    fn together_they_are_no_larger_than_one_report() {
        let error = join_parts(vec![part("a", 60_000), part("b", 60_000)]).unwrap_err();
        assert_eq!(error.to_string(), "the reports have more than 100,000 files together: merge fewer");
        assert!(join_parts(vec![part("a", 40_000), part("b", 40_000)]).is_ok());
    }
}
