//! hsm-jose beside josekit (OpenSSL).

use std::hint::black_box;

use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use josekit::jwe::{self, ECDH_ES_A256KW, JweDecrypter, JweEncrypter, JweHeader, RSA_OAEP_256};
use josekit::jwk::Jwk;
use josekit::jws::{self, ES256, EdDSA, JwsVerifier, PS256, RS256};
use measure::{Keys, Ours, Report, SIZES, claims};

fn main() {
    let (ours, keys) = (Ours::new(), Keys::new());
    let jwk = |text: String| Jwk::from_bytes(text).expect("a JWK");
    let mut report = Report::of("josekit");

    let rsa = RSA_OAEP_256.encrypter_from_jwk(&jwk(keys.public("rsa"))).expect("an encrypter");
    let point = ECDH_ES_A256KW.encrypter_from_jwk(&jwk(keys.public("p256"))).expect("an encrypter");
    let encrypters: [(KeyManagement, &str, &dyn JweEncrypter, [Option<f64>; 3]); 2] = [
        (KeyManagement::RsaOaep256, "RSA-2048", &rsa, [Some(1.2), None, Some(1.5)]),
        (KeyManagement::EcdhEsA256Kw, "P-256", &point, [Some(2.5); 3]),
    ];
    for (alg, key, encrypter, at_least) in encrypters {
        for (len, at_least) in SIZES.into_iter().zip(at_least) {
            let content = claims(len);
            let content = content.as_bytes();
            let mut header = JweHeader::new();
            header.set_content_encryption("A256GCM");
            report.row(
                &format!("encrypt {alg}, A256GCM, {key}"),
                len,
                at_least,
                || drop(black_box(ours.encrypt(alg, content))),
                || {
                    drop(black_box(
                        jwe::serialize_compact(content, &header, encrypter).expect("a JWE"),
                    ))
                },
            );
        }
    }

    let rsa = RSA_OAEP_256.decrypter_from_jwk(&jwk(keys.private("rsa"))).expect("a decrypter");
    let point = ECDH_ES_A256KW.decrypter_from_jwk(&jwk(keys.private("p256"))).expect("a decrypter");
    let decrypters: [(KeyManagement, &str, &str, &dyn JweDecrypter); 2] = [
        (KeyManagement::RsaOaep256, "rsa", "RSA-2048", &rsa),
        (KeyManagement::EcdhEsA256Kw, "p256", "P-256", &point),
    ];
    for (alg, name, key, decrypter) in decrypters {
        let private = ours.private(name, KeyAlgorithm::Unwrap(alg));
        for len in SIZES {
            let token = ours.encrypt(alg, claims(len).as_bytes());
            report.row(
                &format!("decrypt {alg}, A256GCM, {key} (software keys)"),
                len,
                None,
                || assert_eq!(ours.decrypt(&*private, &token).as_bytes().len(), len),
                || {
                    assert_eq!(
                        jwe::deserialize_compact(&token, decrypter).expect("opened").0.len(),
                        len
                    )
                },
            );
        }
    }

    let rsa = keys.public("rsa");
    let ps256 = PS256.verifier_from_jwk(&jwk(rsa.clone())).expect("a verifier");
    let rs256 = RS256.verifier_from_jwk(&jwk(rsa)).expect("a verifier");
    let es256 = ES256.verifier_from_jwk(&jwk(keys.public("p256"))).expect("a verifier");
    let eddsa = EdDSA.verifier_from_jwk(&jwk(keys.public("ed25519"))).expect("a verifier");
    let verifiers: [(SignatureAlgorithm, &dyn JwsVerifier); 4] = [
        (SignatureAlgorithm::Es256, &es256),
        (SignatureAlgorithm::Ps256, &ps256),
        (SignatureAlgorithm::Rs256, &rs256),
        (SignatureAlgorithm::EdDsa, &eddsa),
    ];
    for (alg, verifier) in verifiers {
        for len in SIZES {
            let token = ours.sign(alg, claims(len).as_bytes());
            report.row(
                &format!("verify {alg}"),
                len,
                None,
                || assert_eq!(ours.verify(&token), len),
                || {
                    assert_eq!(
                        jws::deserialize_compact(&token, verifier).expect("verified").0.len(),
                        len
                    )
                },
            );
        }
    }
    report.print();
}
