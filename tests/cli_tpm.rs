//! The program on a software TPM: what scripts rely on.
#![cfg(all(feature = "cli", feature = "tpm"))]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

mod common;

use common::swtpm::{AUTH, Swtpm, write_pin};

/// A configuration on a TPM of its own.
struct Place(Swtpm);

impl Place {
    fn new() -> Self {
        let place = Self(Swtpm::start());
        place.configure(&format!(
            "schema = 1\nenvironment = \"test\"\n# kept\n[keystore.edge]\ntype = \"tpm\"\n\
             tcti = \"{}\"\nkeys = \"keys\"\nauth = {{ file = \"auth\" }}\n",
            place.0.tcti()
        ));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.directory.join(name)
    }

    fn configure(&self, text: &str) {
        fs::write(self.path("hsm-jose.toml"), text).unwrap();
    }

    fn configuration(&self) -> String {
        fs::read_to_string(self.path("hsm-jose.toml")).unwrap()
    }

    /// Runs it; nothing that it says has the authorization value, or is of tpm2-tss.
    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        fs::write(self.path("input"), input).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_hsm-jose"))
            .args(args)
            .current_dir(&self.0.directory)
            .env("HSM_JOSE_CONFIG", self.path("hsm-jose.toml"))
            .env_remove("TSS2_LOG")
            .stdin(Stdio::from(fs::File::open(self.path("input")).unwrap()))
            .output()
            .unwrap();
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!said.contains(AUTH), "{args:?}");
            assert!(!said.contains(":esys:") && !said.contains(":tcti:"), "{args:?}: {said}");
        }
        output
    }

    fn good(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(args, input);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn code(&self, args: &[&str], input: &[u8]) -> (i32, String) {
        let output = self.run(args, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said)
    }
}

#[test]
fn the_parent_is_pinned_and_the_file_keeps_the_rest() {
    let place = Place::new();
    let before = place.configuration();
    let (status, said) = place.code(&["doctor"], b"");
    assert_eq!(status, 7, "{said}");
    place.good(&["token", "pin", "edge", "--dry-run"], b"");
    assert_eq!(place.configuration(), before);
    let name = place.good(&["token", "pin", "edge"], b"");
    let name = String::from_utf8(name).unwrap().trim().to_owned();
    let line = format!("parent_name = \"{name}\"\n");
    assert_eq!(place.configuration().replace(&line, ""), before);
    place.good(&["token", "pin", "edge"], b"");
    let text = String::from_utf8(place.good(&["doctor"], b"")).unwrap();
    for expected in ["IBM", "firmware", "pinned", "lockout: no, 0 of 3", "TPM_ALG_OAEP"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    // Another name than that of the TPM: nothing works but pinning it anew, in so many words.
    let other = format!("000b{}", "5a".repeat(32));
    place.configure(&place.configuration().replace(&name, &other));
    let (status, said) = place.code(&["key", "generate", "k", "--alg", "ES256"], b"");
    assert_eq!(status, 2, "{said}");
    let (status, said) = place.code(&["token", "pin", "edge"], b"");
    assert_eq!(status, 2, "{said}");
    place.good(&["token", "pin", "edge", "--replace"], b"");
    assert!(place.configuration().contains(&name));
}

#[test]
fn a_session_with_its_failures_has_the_exit_codes_of_every_keystore() {
    let place = Place::new();
    place.good(&["token", "pin", "edge"], b"");
    let sig = place.good(&["key", "generate", "sig", "--alg", "ES256"], b"");
    let enc = place.good(&["key", "generate", "enc", "--alg", "RSA-OAEP-256"], b"");
    fs::write(place.path("sig.jwk"), sig).unwrap();
    fs::write(place.path("enc.jwk"), enc).unwrap();
    let jwe = place.good(&["encrypt", "--to", "enc.jwk"], b"secret");
    assert_eq!(place.good(&["decrypt"], &jwe), b"secret");
    let jws = place.good(&["sign", "--key", "sig"], b"payload");
    assert_eq!(place.good(&["verify", "--keys", "sig.jwk"], &jws), b"payload");
    // A bad encrypted key: the TPM answers an error, tpm2-tss says nothing, and neither do we.
    let text = String::from_utf8(jwe.clone()).unwrap();
    let mut parts: Vec<String> = text.trim().split('.').map(str::to_owned).collect();
    let flipped = if parts[1].starts_with('A') { "B" } else { "A" };
    parts[1].replace_range(..1, flipped);
    let (status, said) = place.code(&["decrypt"], parts.join(".").as_bytes());
    assert_eq!(status, 3, "{said}");
    let text = String::from_utf8(place.good(&["doctor"], b"")).unwrap();
    assert!(text.contains("fixedTPM fixedParent sensitiveDataOrigin userWithAuth sign"), "{text}");
    let (status, said) = place.code(&["key", "generate", "ed", "--alg", "EdDSA"], b"");
    assert_eq!(status, 2, "{said}");
    let (status, said) =
        place.code(&["key", "adopt", "x", "--object", "file:none.pem", "--alg", "ES256"], b"");
    assert_eq!(status, 4, "{said}");

    write_pin(&place.path("auth"), "wrong", 0o600);
    let (status, said) = place.code(&["sign", "--key", "sig"], b"payload");
    assert_eq!(status, 5, "{said}");
    write_pin(&place.path("auth"), AUTH, 0o600);
    assert_eq!(place.good(&["decrypt"], &jwe), b"secret");
    // What one command has left in the TPM is nothing.
    assert_eq!(place.0.tool("tpm2_getcap", &["handles-transient"]).trim(), "");
    let mut place = place;
    place.0.kill();
    let (status, said) = place.code(&["decrypt"], &jwe);
    assert_eq!(status, 6, "{said}");
    place.0.restart();
    assert_eq!(place.good(&["decrypt"], &jwe), b"secret");
}
