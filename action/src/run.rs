//! The run: every step in its order, and what becomes of the job when one fails.

mod announce;

use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::archive::{self, Archive};
use crate::base::deadline::Deadline;
use crate::base::text::{bytes, count, seconds, shorten};
use crate::coverage;
use crate::coverage::{Search, State};
use crate::github::api::GitHub;
use crate::github::artifact;
use crate::github::status;
use crate::github::status::Status;
use crate::http::{Client, Outage};
use crate::inputs::{Artifact, Inputs, Source, Target};
use crate::log::progress;
use crate::log::progress::Progress;
use crate::log::summary::Outcome;
use crate::log::workflow::Workflow;
use crate::original::files;
use crate::report::{self, Report};
use crate::server::baseline;
use crate::server::session;
use crate::server::session::{Place, Session};
use crate::server::upload;

/// Files that the log's details name.
const LARGEST: usize = 10;
const NO_TOKEN: &str = "set github-token (--gh-token) to a token that may write commit statuses";

/// Whether the job goes on.
pub fn run(inputs: &Inputs, log: &Workflow, started: Instant) -> bool {
    let secrets = [inputs.github.token.as_ref(), inputs.target.as_ref().ok().map(|target| target.identity.secret())];
    secrets.into_iter().flatten().for_each(|secret| log.mask(secret));
    // What stands last counts: this, where the run is cut off.
    log.write_outputs(&[("uploaded", "false".to_owned())]);
    let outcome = Outcome::new(inputs.gate.threshold.clone(), inputs.name.clone());
    let mut run = Run { inputs, log, started, outcome, failed: false };
    if let Err(error) = run.pipeline() {
        run.fail(&error);
    }
    let goes_on = run.verdict();
    run.outcome.write(log);
    if let Some(url) = run.outcome.report_url.filter(|_| run.outcome.uploaded) {
        log.say(&format!("Report: {url}"));
    }
    goes_on
}

struct Run<'a> {
    inputs: &'a Inputs,
    log: &'a Workflow,
    started: Instant,
    outcome: Outcome,
    failed: bool,
}

impl<'a> Run<'a> {
    fn pipeline(&mut self) -> Result<()> {
        self.inputs.notes.iter().for_each(|note| self.warn(note));
        let target = self.inputs.target.as_ref().ok().filter(|_| !self.inputs.dry_run);
        if let Some(Target { repository, commit_sha, .. }) = target {
            self.log.say(&format!("Uploading {} for {repository} at {commit_sha}", self.inputs.source));
        }
        self.log.debug(&self.derived());
        let client = self.client();
        let report = match &self.inputs.source {
            Source::Folder(folder) => report::walk(folder)?,
            Source::Artifact(artifact) => self.fetch(&client, artifact)?,
        };
        self.find_total(&report)?;
        if let Some(why) = self.inputs.withheld {
            self.report(format!("nothing is uploaded: {why}"), true);
            return Ok(());
        }
        let Some(target) = target else {
            self.note_elsewhere(&report);
            let packed = if self.inputs.transfer.file_by_file { None } else { Some(self.pack(&report)?.size) };
            self.dry_run(&packed.map_or_else(|| single(&report), bytes));
            return Ok(());
        };
        let session = self.upload_and_compare(&client, target, &report)?;
        self.announce(&client, target, &session);
        Ok(())
    }

    fn client(&self) -> Client<'a> {
        let Inputs { target, github, transfer, .. } = self.inputs;
        let first = target.as_ref().map_or(&github.api, |target| &target.api_url);
        Client::new(self.log, self.started, transfer.timeout, &transfer.proxies, first)
    }

    fn deadline(&self) -> Deadline {
        Deadline::new(self.started, self.inputs.transfer.timeout)
    }

    /// The report in an artifact.
    fn fetch(&mut self, client: &Client, artifact: &Artifact) -> Result<Report> {
        let Some(token) = &self.inputs.github.token else { bail!("{NO_TOKEN}") };
        let github = GitHub { api: &self.inputs.github.api, repository: &artifact.repository, token };
        let Artifact { name, run_id, .. } = artifact;
        let (found, count) = artifact::find(client, &github, artifact)?;
        if count > 1 {
            self.log
                .say(&format!("Run {run_id} has {count} artifacts `{name}`, one of each attempt: taking the newest"));
        }
        if let Some(how) = artifact.failure() {
            self.warn(&format!("run {run_id} ended as `{how}`: its report may tell of a part of the tests only"));
        }
        let target = self.inputs.target.as_ref().ok().map(|target| target.commit_sha.as_str());
        if let (Some(tested), Some(target)) = (found.commit().filter(|tested| Some(*tested) != target), target) {
            self.warn(&format!(
                "run {run_id} was about commit {}, and the status goes to {target}",
                shorten(tested, 64)
            ));
        }
        let started = Instant::now();
        let download = |progress: &Progress| {
            artifact::download(client, &github, artifact, &found, &self.inputs.transfer.temp, progress)
        };
        let file = progress::watch(self.log, "Downloading", found.size, download)?;
        let (size, took) = (bytes(file.metadata()?.len()), seconds(started.elapsed()));
        self.log.say(&format!("Downloaded the artifact `{name}`, {size}, {}, in {took}", found.told()));
        report::unzip(file, &artifact.folder).with_context(|| format!("cannot take the artifact `{name}`"))
    }

    /// What was made of the event.
    fn derived(&self) -> String {
        let Inputs { event, target, run_id, purge, context, gate, transfer, .. } = self.inputs;
        let commit = target.as_ref().map_or("none", |target| &target.commit_sha);
        let run_id = run_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        format!(
            "event {event:?}: commit {commit}, run {run_id}, purge {purge:?}, threshold {}%, context {context:?}, \
             timeout {} s",
            gate.threshold,
            transfer.timeout.as_secs()
        )
    }

    fn find_total(&mut self, report: &Report) -> Result<()> {
        if let Some(path) = self.inputs.totals.missing(report) {
            bail!("there is no file `{path}`, neither here nor in the report, which totals (--totals) names");
        }
        let search = coverage::search(report, &self.inputs.totals, self.inputs.metric, self.deadline());
        self.deadline().check().context("cannot find the total")?;
        search.notes.iter().for_each(|note| self.log.say(&format!("Note: {note}")));
        match &search.totals {
            Some(totals) => self.log.say(&format!("Found {totals}")),
            None => self.no_total(report, &search),
        }
        self.outcome.totals = search.totals;
        self.outcome.state = Some(self.state());
        Ok(())
    }

    fn no_total(&mut self, report: &Report, search: &Search) {
        if report.index().is_none() {
            self.warn("there is no index.html in the report's folder: is it the HTML report's own folder?");
        }
        let of = self.inputs.metric.map_or_else(String::new, |metric| format!(" of {metric}"));
        self.warn(&format!("no total{of} was found: point to it by totals (--totals), FILE or FILE:FORMAT"));
        self.log.say(&format!("Looked in {}", search.looked()));
        self.log.say(&format!("Looked for the total of {}", coverage::known()));
    }

    /// Says what readers will miss.
    fn note_elsewhere(&self, report: &Report) {
        report::elsewhere(report).iter().for_each(|note| self.log.say(&format!("Note: {note}")));
    }

    /// Asks for the default branch's total while the report is packed and uploaded.
    fn upload_and_compare(&mut self, client: &Client, target: &Target, report: &Report) -> Result<Session> {
        let name = self.inputs.name.as_deref();
        let (session, before) = thread::scope(|scope| {
            let asked = scope.spawn(|| baseline::ask(client, target, name));
            let archive = if self.inputs.transfer.file_by_file { Ok(None) } else { self.pack(report).map(Some) };
            let session = archive.and_then(|archive| self.upload(client, target, report, archive.as_ref()));
            (session, asked.join())
        });
        match before {
            Ok(Ok(before)) => self.outcome.before = Some(before),
            Ok(Err(error)) => self.log.debug(&format!("the default branch's total is not known: {error:#}")),
            Err(_) => {}
        }
        if let (Some(delta), Some(before)) = (self.outcome.delta(), &self.outcome.before) {
            self.log.say(&format!("The default branch has {before}%: {delta}"));
        }
        session
    }

    fn pack(&mut self, report: &Report) -> Result<Archive> {
        let started = Instant::now();
        let (temp, deadline) = (&self.inputs.transfer.temp, self.deadline());
        let pack = |progress: &Progress| archive::pack(report, temp, deadline, &|bytes| progress.add(bytes));
        let archive = progress::watch(self.log, "Packing", report.bytes(), pack)?;
        let files = count(report.files.len(), "file");
        let packed = format!("{files}, {} -> {}", bytes(report.bytes()), bytes(archive.size));
        self.log.say(&format!("Packed {packed} in {}", seconds(started.elapsed())));
        let mut largest: Vec<_> = report.files.iter().collect();
        largest.sort_by_key(|file| std::cmp::Reverse(file.size));
        let lines: Vec<String> =
            largest.iter().take(LARGEST).map(|file| format!("{:>10}  {}", bytes(file.size), file.name)).collect();
        self.log.group("The largest files", &lines);
        self.outcome.packed = Some(packed);
        Ok(archive)
    }

    /// Uploads the packed report, or without one each file by itself.
    fn upload(
        &mut self,
        client: &Client,
        target: &Target,
        report: &Report,
        archive: Option<&Archive>,
    ) -> Result<Session> {
        let started = Instant::now();
        let session = session::create(client, target, self.inputs.name.as_deref(), archive.map(|zip| zip.size))?;
        self.log.say(&format!(
            "Opened site {} at {} in {}",
            session.site_id,
            target.api_url,
            seconds(started.elapsed())
        ));
        let name = self.inputs.name.as_ref().map_or_else(String::new, |name| format!("?name={name}"));
        self.outcome.site_id = Some(session.site_id.clone());
        self.outcome.badge_url = Some(format!("{}/badge/{}.svg{name}", session.public_url(target), target.repository));
        // A backend of the Python original blocks nothing.
        if self.inputs.transfer.file_by_file || matches!(session.place, Place::Zip(_)) {
            self.note_elsewhere(report);
        }
        let started = Instant::now();
        let uploaded = match (&session.place, archive) {
            (Place::Zip(_), None) => {
                bail!("{} gave no credentials for single files: leave --files out", target.api_url)
            }
            (Place::Zip(place), Some(archive)) => {
                let send = |progress: &_| upload::send(client, place, archive, progress);
                progress::watch(self.log, "Uploading", archive.size, send).map(|()| bytes(archive.size))
            }
            (Place::Files(grant), _) => {
                [&grant.secret_access_key, &grant.session_token].into_iter().for_each(|secret| self.log.mask(secret));
                let bucket = files::Bucket::new(grant, &session.site_id, self.inputs.transfer.s3_endpoint.as_deref());
                let send = |progress: &_| {
                    files::send(client, &bucket, &report.files, self.inputs.transfer.concurrency, progress)
                };
                progress::watch(self.log, "Uploading", report.bytes(), send).map(|()| single(report))
            }
        };
        self.log.say(&format!("Uploaded {} in {}", uploaded?, seconds(started.elapsed())));
        self.outcome.uploaded = true;
        self.outcome.report_url = Some(session.page_url(self.index(report)));
        Ok(session)
    }

    /// The page to open: the index, else the page that shows the total.
    fn index<'r>(&'r self, report: &'r Report) -> Option<&'r str> {
        let source = || self.outcome.totals.as_ref().map(|totals| totals.source.as_str());
        let is_page = |name: &&str| name.ends_with(".html") && report.files.iter().any(|file| file.name == *name);
        report.index().or_else(|| source().filter(is_page))
    }

    fn dry_run(&self, upload: &str) {
        let log = self.log;
        log.say("Dry run: nothing is sent");
        match &self.inputs.target {
            Ok(target) => {
                let Target { api_url, repository, commit_sha, .. } = target;
                log.say(&format!("Would upload {upload} to {api_url}, for {repository} at {commit_sha}"));
            }
            Err(missing) => missing.iter().for_each(|missing| log.say(&format!("A real run also needs {missing}"))),
        }
        match &self.inputs.github.token {
            Some(_) => log.say(&format!("Would post the status {}", self.status())),
            None => log.say(&format!("Would post no status: {NO_TOKEN}")),
        }
        log.say(self.inputs.purge.plan());
    }

    fn status(&self) -> Status<'_> {
        let totals = self.outcome.totals.as_ref();
        Status {
            state: self.state(),
            description: status::description(
                totals,
                &self.inputs.gate.threshold,
                self.state(),
                self.outcome.delta().as_deref(),
            ),
            target_url: self.outcome.report_url.as_deref().unwrap_or_default(),
            context: &self.inputs.context,
        }
    }

    fn state(&self) -> State {
        State::of(self.outcome.totals.as_ref(), &self.inputs.gate.threshold)
    }

    fn github<'r>(&'r self, target: &'r Target) -> Option<GitHub<'r>> {
        let token = self.inputs.github.token.as_ref()?;
        Some(GitHub { api: &self.inputs.github.api, repository: &target.repository, token })
    }

    /// Says why the job fails, or why it does not; whether it goes on.
    fn verdict(&mut self) -> bool {
        let is_below = self.inputs.gate.fail_under && self.state() == State::Failure;
        if is_below {
            let text = format!("the job fails, as fail-under asks: {}", self.status().description);
            self.log.fail(&text);
            self.outcome.problems.push(text);
        } else if self.failed && !self.inputs.gate.fail_on_error {
            self.log.say("The job goes on, as fail-on-error is false");
        }
        let is_failure = self.failed && self.inputs.gate.fail_on_error;
        !(is_below || is_failure)
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.report(format!("{error:#}"), error.is::<Outage>());
    }

    /// A failure. One that nobody here can mend is no more than a warning, where the job goes on all the same.
    fn report(&mut self, text: String, is_excused: bool) {
        if is_excused && !self.inputs.gate.fail_on_error {
            self.log.warn(&text);
        } else {
            self.log.fail(&text);
        }
        self.outcome.problems.push(text);
        self.failed = true;
    }

    fn warn(&mut self, text: &str) {
        self.log.warn(text);
        self.outcome.problems.push(text.to_owned());
    }
}

/// A report whose files go up one by one, in words.
fn single(report: &Report) -> String {
    format!("{}, {}", count(report.files.len(), "file"), bytes(report.bytes()))
}
