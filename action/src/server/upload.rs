//! Step 4: uploads the zip in one request.

use anyhow::{Result, bail};
use ureq::http::StatusCode;

use crate::archive::Archive;
use crate::http::too_large;
use crate::http::{Client, Request, Response};
use crate::log::progress::Progress;
use crate::server::session::Upload;

/// Uploads the archive with the method, address and headers of the session.
pub fn send(client: &Client, upload: &Upload, archive: &Archive, progress: &Progress) -> Result<()> {
    let mut request = Request::new(&upload.method, &upload.url)?;
    for (name, value) in &upload.headers {
        request = request.header(name, value)?;
    }
    let request = request.file(&archive.file, archive.size)?.progress(progress).retry_if(is_temporary);
    let response = client.send(&request)?;
    if let Some(wrong) = too_large::explain(&response, &upload.url, "the report", archive.size) {
        bail!(wrong);
    }
    match response.status {
        status if status.is_success() => Ok(()),
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED if response.tries > 1 => {
            // A site is written only once, so an earlier attempt succeeded and its response was lost.
            Ok(())
        }
        StatusCode::FORBIDDEN => {
            bail!(
                "the store refused the report ({}): the server's credentials for its store, or its clock, are wrong",
                response.describe()
            )
        }
        _ => Err(response.rejection(format!("the store did not accept the report ({})", response.describe()))),
    }
}

/// S3 also sends 409 while another write of the same object is in progress.
fn is_temporary(response: &Response) -> bool {
    let is_race = response.status == StatusCode::CONFLICT && response.text().contains("ConditionalRequestConflict");
    is_race || response.is_temporary()
}
