//! A token directory, a configuration and a keyring of one test's own, and the program run on them.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::PublicJwk;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::common::{self, PIN, SO_PIN};
use crate::faulty::{self, Faulty};

/// The directory; removed with the value.
pub struct Place {
    directory: TempDir,
    /// The module in between; it logs in any case, where the configuration names it.
    pub faulty: Faulty,
}

/// A JWE in parts, made by a sender of the test's own.
#[derive(Clone)]
pub struct Parts {
    pub header: Map<String, Value>,
    pub encrypted_key: Vec<u8>,
    pub iv: Vec<u8>,
    pub ciphertext: Vec<u8>,
    pub tag: Vec<u8>,
    pub cek: Vec<u8>,
}

impl Place {
    /// Makes a token called `main`, and a configuration that reaches it through SoftHSM itself.
    pub fn new() -> Self {
        Self::on(&common::softhsm_module())
    }

    /// As [`Place::new`], with the module that logs and fails on demand in between.
    pub fn watched() -> Self {
        Self::on(faulty::module())
    }

    fn on(module: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let faulty = Faulty::new(directory.path(), &common::softhsm_module());
        let place = Self { directory, faulty };
        fs::create_dir(place.path("tokens")).expect("a directory for tokens");
        let tokens = place.path("tokens");
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        fs::write(place.path("softhsm2.conf"), text).expect("softhsm2.conf");
        place.make_token("main");
        common::write_pin(&place.path("pin"), PIN, 0o600);
        place.configure(&format!(
            "schema = 1\nenvironment = \"test\"\n[keystore.issuer]\ntype = \"pkcs11\"\n\
             module = \"{}\"\ntoken = \"main\"\npin = {{ file = \"pin\" }}\nsessions = 8\n\
             host_oaep = true\n[policy]\nprofile = \"all\"\n",
            module.display()
        ));
        place
    }

    /// Makes one more token.
    pub fn make_token(&self, label: &str) {
        let status = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label])
            .args(["--so-pin", SO_PIN, "--pin", PIN])
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .stdout(Stdio::null())
            .status()
            .expect("softhsm2-util (Debian: apt install softhsm2)");
        assert!(status.success(), "softhsm2-util --init-token {label}");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the place and returns its path as an argument.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("the place can be written");
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    pub fn configure(&self, text: &str) {
        self.write("hsm-jose.toml", text);
    }

    pub fn configuration(&self) -> String {
        fs::read_to_string(self.path("hsm-jose.toml")).expect("the configuration")
    }

    /// The environment that a process on this place needs.
    pub fn env(&self) -> Vec<(&'static str, PathBuf)> {
        let mut env = vec![
            ("SOFTHSM2_CONF", self.path("softhsm2.conf")),
            ("HSM_JOSE_CONFIG", self.path("hsm-jose.toml")),
        ];
        env.extend(self.faulty.env().map(|(name, path)| (name, path.to_owned())));
        env
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hsm-jose"));
        command.envs(self.env()).args(args).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program with `stdin`; whatever happens, it does not panic and does not die.
    pub fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("the program");
        let mut pipe = child.stdin.take().expect("a pipe");
        let stdin = stdin.to_vec();
        let writer = std::thread::spawn(move || {
            // A program that has read enough closes the pipe.
            let _ = pipe.write_all(&stdin);
        });
        let output = child.wait_with_output().expect("an end");
        writer.join().expect("the writer");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        assert!(output.status.code().is_some_and(|code| code < 8), "{args:?}: {}", output.status);
        output
    }

    /// Runs what must succeed with `--json` and returns its one object.
    pub fn json(&self, args: &[&str], stdin: &[u8]) -> Value {
        let output = self.run(&[&["--json"], args].concat(), stdin);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("one JSON object");
        assert_eq!(answer["schema"], 1, "{args:?}: {answer}");
        answer
    }

    /// Runs what must be refused, with `--json` and without: nothing on stdout, the same exit status
    /// and the same message. Returns status, code and message.
    pub fn refusal(&self, args: &[&str], stdin: &[u8]) -> (i32, String, String) {
        let (status, code, message) = self.json_refusal(args, stdin);
        let plain = self.run(args, stdin);
        let stderr = String::from_utf8(plain.stderr).expect("messages are UTF-8");
        assert_eq!(plain.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(plain.stdout.is_empty(), "{args:?}: something on stdout");
        assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
        (status, code, message)
    }

    /// As [`Place::refusal`], with `--json` only.
    pub fn json_refusal(&self, args: &[&str], stdin: &[u8]) -> (i32, String, String) {
        let output = self.run(&[&["--json"], args].concat(), stdin);
        assert!(output.stdout.is_empty(), "{args:?}: something on stdout");
        let stderr = String::from_utf8(output.stderr).expect("messages are UTF-8");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        let answer: Value = serde_json::from_str(&stderr)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {stderr}"));
        let text = |name: &str| {
            let text = answer["error"][name].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert!(!text.is_empty(), "{answer}");
            text.to_owned()
        };
        text("hint");
        (output.status.code().expect("an exit status"), text("code"), text("message"))
    }

    /// Makes a key and returns its public JWK.
    pub fn generate(&self, name: &str, alg: &str) -> PublicJwk {
        let mut args = vec!["key", "generate", name, "--alg", alg];
        if alg.starts_with("RSA") || alg.starts_with("PS") || alg.starts_with("RS") {
            args.extend(["--bits", "2048"]);
        }
        let made = self.json(&args, b"");
        PublicJwk::parse(made["jwk"].to_string().as_bytes()).expect("a public JWK")
    }
}

impl Parts {
    /// Seals `plaintext` to `jwk` as any sender would, with a CEK of the length of `cek_for` and a
    /// header that says `enc`.
    pub fn sealed(
        jwk: &PublicJwk,
        alg: KeyManagement,
        enc: ContentEncryption,
        plaintext: &[u8],
    ) -> Self {
        Self::with_cek_for(jwk, alg, enc, enc, plaintext)
    }

    pub fn with_cek_for(
        jwk: &PublicJwk,
        alg: KeyManagement,
        enc: ContentEncryption,
        cek_for: ContentEncryption,
        plaintext: &[u8],
    ) -> Self {
        let sent = common::send(&jwk.key, alg, cek_for);
        let mut header = Map::new();
        header.insert("alg".into(), alg.name().into());
        header.insert("enc".into(), enc.name().into());
        if let Some(kid) = &jwk.kid {
            header.insert("kid".into(), kid.as_str().into());
        }
        if let Some((epk, _)) = &sent.agreed {
            header.insert("epk".into(), Value::Object(epk.to_members()));
            header.insert("apu".into(), base64url::encode(b"apu").into());
            header.insert("apv".into(), base64url::encode(b"apv").into());
        }
        let mut parts = Self {
            header,
            encrypted_key: sent.encrypted_key,
            iv: Vec::new(),
            ciphertext: Vec::new(),
            tag: Vec::new(),
            cek: sent.cek,
        };
        let aad = parts.protected();
        (parts.iv, parts.ciphertext, parts.tag) =
            common::seal(cek_for, &parts.cek, aad.as_bytes(), plaintext);
        parts
    }

    pub fn protected(&self) -> String {
        base64url::encode(json!(self.header).to_string().as_bytes())
    }

    pub fn compact(&self) -> String {
        let parts = [&self.encrypted_key, &self.iv, &self.ciphertext, &self.tag];
        parts.iter().fold(self.protected(), |token, part| token + "." + &base64url::encode(part))
    }

    /// The token with something changed.
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut changed = self.clone();
        change(&mut changed);
        changed.compact()
    }
}
