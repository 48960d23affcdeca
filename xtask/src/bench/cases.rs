//! What the benches `hot` do with their cases: criterion times them, or one of them is done so often that callgrind can
//! count it. Both packages have this file as a module: neither is to depend on the other for it.

use std::env;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result};
use criterion::Criterion;

/// A name, and what is done.
pub type Case = (&'static str, Box<dyn FnMut() -> Result<()>>);

/// `cases` has a folder for what it needs.
pub fn run(cases: fn(&Path) -> Result<Vec<Case>>) -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = tempfile::tempdir()?;
    match &arguments[..] {
        [flag, name, times] if flag == "--count" => {
            let mut cases = cases(folder.path())?.into_iter();
            let (_, mut case) = cases.find(|(case, _)| case == name).context("there is no such case")?;
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
