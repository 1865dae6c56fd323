//! The control file: what to log, and when to fail.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_RV};

use crate::names;

/// What the control file says, and how often each function has been called since it said so.
#[derive(Default)]
pub(crate) struct Control {
    text: String,
    counts: HashMap<&'static str, u64>,
    log: Option<PathBuf>,
    dead: Option<CK_RV>,
    dies: Vec<(String, u64, CK_RV)>,
    faults: Vec<Fault>,
    latency: Vec<(String, Duration)>,
    pub(crate) attributes: Vec<(CK_ATTRIBUTE_TYPE, Option<Vec<u8>>)>,
    pub(crate) manufacturer: Option<String>,
    pub(crate) model: Option<String>,
}

struct Fault {
    function: String,
    /// The call that gets it, counted from 1; every call where there is none.
    nth: Option<u64>,
    rv: CK_RV,
    /// The real module is called first, and only its answer is replaced.
    forwarded: bool,
}

/// Runs one call: logs it, waits, and lets `forward` reach the real module unless told not to.
pub(crate) fn call(function: &'static str, forward: impl FnOnce() -> CK_RV) -> CK_RV {
    let (latency, fault) = with(|control| control.next(function));
    if let Some(latency) = latency {
        std::thread::sleep(latency);
    }
    match fault {
        None => forward(),
        Some((rv, false)) => rv,
        Some((rv, true)) => {
            forward();
            rv
        }
    }
}

/// Gives `read` the control file as it is now; one that cannot be read or understood ends the
/// process.
pub(crate) fn with<T>(read: impl FnOnce(&mut Control) -> T) -> T {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    static CONTROL: Mutex<Option<Control>> = Mutex::new(None);

    let path = PATH.get_or_init(|| std::env::var_os("HSM_JOSE_FAULTY_CONTROL").map(PathBuf::from));
    let mut guard = CONTROL.lock().unwrap_or_else(PoisonError::into_inner);
    let control = guard.get_or_insert_default();
    if let Some(path) = path {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => give_up(path, &error.to_string()),
        };
        if text != control.text {
            *control = Control::parse(text)
                .unwrap_or_else(|message| panic!("hsm-jose-faulty: {}: {message}", path.display()));
        }
    }
    read(control)
}

impl Control {
    /// Counts and logs one call; answers how long it waits and the code it gets, with whether the
    /// real module is called all the same.
    fn next(&mut self, function: &'static str) -> (Option<Duration>, Option<(CK_RV, bool)>) {
        if let Some(log) = &self.log {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .and_then(|mut file| file.write_all(format!("{function}\n").as_bytes()))
                .unwrap_or_else(|error| give_up(log, &error.to_string()));
        }
        let count = self.counts.entry(function).or_default();
        *count += 1;
        let count = *count;

        let latency = self.latency.iter().find(|(name, _)| name == function).map(|(_, time)| *time);
        if let Some((_, _, rv)) =
            self.dies.iter().find(|(name, nth, _)| name == function && *nth == count)
        {
            self.dead = Some(*rv);
        }
        let fault = self.dead.map(|rv| (rv, false)).or_else(|| {
            self.faults
                .iter()
                .find(|fault| fault.function == function && fault.nth.is_none_or(|n| n == count))
                .map(|fault| (fault.rv, fault.forwarded))
        });
        (latency, fault)
    }

    fn parse(text: String) -> Result<Self, String> {
        let mut control = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            control.directive(line).map_err(|message| format!("line {}: {message}", index + 1))?;
        }
        control.text = text;
        Ok(control)
    }

    fn directive(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            // These take the rest of the line, spaces and all.
            "log" if !rest.is_empty() => self.log = Some(PathBuf::from(rest)),
            "manufacturer" => self.manufacturer = Some(rest.to_owned()),
            "model" => self.model = Some(rest.to_owned()),
            _ => match (word, rest.split_whitespace().collect::<Vec<_>>().as_slice()) {
                ("dead", []) => self.dead = Some(cryptoki_sys::CKR_DEVICE_ERROR),
                ("dead", [rv]) => self.dead = Some(names::code(rv)?),
                ("dies", [function, nth]) => {
                    let rv = cryptoki_sys::CKR_DEVICE_ERROR;
                    self.dies.push((names::function(function)?, number(nth)?, rv));
                }
                ("dies", [function, nth, rv]) => {
                    let rv = names::code(rv)?;
                    self.dies.push((names::function(function)?, number(nth)?, rv));
                }
                ("fail" | "answer", [function, rv, nth @ ..]) if nth.len() < 2 => {
                    self.faults.push(Fault {
                        function: names::function(function)?,
                        nth: nth.first().map(|nth| number(nth)).transpose()?,
                        rv: names::code(rv)?,
                        forwarded: word == "answer",
                    });
                }
                ("latency", [function, time]) => {
                    let time = Duration::from_millis(number(time)?);
                    self.latency.push((names::function(function)?, time));
                }
                ("attribute", [name, "none"]) => {
                    self.attributes.push((names::attribute(name)?, None));
                }
                ("attribute", [name, value]) => {
                    self.attributes.push((names::attribute(name)?, Some(names::hex(value)?)));
                }
                _ => return Err(format!("{line:?} is not a directive")),
            },
        }
        Ok(())
    }
}

/// Ends the process: the test is wrong, and no code that a device could answer would say so. Not by
/// a panic, which would abort here and might leave a core file.
fn give_up(path: &Path, message: &str) -> ! {
    eprintln!("hsm-jose-faulty: {}: {message}", path.display());
    std::process::exit(70)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}
