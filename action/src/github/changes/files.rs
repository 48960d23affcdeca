//! Lists the files that a pull request changes, with their diffs.

use anyhow::{Result, ensure};

use super::api::{Api, PULLS};
use super::file::File;

/// GitHub lists no more.
pub const MAX_FILES: usize = 3_000;
/// Files of one request.
pub const PER_PAGE: usize = 100;
/// Files of a request for diffs that a larger one left out, and the number of such requests.
const PER_SMALL_PAGE: usize = 10;
const MAX_SMALL_PAGES: usize = 10;
/// Lines of diffs in one response above which GitHub leaves out further ones: it then says that these files have no
/// changed lines. The limit is about 20,000: <https://github.com/orgs/community/discussions/213491>.
const MAY_BE_CUT: usize = 10_000;

/// All changed files of a pull request.
pub fn list(api: &Api, number: u64) -> Result<Vec<File>> {
    let mut files: Vec<File> = Vec::new();
    let mut cut = Vec::new();
    loop {
        let page = page(api, number, PER_PAGE, files.len() / PER_PAGE + 1)?;
        let (start, length) = (files.len(), page.len());
        if may_be_cut(&page) {
            cut.extend((start..start + length).step_by(PER_SMALL_PAGE));
        }
        files.extend(page);
        if length < PER_PAGE || files.len() >= MAX_FILES {
            break;
        }
    }
    let is_cut = |at: &&usize| files[**at..].iter().take(PER_SMALL_PAGE).any(|file| file.patch.is_none());
    let again: Vec<usize> = cut.iter().filter(is_cut).copied().collect();
    for (nth, at) in again.into_iter().enumerate() {
        let end = files.len().min(at + PER_SMALL_PAGE);
        if nth < MAX_SMALL_PAGES {
            let page = page(api, number, PER_SMALL_PAGE, at / PER_SMALL_PAGE + 1)?;
            files[at..end]
                .iter_mut()
                .zip(page)
                .filter(|(known, found)| known.filename == found.filename)
                .for_each(|(known, found)| *known = found);
        } else {
            // Unknown, as far as GitHub may have left out their diffs.
            let cut = files[at..end].iter_mut().filter(|file| file.patch.is_none() && !file.is_removed());
            cut.for_each(File::drop_diff);
        }
    }
    Ok(files)
}

fn page(api: &Api, number: u64, per_page: usize, page: usize) -> Result<Vec<File>> {
    let path = format!("pulls/{number}/files?per_page={per_page}&page={page}");
    let mut files: Vec<File> = api.get(&path, &format!("the changed files of pull request #{number}"), PULLS)?;
    ensure!(files.len() <= per_page, "GitHub returned {} files, but {per_page} were requested", files.len());
    api.room().keep(&mut files)?;
    Ok(files)
}

/// Whether GitHub may have left out diffs because the response has so many.
fn may_be_cut(page: &[File]) -> bool {
    let lines: usize = page.iter().filter_map(|file| file.patch.as_ref()).map(|patch| patch.lines().count()).sum();
    lines > MAY_BE_CUT && page.iter().any(|file| file.patch.is_none())
}
