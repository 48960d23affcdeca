//! Random coverage reports of a commit, as LCOV and as Cobertura.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::generator::{Random, Tree, lines_of};

/// How a report names a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Relative,
    Dotted,
    Absolute,
    /// Cobertura names files of the source root `src` relative to it. There are no others in the report.
    SourceRoot,
}

const SOURCE_ROOT: &str = "src/";

/// The reports of one commit, in both formats.
pub struct Reports {
    pub lcov: String,
    pub cobertura: String,
    /// Lines by file that are in two classes of Cobertura's report, and missed in one of them.
    pub half_missed: BTreeMap<String, BTreeSet<u32>>,
}

/// A line that can be covered: its number, its hits, and its taken branches of two.
type Line = (u32, u32, Option<u32>);

impl Reports {
    /// `root`: the folder of the repository.
    pub fn random(random: &mut Random, tree: &Tree, root: &str) -> Self {
        let naming = match random.below(6) {
            0 => Naming::Dotted,
            1 => Naming::Absolute,
            2 if has_clear_names(tree) => Naming::SourceRoot,
            _ => Naming::Relative,
        };
        let sources = match naming {
            Naming::SourceRoot => format!("<sources><source>{root}/src</source></sources>"),
            _ => String::new(),
        };
        let mut reports = Self {
            lcov: "TN:\n".to_owned(),
            cobertura: format!("<coverage line-rate=\"0.5\">{sources}<packages><package name=\"p\"><classes>\n"),
            half_missed: BTreeMap::new(),
        };
        for (path, text) in tree {
            let is_measured = !path.ends_with(".md") && (naming != Naming::SourceRoot || path.starts_with(SOURCE_ROOT));
            if !is_measured || random.chance(15) {
                continue;
            }
            let lines = random_lines(random, lines_of(text).len());
            reports.add_lcov(&named(naming, path, root), &lines);
            reports.add_classes(random, path, &class_name(naming, path, root), &lines);
        }
        reports.cobertura += "</classes></package></packages></coverage>\n";
        reports
    }

    fn add_lcov(&mut self, path: &str, lines: &[Line]) {
        let _ = writeln!(self.lcov, "SF:{path}");
        for (line, hits, taken) in lines {
            if let Some(taken) = taken {
                (0..2).for_each(|branch| {
                    _ = writeln!(self.lcov, "BRDA:{line},0,{branch},{}", u32::from(branch < *taken))
                });
            }
            let _ = writeln!(self.lcov, "DA:{line},{hits}");
        }
        let hit = lines.iter().filter(|(_, hits, _)| *hits > 0).count();
        let _ = writeln!(self.lcov, "LF:{}\nLH:{hit}\nend_of_record", lines.len());
    }

    /// Some lines are in an inner class, and a few in both classes.
    fn add_classes(&mut self, random: &mut Random, path: &str, filename: &str, lines: &[Line]) {
        let (mut outer, mut inner) = (String::new(), String::new());
        for (line, hits, taken) in lines {
            let element = |hits: u32| match taken {
                Some(taken) => format!(
                    "<line number=\"{line}\" hits=\"{hits}\" branch=\"true\" condition-coverage=\"{}% ({taken}/2)\"/>\n",
                    taken * 50
                ),
                None => format!("<line number=\"{line}\" hits=\"{hits}\"/>\n"),
            };
            let class = if random.chance(20) { &mut inner } else { &mut outer };
            *class += &element(*hits);
            if *hits > 0 && random.chance(4) {
                let other = if class.len() % 2 == 0 { &mut inner } else { &mut outer };
                *other += &format!("<line number=\"{line}\" hits=\"0\"/>\n");
                self.half_missed.entry(path.to_owned()).or_default().insert(*line);
            }
        }
        for (name, lines) in [("Outer", outer), ("Outer$Inner", inner)] {
            let _ = writeln!(
                self.cobertura,
                "<class name=\"{name}\" filename=\"{filename}\"><methods/><lines>\n{lines}</lines></class>"
            );
        }
    }
}

/// Whether a path below the source root names one file alone. diff-cover adds the root, which we do not know: a report from
/// a container has another one than the repository.
fn has_clear_names(tree: &Tree) -> bool {
    let ends = |long: &str, short: &str| long == short || long.ends_with(&format!("/{short}"));
    let inside = tree.keys().filter_map(|path| path.strip_prefix(SOURCE_ROOT));
    let is_clear = |name: &str| {
        let mut others = tree.keys().filter(|path| path.strip_prefix(SOURCE_ROOT) != Some(name));
        !others.any(|path| ends(path, name) || ends(name, path))
    };
    inside.clone().count() > 0 && inside.clone().all(is_clear)
}

/// Which of the lines can be covered, and how often they ran.
fn random_lines(random: &mut Random, count: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in 1..=count as u32 {
        if random.chance(60) {
            let hits = if random.chance(40) { 0 } else { 1 + random.below(9) as u32 };
            let taken = (hits > 0 && random.chance(15)).then(|| 1 + random.below(2) as u32);
            lines.push((line, hits, taken));
        }
    }
    lines
}

fn named(naming: Naming, path: &str, root: &str) -> String {
    match naming {
        Naming::Relative | Naming::SourceRoot => path.to_owned(),
        Naming::Dotted => format!("./{path}"),
        Naming::Absolute => format!("{root}/{path}"),
    }
}

fn class_name(naming: Naming, path: &str, root: &str) -> String {
    match naming {
        Naming::SourceRoot => path.strip_prefix(SOURCE_ROOT).unwrap_or(path).to_owned(),
        _ => named(naming, path, root),
    }
}
