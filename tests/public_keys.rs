//! Public keys in PEM and DER, as JWKs, and out again: the keys of the RFCs, and what other tools write.

use std::io::Write;
use std::process::{Command, Stdio};

use hsm_jose::jose::alg::Curve;
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PublicJwk, PublicKey, PublicPoint, RsaPublic, check};
use hsm_jose::jose::x509::{Certificate, CertificateChain};
use hsm_jose::jose::{pkcs8, spki};
use proptest::prelude::*;
use serde_json::Value;

#[path = "common/pki.rs"]
mod pki;

/// The public keys of the RFCs, one of each kind that they have.
fn rfc_keys() -> Vec<PublicJwk> {
    let all: Value = serde_json::from_slice(include_bytes!("data/rfc/public-keys.json")).unwrap();
    let keys = ["rfc7517-b", "rfc7520-3.1", "rfc7520-3.3", "rfc8037-a2", "rfc8037-a6"];
    let one = |value: &Value| PublicJwk::parse(value.to_string().as_bytes()).expect("a JWK");
    let mut keys: Vec<_> = keys.iter().map(|name| one(&all[name])).collect();
    keys.push(one(&all["rfc7517-a1"]["keys"][0]));
    keys
}

/// What `openssl` makes of an input.
fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl (Debian: apt install openssl)");
    child.stdin.take().expect("a pipe").write_all(input).expect("written");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn every_kind_of_key_goes_out_and_in() {
    for jwk in rfc_keys() {
        let der = spki::to_der(&jwk.key).expect("DER");
        let pem = spki::to_pem(&jwk.key).expect("PEM");
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("-----\n"));
        let crlf = format!("key of somebody\r\n{}", pem.replace('\n', "\r\n"));
        for bytes in [&der[..], pem.as_bytes(), crlf.as_bytes()] {
            assert_eq!(
                PublicJwk::from_any(bytes).expect("a key"),
                PublicJwk::bare(jwk.key.clone())
            );
        }
    }
}

#[test]
fn openssl_reads_and_writes_the_same() {
    for jwk in rfc_keys() {
        let (der, pem) = (spki::to_der(&jwk.key).unwrap(), spki::to_pem(&jwk.key).unwrap());
        let from_pem = openssl(&["pkey", "-pubin", "-outform", "DER"], pem.as_bytes());
        assert_eq!(from_pem, der, "{}", jwk.key.kind());
        let from_der = openssl(&["pkey", "-pubin", "-inform", "DER"], &der);
        assert_eq!(String::from_utf8(from_der).unwrap(), pem, "{}", jwk.key.kind());
        if let PublicKey::Rsa(_) = jwk.key {
            let pkcs1 = openssl(&["rsa", "-pubin", "-RSAPublicKey_out"], pem.as_bytes());
            assert!(pkcs1.starts_with(b"-----BEGIN RSA PUBLIC KEY-----"));
            assert_eq!(PublicJwk::from_any(&pkcs1).unwrap().key, jwk.key);
            let pkcs1 =
                openssl(&["rsa", "-pubin", "-RSAPublicKey_out", "-outform", "DER"], pem.as_bytes());
            assert_eq!(PublicJwk::from_any(&pkcs1).unwrap().key, jwk.key);
        }
    }
}

/// RFC 7468 section 3, figure 1: lines of any length, and white space at their ends.
#[test]
fn pem_with_lines_of_any_length_is_read() {
    fn folded(pem: &str, length: usize, end: &str) -> String {
        let lines: Vec<_> = pem.lines().collect();
        let (first, last) = (lines[0], lines[lines.len() - 1]);
        let base64 = lines[1..lines.len() - 1].concat();
        let body = base64.as_bytes().chunks(length);
        let body: Vec<_> = body.map(|line| std::str::from_utf8(line).unwrap()).collect();
        [&[first][..], &body, &[last, ""]].concat().join(end)
    }
    let key = openssl(&["genpkey", "-quiet", "-algorithm", "RSA"], b"");
    let private = String::from_utf8(key).unwrap();
    let public = String::from_utf8(openssl(&["pkey", "-pubout"], private.as_bytes())).unwrap();
    let jwk = PublicJwk::from_any(public.as_bytes()).unwrap();
    for (length, end) in
        [(76, "\n"), (76, "\r\n"), (10_000, "\n"), (60, "\n"), (64, " \n"), (1, "\n")]
    {
        let read = PublicJwk::from_any(folded(&public, length, end).as_bytes()).expect("a key");
        assert_eq!(read.key, jwk.key, "{length}");
        let read = pkcs8::parse(folded(&private, length, end).as_bytes()).expect("a key");
        assert_eq!(read.public.key, jwk.key, "{length}");
    }
    for wrong in [
        public.replacen('\n', "\nComment: x\n\n", 1),
        public.replacen('\n', "\n=", 1),
        public.replacen('\n', "\n*", 1),
        public.replace('\n', ""),
    ] {
        assert!(PublicJwk::from_any(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn an_rsa_pss_key_is_bound_to_its_parameters_or_refused() {
    let make = |options: &[&str]| {
        let bits = ["-pkeyopt", "rsa_keygen_bits:2048"];
        let key =
            openssl(&[&["genpkey", "-algorithm", "RSA-PSS"][..], &bits, options].concat(), b"");
        let public = PublicJwk::from_any(&openssl(&["pkey", "-pubout"], &key));
        // Both halves say the same.
        match (&public, pkcs8::parse(&key)) {
            (Ok(public), Ok(private)) => assert_eq!(private.public, *public),
            (Err(error), Err(other)) => assert_eq!(error.to_string(), other.to_string()),
            (public, private) => panic!("{public:?} {private:?}"),
        }
        public
    };
    let of = |hash: &str, mgf: &str, salt: &str| {
        let [hash, mgf, salt] = [
            format!("rsa_pss_keygen_md:{hash}"),
            format!("rsa_pss_keygen_mgf1_md:{mgf}"),
            format!("rsa_pss_keygen_saltlen:{salt}"),
        ];
        make(&["-pkeyopt", &hash, "-pkeyopt", &mgf, "-pkeyopt", &salt])
    };
    assert_eq!(of("sha256", "sha256", "32").unwrap().alg.as_deref(), Some("PS256"));
    assert_eq!(of("sha512", "sha512", "64").unwrap().alg.as_deref(), Some("PS512"));
    for refused in [
        make(&[]),
        of("sha256", "sha1", "32"),
        of("sha256", "sha256", "20"),
        of("sha1", "sha1", "20"),
    ] {
        assert!(refused.unwrap_err().to_string().contains("RSASSA-PSS"));
    }
}

#[test]
fn what_is_no_good_public_key_is_refused() {
    let openssl_key = |args: &[&str]| openssl(&["pkey", "-pubout"], &openssl(args, b""));
    let group = |name: &str| {
        let group = format!("group:{name}");
        openssl_key(&["genpkey", "-algorithm", "EC", "-pkeyopt", &group])
    };
    let explicit = openssl(
        &["ec", "-param_enc", "explicit", "-pubout"],
        &openssl(&["ecparam", "-name", "prime256v1", "-genkey"], b""),
    );
    let compressed = openssl(
        &["ec", "-conv_form", "compressed", "-pubout"],
        &openssl(&["ecparam", "-name", "prime256v1", "-genkey"], b""),
    );
    let small = openssl_key(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let good = spki::to_pem(&rfc_keys()[0].key).unwrap();
    let der = spki::to_der(&rfc_keys()[0].key).unwrap();
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("another curve", group("secp256k1"), "1.3.132.0.10"),
        ("another kind", openssl_key(&["genpkey", "-algorithm", "ED448"]), "1.3.101.113"),
        ("explicit parameters", explicit, "named curve"),
        ("a compressed point", compressed, "wrong length or form"),
        ("1024 bits", small, "1024 bits"),
        ("octets after it", [&der[..], &[0]].concat(), "neither"),
        ("cut", der[..der.len() - 1].to_vec(), "neither"),
        (
            "no PEM inside",
            b"-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----".into(),
            "read",
        ),
        ("no end", good.replace("-----END", "-----").into_bytes(), "read"),
        (
            "another block",
            b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n".into(),
            "X509",
        ),
        ("nothing", Vec::new(), "neither a JWK"),
        ("text", b"ssh-ed25519 AAAAC3Nz me@example".to_vec(), "neither a JWK"),
        ("a point", [&[4], &[1; 64][..]].concat(), "neither a JWK"),
    ];
    for (what, bytes, said) in cases {
        let message = JwkSet::from_any(&bytes).unwrap_err().to_string();
        assert!(message.contains(said), "{what}: {message}");
    }
    // Parameters where RFC 8410 section 3 has none.
    let mut ed25519 = spki::to_der(&rfc_keys()[3].key).unwrap();
    assert_eq!(&ed25519[..9], [0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 112]);
    ed25519.splice(9..9, [5, 0]);
    (ed25519[1], ed25519[3]) = (44, 7);
    assert!(PublicJwk::from_any(&ed25519).unwrap_err().to_string().contains("parameters"));
}

#[test]
fn a_private_key_is_no_public_one() {
    let key = pki::key();
    let der = key.serialized_der();
    let pem = openssl(&["pkey", "-inform", "DER"], der);
    let public = openssl(&["pkey", "-pubout"], &pem);
    let rsa = openssl(&["genpkey", "-algorithm", "RSA"], b"");
    let pkcs1 = openssl(&["rsa", "-traditional", "-outform", "DER"], &rsa);
    let sec1 = openssl(&["ec", "-outform", "DER"], &pem);
    for bytes in [der, &pem, &rsa, &pkcs1, &sec1, &[&public[..], &pem].concat()] {
        let message = JwkSet::from_any(bytes).unwrap_err().to_string();
        assert!(message.contains("private"), "{message}");
    }
}

#[test]
fn a_file_has_keys_or_one_certificate_with_its_chain() {
    let root = pki::Authority::root("root");
    let key = pki::key();
    let leaf = root.certify(&key, &|_| {});
    let given = pki::chain(&[&leaf, &root.der]);
    let pem = given.to_pem().expect("PEM");
    let jwk = PublicJwk::from_any(format!("Bag Attributes\n{pem}\n").as_bytes()).expect("a key");
    assert_eq!(jwk, PublicJwk::certified(given).unwrap());
    assert_eq!(PublicJwk::from_any(&leaf).unwrap().key, jwk.key);
    assert_eq!(openssl(&["x509", "-outform", "DER"], pem.as_bytes()), leaf);
    let public = openssl(&["x509", "-pubkey", "-noout"], pem.as_bytes());
    assert_eq!(PublicJwk::from_any(&public).unwrap().key, jwk.key);

    let two = [&public[..], spki::to_pem(&rfc_keys()[0].key).unwrap().as_bytes()].concat();
    assert_eq!(JwkSet::from_any(&two).unwrap().keys.len(), 2);
    assert!(PublicJwk::from_any(&two).unwrap_err().to_string().contains("2 keys"));
    let other = pki::chain(&[&pki::Authority::root("other").certify(&key, &|_| {})]);
    let bundle = format!("{pem}{}", other.to_pem().unwrap());
    assert!(JwkSet::from_any(bundle.as_bytes()).is_err());
    let mixed = [pem.as_bytes(), &public].concat();
    assert!(JwkSet::from_any(&mixed).is_err());
    let reversed = pki::chain(&[&root.der, &leaf]).to_pem().unwrap();
    assert!(JwkSet::from_any(reversed.as_bytes()).is_err());
}

#[test]
fn many_begun_blocks_are_refused_in_no_time() {
    let text = "-----BEGIN PUBLIC KEY-----\n".repeat(40_000);
    let start = std::time::Instant::now();
    assert!(JwkSet::from_any(text.as_bytes()).is_err());
    assert!(!check(text.as_bytes(), pki::in_2026()).is_empty());
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

/// Any RSA key, and any point by its form.
fn keys() -> impl Strategy<Value = PublicKey> {
    let rsa = (256..=1024usize, any::<u8>(), 1..=4usize, any::<u8>()).prop_map(
        |(n_len, n_fill, e_len, e_fill)| {
            let (mut n, mut e) = (vec![n_fill; n_len], vec![e_fill; e_len]);
            (n[0], e[0]) = (n[0] | 0x80, e[0] | 2);
            n[n_len - 1] |= 1;
            e[e_len - 1] |= 3;
            PublicKey::Rsa(RsaPublic::new(&n, &e).expect("an RSA key"))
        },
    );
    let point =
        (prop::sample::select(Curve::ALL), any::<[u8; 132]>()).prop_map(|(curve, octets)| {
            let bytes = match curve.kty() {
                "EC" => [&[4], &octets[..2 * curve.field_len()]].concat(),
                _ => octets[..curve.field_len()].to_vec(),
            };
            PublicKey::Point(PublicPoint::new(curve, bytes).expect("a point"))
        });
    prop_oneof![rsa, point]
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(key in keys(), kid in "[ -~]{0,40}", use_ in "sig|enc") {
        let jwk = PublicJwk { kid: Some(kid), use_: Some(use_), ..PublicJwk::bare(key.clone()) };
        let json = Value::Object(jwk.to_members()).to_string();
        prop_assert_eq!(&PublicJwk::parse(json.as_bytes()).unwrap(), &jwk);
        prop_assert_eq!(&PublicJwk::from_any(json.as_bytes()).unwrap(), &jwk);
        let der = spki::to_der(&key).unwrap();
        prop_assert_eq!(&PublicJwk::from_any(&der).unwrap().key, &key);
        prop_assert_eq!(spki::to_der(&spki::from_der(&der).unwrap().key).unwrap(), der);
        let pem = spki::to_pem(&key).unwrap();
        prop_assert_eq!(&PublicJwk::from_any(pem.as_bytes()).unwrap().key, &key);
    }

    #[test]
    fn no_octets_are_too_bad_to_be_refused(bytes: Vec<u8>, at in any::<prop::sample::Index>()) {
        let _ = JwkSet::from_any(&bytes);
        let _ = Certificate::from_der(&bytes);
        let _ = check(&bytes, pki::in_2026());
        let _ = CertificateChain::from_x5c(&serde_json::json!([base64url::encode(&bytes)]));
        // And good ones, changed somewhere.
        let mut der = spki::to_der(&rfc_keys()[0].key).unwrap();
        let at = at.index(der.len());
        der[at] ^= bytes.first().copied().unwrap_or(1);
        let _ = check(&der, pki::in_2026());
    }
}
