//! hsm-jose beside jwt-simple (RSA and content encryption by BoringSSL, curves by RustCrypto).
//!
//! It makes and takes JWTs only: to encrypt is here to serialize claims first, to decrypt is to parse
//! them after, to verify is to check them, on both sides. Its one RSA-OAEP is that with SHA-1.

use std::collections::HashSet;
use std::hint::black_box;

use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use jwt_simple::algorithms::{
    EcdhEsA256KWDecryptionKey, EcdhEsA256KWEncryptionKey, RsaOaepDecryptionKey,
    RsaOaepEncryptionKey,
};
use jwt_simple::prelude::*;
use measure::{AUDIENCE, ISSUER, Keys, Ours, Report, SIZES, claims};

/// The claims of this benchmark besides the registered ones.
#[derive(Clone, Serialize, Deserialize)]
struct Data {
    data: String,
}

type AllClaims = JWTClaims<Data>;

type Encrypt<'a> = &'a dyn Fn(AllClaims) -> String;
type Decrypt<'a> = &'a dyn Fn(&str) -> AllClaims;
type Verify<'a> = &'a dyn Fn(&str) -> AllClaims;

fn main() {
    let (ours, keys) = (Ours::new(), Keys::new());
    let mut report = Report::of("jwt-simple");
    jwe(&ours, &keys, &mut report);
    jws(&ours, &keys, &mut report);
    report.print();
}

fn jwe(ours: &Ours, keys: &Keys, report: &mut Report) {
    let rsa = RsaOaepEncryptionKey::from_jwk(&keys.public("rsa")).expect("a key");
    let point = EcdhEsA256KWEncryptionKey::from_jwk(&keys.public("p256")).expect("a key");
    let encrypt: [(KeyManagement, &str, Encrypt<'_>); 2] = [
        (KeyManagement::RsaOaep, "RSA-2048", &|claims| rsa.encrypt(claims).expect("a JWE")),
        (KeyManagement::EcdhEsA256Kw, "P-256", &|claims| point.encrypt(claims).expect("a JWE")),
    ];
    for (alg, key, encrypt) in encrypt {
        for len in SIZES {
            let claims: AllClaims = serde_json::from_str(&claims(len)).expect("claims");
            // They take claims by value, so both sides begin with a copy.
            report.row(
                &format!("encrypt {alg}, A256GCM, {key}, from claims"),
                len,
                None,
                || {
                    let json = serde_json::to_vec(&claims.clone()).expect("JSON");
                    drop(black_box(ours.encrypt(alg, &json)));
                },
                || drop(black_box(encrypt(claims.clone()))),
            );
        }
    }

    let rsa = RsaOaepDecryptionKey::from_jwk(&keys.private("rsa")).expect("a key");
    let point = EcdhEsA256KWDecryptionKey::from_jwk(&keys.private("p256")).expect("a key");
    let options = || {
        let claim_options = Some(verification());
        Some(DecryptionOptions { max_token_length: None, claim_options, ..Default::default() })
    };
    let decrypt: [(KeyManagement, &str, &str, Decrypt<'_>); 2] = [
        (KeyManagement::RsaOaep, "rsa", "RSA-2048", &|token| {
            rsa.decrypt_token(token, options()).expect("opened")
        }),
        (KeyManagement::EcdhEsA256Kw, "p256", "P-256", &|token| {
            point.decrypt_token(token, options()).expect("opened")
        }),
    ];
    for (alg, name, key, decrypt) in decrypt {
        let private = ours.private(name, KeyAlgorithm::Unwrap(alg));
        for len in SIZES {
            let token = ours.encrypt(alg, claims(len).as_bytes());
            let data_len = decrypt(&token).custom.data.len();
            report.row(
                &format!("decrypt {alg}, A256GCM, {key} (software keys), to claims"),
                len,
                None,
                || {
                    let json = ours.decrypt(&*private, &token);
                    let claims: AllClaims =
                        serde_json::from_slice(json.as_bytes()).expect("claims");
                    assert_eq!(claims.custom.data.len(), data_len);
                },
                || assert_eq!(decrypt(&token).custom.data.len(), data_len),
            );
        }
    }
}

fn jws(ours: &Ours, keys: &Keys, report: &mut Report) {
    let es256 = ES256PublicKey::from_jwk(&keys.public("p256")).expect("a key");
    let ps256 = PS256PublicKey::from_jwk(&keys.public("rsa")).expect("a key");
    let rs256 = RS256PublicKey::from_jwk(&keys.public("rsa")).expect("a key");
    let eddsa = Ed25519PublicKey::from_jwk(&keys.public("ed25519")).expect("a key");
    let options = || Some(verification());
    let verify: [(SignatureAlgorithm, Verify<'_>); 4] = [
        (SignatureAlgorithm::Es256, &|token| {
            es256.verify_token(token, options()).expect("verified")
        }),
        (SignatureAlgorithm::Ps256, &|token| {
            ps256.verify_token(token, options()).expect("verified")
        }),
        (SignatureAlgorithm::Rs256, &|token| {
            rs256.verify_token(token, options()).expect("verified")
        }),
        (SignatureAlgorithm::EdDsa, &|token| {
            eddsa.verify_token(token, options()).expect("verified")
        }),
    ];
    for (alg, verify) in verify {
        for len in SIZES {
            let token = ours.sign(alg, claims(len).as_bytes());
            let (members, data_len) = (ours.open(&token), verify(&token).custom.data.len());
            report.row(
                &format!("verify {alg}, and the claims"),
                len,
                None,
                || assert_eq!(ours.open(&token), members),
                || assert_eq!(verify(&token).custom.data.len(), data_len),
            );
        }
    }
}

/// The same checks that our side makes.
fn verification() -> VerificationOptions {
    VerificationOptions {
        allowed_issuers: Some(HashSet::from([ISSUER.to_owned()])),
        allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
        max_token_length: None,
        ..Default::default()
    }
}
