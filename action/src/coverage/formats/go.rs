//! Go: its page shows no total, so the coverprofile is counted, as `go tool cover -func` does. The lines are those that
//! a block reaches, as the page colors them.
//!
//! ```text
//! mode: atomic
//! github.com/google/uuid/time.go:35.44,40.2 4 1
//! ```

mod blocks;
mod page;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::BufRead;
use std::ops::ControlFlow;

use anyhow::{Context, Result, ensure};

use super::{Lines, Measure, Measures, Page};
use crate::coverage::syntax::text;
use blocks::{Block, Files};
pub use page::{page, source_page};

/// Distinct blocks, about 30 bytes each.
const MAX_BLOCKS: usize = 2_000_000;

pub fn profile(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    // Each test binary lists the same block again.
    let (hasher, mut blocks, mut files) = (RandomState::new(), HashMap::new(), Files::default());
    let mut is_profile = false;
    text::each_line(input, |line| {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if text.starts_with("mode: ") {
            is_profile = true;
        } else if !is_profile {
            return Ok(ControlFlow::Break(()));
        } else if !text.is_empty() {
            let (place, statements, hits) =
                block(text).context("it contains a line that is not a coverprofile block")?;
            let place = (hasher.hash_one(place), if lines.is_on() { files.place(place)? } else { Default::default() });
            let block = blocks.entry(place.0).or_insert(Block { statements, is_hit: false, place: place.1 });
            block.is_hit |= hits > 0;
            ensure!(blocks.len() <= MAX_BLOCKS, "it lists more than {MAX_BLOCKS} blocks");
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if !is_profile {
        return Ok(None);
    }
    let sum = |only_hit: bool| {
        let blocks = blocks.values().filter(|block| block.is_hit || !only_hit);
        blocks.fold(0u64, |sum, block| sum.saturating_add(block.statements))
    };
    let counts = (sum(true), sum(false));
    if lines.is_on() {
        files.add(blocks.into_values().collect(), lines)?;
    }
    Ok(Some(Measure::counted("statements", counts, 1).into_iter().collect()))
}

fn block(line: &str) -> Option<(&str, u64, u64)> {
    let mut fields = line.rsplitn(3, ' ');
    let hits = fields.next()?.parse().ok()?;
    let statements = fields.next()?.parse().ok()?;
    Some((fields.next()?, statements, hits))
}
