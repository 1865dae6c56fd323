//! The fault-injecting PKCS#11 module of `tests/modules/faulty`: built once per process, and its
//! control file.
//!
//! The module reads two variables of its own process's environment when it is loaded; [`Faulty::env`]
//! has them, for a `Command` or for `std::env::set_var` before the first keystore is opened.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Returns the path of the module, building it where `HSM_JOSE_FAULTY_SO` does not name it.
///
/// Test processes that build at once wait for each other: cargo locks the target directory.
pub fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| match std::env::var_os("HSM_JOSE_FAULTY_SO") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// A control file in a directory of the test, and the log of calls beside it.
#[derive(Debug)]
pub struct Faulty {
    control: PathBuf,
    log: PathBuf,
    real: PathBuf,
}

impl Faulty {
    /// Puts the control file and the log into `dir`; `real` is the module that does the work.
    pub fn new(dir: &Path, real: &Path) -> Self {
        let faulty = Self {
            control: dir.join("faulty.control"),
            log: dir.join("faulty.log"),
            real: real.to_owned(),
        };
        faulty.set(&[]);
        faulty
    }

    /// Returns the variables that the process which loads the module needs.
    pub fn env(&self) -> [(&'static str, &Path); 2] {
        [("HSM_JOSE_FAULTY_MODULE", &self.real), ("HSM_JOSE_FAULTY_CONTROL", &self.control)]
    }

    /// Replaces the directives and empties the log; counting of calls starts again.
    ///
    /// The log directive is always there.
    pub fn set(&self, directives: &[&str]) {
        // The module takes changed contents as new: the number makes them so every time.
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let text = format!("# {serial}\nlog {}\n{}\n", self.log.display(), directives.join("\n"));
        let new = self.control.with_extension("new");
        fs::write(&new, text).expect("the test's directory is writable");
        fs::rename(&new, &self.control).expect("the test's directory is writable");
        fs::write(&self.log, "").expect("the test's directory is writable");
    }

    /// Returns the names of the calls since the last [`Faulty::set`] or [`Faulty::forget`], in order.
    pub fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).expect("the log was made with the control file");
        log.lines().map(str::to_owned).collect()
    }

    /// Empties the log; the directives and the counting of calls stay.
    pub fn forget(&self) {
        fs::write(&self.log, "").expect("the test's directory is writable");
    }
}

fn build() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modules/faulty");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("modules");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--message-format=json-render-diagnostics", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the module in {} does not build", package.display());
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "hsm_jose_faulty")
        .find_map(|message| message["filenames"][0].as_str().map(PathBuf::from))
        .expect("cargo says where it put the module")
}
