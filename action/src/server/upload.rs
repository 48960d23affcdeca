//! Step 4: sends the zip, in one request.

use anyhow::{Result, bail};
use ureq::http::StatusCode;

use crate::archive::Archive;
use crate::http::too_large;
use crate::http::{Answer, Client, Request};
use crate::log::progress::Progress;
use crate::server::session::Upload;

/// Sends the archive to where the session says.
pub fn send(client: &Client, upload: &Upload, archive: &Archive, progress: &Progress) -> Result<()> {
    let mut request = Request::new(&upload.method, &upload.url)?;
    for (name, value) in &upload.headers {
        request = request.header(name, value)?;
    }
    let request = request.file(&archive.file, archive.size)?.progress(progress).temporary(is_temporary);
    let answer = client.send(&request)?;
    if let Some(wrong) = too_large::explain(&answer, &upload.url, "the report", archive.size) {
        bail!(wrong);
    }
    match answer.status {
        status if status.is_success() => Ok(()),
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED if answer.tries > 1 => {
            // A site is written once: an earlier try arrived, only its answer was lost.
            Ok(())
        }
        StatusCode::FORBIDDEN => {
            bail!(
                "the store refused the report ({}): the server's credentials for its store, or its clock, are wrong",
                answer.describe()
            )
        }
        _ => Err(answer.refusal(format!("the store did not take the report ({})", answer.describe()))),
    }
}

/// S3 answers 409 too while another write of the same object is under way.
fn is_temporary(answer: &Answer) -> bool {
    let is_race = answer.status == StatusCode::CONFLICT && answer.text().contains("ConditionalRequestConflict");
    is_race || answer.is_temporary()
}
