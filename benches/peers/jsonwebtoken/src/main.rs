//! hsm-jose beside jsonwebtoken (on aws-lc-rs, as hsm-jose itself).
//!
//! It makes and takes signed JWTs only: to verify is here to check the claims too, on both sides.

use std::hint::black_box;

use hsm_jose::jose::alg::SignatureAlgorithm;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use measure::{AUDIENCE, ISSUER, Keys, Ours, Report, SIZES, claims};
use serde_json::{Map, Value};

fn main() {
    aws_lc::DEFAULT_PROVIDER.install_default().expect("the first provider");
    let (ours, keys) = (Ours::new(), Keys::new());
    let mut report = Report::of("jsonwebtoken");
    let verified = [
        (SignatureAlgorithm::Es256, Algorithm::ES256, "p256", Some(0.97)),
        (SignatureAlgorithm::Ps256, Algorithm::PS256, "rsa", Some(0.97)),
        (SignatureAlgorithm::Rs256, Algorithm::RS256, "rsa", None),
        (SignatureAlgorithm::EdDsa, Algorithm::EdDSA, "ed25519", None),
    ];
    for (alg, theirs, name, at_least) in verified {
        let jwk = serde_json::from_str(&keys.public(name)).expect("a JWK");
        let key = DecodingKey::from_jwk(&jwk).expect("a key");
        let mut validation = Validation::new(theirs);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_nbf = true;
        for len in SIZES {
            let token = ours.sign(alg, claims(len).as_bytes());
            let members = ours.open(&token);
            report.row(
                &format!("verify {alg}, and the claims"),
                len,
                at_least,
                || assert_eq!(ours.open(&token), members),
                || {
                    let data = decode::<Map<String, Value>>(&token, &key, &validation);
                    assert_eq!(data.expect("verified").claims.len(), members);
                },
            );
        }
    }
    for len in SIZES {
        let token = ours.sign(SignatureAlgorithm::Es256, claims(len).as_bytes());
        report.row(
            "parse (theirs: the header alone)",
            len,
            None,
            || drop(black_box(ours.parse(&token))),
            || drop(black_box(decode_header(&token).expect("a header"))),
        );
    }
    report.print();
}
