//! The JSON that tools send to Coveralls; `mix coveralls.json` writes it to `excoveralls.json`.
//!
//! ```json
//! {"source_files": [{"name": "lib/calc.ex", "source": "…", "coverage": [null, 1, 0]}]}
//! ```

use std::io::BufRead;

use anyhow::Result;
use serde::Deserialize;

use super::{Lines, Measure, Measures};
use crate::coverage::lines::Hit;
use crate::coverage::syntax::json::{self, Hits, List};

#[derive(Deserialize)]
struct File {
    name: String,
    coverage: List<Hits>,
}

pub fn json(input: &mut dyn BufRead, lines: &mut Lines) -> Result<Option<Measures>> {
    let mut sums = None::<(u64, u64)>;
    let mut each = |_: &str, file: File| {
        let is_kept = lines.file(&file.name);
        for (number, Hits(hits)) in (1..).zip(file.coverage.0) {
            if let Some(is_hit) = hits {
                let sum = sums.get_or_insert_default();
                *sum = (sum.0 + u64::from(is_hit), sum.1 + 1);
                if is_kept {
                    lines.line(number, Hit::when(is_hit));
                }
            }
        }
        sums.get_or_insert_default();
    };
    json::read_entries(input, &[], "source_files", &mut each)?;
    Ok(sums.map(|sums| Measure::counted("lines", sums, 2).into_iter().collect()))
}
