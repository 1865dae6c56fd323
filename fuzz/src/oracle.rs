//! What must hold of every token, whatever a target did to it.

use hsm_jose::Error;
use hsm_jose::jose::serialization;
use hsm_jose::jwt::{Explanation, Opened, explain, explain_outside};

use serde_json::Value;

use crate::world::{Taken, world};
use crate::{parts, seeds};

/// The codes of a JWE that is refused.
const DECRYPT: &[&str] =
    &["malformed", "policy", "decryption_failed", "key_not_found", "key_ambiguous"];

/// The codes of a JWS that is refused.
const VERIFY: &[&str] = &["malformed", "policy", "signature_invalid", "key_not_found"];

/// The code that `verify` adds: of several signatures the caller must say which count.
const SEVERAL: &[&str] = &["usage"];

/// The code that `open` adds: what came out is not what its context takes.
const CLAIM: &[&str] = &["claim"];

/// Decrypts in both engines.
///
/// What is taken has every authenticated part of a token of this world, and its content. What the
/// strict engine takes, the other one takes too.
///
/// Returns whether it was taken.
pub fn decrypt(token: &[u8]) -> bool {
    let [taken, taken_strictly] = [&world().all, &world().strict].map(|engine| {
        let verdict = explain_outside(engine.policy(), token);
        match engine.decrypt(token, None) {
            Ok(decrypted) => {
                let part = parts::sealed(token).expect("a JWE that was decrypted has five parts");
                match world().sealed.get(&part) {
                    Some(content) => {
                        assert_eq!(decrypted.plaintext.as_bytes(), content.as_bytes())
                    }
                    None => {
                        assert!(seeds::elsewhere().sealed.contains(&part), "changed, and taken")
                    }
                }
                assert!(engine.policy().jwe.algs.contains(decrypted.alg));
                assert_explained(&verdict, None);
                true
            }
            Err(error) => {
                assert_told(&error, &[DECRYPT]);
                assert_explained(&verdict, Some(&error));
                false
            }
        }
    });
    assert!(taken || !taken_strictly, "strict takes what all refuses");
    taken
}

/// Verifies in both engines.
///
/// What is taken has the header and the payload of a token of this world. What the strict engine
/// takes, the other one takes too.
///
/// Returns whether it was taken.
pub fn verify(token: &[u8]) -> bool {
    let engines = [(&world().all, &world().trusted), (&world().strict, &world().trusted_strictly)];
    let [taken, taken_strictly] =
        engines.map(|(engine, trusted)| match engine.verify(token, trusted) {
            Ok(verified) => {
                assert_signed(token, verified.get().as_bytes());
                assert!(
                    engine
                        .policy()
                        .jws
                        .algs
                        .iter()
                        .any(|alg| alg.name() == verified.header().alg())
                );
                true
            }
            Err(error) => {
                assert_told(&error, &[VERIFY, SEVERAL]);
                false
            }
        });
    // `all` believes a kid that is not protected, and may know nobody of that name; `strict` does not
    // look at it.
    let has_unprotected = serialization::is_json(token) && has_member(token, "header");
    assert!(taken || !taken_strictly || has_unprotected, "strict takes what all refuses");
    taken
}

/// Authenticates with every symmetric key, and with none of the others.
///
/// What is taken has the header and the payload of a token of this world.
///
/// Returns whether it was taken.
pub fn authenticate(token: &[u8]) -> bool {
    let world = world();
    let mut taken = false;
    for key in world.secrets.iter().chain(&world.keys) {
        match world.all.authenticate(token, &key.name) {
            Ok(authenticated) => {
                assert!(key.is_symmetric());
                assert_signed(token, authenticated.get().as_bytes());
                taken = true;
            }
            Err(error) => assert_told(&error, &[VERIFY, SEVERAL]),
        }
    }
    taken
}

/// Opens in both engines, in the context that is meant.
///
/// What comes out as verified are the claims that an issuer of this world signed; what comes out as
/// unsigned comes from the context that says so, and from no other.
///
/// Returns whether it was taken.
pub fn open(taken: Taken, token: &[u8]) -> bool {
    let name = taken.context().expect("a context");
    let [all, strict] = [&world().all, &world().strict].map(|engine| {
        let verdict = explain(engine.context(name).expect("a context"), token);
        match engine.open(name, token) {
            Ok(opened) => {
                let claims = opened.claims().json();
                match (&opened, taken) {
                    (Opened::Verified(_), Taken::Signed) => {
                        assert_signed(token, claims);
                    }
                    // Anyone can encrypt what an issuer has signed: only the claims are bound.
                    (Opened::Verified(_), Taken::Nested) => {
                        let mut known = world().signed.values();
                        assert!(known.any(|content| content.as_bytes() == claims));
                    }
                    (Opened::Unsigned(_), Taken::Sealed) => {}
                    _ => panic!("{opened:?} in context {name}"),
                }
                assert_explained(&verdict, None);
                true
            }
            Err(error) => {
                assert_told(&error, &[DECRYPT, VERIFY, CLAIM]);
                assert!(verdict.accepted || !matches!(error, Error::DecryptionFailed));
                false
            }
        }
    });
    assert!(all || !strict, "strict takes what all refuses");
    all
}

/// What a refusal may say: a code of the operation, and a message that is short and of one line.
pub fn assert_told(error: &Error, codes: &[&[&str]]) {
    let code = error.code();
    assert!(codes.iter().any(|codes| codes.contains(&code)), "{code}: {error}");
    let message = error.to_string();
    assert!(message.len() <= 1024, "{} bytes: {message}", message.len());
    assert!(!message.chars().any(char::is_control), "{message:?}");
    if matches!(error, Error::DecryptionFailed) {
        assert_eq!(message, "decryption failed");
    }
}

/// The verdict without a key agrees with what the engine did.
fn assert_explained(verdict: &Explanation, error: Option<&Error>) {
    match error {
        None => assert!(verdict.accepted, "{verdict:?}"),
        Some(Error::DecryptionFailed | Error::KeyNotFound(_) | Error::KeyAmbiguous(_)) => {
            assert!(verdict.accepted, "{verdict:?}");
        }
        // A JWS is malformed to `decrypt`, and may be a good one to `policy explain`.
        Some(_) => {}
    }
}

/// Whether a JSON serialization has a member of this name, of its own or of a signature.
fn has_member(token: &[u8], name: &str) -> bool {
    fn has(value: &Value, name: &str) -> bool {
        match value {
            Value::Object(members) => {
                members.contains_key(name) || members.values().any(|value| has(value, name))
            }
            Value::Array(values) => values.iter().any(|value| has(value, name)),
            _ => false,
        }
    }
    serde_json::from_slice(token).is_ok_and(|value: Value| has(&value, name))
}

/// What a signature vouches for was signed: in this world, or for a seed with the same key.
fn assert_signed(token: &[u8], payload: &[u8]) {
    let parts = parts::signed(token);
    match parts.iter().find_map(|part| world().signed.get(part)) {
        Some(content) => assert_eq!(payload, content.as_bytes()),
        None => {
            let elsewhere = &seeds::elsewhere().signed;
            assert!(parts.iter().any(|part| elsewhere.contains(part)), "changed, and taken");
        }
    }
}
