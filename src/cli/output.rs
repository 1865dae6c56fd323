//! What leaves the program: results to stdout, everything else to stderr, and the exit status.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::jose::base64url;
use crate::jose::json::SecretMembers;

/// The schema of the JSON that `--json` writes.
const SCHEMA: u64 = 1;

/// Exit status of a check that found something.
const FOUND: u8 = 7;

/// What the library calls by its own names, and the command line by its options.
const OPTIONS: [(&str, &str); 11] = [
    ("`algs`", "--alg"),
    ("`authenticate_any`", "--require any"),
    ("`bits`", "--bits"),
    ("`curve`", "--crv"),
    ("`force`", "--force"),
    ("`given`", "--config"),
    ("`if_absent`", "--if-absent"),
    ("`keystore`", "--keystore"),
    ("`kid`", "--kid"),
    ("`public`", "--public"),
    ("`waiver`", "--waiver"),
];

/// The result of a command, known to be good.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What stdout gets without `--json`, byte for byte.
    pub(crate) text: Zeroizing<Vec<u8>>,
    /// What stdout gets with `--json`; `schema` is added.
    pub(crate) json: Map<String, Value>,
    /// The member of the JSON form that has `text`, if one has.
    content: Option<Content>,
    /// Remarks for the operator: a line each on stderr, or the member `notes` with `--json`.
    pub(crate) notes: Vec<String>,
    /// A check found something: exit status 7.
    pub(crate) found: bool,
}

/// How the JSON form has the text.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// In base64url, in this member.
    Base64url(&'static str),
    /// As the JSON that it is, in this member: written anew, a number of many digits would be another.
    Json(&'static str),
}

impl Report {
    /// Makes a report of a text that ends in a newline, and the members of its JSON form.
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        let mut text = text.into();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let json = match json {
            Value::Object(members) => members,
            other => Map::from_iter([("result".to_owned(), other)]),
        };
        Self { text: Zeroizing::new(text.into_bytes()), json, ..Self::default() }
    }

    /// Takes what was verified as the text, and as the member `payload`; `None` where it was read past
    /// and stays where it is.
    pub(crate) fn carry(&mut self, payload: Option<Zeroizing<Vec<u8>>>) {
        match payload {
            Some(payload) => {
                (self.text, self.content) = (payload, Some(Content::Base64url("payload")));
            }
            None => {
                self.json.insert("payload".to_owned(), Value::Null);
                self.notes.push("verified; the payload stays where it is".into());
            }
        }
    }

    /// Makes a report of a token: just its octets, since other tools take a line's end for a part
    /// of it; a terminal gets the line's end.
    pub(crate) fn token(token: String, json: Value) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let mut report = Self::new("", json);
        report.text = Zeroizing::new(token.into_bytes());
        if is_terminal {
            report.text.push(b'\n');
        }
        report
    }

    /// Makes a report of octets, just as they are; in the JSON form `name` has them in base64url.
    pub(crate) fn content(name: &'static str, octets: Zeroizing<Vec<u8>>, json: Value) -> Self {
        let mut report = Self::new("", json);
        (report.text, report.content) = (octets, Some(Content::Base64url(name)));
        report
    }

    /// Makes a report of a JSON text, just as it is, with a line's end; in the JSON form it is `name`.
    pub(crate) fn verbatim(name: &'static str, text: &[u8], json: Value) -> Self {
        let mut report = Self::new("", json);
        report.text = Zeroizing::new(Vec::with_capacity(text.len() + 1));
        report.text.extend_from_slice(text);
        report.text.push(b'\n');
        report.content = Some(Content::Json(name));
        report
    }

    /// Adds a remark.
    #[must_use]
    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Writes what a command answered and returns the exit status.
pub(super) fn finish(outcome: Result<Report>, as_json: bool) -> ExitCode {
    match outcome {
        Ok(mut report) => {
            if as_json && !report.notes.is_empty() {
                report.json.insert("notes".to_owned(), json!(report.notes));
            }
            // It can be long, and so is made only where it is asked for.
            let mut verbatim = None;
            match report.content.filter(|_| as_json) {
                Some(Content::Base64url(name)) => {
                    let text = std::mem::take(&mut report.text);
                    report.json.insert(name.to_owned(), base64url::encode(&text).into());
                }
                Some(Content::Json(name)) => verbatim = Some((name, &report.text[..])),
                None => {}
            }
            let status = if report.found { FOUND } else { 0 };
            let bytes = if as_json { json_line(report.json, verbatim) } else { report.text };
            if !as_json {
                report.notes.iter().for_each(|note| complain(&format!("note: {note}")));
            }
            match write_stdout(&bytes) {
                Ok(()) => ExitCode::from(status),
                Err(error) => fail(&error, as_json),
            }
        }
        Err(error) => fail(&error, as_json),
    }
}

/// Writes what clap says: help and version to stdout, errors to stderr, as JSON if that was asked.
pub(super) fn usage(error: &clap::Error, args: &[OsString]) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return match write_stdout(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, false),
        };
    }
    let as_json = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    if as_json {
        let message = text.trim_start_matches("error: ").lines();
        let message: Vec<&str> =
            message.map(str::trim).take_while(|line| !line.is_empty()).collect();
        complain_json("usage", &message.join(" "), hint("usage"));
    } else {
        complain(text.trim_end());
    }
    ExitCode::from(2)
}

fn fail(error: &Error, as_json: bool) -> ExitCode {
    let (code, message) = (error.code(), with_options(error.to_string()));
    if as_json {
        complain_json(code, &message, hint(code));
    } else {
        complain(&format!("error: {message}"));
        // A usage error says itself what would be right.
        if code != "usage" {
            complain(&format!("hint: {}", hint(code)));
        }
    }
    ExitCode::from(status(code))
}

/// Puts the options of the command line in the place of what the library calls by its own names.
fn with_options(message: String) -> String {
    OPTIONS.iter().fold(message, |message, (own, option)| message.replace(own, option))
}

/// The exit status of an error code, as the documentation of the command line lists them.
fn status(code: &str) -> u8 {
    match code {
        "usage" | "config" | "unsupported" | "key_not_as_asked" => 2,
        "malformed"
        | "policy"
        | "decryption_failed"
        | "decryption_budget_spent"
        | "signature_invalid"
        | "claim" => 3,
        "key_not_found" | "key_ambiguous" => 4,
        "pin_refused" | "pin_locked" | "pin_unavailable" => 5,
        "device_unavailable" | "device_error" => 6,
        _ => 1,
    }
}

/// What to do next, for each code.
fn hint(code: &str) -> &'static str {
    match code {
        "usage" => "--help of the command tells its arguments",
        "config" => "`hsm-jose config check` looks at the whole configuration",
        "unsupported" => "`hsm-jose doctor` lists what each keystore supports",
        "key_not_as_asked" => {
            "the device does not give this guarantee: `hsm-jose doctor` tells more"
        }
        "policy" => "`hsm-jose policy explain` tells what is allowed",
        "malformed" => "`hsm-jose inspect` shows what can be read of the token",
        "decryption_failed" => {
            "the token was damaged, or made for another key; more is not told on purpose"
        }
        "decryption_budget_spent" => {
            "wait, or raise `decryption_failures` of the policy if the peer is honest"
        }
        "signature_invalid" => "see that the issuer's present keys are among the trusted ones",
        "claim" => "see the context's `open` in the configuration, and this machine's clock",
        "key_not_found" => "`hsm-jose key list` lists the keys",
        "key_ambiguous" => "name the key more closely, by its id",
        "pin_refused" => {
            "put the right PIN where the configuration says it is, before the next attempt: \
             tokens lock after a few"
        }
        "pin_locked" => "the token's security officer can set a new PIN",
        "pin_unavailable" => "see `pin` of the keystore in the configuration",
        "device_unavailable" | "device_error" => "`hsm-jose doctor` asks every keystore",
        _ => "-v tells what was done before",
    }
}

/// Writes the members, and last the one whose value is a text of JSON.
fn json_line(members: Map<String, Value>, verbatim: Option<(&str, &[u8])>) -> Zeroizing<Vec<u8>> {
    let mut members = SecretMembers(members);
    members.0.insert("schema".to_owned(), SCHEMA.into());
    let (name, text) = verbatim.unwrap_or_default();
    let mut len = Counted(0);
    let _ = serde_json::to_writer(&mut len, &members.0); // invariant: as below
    // Of its whole length at once: a buffer that grows leaves copies behind that nobody clears.
    let mut line = Zeroizing::new(Vec::with_capacity(len.0 + name.len() + text.len() + 5));
    // invariant: a map of JSON values always serializes, and a Vec takes every byte.
    let _ = serde_json::to_writer(&mut *line, &members.0);
    if verbatim.is_some() {
        line.pop();
        line.extend_from_slice(format!(",\"{name}\":").as_bytes());
        // It stays one line: no string has a raw end of line in it (RFC 8259 section 7).
        line.extend(text.iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }));
        line.push(b'}');
    }
    line.push(b'\n');
    line
}

/// How many bytes were written.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn write_stdout(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // The reader has what it wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Error::Io(format!("cannot write to stdout: {error}"))),
    }
}

fn complain_json(code: &str, message: &str, hint: &str) {
    let error = json!({ "error": { "code": code, "message": message, "hint": hint } });
    complain(&error.to_string());
}

/// Writes a line to stderr; where that fails there is nobody left to tell.
fn complain(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").unwrap_or_default();
}
