//! What is published of keys: nothing that a reader would not take, or would find a fault with.

use hsm_jose::jose::alg::Curve;
use hsm_jose::jose::json::MAX_VALUES;
use hsm_jose::jose::jwk::{PublicKey, PublicPoint};

use super::*;

#[test]
fn a_set_is_published_without_two_of_one_kid() {
    let set = JwkSet::parse(rfc("rfc7517-a1").to_string().as_bytes()).unwrap();
    let mut twice = set.clone();
    twice.keys[1].kid = Some("1".into());
    assert!(twice.to_published(in_2015()).is_err());
    twice.keys[1].kid = None;
    assert!(twice.to_published(in_2015()).is_err());
    let mut reversed = set.clone();
    reversed.keys.reverse();
    let published = reversed.to_published(in_2015()).unwrap();
    assert_eq!(published["keys"][0]["kid"], "2011-04-29", "the order is the set's");
}

fn refusal(jwk: &PublicJwk, at: SystemTime) -> String {
    let good = PublicJwk::parse(rfc("rfc7517-a1")["keys"][0].to_string().as_bytes()).unwrap();
    let set = JwkSet { keys: vec![good, jwk.clone()] };
    set.to_published(at).unwrap_err().to_string()
}

/// RFC 8037 appendix A.2, with a kid.
fn ed25519() -> PublicJwk {
    let jwk = PublicJwk::parse(rfc("rfc8037-a2").to_string().as_bytes()).unwrap();
    PublicJwk { kid: Some("ed".into()), ..jwk }
}

#[test]
fn what_no_reader_would_use_is_not_published() {
    let certified = PublicJwk::parse(rfc("rfc7517-b").to_string().as_bytes()).unwrap();
    let mut off_curve = vec![1; 65];
    off_curve[0] = 4;
    let off_curve = PublicPoint::new(Curve::P256, off_curve).unwrap();
    let strings = |all: &[&str]| Some(all.iter().map(|one| (*one).to_owned()).collect());
    let cases = [
        ("kid: kid over 256", PublicJwk { kid: Some("k".repeat(300)), ..ed25519() }),
        ("kid: empty, or with control", PublicJwk { kid: Some("a\nb".into()), ..ed25519() }),
        ("use: \"enc\" is not for", PublicJwk { use_: Some("enc".into()), ..ed25519() }),
        ("alg: \"HS256\" needs", PublicJwk { alg: Some("HS256".into()), ..ed25519() }),
        ("key_ops: \"sign\" twice", PublicJwk { key_ops: strings(&["sign"; 2]), ..ed25519() }),
        ("x5u: x5u over 2048", PublicJwk { x5u: Some("x".repeat(3000)), ..ed25519() }),
        ("x5u: not an https URL", PublicJwk { x5u: Some("http://a.example".into()), ..ed25519() }),
        ("x5c: the first certificate is that of", PublicJwk { x5c: certified.x5c, ..ed25519() }),
        (
            "x: the point",
            PublicJwk { kid: Some("off".into()), ..PublicJwk::bare(PublicKey::Point(off_curve)) },
        ),
    ];
    for (what, jwk) in cases {
        let message = refusal(&jwk, in_2015());
        assert!(message.contains(what), "{what}: {message}");
        let kid: String = jwk.kid.unwrap().chars().take(32).collect();
        assert!(message.contains(&format!("the key {kid:?}")), "{message}");
    }
}

#[test]
fn certificates_are_published_while_they_are_valid() {
    let mut jwk = PublicJwk::parse(rfc("rfc7517-b").to_string().as_bytes()).unwrap();
    jwk.kid = Some("certified".into());
    let set = JwkSet { keys: vec![jwk.clone()] };
    let published = set.to_published(in_2015()).unwrap();
    assert_eq!(JwkSet::parse(published.to_string().as_bytes()).unwrap().keys, set.keys);
    let later = in_2015() + Duration::from_secs(20 * 365 * 24 * 60 * 60);
    assert!(refusal(&jwk, later).contains("x5c: certificate 0 has expired"));
    jwk.x5t_s256 = Some([0; 32]);
    assert!(refusal(&jwk, in_2015()).contains("x5t#S256: "));
}

/// Remarks are for a look, and no keys are what a new keyring has.
#[test]
fn what_is_only_remarkable_is_published() {
    let jwk = PublicJwk { alg: Some("FUTURE".into()), ..ed25519() };
    assert!(!jwk.check(in_2015()).is_empty());
    let set = JwkSet { keys: vec![jwk] };
    assert_eq!(set.to_published(in_2015()).unwrap()["keys"][0]["alg"], "FUTURE");
    assert_eq!(JwkSet::default().to_published(in_2015()).unwrap(), json!({ "keys": [] }));
}

#[test]
fn a_set_that_is_too_large_to_be_read_is_not_published() {
    let jwk = PublicJwk { key_ops: Some(vec!["verify".into()]), ..ed25519() };
    // Each has seven values: itself, its five members, and the one operation.
    let set = |count: usize| JwkSet {
        keys: (0..count)
            .map(|index| PublicJwk { kid: Some(index.to_string()), ..jwk.clone() })
            .collect(),
    };
    let most = (MAX_VALUES - 2) / 7;
    let published = set(most).to_published(in_2015()).unwrap();
    assert_eq!(JwkSet::parse(published.to_string().as_bytes()).unwrap().keys.len(), most);
    let message = set(most + 1).to_published(in_2015()).unwrap_err().to_string();
    assert!(message.contains("too many values"), "{message}");
}
