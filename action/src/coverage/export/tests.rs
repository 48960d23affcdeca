//! What an export writes is read again by the same formats, with the same lines.

use super::{Export, WRITERS};
use crate::coverage::formats::{FORMATS, Read};
use crate::coverage::lines::{Hit, Lines, SourceFile};

fn lines() -> Lines<'static> {
    let mut lines = Lines::all();
    for path in ["src/a.c", "src/sub/b.c", "src/<odd> & \"name\".c", "top.c", "C:\\app\\win.cs"] {
        assert!(lines.file(path));
        [(1, Hit::Yes), (2, Hit::No), (70, Hit::Yes)].iter().for_each(|(line, hit)| lines.line(*line, *hit));
        lines.line(3, Hit::Partly);
        lines.branches(3, 1, 2);
        lines.branches(2, 0, 2);
    }
    lines.finish().unwrap();
    lines
}

fn text(format: &str, lines: &Lines) -> String {
    let export = Export::parse_list(&format!("{format}:out")).unwrap().remove(0);
    let mut text = Vec::new();
    export.write(lines, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn an_export_reads_as_the_same_lines() {
    let lines = lines();
    for (name, _) in WRITERS {
        let text = text(name, &lines);
        let format = FORMATS.iter().find(|format| format.name == *name).unwrap();
        let Read::File(_, read) = format.read else { panic!("{name} is no file format") };
        let mut again = Lines::all();
        let found = read(&mut text.as_bytes(), &mut again).unwrap().unwrap();
        again.finish().unwrap();
        let counts = found.iter().find(|measure| measure.metric == "lines").unwrap().counts.unwrap();
        assert_eq!((counts.covered, counts.total), lines.sums(), "{name}");
        let own = |file: &SourceFile| (file.path.clone(), file.bits.clone(), file.branches.clone());
        assert_eq!(again.files().map(own).collect::<Vec<_>>(), lines.files().map(own).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_path_injects_no_line_and_no_tag() {
    let mut lines = Lines::all();
    lines.file("a.c\nend_of_record\nSF:\"/><x>\u{1}");
    lines.line(1, Hit::Yes);
    lines.finish().unwrap();
    assert!(text("lcov", &lines).contains("\nSF:a.c end_of_record SF:\"/><x> \n"));
    let xml = text("cobertura", &lines);
    assert!(xml.contains("filename=\"a.c end_of_record SF:&quot;/&gt;&lt;x&gt; \""), "{xml}");
}

#[test]
fn a_wrong_export_says_what_is_wrong() {
    for (text, problem) in [
        ("lcov", "has no file for lcov: write lcov:FILE"),
        ("lcov: ", "has no file for lcov: write lcov:FILE"),
        ("lcov:a,cobertura:a", "names the file `a` twice: give each format a file of its own"),
        ("lcov:a,cobertura:./a", "names the file `./a` twice: give each format a file of its own"),
        ("out.xml", "must be FORMAT:FILE with one of the formats lcov, cobertura, not `out.xml`"),
    ] {
        assert_eq!(Export::parse_list(text).unwrap_err(), problem);
    }
    for text in ["lcov:C:\\out\\lcov.info, cobertura:out.xml,", "lcov:C:\\out\\lcov.info\r\ncobertura:out.xml\n"] {
        let both = Export::parse_list(text).unwrap();
        let both: Vec<_> = both.iter().map(|export| (export.format, export.path.as_str())).collect();
        assert_eq!(both, [("lcov", "C:\\out\\lcov.info"), ("cobertura", "out.xml")]);
    }
}

#[test]
fn a_path_has_no_letter_that_xml_forbids() {
    let mut lines = Lines::all();
    lines.file("a\u{fffe}\u{ffff}\u{0}.c");
    lines.line(1, Hit::Yes);
    lines.finish().unwrap();
    assert!(text("cobertura", &lines).contains("filename=\"a\u{fffd}\u{fffd} .c\""));
}
