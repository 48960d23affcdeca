//! LCOV's tracefile, see geninfo(1).

use std::io::{self, Write};

use crate::base::text::one_line;
use crate::coverage::lines::{Branches, Hit, Lines, SourceFile};

pub fn write(lines: &Lines, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "TN:")?;
    lines.files().try_for_each(|file| record(file, to))
}

fn record(file: &SourceFile, to: &mut dyn Write) -> io::Result<()> {
    // A line break in a path would begin a record of its own.
    writeln!(to, "SF:{}", one_line(&file.path))?;
    for branches in &file.branches {
        write_branches(branches, file.bits.get(branches.line), to)?;
    }
    if !file.branches.is_empty() {
        let (taken, total) = file.branch_sums();
        writeln!(to, "BRF:{total}\nBRH:{taken}")?;
    }
    // The number of hits is not kept.
    for (line, hit) in file.bits.iter() {
        writeln!(to, "DA:{line},{}", u8::from(hit != Hit::No))?;
    }
    let (covered, total) = file.bits.sums();
    writeln!(to, "LF:{total}\nLH:{covered}\nend_of_record")
}

/// Which branches were taken is not kept, so the first ones are.
fn write_branches(branches: &Branches, hit: Option<Hit>, to: &mut dyn Write) -> io::Result<()> {
    let never_evaluated = matches!(hit, None | Some(Hit::No)) && branches.taken == 0;
    for number in 0..branches.total {
        let taken = if never_evaluated { "-" } else { ["0", "1"][usize::from(number < branches.taken)] };
        writeln!(to, "BRDA:{},0,{number},{taken}", branches.line)?;
    }
    Ok(())
}
