//! Symmetric keys at the command line, in a SoftHSM token: what an operator sees of them, and what is
//! refused.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::PublicKey;
use serde_json::Value;

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::Place;

/// A place under the profile for production, where these algorithms are named.
fn place(symmetric: &[&str]) -> Place {
    let place = Place::new();
    let names: Vec<String> = symmetric.iter().map(|name| format!("{name:?}")).collect();
    let policy = match names.is_empty() {
        true => "profile = \"strict\"".to_owned(),
        false => format!("profile = \"strict\"\nsymmetric = [{}]", names.join(", ")),
    };
    place.configure(&place.configuration().replace("profile = \"all\"", &policy));
    place
}

/// Whatever is said of a key: no member of a JWK, and not its value.
fn assert_tells_no_jwk(text: &str) {
    for member in ["\"kty\"", "\"k\"", "\"oct\""] {
        assert!(!text.contains(member), "{text}");
    }
}

#[test]
fn a_symmetric_key_through_its_life() {
    let place = place(&["A256KW", "dir", "HS256"]);
    for (name, alg, bits) in [("wrap", "A256KW", 256), ("own", "dir", 256), ("mac", "HS256", 256)] {
        let made = place.json(&["key", "generate", name, "--alg", alg], b"");
        assert_eq!(made["secret"]["bits"], bits, "{made}");
        let check = made["secret"]["check_value"].as_str().expect("a check value").to_owned();
        assert_eq!((check.len(), made.get("jwk")), (6, None), "{made}");
        // 16 random bytes: never a thumbprint of the key.
        let kid = base64url::decode(made["kid"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(kid.len(), 16);
        assert_tells_no_jwk(&made.to_string());
        let again = place.json(&["key", "generate", name, "--alg", alg, "--if-absent"], b"");
        assert_eq!((&again["outcome"], &again["secret"]), (&"present".into(), &made["secret"]));
        let said = place.run(&["key", "show", name], b"");
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains(&format!("{bits} bits, check value {check}")), "{said}");
        assert!(said.contains(&format!("confirm     {check}")), "{said}");
        assert_tells_no_jwk(&said);
        let listed = String::from_utf8(place.run(&["key", "list"], b"").stdout).unwrap();
        assert!(listed.contains(&format!("oct-{bits}:{check}")), "{listed}");
    }
    // Nothing of them is published.
    place.json(&["key", "generate", "pair", "--alg", "ES256"], b"");
    let set = place.json(&["jwks"], b"");
    assert_eq!(set["keys"].as_array().map(Vec::len), Some(1), "{set}");
    let doctor = place.run(&["doctor"], b"");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    for alg in ["A128KW", "A192GCMKW", "dir", "HS512"] {
        let line = doctor.lines().find(|line| line.trim_start().starts_with(&format!("{alg} ")));
        assert!(line.is_some_and(|line| line.contains(" hardware ")), "{alg}: {doctor}");
    }
    assert!(doctor.contains("symmetric: 256 bits, check value "), "{doctor}");
    assert!(doctor.contains("CKM_AES_KEY_WRAP") && doctor.contains("CKM_SHA256_HMAC"), "{doctor}");

    let show = place.json(&["key", "show", "wrap"], b"");
    let check = show["confirm"][0].as_str().unwrap();
    let wrong =
        place.json_refusal(&["key", "destroy", "wrap", "--confirm", "000000", "--force"], b"");
    assert_eq!(wrong.0, 2);
    place.json(&["key", "destroy", "wrap", "--confirm", check, "--force"], b"");
    let gone = place.json_refusal(&["key", "show", "wrap"], b"");
    assert_eq!(gone.0, 4);
}

#[test]
fn what_cannot_be_made_is_refused_before_the_device_has_a_key() {
    let place = place(&["A256KW", "dir"]);
    for (args, status, what) in [
        (&["--alg", "A256KW", "--bits", "128"][..], 2, "does not work"),
        (&["--alg", "A256KW", "--crv", "P-256"], 2, "symmetric"),
        (&["--alg", "A256KW", "--alg", "dir"], 2, "one algorithm"),
        (&["--alg", "HS256", "--bits", "128"], 2, "does not work"),
        (&["--alg", "HS256", "--bits", "2048"], 2, "does not work"),
        (&["--alg", "HS256", "--bits", "257"], 2, "does not work"),
        (&["--alg", "dir", "--bits", "512"], 2, "does not split"),
    ] {
        let (found, _, message) =
            place.json_refusal(&[&["key", "generate", "x"], args].concat(), b"");
        assert!(message.contains(what), "{args:?}: {message}");
        assert_eq!(found, status, "{args:?}: {message}");
    }
    assert_eq!(place.json(&["key", "list"], b"")["keys"], Value::Array(vec![]));
}

#[test]
fn a_known_key_is_imported_from_its_jwk_and_a_public_one_is_not() {
    let place = place(&["A128KW", "HS256"]);
    // RFC 7517 appendix A.3.
    let oct = place
        .write("oct.jwk", r#"{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg","kid":"7"}"#);
    let made = place.json(&["key", "import", "a", "--alg", "A128KW", "--from", &oct], b"");
    assert_eq!((&made["kid"], &made["provenance"]), (&"7".into(), &"imported".into()));
    // The first bytes of AES-128 of a block of zeros under the key.
    assert_eq!(made["secret"]["check_value"], "DACB81");
    let other = place.json_refusal(&["key", "import", "b", "--alg", "HS256", "--from", &oct], b"");
    assert_eq!(other.0, 2);
    // The public key of somebody, in each of its forms, as a shared secret (RFC 8725 section 2.1).
    let public = place.json(&["key", "generate", "pair", "--alg", "ES256"], b"")["jwk"].clone();
    for (name, content) in [
        ("public.jwk", public.to_string()),
        ("public.pem", "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n".into()),
        ("public.der", "0Y0\u{13}".into()),
    ] {
        let path = place.write(name, content);
        let args = ["key", "import", "c", "--alg", "HS256", "--from", &path];
        assert_eq!(place.json_refusal(&args, b"").0, 2, "{name}");
    }
}

/// Adopted as it is: made by a vendor's tool, known by what the token says of it.
#[test]
fn a_key_that_is_there_is_adopted_by_its_uri() {
    let place = place(&["A256GCMKW"]);
    let output = std::process::Command::new("pkcs11-tool")
        .args(["--module", common::softhsm_module().to_str().unwrap(), "--token-label", "main"])
        .args(["--login", "--pin", common::PIN, "--keygen", "--key-type", "AES:32"])
        .args(["--label", "theirs", "--id", "0102", "--sensitive", "--usage-decrypt"])
        .envs(place.env())
        .output()
        .expect("pkcs11-tool (Debian: apt install opensc)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let args = ["key", "adopt", "ours", "--object", "pkcs11:object=theirs", "--alg", "A256GCMKW"];
    let adopted = place.json(&args, b"");
    assert_eq!(
        (&adopted["provenance"], &adopted["secret"]["bits"]),
        (&"adopted".into(), &256.into())
    );
    assert!(adopted["unproven"].to_string().contains("CKA_ALLOWED_MECHANISMS"), "{adopted}");
    let token = place.run(&["encrypt", "--key", "ours"], b"content").stdout;
    assert_eq!(place.run(&["decrypt"], &token).stdout, b"content");
}

#[test]
fn what_policy_does_not_name_reaches_no_key() {
    let place = place(&["A256KW"]);
    place.json(&["key", "generate", "wrap", "--alg", "A256KW"], b"");
    place.json(&["key", "generate", "gcm", "--alg", "A256GCMKW"], b"");
    let token = place.run(&["encrypt", "--key", "wrap"], b"content").stdout;
    assert_eq!(place.run(&["decrypt"], &token).stdout, b"content");
    let (status, code, message) = place.json_refusal(&["encrypt", "--key", "gcm"], b"content");
    assert_eq!((status, &*code), (3, "policy"), "{message}");
    // The same token where nothing is named any more.
    place.configure(&place.configuration().replace("symmetric = [\"A256KW\"]", ""));
    let (status, code, message) = place.json_refusal(&["decrypt"], &token);
    assert_eq!((status, &*code), (3, "policy"), "{message}");
    assert!(message.contains("`symmetric` of [policy]"), "{message}");
    let explained = String::from_utf8(place.run(&["policy", "explain"], b"").stdout).unwrap();
    assert!(explained.contains("symmetric keys: none"), "{explained}");
    place.configure(
        &place.configuration().replace("profile = \"strict\"", "symmetric = [\"ES256\"]"),
    );
    let (status, code, message) = place.json_refusal(&["policy", "explain"], b"");
    assert_eq!((status, &*code), (2, "config"));
    assert!(message.contains("not an algorithm of symmetric keys"), "{message}");
}

#[test]
fn a_content_is_encrypted_with_each_kind_of_key_in_each_serialization() {
    let algs = ["A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW", "dir"];
    let place = place(&algs);
    for alg in algs {
        place.json(&["key", "generate", alg, "--alg", alg], b"");
        for format in ["compact", "flattened", "general"] {
            let args = ["encrypt", "--key", alg, "--format", format, "--cty", "text/plain"];
            let token = place.run(&args, b"content").stdout;
            let opened = place.json(&["decrypt"], &token);
            assert_eq!(opened["plaintext"], base64url::encode(b"content"), "{alg} {format}");
            assert_eq!(
                (&opened["key"], &opened["header"]["cty"]),
                (&alg.into(), &"text/plain".into())
            );
            let placement = if alg == "dir" { "device" } else { "host memory" };
            assert_eq!(opened["cek"], placement, "{alg}");
        }
    }
    // The key of dir is that of its enc; another is found out before any device is asked.
    let (status, code, message) =
        place.json_refusal(&["encrypt", "--key", "dir", "--enc", "A128GCM"], b"x");
    assert_eq!((status, &*code), (3, "policy"), "{message}");
    let both = place.json_refusal(&["encrypt", "--key", "dir", "--to", "x.jwk"], b"x");
    assert_eq!(both.0, 2);
}

#[test]
fn a_payload_is_authenticated_with_a_key_that_the_caller_names() {
    let algs = ["HS256", "HS384", "HS512"];
    let place = place(&algs);
    for alg in algs {
        place.json(&["key", "generate", alg, "--alg", alg], b"");
        let token = place.run(&["sign", "--key", alg, "--typ", "x"], b"payload").stdout;
        let verified = place.json(&["verify", "--key", alg], &token);
        assert_eq!(verified["payload"], base64url::encode(b"payload"), "{verified}");
        assert_eq!((&verified["alg"], &verified["header"]["typ"]), (&alg.into(), &"x".into()));
        assert_tells_no_jwk(&verified.to_string());
        let token = String::from_utf8(token).unwrap();
        let (input, mac) = token.trim_end().rsplit_once('.').unwrap();
        let mac = base64url::decode(mac.as_bytes()).unwrap();
        for len in [0, 1, 16, mac.len() - 1, mac.len() + 1, 4096] {
            let mut other = mac.clone();
            other.resize(len, 0);
            let token = format!("{input}.{}", base64url::encode(&other));
            let (status, code, _) = place.json_refusal(&["verify", "--key", alg], token.as_bytes());
            assert_eq!((status, &*code), (3, "signature_invalid"), "{alg}: {len}");
        }
        let payload = place.write("payload", b"payload");
        let detached = place.run(&["sign", "--key", alg, "--detached"], b"payload").stdout;
        place.json(&["verify", "--key", alg, "--detached", &payload], &detached);
        let other = place.write("other", b"other");
        let args = ["verify", "--key", alg, "--detached", &other];
        assert_eq!(place.json_refusal(&args, &detached).1, "signature_invalid");
    }
    place.json(&["key", "generate", "second", "--alg", "HS256"], b"");
    let token = place.run(&["sign", "--key", "HS256"], b"payload").stdout;
    assert_eq!(place.json_refusal(&["verify", "--key", "second"], &token).1, "key_not_found");
    assert_eq!(place.json_refusal(&["verify", "--key", "HS512"], &token).1, "policy");
    assert_eq!(place.json_refusal(&["verify"], &token).0, 2);
    // Among several, by the rule that one of them must be the key's.
    let keys = ["--key", "HS512", "--key", "HS256", "--format", "general"];
    let several = place.run(&[&["sign"], &keys[..]].concat(), b"payload").stdout;
    let verified = place.json(&["verify", "--key", "HS256", "--require", "any"], &several);
    assert_eq!((&verified["index"], &verified["alg"]), (&1.into(), &"HS256".into()));
    for (key, rule, code) in [("HS384", "any", "key_not_found"), ("HS256", "all", "usage")] {
        let args = ["verify", "--key", key, "--require", rule];
        assert_eq!(place.json_refusal(&args, &several).1, code, "{key} {rule}");
    }
    let (_, code, message) = place.json_refusal(&["verify", "--key", "HS256"], &several);
    assert!(code == "policy" && message.contains("(--require any)"), "{message}");
    let both = ["verify", "--key", "HS256", "--keys", "x.jwk"];
    assert_eq!(place.json_refusal(&both, &token).0, 2);
    // What policy does not name is refused by policy, alone and among several.
    place.configure(&place.configuration().replace("\"HS256\", ", ""));
    for rule in [&[][..], &["--require", "any"]] {
        let args = [&["verify", "--key", "HS256"], rule].concat();
        for token in [&token, &several] {
            assert_eq!(place.json_refusal(&args, token).1, "policy", "{rule:?}");
        }
    }
}

/// RFC 8725 section 2.1: the public key of a signer, in any of its forms, as the secret of a MAC.
#[test]
fn a_public_key_is_never_the_secret_of_a_mac() {
    use base64::Engine as _;
    use hsm_jose::jose::jwk::PublicJwk;
    use hsm_jose::primitives::secret::hmac;

    let place = place(&["HS256", "HS384", "HS512"]);
    for (alg, bits) in [("PS256", &["--bits", "3072"][..]), ("ES256", &[])] {
        let made =
            place.json(&[&["key", "generate", alg, "--alg", alg], bits].concat(), b"")["jwk"]
                .clone();
        let jwk = PublicJwk::parse(made.to_string().as_bytes()).expect("a public JWK");
        let kid = jwk.kid.clone().expect("a kid");
        let keys = place.write("keys.jwk", made.to_string());
        let mut secrets = vec![
            made.to_string().into_bytes(),
            format!("{made:#}").into_bytes(),
            serde_json::to_vec(&jwk.key.to_members()).expect("JSON"),
            Vec::new(),
            b"\0".to_vec(),
        ];
        match &jwk.key {
            PublicKey::Rsa(rsa) => secrets.extend([rsa.n().to_vec(), rsa.e().to_vec()]),
            PublicKey::Point(point) => {
                secrets.extend([point.as_bytes().to_vec(), point.as_bytes()[1..33].to_vec()]);
            }
            _ => unreachable!("an RSA or EC key"),
        }
        // SubjectPublicKeyInfo, as DER and as PEM with and without the last line break.
        let der = spki(&jwk.key);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines(&base64::engine::general_purpose::STANDARD.encode(&der))
        );
        secrets.extend([der, pem.trim_end().as_bytes().to_vec(), pem.into_bytes()]);
        for secret in &secrets {
            for (name, hash) in [
                ("HS256", hsm_jose::jose::alg::Hash::Sha256),
                ("HS384", hsm_jose::jose::alg::Hash::Sha384),
                ("HS512", hsm_jose::jose::alg::Hash::Sha512),
            ] {
                let header = format!(r#"{{"alg":"{name}","kid":"{kid}"}}"#);
                let input =
                    [header.as_bytes(), b"{\"sub\":\"admin\"}"].map(base64url::encode).join(".");
                let mac = base64url::encode(&hmac(hash, secret, input.as_bytes()));
                let token = format!("{input}.{mac}");
                let said = place.json_refusal(&["verify", "--keys", &keys], token.as_bytes());
                assert_eq!((said.0, &*said.1), (3, "policy"), "{alg} {name}: {}", said.2);
                let said = place.json_refusal(&["verify", "--key", alg], token.as_bytes());
                assert_eq!((said.0, &*said.1), (3, "policy"), "{alg} {name}: {}", said.2);
            }
        }
    }
}

fn lines(text: &str) -> String {
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII"));
    lines.collect::<Vec<_>>().join("\n")
}

/// SubjectPublicKeyInfo of an RSA key (RFC 8017 appendix A.1) or a key on P-256 (RFC 5480).
fn spki(key: &PublicKey) -> Vec<u8> {
    let der = |tag: u8, content: &[u8]| {
        let len = content.len();
        let mut der = vec![tag];
        match len {
            0..128 => der.push(len as u8),
            128..256 => der.extend([0x81, len as u8]),
            _ => der.extend([0x82, (len >> 8) as u8, len as u8]),
        }
        [&der[..], content].concat()
    };
    let bits = |content: &[u8]| der(0x03, &[&[0], content].concat());
    match key {
        PublicKey::Rsa(rsa) => {
            let number = |bytes: &[u8]| match bytes[0] < 0x80 {
                true => der(0x02, bytes),
                false => der(0x02, &[&[0], bytes].concat()),
            };
            let key = der(0x30, &[number(rsa.n()), number(rsa.e())].concat());
            let oid =
                [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
            der(0x30, &[der(0x30, &oid), bits(&key)].concat())
        }
        PublicKey::Point(point) => {
            let oids = [
                0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                0xce, 0x3d, 0x03, 0x01, 0x07,
            ];
            der(0x30, &[der(0x30, &oids), bits(point.as_bytes())].concat())
        }
        _ => unreachable!("an RSA or EC key"),
    }
}

/// A context takes tokens for a symmetric key of ours where policy and the context name the algorithm,
/// and in no other case.
#[test]
fn a_context_opens_what_it_names_and_no_more() {
    let place = place(&["A256KW", "HS256"]);
    place.json(&["key", "generate", "shared", "--alg", "A256KW"], b"");
    let context = |open: &str, policy: &str| {
        let text = place.configuration();
        let text = text.split("[context").next().expect("text").replace("symmetric =", policy);
        place.configure(&format!(
            "{text}[context.t]\nnesting = \"jwe\"\ntyp = \"t\"\n[context.t.open]\n\
             decrypt = [\"shared\"]\n{open}\n"
        ));
    };
    let args = ["encrypt", "--key", "shared", "--typ", "t"];
    let token = place.run(&args, b"{\"nonce\":\"n\"}").stdout;
    context("", "symmetric =");
    assert_eq!(place.json_refusal(&["open", "--context", "t"], &token).1, "policy");
    context("encrypt = [\"A256KW\"]", "symmetric =");
    let opened = place.json(&["open", "--context", "t"], &token);
    assert_eq!(opened["claims"]["nonce"], "n", "{opened}");
    context("encrypt = [\"A256KW\"]", "# symmetric =");
    let (status, code, message) = place.json_refusal(&["open", "--context", "t"], &token);
    assert_eq!((status, &*code), (2, "config"), "{message}");
}
