//! `cargo xtask dist`: builds and packs a release for one system. The same source gives the same bytes in any folder.

pub mod archive;
pub mod build;
pub mod record;
mod release;
pub mod sbom;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use lexopt::prelude::*;

use crate::lab::paths;
use archive::Entry;
use build::Build;
pub use release::{ACTION, PROGRAMS, SUMS, TARGETS, VERSION, sha256};

const HELP: &str = "\
usage: cargo xtask dist [--target TARGET] [--program PROGRAM] [--out FOLDER]
       cargo xtask dist --record [--from URL] [--partial] FOLDER…

Builds covered and covered-server, and packs each with its README and the license. Writes a bill of materials
(CycloneDX) for each, and SHA256SUMS. The same source and toolchain give the same bytes, in any folder.
covered-server also contains its commit: from git, or from COVERED_COMMIT if the source is not a checkout.

  --target TARGET    system to build for, such as x86_64-unknown-linux-musl; default: this system
  --program PROGRAM  builds only covered or only covered-server
  --out FOLDER       output folder; default: dist/TARGET in cargo's target folder

SOURCE_DATE_EPOCH is the date of the packed files. RUSTFLAGS are passed to rustc.

  --record           verifies the output folders of dist, one for each target, and writes version and hashes of covered
                     to action/release.txt, from which the action installs; keeps the lines of older versions
  --from URL         URL of the releases; default: https://github.com/org/covered/releases/download
  --partial          allows missing targets: the action builds from source on them
";

#[derive(Default)]
struct Options {
    target: Option<String>,
    program: Option<String>,
    out: Option<PathBuf>,
    record: bool,
    from: Option<String>,
    partial: bool,
    folders: Vec<PathBuf>,
}

pub fn run(arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let Some(options) = options(arguments)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    if options.record {
        let from = options.from.as_deref().unwrap_or(concat!(env!("CARGO_PKG_REPOSITORY"), "/releases/download"));
        let list = paths::root().join("action/release.txt");
        let version = record::record(&options.folders, &list, from, options.partial)?;
        println!("recorded {version} in {}", list.display());
        return Ok(ExitCode::SUCCESS);
    }
    let target = options.target.map_or_else(build::host, Ok)?;
    let out = options.out.unwrap_or_else(|| paths::target().join("dist").join(&target));
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let flags = flags.split_whitespace().map(ToOwned::to_owned).collect();
    let build = Build { source: paths::root(), folder: &paths::target(), target: &target, flags };
    let programs =
        PROGRAMS.into_iter().filter(|name| options.program.as_deref().is_none_or(|selected| selected == *name));
    for file in make(&build, &programs.collect::<Vec<_>>(), &out)? {
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn options(arguments: Vec<OsString>) -> anyhow::Result<Option<Options>> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("target") => options.target = Some(parser.value()?.string()?),
            Long("program") => options.program = Some(parser.value()?.string()?),
            Long("out") => options.out = Some(parser.value()?.into()),
            Long("record") => options.record = true,
            Long("from") => options.from = Some(parser.value()?.string()?),
            Long("partial") => options.partial = true,
            Value(folder) => options.folders.push(folder.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(program) = &options.program {
        ensure!(PROGRAMS.contains(&program.as_str()), "unknown program {program}: use covered or covered-server");
    }
    let builds = options.target.is_some() || options.program.is_some() || options.out.is_some();
    match options.record {
        true if builds => bail!("--record reads existing output folders: remove --target, --program and --out"),
        true if options.folders.is_empty() => bail!("--record needs the output folders of dist"),
        false if options.from.is_some() || options.partial || !options.folders.is_empty() => {
            bail!("--from, --partial and folders require --record")
        }
        _ => Ok(Some(options)),
    }
}

/// Builds and packs the programs; returns the files, with the checksums last.
pub fn make(build: &Build, programs: &[&str], out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(out)?;
    let mut files = Vec::new();
    for program in programs {
        let name = format!("{program}-{VERSION}-{}", build.target);
        let archive = out.join(archive::name(program, VERSION, build.target));
        let bytes = pack(build.source, program, build.target, fs::read(build.program(program)?)?)?;
        fs::write(&archive, bytes)?;
        let sbom = out.join(format!("{name}.cdx.json"));
        fs::write(&sbom, sbom::of(build, program)?)?;
        files.extend([archive, sbom]);
    }
    files.sort();
    let mut sums = String::new();
    for file in &files {
        sums += &format!("{}  {}\n", sha256(&fs::read(file)?), file_name(file));
    }
    files.push(out.join(SUMS));
    fs::write(out.join(SUMS), sums)?;
    Ok(files)
}

/// Packs a built program.
pub fn pack(source: &Path, program: &str, target: &str, binary: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let folder = format!("{program}-{VERSION}-{target}");
    let readme = if program == ACTION { "action/README.md" } else { "server/README.md" };
    let text = |file: &str| fs::read(source.join(file)).with_context(|| format!("cannot read {file}"));
    let entries = [
        Entry { name: format!("{folder}/LICENSE"), bytes: text("LICENSE")?, is_program: false },
        Entry { name: format!("{folder}/README.md"), bytes: text(readme)?, is_program: false },
        Entry { name: format!("{folder}/{program}{}", build::suffix(target)), bytes: binary, is_program: true },
    ];
    archive::pack(&entries, target)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
