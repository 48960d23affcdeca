//! Cobertura's XML, by its `coverage-04.dtd`. A package is a folder, a class is a source file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use quick_xml::escape::escape;

use crate::base::text::one_line;
use crate::coverage::lines::{Branches, Hit, Lines, SourceFile};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">\n";

pub fn write(lines: &Lines, to: &mut dyn Write) -> io::Result<()> {
    let mut packages: BTreeMap<&str, Vec<&SourceFile>> = BTreeMap::new();
    for file in lines.files() {
        packages.entry(split(&file.path).0).or_default().push(file);
    }
    let sums = Sums::of(lines.files());
    let Sums { lines: (covered, total), branches: (taken, of) } = sums;
    write!(to, "{HEAD}<coverage {sums} lines-covered=\"{covered}\" lines-valid=\"{total}\"")?;
    write!(to, " branches-covered=\"{taken}\" branches-valid=\"{of}\" complexity=\"0\"")?;
    // The same report gives the same file, so there is no time in it.
    writeln!(to, " version=\"covered {}\" timestamp=\"0\">", env!("CARGO_PKG_VERSION"))?;
    writeln!(to, "<sources><source>.</source></sources>\n<packages>")?;
    packages.iter().try_for_each(|(folder, files)| package(folder, files, to))?;
    writeln!(to, "</packages>\n</coverage>")
}

fn package(folder: &str, files: &[&SourceFile], to: &mut dyn Write) -> io::Result<()> {
    let name = if folder.is_empty() { ".".to_owned() } else { folder.replace(['/', '\\'], ".") };
    let sums = Sums::of(files.iter().copied());
    writeln!(to, "<package name=\"{}\" {sums} complexity=\"0\"><classes>", attribute(&name))?;
    files.iter().try_for_each(|file| class(file, to))?;
    writeln!(to, "</classes></package>")
}

fn class(file: &SourceFile, to: &mut dyn Write) -> io::Result<()> {
    let (name, path, sums) = (attribute(split(&file.path).1), attribute(&file.path), Sums::of([file]));
    writeln!(to, "<class name=\"{name}\" filename=\"{path}\" {sums} complexity=\"0\"><methods/><lines>")?;
    let mut branches = file.branches.iter().peekable();
    for (line, hit) in file.bits.iter() {
        while branches.next_if(|branches| branches.line < line).is_some() {}
        // The number of hits is not kept.
        write!(to, "<line number=\"{line}\" hits=\"{}\"", u8::from(hit != Hit::No))?;
        if let Some(Branches { taken, total, .. }) = branches.next_if(|branches| branches.line == line) {
            let percent = u64::from(*taken) * 100 / u64::from(*total).max(1);
            write!(to, " branch=\"true\" condition-coverage=\"{percent}% ({taken}/{total})\"")?;
        }
        writeln!(to, "/>")?;
    }
    writeln!(to, "</lines></class>")
}

/// Folder and name.
fn split(path: &str) -> (&str, &str) {
    path.rfind(['/', '\\']).map_or(("", path), |at| (&path[..at], &path[at + 1..]))
}

/// XML 1.0 has neither control characters nor the last two of a plane's first 65,536, not even escaped.
fn attribute(text: &str) -> String {
    escape(one_line(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")).into_owned()
}

/// Covered and total lines and branches; shown as the two rates.
struct Sums {
    lines: (u64, u64),
    branches: (u64, u64),
}

impl Sums {
    fn of<'a>(files: impl IntoIterator<Item = &'a SourceFile>) -> Self {
        let add = |one: (u64, u64), other: (u64, u64)| (one.0 + other.0, one.1 + other.1);
        files.into_iter().fold(Self { lines: (0, 0), branches: (0, 0) }, |sums, file| Self {
            lines: add(sums.lines, file.bits.sums()),
            branches: add(sums.branches, file.branch_sums()),
        })
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |(covered, total): (u64, u64)| if total == 0 { 0.0 } else { covered as f64 / total as f64 };
        write!(f, "line-rate=\"{}\" branch-rate=\"{}\"", rate(self.lines), rate(self.branches))
    }
}
