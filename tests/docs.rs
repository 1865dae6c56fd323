//! Every public type has an example in its documentation that does something when `cargo test` runs it,
//! and no answer of ours is passed over in silence.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_public_type_has_an_example_that_does_something() {
    let (mut types, mut without) = (0, Vec::new());
    for (path, text) in sources() {
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = public_type(line) else { continue };
            types += 1;
            if !examples(&documentation(&lines, at)).iter().any(|example| example.does_something())
            {
                without.push(format!("{}:{}: {name}", path.display(), at + 1));
            }
        }
    }
    assert!(types > 100, "{types} types");
    assert!(without.is_empty(), "no example that does something:\n{}", without.join("\n"));
}

#[test]
fn what_is_not_run_or_asserts_nothing_is_no_example() {
    let told = |documentation: &str| {
        let lines: Vec<_> = documentation.lines().collect();
        examples(&lines).iter().map(Example::does_something).collect::<Vec<_>>()
    };
    assert_eq!(told("A text.\n```\nlet one = 1;\nassert_eq!(one, 1);\n```"), [true]);
    assert_eq!(told("```\nfn main() {\n    assert!(true);\n}\n```"), [true]);
    assert_eq!(told("```\nfn one() -> u8 {\n    1\n}\nassert_eq!(one(), 1);\n```"), [true]);
    assert_eq!(told("```\nfn one() {\n    assert!(true);\n}\n```"), [false]);
    assert_eq!(told("```\nfn one(\n    it: u8,\n) {\n    assert!(true);\n}\n```"), [false]);
    assert_eq!(
        told("```\nimpl One {\n    fn one() {\n        assert!(true);\n    }\n}\n```"),
        [false]
    );
    assert_eq!(told("```\nlet one = 1;\n// assert_eq!(one, 1);\n```"), [false]);
    for fence in ["no_run", "ignore", "compile_fail,E0599", "should_panic", "text"] {
        assert_eq!(told(&format!("```{fence}\nassert!(true);\n```")), [false], "{fence}");
    }
    assert_eq!(told("```no_run\nopen();\n```\nAnd:\n```\nassert!(true);\n```"), [false, true]);
    assert!(told("assert!(true);").is_empty());
}

/// Whoever passes over such an answer takes what it refused.
#[test]
fn an_answer_of_yes_or_no_is_must_use() {
    let (mut functions, mut without) = (0, Vec::new());
    for (path, text) in sources() {
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = public_function(line) else { continue };
            let end = lines[at..].iter().position(|line| line.ends_with(['{', ';']));
            let signature = lines[at..=at + end.expect("the signature's end")].concat();
            // A Result is must_use by itself.
            let answer = signature.rsplit_once("->").map(|(_, answer)| answer.trim());
            let Some(answer) = answer.filter(|answer| !answer.starts_with("Result<")) else {
                continue;
            };
            let is_check = ["check", "verify", "weakness", "decode", "unwrap"]
                .iter()
                .any(|verb| name.split('_').next() == Some(verb));
            if !answer.starts_with("bool") && !is_check {
                continue;
            }
            functions += 1;
            let mut attributes =
                lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with("#["));
            if !attributes.any(|line| line.trim_start().starts_with("#[must_use")) {
                without.push(format!("{}:{}: {name}", path.display(), at + 1));
            }
        }
    }
    assert!(functions > 40, "{functions} functions");
    assert!(without.is_empty(), "not must_use:\n{}", without.join("\n"));
}

/// The program puts its options in the place of the names that the library has: `cli::output`. What
/// `doctor` says is for an operator at the command line.
#[test]
fn the_library_names_no_option_of_the_command_line() {
    let is_option = |word: &str| {
        let name = word.trim_start_matches(|c: char| "\"(`'".contains(c)).strip_prefix("--");
        name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    // Options of cargo and of the TPM's own tools.
    let others = ["--features", "--clear-lockout"];
    let mut named = Vec::new();
    for (path, text) in sources() {
        let name = path.to_string_lossy();
        if ["/src/cli/", "/src/doctor/"].iter().any(|part| name.contains(part)) {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            let is_meant =
                |word: &str| is_option(word) && !others.iter().any(|it| word.contains(it));
            if !line.trim_start().starts_with("//") && line.split(' ').any(is_meant) {
                named.push(format!("{name}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    assert!(named.is_empty(), "options:\n{}", named.join("\n"));
}

/// A block of code in a documentation: what stands behind its opening fence, and its lines.
struct Example<'a> {
    kind: &'a str,
    code: Vec<&'a str>,
}

impl Example<'_> {
    /// Whether it is run, and then asserts something outside of the functions that it defines.
    fn does_something(&self) -> bool {
        // The indentation of the function that is being defined.
        let mut function = None;
        for line in &self.code {
            let text = line.trim_start();
            let indentation = line.len() - text.len();
            if function.is_some() {
                function = function.filter(|own| !(text.starts_with('}') && *own == indentation));
            } else if public_function(line).is_some() || text.starts_with("fn ") {
                let is_open = !text.starts_with("fn main()") && !text.ends_with('}');
                function = is_open.then_some(indentation);
            } else if ["assert!(", "assert_eq!(", "assert_ne!("]
                .iter()
                .any(|it| text.starts_with(it))
            {
                return self.kind.is_empty();
            }
        }
        false
    }
}

fn examples<'a>(documentation: &[&'a str]) -> Vec<Example<'a>> {
    let (mut examples, mut is_open) = (Vec::new(), false);
    for line in documentation {
        match line.strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(kind) => {
                is_open = true;
                examples.push(Example { kind, code: Vec::new() });
            }
            None if is_open => {
                let example = examples.last_mut().expect("an open example");
                // A line that is run and not shown.
                example.code.push(line.strip_prefix("# ").unwrap_or(line));
            }
            None => {}
        }
    }
    examples
}

/// The documentation above an item. Between the two there are attributes, of several lines too.
fn documentation<'a>(lines: &[&'a str], at: usize) -> Vec<&'a str> {
    let above = lines[..at].iter().rev();
    let mut documentation: Vec<_> = above
        .skip_while(|line| !line.starts_with("///") && !line.is_empty())
        .map_while(|line| line.strip_prefix("///"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    documentation.reverse();
    documentation
}

/// The name of the type that a line begins. Types of a function's or macro's inside are indented.
fn public_type(line: &str) -> Option<&str> {
    let rest = ["struct ", "enum ", "trait ", "type "]
        .iter()
        .find_map(|kind| line.strip_prefix("pub ")?.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The name of the public function that a line begins.
fn public_function(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest).strip_prefix("fn ")?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The library's files, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("source is text");
            (file, text)
        })
        .collect()
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
