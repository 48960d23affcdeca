//! Steps 3 and 4: packs the report, opens a session, and uploads.

use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};

use super::state::Run;
use crate::archive::{self, Archive};
use crate::base::text::{bytes, count, seconds};
use crate::coverage::patch::PAGE;
use crate::http::Client;
use crate::inputs::Target;
use crate::log::progress::{self, Progress};
use crate::original::files;
use crate::report::{self, Report};
use crate::server::baseline;
use crate::server::session::{self, Destination, Session};
use crate::server::upload;

/// Number of files in the log's details.
const LARGEST: usize = 10;

impl Run<'_> {
    /// Uploads the report, and fetches the default branch's total meanwhile.
    pub(super) fn upload_and_compare(&mut self, client: &Client, target: &Target, report: &Report) -> Result<Session> {
        let name = self.inputs.name.as_deref();
        let (session, baseline) = thread::scope(|scope| {
            let baseline = scope.spawn(|| baseline::fetch(client, target, name));
            let archive = if self.inputs.transfer.file_by_file { Ok(None) } else { self.pack(report).map(Some) };
            let session = archive.and_then(|archive| self.upload(client, target, report, archive.as_ref()));
            (session, baseline.join())
        });
        match baseline {
            Ok(Ok(baseline)) => self.outcome.baseline = Some(baseline),
            Ok(Err(error)) => self.log.debug(&format!("cannot read the default branch's total: {error:#}")),
            Err(_) => {}
        }
        if let (Some(change), Some(baseline)) = (self.outcome.change(), &self.outcome.baseline) {
            self.log.info(&format!("The default branch has {baseline}%: {change}"));
        }
        session
    }

    pub(super) fn pack(&mut self, report: &Report) -> Result<Archive> {
        let started = Instant::now();
        let (temp, deadline) = (&self.inputs.transfer.temp, self.deadline());
        let pack = |progress: &Progress| archive::pack(report, temp, deadline, &|bytes| progress.add(bytes));
        let archive = progress::track(self.log, "Packing", report.bytes(), pack)?;
        let files = count(report.files.len(), "file");
        let packed = format!("{files}, {} -> {}", bytes(report.bytes()), bytes(archive.size));
        self.log.info(&format!("Packed {packed} ({})", seconds(started.elapsed())));
        let mut largest: Vec<_> = report.files.iter().collect();
        largest.sort_by_key(|file| std::cmp::Reverse(file.size));
        let lines: Vec<String> =
            largest.iter().take(LARGEST).map(|file| format!("{:>10}  {}", bytes(file.size), file.name)).collect();
        self.log.group("The largest files", &lines);
        self.outcome.packed = Some(packed);
        Ok(archive)
    }

    /// Uploads the packed report, or without one each file separately.
    fn upload(
        &mut self,
        client: &Client,
        target: &Target,
        report: &Report,
        archive: Option<&Archive>,
    ) -> Result<Session> {
        let started = Instant::now();
        let session = session::create(client, target, self.inputs.name.as_deref(), archive.map(|zip| zip.size))?;
        self.log.info(&format!(
            "Created site {} on {} ({})",
            session.site_id,
            target.api_url,
            seconds(started.elapsed())
        ));
        let name = self.inputs.name.as_ref().map_or_else(String::new, |name| format!("?name={name}"));
        self.outcome.site_id = Some(session.site_id.clone());
        self.outcome.badge_url = Some(format!("{}/badge/{}.svg{name}", session.public_url(target), target.repository));
        // A backend of the Python original has no policy.
        if self.inputs.transfer.file_by_file || matches!(session.destination, Destination::Zip(_)) {
            self.note_external_hosts(report);
        }
        let started = Instant::now();
        let uploaded = match (&session.destination, archive) {
            (Destination::Zip(_), None) => {
                bail!("{} returned no S3 credentials: remove --files", target.api_url)
            }
            (Destination::Zip(upload), Some(archive)) => {
                let send = |progress: &_| upload::send(client, upload, archive, progress);
                progress::track(self.log, "Uploading", archive.size, send).map(|()| bytes(archive.size))
            }
            (Destination::Files(credentials), _) => {
                [&credentials.secret_access_key, &credentials.session_token]
                    .into_iter()
                    .for_each(|secret| self.log.mask(secret));
                let bucket =
                    files::Bucket::new(credentials, &session.site_id, self.inputs.transfer.s3_endpoint.as_deref());
                let send = |progress: &_| {
                    files::send(client, &bucket, &report.files, self.inputs.transfer.concurrency, progress)
                };
                progress::track(self.log, "Uploading", report.bytes(), send).map(|()| report.count_and_size())
            }
        };
        self.log.info(&format!("Uploaded {} ({})", uploaded?, seconds(started.elapsed())));
        self.outcome.uploaded = true;
        self.outcome.report_url = Some(session.page_url(self.index(report)));
        self.outcome.patch_url = report.get(PAGE).map(|page| session.page_url(Some(&page.name)));
        Ok(session)
    }

    /// The page to open: the index, else the page that shows the total.
    fn index<'r>(&'r self, report: &'r Report) -> Option<&'r str> {
        let source = || self.outcome.totals.as_ref().map(|totals| totals.source.as_str());
        let is_page = |name: &&str| name.ends_with(".html") && report.files.iter().any(|file| file.name == *name);
        report.index().or_else(|| source().filter(is_page))
    }

    /// Logs which hosts the server's policy blocks.
    pub(super) fn note_external_hosts(&self, report: &Report) {
        report::external_hosts_note(report, self.deadline())
            .iter()
            .for_each(|note| self.log.info(&format!("Note: {note}")));
    }
}
