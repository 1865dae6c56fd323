//! JWKs and JWK Sets: those of the RFCs, those that are refused, and what is said of them.

use std::time::{Duration, SystemTime};

use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement, Purpose, SignatureAlgorithm};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{
    JwkSet, PrivateJwk, PublicJwk, SelectError, Selector, Severity, Thumbprint, ThumbprintHash,
    check,
};
use serde_json::{Value, json};

mod common;
#[path = "jwk/hostile.rs"]
mod hostile;
#[path = "jwk/published.rs"]
mod published;

const POINT: &str =
    r#"{"kty":"OKP","crv":"X25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;

/// A private RSA JWK by its form; its numbers belong to nothing.
fn rsa() -> Value {
    let odd = |len: usize| base64url::encode(&vec![0xff; len]);
    json!({
        "kty": "RSA", "n": odd(256), "e": "AQAB", "d": odd(256),
        "p": odd(128), "q": odd(128), "dp": odd(128), "dq": odd(128), "qi": odd(128),
    })
}

#[test]
fn a_key_of_more_than_two_primes_is_refused() {
    let mut jwk = rsa();
    PrivateJwk::parse(jwk.to_string().as_bytes()).unwrap();
    jwk["oth"] = json!([{ "r": "AQ", "d": "AQ", "t": "AQ" }]);
    let message = PrivateJwk::parse(jwk.to_string().as_bytes()).unwrap_err().to_string();
    assert!(message.contains("more than two primes"), "{message}");
}

/// RFC 7520 section 3.4 and RFC 8037 appendix A.1, with parts of other keys.
#[test]
fn parts_that_are_not_of_one_key_are_not_imported() {
    let parse = |jwk: &Value| PrivateJwk::parse(jwk.to_string().as_bytes()).unwrap();
    let rsa: Value =
        serde_json::from_slice(include_bytes!("data/rfc/rfc7520-section-3.4.json")).unwrap();
    assert_eq!(parse(&rsa).check(), Ok(()));
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        let mut octets = base64url::decode(rsa[member].as_str().unwrap().as_bytes()).unwrap();
        *octets.last_mut().unwrap() ^= 2;
        let mut wrong = rsa.clone();
        wrong[member] = base64url::encode(&octets).into();
        assert!(parse(&wrong).check().is_err(), "{member}");
    }
    let mut exchanged = rsa.clone();
    (exchanged["p"], exchanged["q"]) = (rsa["q"].clone(), rsa["p"].clone());
    assert!(parse(&exchanged).check().is_err());
    let mut trivial = rsa.clone();
    (trivial["p"], trivial["q"]) = ("AQ".into(), rsa["n"].clone());
    assert!(parse(&trivial).check().is_err());

    let mut okp = json!({
        "kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    assert_eq!(parse(&okp).check(), Ok(()));
    okp["d"] = okp["x"].clone();
    assert!(parse(&okp).check().is_err());
}

#[test]
fn a_modulus_that_anyone_can_factor_is_refused() {
    let mut n = common::roca_modulus(128);
    let jwk =
        |n: &[u8]| json!({ "kty": "RSA", "n": base64url::encode(n), "e": "AQAB" }).to_string();
    let message = PublicJwk::parse(jwk(&n).as_bytes()).unwrap_err().to_string();
    assert!(message.contains("CVE-2017-15361"), "{message}");
    let findings = check(jwk(&n).as_bytes(), SystemTime::now());
    assert!(findings.iter().any(|finding| finding.what.contains("ROCA")), "{findings:?}");
    *n.last_mut().unwrap() += 2;
    assert_eq!(PublicJwk::parse(jwk(&n).as_bytes()).unwrap().key.kind().to_string(), "RSA");
}

#[test]
fn a_set_passes_over_unknown_keys_and_never_over_private_ones() {
    let set = |other: Value| {
        let point: Value = serde_json::from_str(POINT).unwrap();
        let set = json!({ "keys": [other, point] });
        JwkSet::parse(set.to_string().as_bytes())
    };
    assert_eq!(set(json!({ "kty": "AKP", "pub": "AQ" })).unwrap().keys.len(), 1);
    assert_eq!(set(json!({ "kty": "RSA", "n": "AQ", "e": "AQAB" })).unwrap().keys.len(), 1);
    for private in [rsa(), json!({ "kty": "oct", "k": "AQ" }), json!({ "kty": "AKP", "d": "AQ" })] {
        let message = set(private).unwrap_err().to_string();
        assert!(message.contains("private member"), "{message}");
    }
}

#[test]
fn what_is_quoted_of_a_key_is_short() {
    let long = "é".repeat(8192);
    for jwk in [
        json!({ "kty": long }),
        json!({ "kty": "OKP", "crv": long, "x": "AQ" }),
        json!({ "kty": "EC", "crv": long, "x": "AQ", "y": "AQ" }),
    ] {
        let message = PublicJwk::parse(jwk.to_string().as_bytes()).unwrap_err().to_string();
        assert!(message.contains(&"é".repeat(32)), "{message}");
        assert!(!message.contains(&"é".repeat(33)), "{message}");
    }
}

fn rfc(name: &str) -> Value {
    let all: Value = serde_json::from_slice(include_bytes!("data/rfc/public-keys.json")).unwrap();
    all[name].clone()
}

/// A time at which the certificate of RFC 7517 appendix B was valid.
fn in_2015() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_430_000_000)
}

/// The members with a fault, and those with a remark.
fn found(value: &Value) -> (Vec<&'static str>, Vec<&'static str>) {
    let findings = check(value.to_string().as_bytes(), in_2015());
    let of = |severity| {
        findings
            .iter()
            .filter(move |finding| finding.severity == severity)
            .map(|finding| finding.member)
            .collect()
    };
    (of(Severity::Fault), of(Severity::Remark))
}

#[test]
fn the_keys_of_the_rfcs_are_good_and_come_out_as_they_went_in() {
    for name in ["rfc7517-b", "rfc7520-3.1", "rfc7520-3.3", "rfc8037-a2", "rfc8037-a6"] {
        let value = rfc(name);
        let jwk = PublicJwk::parse(value.to_string().as_bytes()).unwrap();
        assert_eq!(Value::Object(jwk.to_members()), value, "{name}");
        assert_eq!(found(&value), (vec![], vec![]), "{name}");
    }
    let set = JwkSet::parse(rfc("rfc7517-a1").to_string().as_bytes()).unwrap();
    assert_eq!(set.to_published(in_2015()).unwrap(), rfc("rfc7517-a1"));
    assert_eq!(found(&rfc("rfc7517-a1")), (vec![], vec![]));
}

#[test]
fn thumbprints_are_those_of_rfc_7638_and_their_uris_those_of_rfc_9278() {
    let rsa = PublicJwk::parse(rfc("rfc7517-a1")["keys"][1].to_string().as_bytes()).unwrap();
    assert_eq!(rsa.key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let okp = PublicJwk::parse(rfc("rfc8037-a2").to_string().as_bytes()).unwrap();
    assert_eq!(okp.key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let uri =
        "urn:ietf:params:oauth:jwk-thumbprint:sha-256:NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    assert_eq!(rsa.key.thumbprint_with(ThumbprintHash::Sha256).uri(), uri);
    for hash in ThumbprintHash::ALL {
        let thumbprint = rsa.key.thumbprint_with(hash);
        let again: Thumbprint = thumbprint.uri().parse().unwrap();
        assert_eq!(again, thumbprint);
        assert!(again.is_of(&rsa) && !again.is_of(&okp));
    }
    // RFC 7638 section 3.3 over SHA-512, computed by hand: {"crv":...,"kty":...,"x":...}.
    let canonical =
        r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, canonical.as_bytes());
    assert_eq!(okp.key.thumbprint_with(ThumbprintHash::Sha512).as_bytes(), digest.as_ref());
    for wrong in [
        "",
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        &uri[..uri.len() - 1],
        &format!("{uri}A"),
        &format!("{uri}:"),
        &uri.replace("sha-256", "sha-512"),
        &uri.replace("sha-256", "sha256"),
        &uri.replace("sha-256", "sha-1"),
        &uri.replace("urn:", "URN:"),
        &uri.replace("jwk-thumbprint", "jkt"),
        &uri.replace("GC9Xs", "GC9X="),
        &uri.replace("GC9Xs", "GC9Xt"),
    ] {
        assert!(wrong.parse::<Thumbprint>().is_err(), "{wrong}");
    }
}

#[test]
fn what_contradicts_the_key_or_itself_is_found() {
    let rsa = &rfc("rfc7520-3.3");
    let ec = &rfc("rfc7517-a1")["keys"][0];
    let (ed, x) = (&rfc("rfc8037-a2"), &rfc("rfc8037-a6"));
    let none: [&str; 0] = [];
    let cases: [(&Value, Value, &[&str], &[&str]); 38] = [
        (rsa, json!({ "alg": "PS256" }), &none, &none),
        (rsa, json!({ "alg": "PS256", "key_ops": ["verify"] }), &none, &none),
        (rsa, json!({ "alg": "RSA-OAEP" }), &["alg"], &none),
        (rsa, json!({ "alg": "ES256" }), &["alg"], &none),
        (rsa, json!({ "alg": "HS256" }), &["alg"], &none),
        (rsa, json!({ "alg": "dir" }), &["alg"], &none),
        (rsa, json!({ "alg": "A256GCMKW" }), &["alg"], &none),
        (rsa, json!({ "alg": "none" }), &["alg"], &none),
        (rsa, json!({ "alg": "RSA1_5" }), &none, &["alg"]),
        (rsa, json!({ "alg": "FUTURE" }), &none, &["alg"]),
        (rsa, json!({ "alg": 7 }), &["alg"], &none),
        (rsa, json!({ "use": "tls" }), &none, &["use"]),
        (rsa, json!({ "use": ["sig"] }), &["use"], &none),
        (rsa, json!({ "key_ops": ["verify", "verify"] }), &["key_ops"], &none),
        (rsa, json!({ "key_ops": ["encrypt"] }), &["key_ops"], &none),
        (rsa, json!({ "key_ops": ["sign"] }), &none, &["key_ops", "key_ops"]),
        (rsa, json!({ "use": null, "key_ops": ["decrypt"] }), &["use"], &["key_ops", "key_ops"]),
        (rsa, json!({ "key_ops": "verify" }), &["key_ops"], &none),
        (rsa, json!({ "key_ops": ["teleport"] }), &none, &["key_ops", "key_ops"]),
        (ec, json!({ "use": null, "key_ops": ["wrapKey"] }), &["use"], &none),
        (rsa, json!({ "use": null, "key_ops": ["verify", "encrypt"] }), &["use"], &["key_ops"]),
        (rsa, json!({ "e": "Aw" }), &none, &["e"]),
        (rsa, json!({ "e": "AgAAAAE" }), &["e"], &none),
        (rsa, json!({ "e": "AQAA", "n": "AQ" }), &["n", "e"], &none),
        (rsa, json!({ "n": base64url::encode(&[0xff; 256]) }), &["n"], &none),
        (rsa, json!({ "n": "!", "e": null }), &["n", "e"], &none),
        (rsa, json!({ "kty": "RSA2" }), &["kty"], &none),
        (rsa, json!({ "d": "AQ", "p": "AQ" }), &["d", "p"], &none),
        (rsa, json!({ "kid": "" }), &["kid"], &none),
        (rsa, json!({ "kid": "k".repeat(300) }), &["kid"], &none),
        (rsa, json!({ "kid": 1, "iss": 1 }), &["kid", "iss"], &none),
        (rsa, json!({ "x5u": "http://a.example/x" }), &["x5u"], &none),
        (rsa, json!({ "x5t": "AA", "x5t#S256": "AA" }), &["x5t", "x5t#S256"], &none),
        (rsa, json!({ "x5c": rfc("rfc7517-b")["x5c"].clone() }), &["x5c"], &none),
        (ec, json!({ "x": base64url::encode(&[1; 32]) }), &["x"], &none),
        (ed, json!({ "use": "enc", "alg": "EdDSA" }), &["use", "alg"], &none),
        (ed, json!({ "x": base64url::encode(&[0; 32]) }), &["x"], &none),
        (x, json!({ "x": base64url::encode(&[0; 32]), "use": "sig" }), &["x", "use"], &none),
    ];
    for (key, change, faults, remarks) in cases {
        let mut changed = key.clone();
        for (name, value) in change.as_object().unwrap() {
            changed[name] = value.clone();
        }
        let (found_faults, found_remarks) = found(&changed);
        assert_eq!((&found_faults[..], &found_remarks[..]), (faults, remarks), "{change}");
    }
}

#[test]
fn a_certificate_beside_a_key_is_looked_at() {
    let b = rfc("rfc7517-b");
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
    let expired = check(b.to_string().as_bytes(), later);
    assert_eq!(expired.len(), 1);
    assert!(expired[0].what.contains("expired"), "{}", expired[0].what);
    let jwk = PublicJwk::parse(b.to_string().as_bytes()).unwrap();
    assert_eq!(jwk.check(later), expired);
    let leaf = jwk.x5c.as_ref().unwrap().leaf();
    let mut good = b.clone();
    good["x5t"] = base64url::encode(&leaf.sha1()).into();
    good["x5t#S256"] = base64url::encode(&leaf.sha256()).into();
    assert_eq!(found(&good), (vec![], vec![]));
    good["x5t"] = base64url::encode(&[1; 20]).into();
    good["x5t#S256"] = base64url::encode(&[1; 32]).into();
    assert_eq!(found(&good), (vec!["x5t#S256", "x5t"], vec![]));
}

#[test]
fn a_set_is_checked_as_a_whole() {
    let [ec, rsa] = [0, 1].map(|index| rfc("rfc7517-a1")["keys"][index].clone());
    let set = |keys: &[&Value]| found(&json!({ "keys": keys }));
    let with_kid = |key: &Value, kid: &str| {
        let mut key = key.clone();
        key["kid"] = kid.into();
        key
    };
    assert_eq!(set(&[&ec, &rsa]), (vec![], vec![]));
    assert_eq!(set(&[&ec, &with_kid(&rsa, "1")]), (vec!["kid"], vec![]));
    assert_eq!(set(&[&ec, &with_kid(&ec, "2")]), (vec![], vec!["kty"]));
    assert_eq!(set(&[&ec, &rfc("rfc8037-a2")]), (vec![], vec!["kid"]));
    // What a consumer passes over is no fault of the set (RFC 7517 section 5).
    assert_eq!(
        set(&[&ec, &json!({ "kty": "AKP", "kid": "a", "pub": "AQ" })]),
        (vec![], vec!["kty"])
    );
    let other_curve = json!({ "kty": "EC", "crv": "secp256k1", "kid": "a", "x": "AQ", "y": "AQ" });
    assert_eq!(set(&[&ec, &other_curve]), (vec![], vec!["kty"]));
    assert_eq!(set(&[&ec, &json!(7)]), (vec!["keys"], vec![]));
    assert_eq!(set(&[]), (vec!["keys"], vec![]));
    let symmetric = json!({ "kty": "oct", "k": "AQ", "kid": "s" });
    assert_eq!(set(&[&ec, &symmetric]), (vec!["k"], vec!["kty"]));
    assert_eq!(found(&json!({ "keys": 7 })), (vec!["keys"], vec![]));
    assert_eq!(found(&json!({})), (vec!["kty"], vec![]));
    let second = check(json!({ "keys": [ec, { "kty": "EC" }] }).to_string().as_bytes(), in_2015());
    assert!(second.iter().all(|finding| finding.key == Some(1)) && !second.is_empty());
    for text in ["", "x", "{", "[]", "\u{30}\u{1}"] {
        assert_eq!(check(text.as_bytes(), in_2015()).len(), 1, "{text}");
    }
}

#[test]
fn one_key_is_selected_or_it_is_said_why_not() {
    let ps256 = KeyAlgorithm::Sign(SignatureAlgorithm::Ps256);
    let rs256 = KeyAlgorithm::Sign(SignatureAlgorithm::Rs256);
    let ecdh = KeyAlgorithm::Unwrap(KeyManagement::EcdhEs);
    let set = JwkSet::parse(rfc("rfc7517-a1").to_string().as_bytes()).unwrap();
    let select = |kid, alg, purpose| {
        let found = set.select(&Selector { kid, alg, purpose, ..Selector::default() });
        found.map(|jwk| jwk.kid.as_deref().unwrap_or_default())
    };
    assert_eq!(select(Some("1"), None, None), Ok("1"));
    assert_eq!(select(None, Some(rs256), None), Ok("2011-04-29"));
    assert_eq!(select(None, Some(ecdh), None), Ok("1"));
    // The RSA key is bound to RS256 by its alg, and not for decryption.
    assert_eq!(select(None, None, Some(Purpose::Decrypt)), Ok("1"));
    assert_eq!(select(Some("2011-04-29"), Some(ps256), None), Err(SelectError::NoneFits));
    assert_eq!(select(Some("1"), None, Some(Purpose::Sign)), Err(SelectError::NoneFits));
    assert_eq!(select(Some("2"), None, None), Err(SelectError::UnknownKid));
    assert_eq!(select(Some("1 "), None, None), Err(SelectError::UnknownKid));
    assert_eq!(select(None, None, None), Err(SelectError::Several(2)));

    let certified = PublicJwk::parse(rfc("rfc7517-b").to_string().as_bytes()).unwrap();
    let x5t_s256 = Some(certified.x5c.as_ref().unwrap().leaf().sha256());
    let by_certificate = Selector { x5t_s256, ..Selector::default() };
    assert_eq!(set.select(&by_certificate), Err(SelectError::NoneFits));
    let mut with_certified = set.clone();
    with_certified.keys.push(certified.clone());
    assert_eq!(with_certified.select(&by_certificate), Ok(&certified));

    let one = |change: Value| {
        let mut jwk = rfc("rfc7520-3.3");
        for (name, value) in change.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        PublicJwk::parse(jwk.to_string().as_bytes()).unwrap()
    };
    let for_ps256 = Selector { alg: Some(ps256), ..Selector::default() };
    assert!(one(json!({})).is_for(&for_ps256));
    assert!(one(json!({ "key_ops": [] })).is_for(&for_ps256));
    assert!(one(json!({ "key_ops": ["verify"], "alg": "PS256" })).is_for(&for_ps256));
    for change in [
        json!({ "use": "enc" }),
        json!({ "use": "tls" }),
        json!({ "alg": "PS384" }),
        json!({ "alg": "FUTURE" }),
        json!({ "key_ops": ["encrypt"] }),
    ] {
        assert!(!one(change.clone()).is_for(&for_ps256), "{change}");
    }
    // Two names of one algorithm (RFC 9864).
    let ed = json!({ "alg": "Ed25519" });
    let mut jwk = PublicJwk::parse(rfc("rfc8037-a2").to_string().as_bytes()).unwrap();
    jwk.alg = ed["alg"].as_str().map(str::to_owned);
    let eddsa = Some(KeyAlgorithm::Sign(SignatureAlgorithm::EdDsa));
    assert!(jwk.is_for(&Selector { alg: eddsa, ..Selector::default() }));
}
