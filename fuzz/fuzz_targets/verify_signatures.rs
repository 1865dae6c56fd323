//! `verify_jws` with a token of several signatures, changed anywhere: what is taken is the payload that
//! was signed, and every signature that counts is of a key that signed it.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::engine::SignOptions;
use hsm_jose::jose::alg::{KeyAlgorithm, Purpose};
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jws::{JwsForm, Require};
use hsm_jose_fuzz::edit::{self, Edit};
use hsm_jose_fuzz::oracle::assert_told;
use hsm_jose_fuzz::world::{ISSUER, OTHER_ISSUER, world};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Issued<'a> {
    /// For each signature the key and the `alg`.
    signers: Vec<(u8, u8)>,
    serialization: u8,
    unencoded: bool,
    detached: bool,
    require: u8,
    payload: &'a [u8],
    edits: Vec<Edit>,
}

const CODES: &[&str] = &["malformed", "policy", "signature_invalid", "key_not_found", "usage"];

fuzz_target!(|issued: Issued| {
    let world = world();
    let (mut signers, mut names) = (Vec::new(), Vec::new());
    for (number, alg) in issued.signers.iter().take(4) {
        let key = world.key(Purpose::Sign, *number);
        let KeyAlgorithm::Sign(alg) = key.algs[usize::from(*alg) % key.algs.len()] else {
            unreachable!("a key for signatures")
        };
        let options = SignOptions { alg: Some(alg), ..Default::default() };
        signers.push(world.all.signer_named(&key.name, &options).expect("a signer"));
        names.push(key.public());
    }
    let all = [Serialization::General, Serialization::Flattened, Serialization::Compact];
    let form = JwsForm {
        serialization: all[usize::from(issued.serialization) % all.len()],
        detached: issued.detached,
        unencoded: issued.unencoded,
    };
    let token = match world.all.sign_as(&signers, form, issued.payload) {
        Ok(token) => token,
        Err(error) => return assert_told(&error, &[&["usage", "policy"]]),
    };
    let token = edit::apply(&token, &issued.edits);
    let rules = [
        Require::All,
        Require::Any,
        Require::AllOf(&[ISSUER, OTHER_ISSUER]),
        Require::AnyOf(&[ISSUER, OTHER_ISSUER]),
    ];
    let require = &rules[usize::from(issued.require) % rules.len()];
    let verified = if issued.detached {
        let policy = &world.all.policy().jws;
        let jws = hsm_jose::jws::Jws::parse(&token, policy);
        let verified =
            jws.and_then(|jws| jws.verify_detached(issued.payload, &world.trusted, require));
        verified.map(|verified| (issued.payload.to_vec(), verified.into_parts().1))
    } else {
        let verified = world.all.verify_jws(&token, &world.trusted, require);
        verified.map(|verified| {
            let (payload, signatures) = verified.into_parts();
            (payload.into_bytes(), signatures)
        })
    };
    let has = |issuer: &str| names.iter().any(|jwk| jwk.iss.as_deref() == Some(issuer));
    match verified {
        Ok((payload, signatures)) => {
            // Another token of the world may have come in by an edit, with its own payload.
            if payload != issued.payload {
                assert!(world.signed.values().any(|known| known.as_bytes() == payload));
                return;
            }
            assert!(!signatures.is_empty());
            for signature in &signatures {
                assert!(names.iter().any(|jwk| jwk == signature.key()), "{:?}", signature.key());
            }
            if let Require::AllOf(_) = require {
                assert!(has(ISSUER) && has(OTHER_ISSUER));
            }
        }
        Err(error) => {
            let cannot_be_met =
                matches!(require, Require::AllOf(_)) && !(has(ISSUER) && has(OTHER_ISSUER));
            assert!(!issued.edits.is_empty() || cannot_be_met, "{error}");
            assert_told(&error, &[CODES]);
        }
    }
});
