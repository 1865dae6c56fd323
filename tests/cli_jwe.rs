//! The program and the JSON serializations of JWE: several recipients, each with its key in another
//! device, and tokens converted, split and joined.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use hsm_jose::jose::base64url;
use serde_json::Value;

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::Place;

/// A place with two tokens, `issuer` and `second`, in one configuration.
fn two_tokens() -> Place {
    let place = Place::new();
    place.make_token("second");
    let first = place.configuration();
    let (head, keystore) = first.split_once("[keystore.issuer]").expect("a keystore");
    let (keystore, tail) = keystore.split_once("[policy]").expect("a policy");
    let second = keystore.replace("\"main\"", "\"second\"");
    place.configure(&format!(
        "{head}[keystore.issuer]{keystore}[keystore.second]{second}[policy]{tail}"
    ));
    place
}

/// Makes a key in a keystore and writes its public JWK into a file.
fn made(place: &Place, keystore: &str, name: &str, alg: &str) -> String {
    let mut args = vec!["key", "generate", name, "--alg", alg, "--keystore", keystore];
    if alg.starts_with("RSA") {
        args.extend(["--bits", "2048"]);
    }
    let jwk = place.json(&args, b"")["jwk"].to_string();
    place.write(&format!("{name}.jwk"), jwk)
}

fn token(place: &Place, args: &[&str], content: &[u8]) -> Vec<u8> {
    let output = place.run(args, content);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn one_token_opens_with_a_key_in_either_of_two_tokens() {
    let place = two_tokens();
    let rsa = made(&place, "issuer", "rsa", "RSA-OAEP-256");
    let ec = made(&place, "second", "ec", "ECDH-ES+A256KW");
    let direct = made(&place, "second", "direct", "ECDH-ES");
    let aad = place.write("aad", b"vcard");
    let general = token(&place, &["encrypt", "--to", &rsa, "--to", &ec, "--aad", &aad], b"hello");
    let json: Value = serde_json::from_slice(&general).expect("JSON");
    assert_eq!(json["recipients"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["aad"], base64url::encode(b"vcard"));

    let opened = place.json(&["decrypt"], &general);
    assert_eq!(opened["plaintext"], base64url::encode(b"hello"));
    assert_eq!(opened["aad"], base64url::encode(b"vcard"));
    assert_eq!((&opened["key"], &opened["keystore"]), (&"rsa".into(), &"issuer".into()));
    assert_eq!((&opened["recipient"], &opened["alg"]), (&0.into(), &"RSA-OAEP-256".into()));
    assert!(opened["header"].get("alg").is_none(), "nobody protects it: {opened}");
    assert_eq!(opened["unprotected"]["alg"], "RSA-OAEP-256");
    // By a rule of policy each key opens it alone, whatever the other is.
    let opened = place.json(&["decrypt", "--key", "ec"], &general);
    assert_eq!((&opened["key"], &opened["keystore"]), (&"ec".into(), &"second".into()));
    // Nothing on stdout but the content, without --json.
    assert_eq!(place.run(&["decrypt"], &general).stdout, b"hello");
    // A token whose device is away does not keep the other from opening it; alone, it is named.
    let configuration = place.configuration();
    place.configure(&configuration.replace("token = \"main\"", "token = \"nowhere\""));
    let opened = place.json(&["decrypt"], &general);
    assert_eq!(opened["keystore"], "second");
    let (status, code, _) = place.refusal(&["decrypt", "--key", "rsa"], &general);
    assert_ne!((status, &*code), (3, "decryption_failed"), "a device that is away is no bad token");
    place.configure(&configuration);

    // What one command says it cannot write.
    let cases: [(&[&str], &str); 5] = [
        (&["--to", &rsa, "--to", &ec, "--format", "compact"], "general"),
        (&["--to", &rsa, "--to", &ec, "--format", "flattened"], "general"),
        (&["--to", &rsa, "--aad", &aad, "--format", "compact"], "JSON serializations"),
        (&["--to", &rsa, "--to", &direct], "no key of the recipient"),
        (&["--to", &ec, "--to", &direct, "--alg", "ECDH-ES"], "no key of the recipient"),
    ];
    for (args, said) in cases {
        let args = [&["encrypt"], args].concat();
        let (status, _, message) = place.refusal(&args, b"x");
        assert!(status == 2 || status == 3, "{args:?}: {message}");
        assert!(message.contains(said), "{args:?}: {message}");
    }
    // aad alone has its place in a flattened token; one recipient's header is protected.
    let flat = token(&place, &["encrypt", "--to", &rsa, "--aad", &aad], b"hello");
    let json: Value = serde_json::from_slice(&flat).expect("JSON");
    assert!(json.get("recipients").is_none() && json.get("header").is_none(), "{json}");
    assert_eq!(place.json(&["decrypt"], &flat)["header"]["alg"], "RSA-OAEP-256");
    // In strict, recipients' own headers lead to their keys all the same.
    place.configure(&configuration.replace("\"all\"", "\"strict\""));
    assert_eq!(place.run(&["decrypt"], &general).stdout, b"hello");
}

/// One in 64 thumbprints begins with a hyphen.
#[test]
fn a_kid_that_begins_with_a_hyphen_is_no_option() {
    let place = Place::new();
    let alg = "ECDH-ES+A256KW";
    for (name, kid) in [("one", "-kid_of-one"), ("two", "--Kid_of_two")] {
        place.json(&["key", "generate", name, "--alg", alg, "--kid", kid], b"");
    }
    for option in ["--if-absent", "--dry-run", "--"] {
        let args = ["key", "generate", "three", "--alg", alg, "--kid", option];
        assert_eq!(place.refusal(&args, b"").0, 2, "{option}");
    }
    let set = place.json(&["jwks"], b"").to_string();
    let to = place.write("set.jwks", &set);
    for kid in ["-kid_of-one", "--Kid_of_two"] {
        let args = ["encrypt", "--to", &to, "--kid", kid, "--apu", "-a", "--apv", "-b"];
        let sealed = token(&place, &args, b"hello");
        let shown = place.json(&["inspect"], &sealed).to_string();
        assert!(shown.contains(&format!("\"kid\":{kid:?}")), "{shown}");
        let opened = place.json(&["decrypt"], &sealed);
        assert_eq!(opened["plaintext"], base64url::encode(b"hello"));
        let one = token(&place, &["jwk", "convert", "--kid", kid, &to], b"");
        let one: Value = serde_json::from_slice(&one).expect("JSON");
        assert!(one["kid"] == kid || one["keys"][0]["kid"] == kid, "{one}");
    }
}

#[test]
fn a_token_is_converted_split_and_joined() {
    let place = two_tokens();
    let rsa = made(&place, "issuer", "rsa", "RSA-OAEP-256");
    let ec = made(&place, "second", "ec", "ECDH-ES+A256KW");
    let compact = token(&place, &["encrypt", "--to", &ec], b"hello");
    for format in ["flattened", "general"] {
        let json = token(&place, &["convert", "--format", format], &compact);
        assert_eq!(place.run(&["decrypt"], &json).stdout, b"hello");
        let file = place.write("json", &json);
        assert_eq!(token(&place, &["convert", "--format", "compact", &file], b""), compact);
        let shown = place.json(&["inspect", &file], b"");
        assert_eq!((&shown["kind"], &shown["serialization"]), (&"JWE".into(), &format.into()));
        assert_eq!(shown["header"]["alg"], "ECDH-ES+A256KW");
    }
    let general = token(&place, &["encrypt", "--to", &rsa, "--to", &ec], b"hello");
    let (status, code, _) = place.refusal(&["convert", "--format", "compact"], &general);
    assert_eq!((status, &*code), (2, "usage"));
    let lines = token(&place, &["convert", "--format", "flattened"], &general);
    let lines: Vec<_> = lines.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 2);
    let files = [place.write("one", lines[0]), place.write("two", lines[1])];
    for (line, key) in lines.iter().zip(["rsa", "ec"]) {
        assert_eq!(place.json(&["decrypt"], line)["key"], key);
    }
    let joined = token(&place, &["convert", "--format", "general", &files[0], &files[1]], b"");
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    assert_eq!(json(&joined), json(&general));
    let other = place.write("other", &compact);
    let (status, _, message) =
        place.refusal(&["convert", "--format", "general", &files[0], &other], b"");
    assert!(status == 2 && message.contains("one content"), "{message}");

    let shown = place.json(&["inspect"], &general);
    assert_eq!(shown["recipients"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["recipients"][0]["header"]["alg"], "RSA-OAEP-256");
    assert_eq!(shown["recipients"][0]["encrypted_key_len"], 256);
    let text = String::from_utf8(place.run(&["inspect"], &general).stdout).expect("text");
    assert!(text.contains("recipient 1 header \"alg\" = \"ECDH-ES+A256KW\""), "{text}");
    assert!(text.contains("recipient 1 encrypted_key 40 bytes"), "{text}");
    let said = place.json(&["policy", "explain"], &general);
    assert_eq!(said["token"]["accepted"], true);
}

/// RFC 7519 section 3: a JWT is always compact.
#[test]
fn a_context_takes_no_json_serialization() {
    let place = Place::new();
    let jwk = place.generate("enc", "ECDH-ES+A256KW");
    place.generate("sig", "ES256");
    let jwks = place.run(&["jwks"], b"").stdout;
    place.write("jwks.json", jwks);
    place.configure(&format!(
        "{}[context.t]\nnesting = \"jwe(jws)\"\n[context.t.seal]\nissuer = \"https://i.example\"\n\
         audience = \"us\"\nsign = \"sig\"\nencrypt = [\"ECDH-ES+A256KW\"]\ncontent = [\"A256GCM\"]\n\
         lifetime = 60\n[context.t.open]\naudience = \"us\"\ntrust = \"jwks.json\"\n\
         issuers = [\"https://i.example\"]\ndecrypt = [\"enc\"]\n",
        place.configuration()
    ));
    let to = place.write("enc.jwk", Value::Object(jwk.to_members()).to_string());
    let sealed = token(&place, &["seal", "--context", "t", "--to", &to], b"{}");
    assert!(place.run(&["open", "--context", "t"], &sealed).status.success());
    for format in ["flattened", "general"] {
        let json = token(&place, &["convert", "--format", format], &sealed);
        assert!(place.run(&["decrypt"], &json).status.success());
        let (status, code, message) = place.refusal(&["open", "--context", "t"], &json);
        assert_eq!((status, &*code), (3, "malformed"));
        assert!(message.contains("always compact"), "{message}");
        let said = place.json(&["policy", "explain", "--context", "t"], &json);
        assert_eq!(said["token"]["accepted"], false);
    }
}

/// One token for a key in a PKCS#11 token and one in a TPM: either opens it.
#[cfg(feature = "tpm")]
#[test]
fn one_token_opens_with_a_key_in_a_pkcs11_token_or_in_a_tpm() {
    let swtpm = common::swtpm::Swtpm::start();
    let place = Place::new();
    common::swtpm::write_pin(&place.path("tpm-auth"), common::swtpm::AUTH, 0o600);
    place.configure(&format!(
        "{}[keystore.edge]\ntype = \"tpm\"\ntcti = \"{}\"\nkeys = \"tpm-keys\"\n\
         auth = {{ file = \"tpm-auth\" }}\n",
        place.configuration(),
        swtpm.tcti()
    ));
    let rsa = made(&place, "issuer", "rsa", "RSA-OAEP-256");
    let ec = made(&place, "edge", "ec", "ECDH-ES+A256KW");
    for (to, first) in [([&rsa, &ec], "issuer"), ([&ec, &rsa], "edge")] {
        let general = token(&place, &["encrypt", "--to", to[0], "--to", to[1]], b"hello");
        assert_eq!(place.json(&["decrypt"], &general)["keystore"], first);
        for (key, keystore) in [("rsa", "issuer"), ("ec", "edge")] {
            let opened = place.json(&["decrypt", "--key", key], &general);
            assert_eq!(opened["keystore"], keystore);
            assert_eq!(opened["plaintext"], base64url::encode(b"hello"));
        }
        let mut bad: Value = serde_json::from_slice(&general).expect("JSON");
        bad["tag"] = base64url::encode(&[0; 16]).into();
        let (status, code, message) = place.json_refusal(&["decrypt"], bad.to_string().as_bytes());
        assert_eq!((status, &*code, &*message), (3, "decryption_failed", "decryption failed"));
    }
}
