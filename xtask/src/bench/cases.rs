//! Runs the cases of the benches `hot`: criterion times all, or one is repeated so that callgrind can count instructions.
//! Both packages include this file as a module, so that neither depends on the other.

use std::env;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result};
use criterion::Criterion;

/// A name, and the code to measure.
pub type Case = (&'static str, Box<dyn FnMut() -> Result<()>>);

/// Runs the cases; `cases` gets a temporary folder.
pub fn run(cases: fn(&Path) -> Result<Vec<Case>>) -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = tempfile::tempdir()?;
    match &arguments[..] {
        [flag, name, times] if flag == "--count" => {
            let mut cases = cases(folder.path())?.into_iter();
            let (_, mut case) = cases.find(|(case, _)| case == name).context("unknown case")?;
            (0..times.parse()?).try_for_each(|_: u64| case())
        }
        // `cargo test --all-targets` runs this too, without the flag.
        _ if arguments.iter().any(|argument| argument == "--bench") => {
            let mut criterion = Criterion::default().configure_from_args();
            for (name, mut case) in cases(folder.path())? {
                case()?;
                criterion.bench_function(name, |bencher| bencher.iter(|| black_box(case().is_ok())));
            }
            criterion.final_summary();
            Ok(())
        }
        _ => Ok(()),
    }
}
