//! The key commands of the program, on a SoftHSM token: what scripts rely on.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

mod common;

/// A configuration on the fixture's token, with a keyring of its own.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let softhsm = common::softhsm();
        common::alone();
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.configure(&format!(
            "schema = 1\nenvironment = \"test\"\n[keystore.issuer]\ntype = \"pkcs11\"\n\
             module = \"{}\"\ntoken = \"main\"\npin = {{ file = \"{}\" }}\nhost_oaep = true\n",
            softhsm.module.display(),
            softhsm.pin_file.display()
        ));
        place
    }

    fn configure(&self, text: &str) {
        fs::write(self.path("hsm-jose.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hsm-jose"));
        command.env("HSM_JOSE_CONFIG", self.path("hsm-jose.toml")).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it; neither the PIN nor anything like it is ever in what it says.
    fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        for said in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(said).contains(common::PIN), "{args:?}");
        }
        output
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[&["--json"], args].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count(), 1);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["schema"], 1);
        answer
    }

    /// Runs what must fail: nothing on stdout, one JSON object on stderr.
    fn error(&self, args: &[&str]) -> (i32, Value) {
        let output = self.run(&[&["--json"], args].concat());
        assert_eq!(text(&output.stdout), "", "{args:?}");
        let answer: Value = serde_json::from_slice(&output.stderr)
            .unwrap_or_else(|_| panic!("{args:?}: {}", text(&output.stderr)));
        let error = answer["error"].clone();
        assert!(error["message"].is_string() && error["hint"].is_string(), "{error}");
        (output.status.code().unwrap(), error)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_key_through_its_life() {
    let place = Place::new();
    let plan = place.json(&["key", "generate", "sig", "--alg", "ES256", "--dry-run"]);
    assert_eq!((&plan["outcome"], &plan["shape"]), (&"planned".into(), &"P-256".into()));
    let made = place.json(&["key", "generate", "sig", "--alg", "ES256"]);
    assert_eq!(made["outcome"], "entered");
    assert_eq!(made["support"][0]["where"], "hardware");
    assert_eq!(made["jwk"]["use"], "sig");
    assert!(made["jwk"].get("d").is_none());

    let again = place.run(&["key", "generate", "sig", "--alg", "ES256", "--if-absent"]);
    let jwk: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(jwk, made["jwk"]);
    assert!(text(&again.stderr).contains("there already"));
    let (_, error) = place.error(&["key", "generate", "sig", "--alg", "ES256"]);
    assert!(error["message"].as_str().unwrap().contains("--if-absent"), "{error}");

    assert_eq!(place.json(&["jwks"])["keys"], Value::Array(vec![jwk.clone()]));
    let set: Value = serde_json::from_slice(&place.run(&["jwks"]).stdout).unwrap();
    assert_eq!(set["keys"][0], jwk);
    let list = place.json(&["key", "list"]);
    assert_eq!(list["keys"][0]["versions"][0]["state"], "active");
    let confirm = place.json(&["key", "show", "sig"])["confirm"][0].as_str().unwrap().to_owned();
    assert_eq!(confirm, made["kid"]);
    assert!(text(&place.run(&["key", "show", "sig"]).stdout).contains(&confirm));

    let (status, error) = place.error(&["key", "destroy", "sig", "--confirm", &confirm]);
    assert_eq!((status, &error["code"]), (2, &"usage".into()));
    assert!(error["message"].as_str().unwrap().contains("--force"), "{error}");
    let gone = place.json(&["key", "destroy", "sig", "--confirm", &confirm, "--force"]);
    assert_eq!((&gone["in_device"], &gone["was_last"]), (&true.into(), &true.into()));
    assert_eq!(place.json(&["key", "list"])["keys"], Value::Array(vec![]));
}

#[test]
fn a_foreign_key_is_adopted_with_its_doubts() {
    let place = Place::new();
    let made = place.json(&["key", "generate", "ours", "--alg", "ES384"]);
    fs::remove_file(place.path("keyring.json")).unwrap();
    fs::remove_file(place.path("keyring.json.bak")).unwrap();
    let object = made["locator"].as_str().unwrap();
    let adopted = place.json(&["key", "adopt", "found", "--object", object, "--alg", "ES384"]);
    assert_eq!(adopted["provenance"], "adopted");
    assert_eq!(adopted["kid"], made["kid"]);
    let object = "pkcs11:object=there-is-none";
    let (status, error) = place.error(&["key", "adopt", "x", "--object", object, "--alg", "ES256"]);
    assert_eq!((status, &error["code"]), (4, &"key_not_found".into()));
}

#[test]
fn openssl_keys_are_imported_from_stdin_and_files() {
    let place = Place::new();
    let pem = Command::new("openssl").args(["ecparam", "-name", "prime256v1", "-genkey"]).output();
    let pem = pem.expect("openssl").stdout;
    let args = ["--json", "key", "import", "a", "--from", "-", "--alg", "ECDH-ES"];
    let mut child = place.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&pem).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let imported: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(imported["provenance"], "imported");

    fs::write(place.path("key.pem"), &pem).unwrap();
    let file = place.path("key.pem");
    let args = ["key", "import", "b", "--alg", "ECDH-ES", "--from", file.to_str().unwrap()];
    let (status, error) = place.error(&args);
    assert_eq!(status, 2);
    assert!(error["message"].as_str().unwrap().contains("key a"), "one key, one name: {error}");

    for (algorithm, parameter, alg) in
        [("RSA", "rsa_keygen_bits:2048", "RSA-OAEP"), ("EC", "ec_paramgen_curve:P-521", "ES512")]
    {
        for form in ["PEM", "DER"] {
            let made = Command::new("openssl")
                .args(["genpkey", "-quiet", "-algorithm", algorithm, "-pkeyopt", parameter])
                .args(["-outform", form, "-out", file.to_str().unwrap()])
                .status();
            assert!(made.expect("openssl").success());
            let name = format!("{algorithm}-{form}");
            let args = ["key", "import", &name, "--alg", alg, "--from", file.to_str().unwrap()];
            place.json(&args);
        }
    }

    let odd = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2050"];
    let odd = Command::new("openssl").args(odd).output().expect("openssl").stdout;
    fs::write(&file, odd).unwrap();
    let args = ["key", "import", "odd", "--alg", "PS256", "--from", file.to_str().unwrap()];
    let (status, error) = place.error(&args);
    assert_eq!((status, &error["code"]), (2, &"usage".into()), "{error}");
    assert!(error["message"].as_str().unwrap().contains("a multiple of 64, not 2050"), "{error}");
}

/// A token that computes with a wrong factor gives the other one away, and SoftHSM takes any.
#[test]
fn a_key_that_contradicts_itself_is_not_imported() {
    let place = Place::new();
    let json = include_bytes!("data/rfc/rfc7520-section-3.4.json");
    let mut jwk: Value = serde_json::from_slice(json).unwrap();
    jwk["qi"] = jwk["dp"].clone();
    let file = place.path("key.jwk");
    fs::write(&file, jwk.to_string()).unwrap();
    let args = ["key", "import", "a", "--alg", "PS256", "--from", file.to_str().unwrap()];
    let (status, error) = place.error(&args);
    assert_eq!((status, &error["code"]), (2, &"usage".into()), "{error}");
    assert!(error["message"].as_str().unwrap().contains("not of one key"), "{error}");
}

#[test]
fn errors_have_their_exit_status_and_code() {
    let place = Place::new();
    let cases: [(&[&str], i32, &str); 9] = [
        (&["key", "generate"], 2, "usage"),
        (&["key", "generate", "x", "--alg", "none"], 2, "usage"),
        (&["key", "generate", "x", "--alg", "PS256", "--bits", "1024"], 2, "usage"),
        (&["key", "generate", "x", "--alg", "ES256", "--keystore", "other"], 2, "config"),
        (&["key", "show", "none"], 4, "key_not_found"),
        (&["key", "destroy", "none", "--confirm", "x"], 4, "key_not_found"),
        (&["key", "import", "x", "--alg", "ES256", "--from", "/nonexistent"], 2, "usage"),
        (&["key", "import", "x", "--alg", "ES256", "--from", "/dev/null"], 2, "usage"),
        (&["--config", "/nonexistent", "key", "list"], 2, "config"),
    ];
    for (args, status, code) in cases {
        let (found, error) = place.error(args);
        assert_eq!((found, error["code"].as_str().unwrap()), (status, code), "{args:?}: {error}");
    }
    let config = fs::read_to_string(place.path("hsm-jose.toml")).unwrap();
    let with = |from: &str, to: &str| place.configure(&config.replace(from, to));
    with("\"main\"", "\"nowhere\"");
    let (status, error) = place.error(&["key", "generate", "x", "--alg", "ES256"]);
    assert!(status == 2 || status == 6, "{error}");
    with("\"test\"", "\"production\"");
    let (status, error) = place.error(&["key", "generate", "x", "--alg", "ES256"]);
    assert_eq!((status, &error["code"]), (2, &"config".into()));
    assert!(error["message"].as_str().unwrap().contains("software token"), "{error}");
    let (status, error) = place.error(&["bench"]);
    assert_eq!((status, &error["code"]), (2, &"usage".into()));
    assert!(error["message"].as_str().unwrap().contains("makes keys in the token"), "{error}");
    common::write_pin(&place.path("wrong"), "0000", 0o600);
    with("\"main\"", "\"refused\"");
    let refused = fs::read_to_string(place.path("hsm-jose.toml")).unwrap();
    let pin_file = common::softhsm().pin_file.display().to_string();
    place.configure(&refused.replace(&pin_file, "wrong"));
    let (status, error) = place.error(&["key", "generate", "x", "--alg", "ES256"]);
    assert_eq!((status, &error["code"]), (5, &"pin_refused".into()));
    assert!(!place.path("keyring.json").exists(), "no failure has written anything");
}

#[test]
fn a_configuration_is_checked_with_lines() {
    let place = Place::new();
    assert_eq!(place.json(&["config", "check"])["good"], true);
    let config = fs::read_to_string(place.path("hsm-jose.toml")).unwrap();
    let seal = "[context.t]\nnesting = \"jws\"\n[context.t.seal]\nissuer = \"i\"\n\
                audience = \"a\"\nsign = \"nobody\"\nlifetime = 60\n";
    place.configure(&format!("{config}{seal}"));
    let output = place.run(&["--json", "config", "check"]);
    assert_eq!(output.status.code(), Some(7));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["good"], &answer["findings"][0]["line"]), (&false.into(), &14.into()));
    assert!(text(&place.run(&["config", "check"]).stdout).contains("nobody"));
    // What a context names that policy does not allow.
    let wide = "[context.w]\nnesting = \"jwe\"\n[context.w.seal]\nencrypt = [\"ECDH-ES\"]\n\
                content = [\"A128CBC-HS256\"]\n";
    place.configure(&format!("{config}{wide}"));
    let shown = place.run(&["config", "check"]);
    assert_eq!(shown.status.code(), Some(7));
    let shown = text(&shown.stdout);
    assert!(shown.contains(":9: context.w: context w: seal.content: A128CBC-HS256"), "{shown}");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let place = Place::new();
    let mut child = place.command(&["--help"]).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_generation_that_was_killed_leaves_no_key_behind() {
    let place = Place::new();
    // A token of its own: what the dying process leaves there is nobody else's.
    let config = fs::read_to_string(place.path("hsm-jose.toml")).unwrap();
    place.configure(&config.replace("\"main\"", "\"other\""));
    let state = || -> Option<String> {
        let keys = place.json(&["key", "list"])["keys"].clone();
        keys[0]["versions"][0]["state"].as_str().map(str::to_owned)
    };
    let generate = ["key", "generate", "rsa", "--alg", "PS256"];
    let was_interrupted = (0..50).any(|_| {
        let mut child = place.command(&generate).spawn().unwrap();
        // Not before the intent is written, which is after the login: SoftHSM rewrites the token's file
        // there, in place, and a kill in it can cost the token.
        while !place.path("keyring.json").exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let state = state();
        if state.as_deref() == Some("active") {
            fs::remove_file(place.path("keyring.json.bak")).unwrap();
            fs::remove_file(place.path("keyring.json")).unwrap();
        }
        state.as_deref() == Some("pending")
    });
    assert!(was_interrupted, "no kill fell into the making of the key");
    assert_eq!(place.json(&["jwks"])["keys"], Value::Array(vec![]));
    let done = place.json(&[&generate[..], &["--if-absent"]].concat());
    assert!(done["outcome"] == "entered" || done["outcome"] == "completed", "{done}");
    assert_eq!(state().as_deref(), Some("active"));
}
