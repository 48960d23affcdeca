//! Step 2, for expected reports that are missing: takes their lines from the newest report of the default branch.

use anyhow::{Context, Result, ensure};

use super::state::Run;
use crate::base::text::{count, short_sha, shorten};
use crate::coverage::lines::Lines;
use crate::coverage::merge::{KeptPart, read_kept};
use crate::github::changes;
use crate::inputs::Target;
use crate::log::summary::Carried;
use crate::server::kept;

/// The lines of a missing report.
pub(super) struct CarriedPart {
    pub carried: Carried,
    /// As they were kept, to be kept again.
    pub kept: KeptPart,
    /// Where they are in the tested commit.
    pub lines: Lines<'static>,
}

impl Run<'_> {
    /// The missing parts that can be carried; those of the outcome are missing then.
    pub(super) fn carry(&mut self, mut missing: Vec<String>) -> Vec<CarriedPart> {
        let is_off = self.inputs.dry_run || self.inputs.no_secrets.is_some() || !self.inputs.parts.carry;
        let target = self.inputs.target.as_ref().ok().filter(|_| !is_off && !missing.is_empty());
        let carried = match target.map(|target| self.carry_from(target, &missing)) {
            Some(Ok(carried)) => carried,
            Some(Err(error)) => {
                self.log.info(&format!("Note: nothing is carried from the default branch: {error:#}"));
                Vec::new()
            }
            None => Vec::new(),
        };
        missing.retain(|name| carried.iter().all(|part| part.kept.name != *name));
        carried.iter().for_each(|part| self.log.info(&format!("Carried `{}` {}", part.kept.name, part.carried)));
        self.outcome.missing = missing;
        carried
    }

    fn carry_from(&self, target: &Target, missing: &[String]) -> Result<Vec<CarriedPart>> {
        let client = self.pull_request_client();
        let file = kept::fetch(&client, target, self.inputs.name.as_deref())?;
        let kept = read_kept(&file, missing).context("cannot read the lines that its newest report keeps")?;
        let mut carried = Vec::new();
        for kept in kept {
            let name = kept.name.clone();
            match self.place(target, kept) {
                Ok(part) => carried.push(part),
                Err(error) => self.log.info(&format!("Note: `{name}` cannot be carried: {error:#}")),
            }
        }
        Ok(carried)
    }

    /// Finds where the lines of another commit are in the tested one.
    fn place(&self, target: &Target, kept: KeptPart) -> Result<CarriedPart> {
        let (from, to) = (&kept.commit, &target.commit_sha);
        let is_sha = from.len() == 40 && from.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(is_sha, "its commit is {:?}", shorten(from, 64));
        let mut lines = Lines::all();
        let mut commits = 0;
        if from == to {
            kept.lines.files().for_each(|file| lines.add_part(&file.path, &file.bits));
        } else {
            let github = self.github(target).context("it needs a token: set github-token (--gh-token)")?;
            let between = changes::between(&self.pull_request_client(), &github, from, to)?;
            commits = between.commits;
            let mut lost = 0;
            for file in kept.lines.files() {
                match between.place(&file.path, &file.bits) {
                    Some((path, bits)) => lines.add_part(&path, &bits),
                    None => lost += 1,
                }
            }
            if lost > 0 {
                let since = short_sha(from);
                self.log.info(&format!(
                    "Note on `{}`: {} changed since {since} in a way that GitHub does not show, or were removed",
                    kept.name,
                    count(lost, "file")
                ));
            }
        }
        lines.finish()?;
        let carried = Carried { name: kept.name.clone(), commit: from.clone(), commits };
        Ok(CarriedPart { carried, kept, lines })
    }
}
