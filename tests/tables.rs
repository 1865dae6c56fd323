//! The tables of algorithms in README.md and what `doctor` finds are one: each row is what a token, a
//! TPM or the host did when this test asked it.
//!
//! `HSM_JOSE_WRITE_TABLES=1 cargo test --features tpm --test tables` writes them into README.md.

#![cfg(feature = "pkcs11")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{CekRequest, KeyShape, KeySpec, Keystore};
use hsm_jose::doctor::{AlgorithmReport, Report, examine};
use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use hsm_jose::jose::refused::REFUSED;
use hsm_jose::keyring::Keyring;
use hsm_jose::keystores::Keystores;

/// The column of the TPM: last, since only the feature `tpm` can check it.
const TPM: &str = "TPM 2.0 (swtpm)";

fn examined(keystore: Arc<dyn Keystore>) -> Report {
    let keystores = Keystores::opened(vec![keystore], false).expect("one keystore");
    let report = examine(&keystores, &Keyring::default());
    assert!(report.keystores[0].healthy, "{report:?}");
    report
}

#[cfg(feature = "tpm")]
fn tpm() -> Option<Report> {
    Some(examined(Arc::new(common::swtpm::open("tables"))))
}

#[cfg(not(feature = "tpm"))]
fn tpm() -> Option<Report> {
    None
}

#[test]
fn the_tables_of_the_readme_are_what_the_devices_do() {
    let softhsm = Arc::new(common::open("tables"));
    let version = softhsm.describe().expect("a description").version;
    // Another version may do more, or do it in another way, and no less.
    let exact = version.contains("2.6");
    let token = examined(softhsm.clone());
    let tpm = tpm();
    let tables = [
        algorithms("JWE `alg`", unwrap_names(), &token, tpm.as_ref()),
        algorithms("JWS `alg`", sign_names(), &token, tpm.as_ref()),
        content(&token, &*softhsm),
        refused(),
    ];
    if std::env::var_os("HSM_JOSE_WRITE_TABLES").is_some() && tpm.is_some() {
        write(&tables);
    }
    let readme = std::fs::read_to_string(readme()).expect("README.md");
    for table in &tables {
        let title = table[0].split('|').nth(1).expect("a cell").trim();
        let lines: Vec<_> =
            readme.lines().skip_while(|line| !line.starts_with(&table[0])).collect();
        assert!(!lines.is_empty(), "README.md has no table with {}", table[0]);
        let lines = &lines[..lines.iter().position(|line| line.is_empty()).expect("its end")];
        assert_eq!(lines.len(), table.len(), "rows of {title}: {table:#?}");
        for (line, row) in lines.iter().zip(table) {
            assert!(agrees(line, row, exact), "README.md: {line}\nfound:     {row}");
        }
    }
}

/// The in-memory keystore does everything on the host, as README.md says.
#[test]
fn the_memory_keystore_does_every_algorithm() {
    let report = examined(Arc::new(MemoryKeystore::new("tables")));
    for told in &report.keystores[0].algorithms {
        assert_eq!(told.support, "hardware", "{told:?}");
    }
}

/// Everything that has a name is in a row, and nothing is both done and refused.
#[test]
fn doctor_tells_of_every_alg_and_enc() {
    let report = examined(Arc::new(MemoryKeystore::new("tables")));
    let told: Vec<_> = report.keystores[0].algorithms.iter().map(|told| told.alg).collect();
    for alg in KeyAlgorithm::all() {
        assert!(told.iter().any(|told| told.is_same_as(alg)), "{alg}");
    }
    let encs: Vec<_> = report.content.iter().map(|told| told.enc).collect();
    assert_eq!(encs, ContentEncryption::ALL);
    for name in ["none", "RSA1_5", "PBES2-HS256+A128KW", "zip"] {
        let refused = report.refused.iter().find(|refused| refused.name == name);
        assert!(refused.is_some_and(|refused| refused.on_purpose && !refused.why.is_empty()));
    }
}

/// Whether the row of README.md is what was found, or, if not `exact`, nothing is said to be done that
/// is not. A column that was not asked for is not compared.
fn agrees(line: &str, row: &str, exact: bool) -> bool {
    let is_done = |cell: &str| !cell.trim().starts_with("no");
    let mut cells = line.split('|');
    row.trim_end_matches('|').split('|').all(|found| {
        cells.next().is_some_and(|told| told == found || !exact && is_done(found) >= is_done(told))
    })
}

fn unwrap_names() -> Vec<(KeyAlgorithm, String)> {
    let names = KeyManagement::ALL.iter();
    names.map(|alg| (KeyAlgorithm::Unwrap(*alg), format!("`{alg}`"))).collect()
}

fn sign_names() -> Vec<(KeyAlgorithm, String)> {
    use SignatureAlgorithm::{Ed25519, EdDsa};
    let names = SignatureAlgorithm::ALL.iter().filter(|alg| **alg != Ed25519);
    let name = |alg: SignatureAlgorithm| match alg == EdDsa {
        true => format!("`{EdDsa}`, `{Ed25519}`"),
        false => format!("`{alg}`"),
    };
    names.map(|alg| (KeyAlgorithm::Sign(*alg), name(*alg))).collect()
}

/// A row for each `alg`: the keys it was tried with, and what each keystore did.
fn algorithms(
    title: &str,
    algs: Vec<(KeyAlgorithm, String)>,
    token: &Report,
    tpm: Option<&Report>,
) -> Vec<String> {
    let mut table = vec![format!("| {title} | key | PKCS#11 (SoftHSM 2.6) |")];
    table.push("|---|---|---|".to_owned());
    if tpm.is_some() {
        table[0] += &format!(" {TPM} |");
        table[1] += "---|";
    }
    for (alg, name) in algs {
        let told = |report: &Report| -> Vec<(String, String)> {
            let told = &report.keystores[0].algorithms;
            told.iter().filter(|told| told.alg == alg).map(|told| (key(told), how(told))).collect()
        };
        let rows = told(token);
        let keys: Vec<_> = rows.iter().map(|(key, _)| key.as_str()).collect();
        let mut row = format!("| {name} | {} | {} |", keys.join(", "), cell(&rows));
        if let Some(tpm) = tpm {
            row += &format!(" {} |", cell(&told(tpm)));
        }
        table.push(row);
    }
    table
}

/// The size of an RSA key is that of the probe, not a limit.
fn key(told: &AlgorithmReport) -> String {
    if told.key.starts_with("RSA") { "RSA".into() } else { told.key.clone() }
}

/// Mechanism and host step, or why not: without what SECURITY.md says of each step.
fn how(told: &AlgorithmReport) -> String {
    let alone = |text: &str| match text.split_once(" on the host") {
        Some((text, _)) => format!("{text} on the host"),
        None => text.to_owned(),
    };
    match told.support {
        "no" => {
            let reason = told.how.strip_prefix(told.alg.name()).unwrap_or(&told.how);
            format!("no ({})", reason.trim_start_matches(": "))
        }
        _ => alone(&told.how),
    }
}

/// What all keys do, or what some of them do.
fn cell(rows: &[(String, String)]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (key, how) in rows {
        match groups.iter_mut().find(|(known, _)| known == how) {
            Some((_, keys)) => keys.push(key),
            None => groups.push((how, vec![key])),
        }
    }
    match &groups[..] {
        [(how, _)] => (*how).to_owned(),
        several => {
            let parts: Vec<_> =
                several.iter().map(|(how, keys)| format!("{}: {how}", keys.join(", "))).collect();
            parts.join("; ")
        }
    }
}

/// A row for each `enc`: what the host does, and what a key for `dir` in the token does.
fn content(report: &Report, token: &dyn Keystore) -> Vec<String> {
    let mut table = vec![
        "| JWE `enc` | on the host | in the token, with `dir` |".to_owned(),
        "|---|---|---|".into(),
    ];
    let algs: BTreeMap<_, _> = report.keystores[0]
        .algorithms
        .iter()
        .filter(|told| told.alg == KeyAlgorithm::Unwrap(KeyManagement::Dir))
        .map(|told| (told.key.clone(), how(told)))
        .collect();
    for told in &report.content {
        let shape = KeyShape::Oct { bits: 8 * told.enc.key_len() as u32 };
        let dir = match encrypts(token, shape, told.enc) {
            true => algs[&shape.to_string()].clone(),
            false => "no".to_owned(),
        };
        table.push(format!("| `{}` | {} | {dir} |", told.enc, told.host));
    }
    table
}

/// Whether a key for `dir` can be made, and encrypts and decrypts as `enc` has it.
fn encrypts(token: &dyn Keystore, shape: KeyShape, enc: ContentEncryption) -> bool {
    let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(KeyManagement::Dir)] };
    let locator = token.new_locator(&format!("tables {enc}")).expect("a locator");
    let Ok(key) = token.generate(&locator, &spec) else { return false };
    let cek = || key.unwrap_cek(&CekRequest::Dir, enc);
    let Ok(sealed) = cek().and_then(|cek| cek.encrypt(b"aad", b"content")) else { return false };
    let opened = cek()
        .and_then(|cek| cek.decrypt(&sealed.iv, b"aad", &sealed.ciphertext, &sealed.tag))
        .expect("what was encrypted decrypts");
    opened.as_bytes() == b"content"
}

fn refused() -> Vec<String> {
    let mut table = vec!["| never | where | why |".to_owned(), "|---|---|---|".into()];
    table.extend(REFUSED.iter().map(|refused| {
        let what = if refused.on_purpose { "refused on purpose" } else { "not in this build" };
        format!("| `{}` | {} | {what}: {} |", refused.name, refused.place, refused.why)
    }));
    table
}

fn readme() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// Puts each table in the place of the one with its first cell.
fn write(tables: &[Vec<String>]) {
    let mut lines: Vec<String> =
        std::fs::read_to_string(readme()).expect("README.md").lines().map(str::to_owned).collect();
    for table in tables {
        let first = table[0].split('|').nth(1).expect("a cell");
        let at = lines.iter().position(|line| line.starts_with(&format!("|{first}|")));
        let at = at.unwrap_or_else(|| panic!("README.md has no table with {first}"));
        let end = at + lines[at..].iter().position(String::is_empty).expect("the table's end");
        lines.splice(at..end, table.iter().cloned());
    }
    std::fs::write(readme(), lines.join("\n") + "\n").expect("README.md is written");
}
