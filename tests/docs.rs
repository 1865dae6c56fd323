//! Every public type has an example in its documentation, which `cargo test` compiles and runs.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_public_type_has_an_example() {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut types, mut without) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).expect("source is text");
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = public_type(line) else { continue };
            types += 1;
            // Between the documentation and the type there are attributes, of several lines too.
            let above = lines[..at].iter().rev();
            let documentation: Vec<_> = above
                .skip_while(|line| !line.starts_with("///") && !line.is_empty())
                .take_while(|line| line.starts_with("///"))
                .collect();
            if !documentation.iter().any(|line| line.starts_with("/// ```")) {
                without.push(format!("{}:{}: {name}", file.display(), at + 1));
            }
        }
    }
    assert!(types > 100, "{types} types");
    assert!(without.is_empty(), "no example:\n{}", without.join("\n"));
}

/// The name of the type that a line begins. Types of a function's or macro's inside are indented.
fn public_type(line: &str) -> Option<&str> {
    let rest = ["struct ", "enum ", "trait ", "type "]
        .iter()
        .find_map(|kind| line.strip_prefix("pub ")?.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
