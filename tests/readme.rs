//! The session in README.md works as it stands there.

#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");

#[test]
fn the_session_of_the_readme_is_true() {
    let script = format!("set -euo pipefail\n{}\n", session().join("\n"));
    let binary = Path::new(env!("CARGO_BIN_EXE_hsm-jose"));
    let mut path = binary.parent().expect("a program is in a directory").as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").expect("PATH is set"));

    let output =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("softhsm-setup/with-token"))
            .args(["--demo", "bash", "-c", &script])
            .env("PATH", path)
            .output()
            .expect("bash is installed");

    assert!(output.status.success(), "{script}{output:?}");
    let stdout = String::from_utf8(output.stdout).expect("the output is text");
    let claims = stdout.trim_end().lines().last().expect("the last command prints");
    assert!(claims.contains("\"alice\""), "{stdout}");
}

/// The commands of the last block of the section.
fn session() -> Vec<&'static str> {
    let section = README
        .split("\n## ")
        .find(|section| section.starts_with("A session\n"))
        .expect("README.md has a section with a session");
    let block = section
        .split("```console\n")
        .last()
        .and_then(|rest| rest.split("```").next())
        .expect("the section has a block of commands");
    let commands: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(commands.len() > 3, "{block}");
    commands
}
