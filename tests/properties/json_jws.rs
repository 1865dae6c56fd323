//! The JSON serializations of JWS: one signature and several, with the payload and without.

use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jws::{Jws, JwsForm, Require, Signer};
use proptest::collection::vec;

use super::*;

/// The keys of some who sign, each with its algorithm.
type Signing = Vec<(SignatureAlgorithm, KeyShape)>;

const FLATTENED: JwsForm =
    JwsForm { serialization: Serialization::Flattened, detached: false, unencoded: false };
const GENERAL: JwsForm = JwsForm { serialization: Serialization::General, ..FLATTENED };

/// Signs by each, under kids from 0.
fn signed_by(signing: &Signing, form: JwsForm, payload: &[u8]) -> String {
    let keys: Vec<_> = signing.iter().map(|it| key(KeyAlgorithm::Sign(it.0), it.1)).collect();
    let kids: Vec<_> = (0..keys.len()).map(|place| place.to_string()).collect();
    let signers = signing.iter().zip(&keys).zip(&kids).map(|(((alg, _), key), kid)| {
        Signer::new(&**key, &JwsParameters { alg: *alg, kid: Some(kid), typ: Some("x"), cty: None })
    });
    jws::sign_as(&signers.collect::<Vec<_>>(), form, payload).unwrap()
}

/// Believes those who sign; each is the issuer that its kid says.
fn trusted(signing: &Signing) -> TrustedKeys {
    let keys = signing.iter().enumerate().map(|(place, (alg, shape))| {
        let mut jwk = public(&*key(KeyAlgorithm::Sign(*alg), *shape));
        jwk.kid = Some(place.to_string());
        jwk.iss = Some(place.to_string());
        jwk
    });
    TrustedKeys::new(JwkSet { keys: keys.collect() }, &Policy::of(Profile::All))
}

fn verified_by(signing: &Signing, require: &Require<'_>, token: &[u8]) -> Result<Vec<u8>, Error> {
    let jws = Jws::parse(token, &Policy::of(Profile::All).jws)?;
    Ok(jws.verify(&trusted(signing), require)?.into_inner().into_bytes())
}

/// One who signs in the flattened serialization, or up to three in the general one.
fn of_form() -> impl Strategy<Value = (Signing, JwsForm)> {
    prop_oneof![
        vec(select(signing()), 1).prop_map(|signing| (signing, FLATTENED)),
        vec(select(signing()), 1..4).prop_map(|signing| (signing, GENERAL)),
    ]
}

#[test]
fn every_signature_algorithm_comes_back_in_json() {
    for one in signing() {
        let signing = vec![one];
        for form in [FLATTENED, GENERAL] {
            for len in [0, 1, 64, 4096] {
                let payload = content(len, len as u8);
                let token = signed_by(&signing, form, &payload);
                let back = verified_by(&signing, &Require::All, token.as_bytes()).unwrap();
                assert!(back == payload, "{one:?} {len}");
            }
        }
    }
    let all = signing();
    assert!(all.len() > 8 && all.len() <= 32, "as many as one JWS has at most");
    let token = signed_by(&all, GENERAL, b"payload");
    assert_eq!(verified_by(&all, &Require::All, token.as_bytes()).unwrap(), b"payload");
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn what_is_signed_in_json_is_verified((signing, form) in of_form(), len in len(), seed: u8) {
        let payload = content(len, seed);
        let token = signed_by(&signing, form, &payload);
        for require in [Require::All, Require::Any, Require::AllOf(&["0"]), Require::AnyOf(&["0"])] {
            let back = verified_by(&signing, &require, token.as_bytes()).unwrap();
            prop_assert!(back == payload);
        }
    }

    /// RFC 7515 appendix F and RFC 7797, by the payload in memory and by a reader.
    #[test]
    fn what_is_detached_is_verified_over_its_payload_and_no_other(
        (signing, form) in of_form(),
        unencoded: bool,
        len in 1..5000usize,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut payload = content(len, bit);
        let token = signed_by(&signing, JwsForm { detached: true, unencoded, ..form }, &payload);
        let trusted = trusted(&signing);
        let verify = |payload: &[u8]| {
            let jws = Jws::parse(token.as_bytes(), &Policy::of(Profile::All).jws)?;
            match jws.takes_reader() {
                true => jws.verify_reader(payload, &trusted, &Require::All),
                false => jws.verify_detached(payload, &trusted, &Require::All),
            }
        };
        prop_assert_eq!(verify(&payload).unwrap().signatures().len(), signing.len());
        payload[at.index(len)] ^= 1 << bit;
        prop_assert_eq!(verify(&payload).unwrap_err().code(), "signature_invalid");
    }

    /// RFC 7797 section 3: as text, in JSON.
    #[test]
    fn what_is_signed_unencoded_is_verified((signing, form) in of_form(), text in "\\PC{0,64}") {
        let token = signed_by(&signing, JwsForm { unencoded: true, ..form }, text.as_bytes());
        let back = verified_by(&signing, &Require::All, token.as_bytes()).unwrap();
        prop_assert_eq!(back, text.into_bytes());
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn a_changed_bit_of_a_jws_in_json_is_refused_where_all_must_verify(
        (signing, form) in of_form(),
        len in 0..200usize,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut token = signed_by(&signing, form, &content(len, bit)).into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        let outcome = verified_by(&signing, &Require::All, &token);
        assert_refused(outcome, &format!("{signing:?} byte {at}"));
    }

    /// Where one is enough, another may be broken: what comes out is what was signed all the same.
    #[test]
    fn a_changed_bit_of_a_jws_in_json_changes_no_payload(
        (signing, form) in of_form(),
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut token = signed_by(&signing, form, b"payload").into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        for require in [Require::Any, Require::AllOf(&["0"]), Require::AnyOf(&["0"])] {
            match verified_by(&signing, &require, &token) {
                Ok(payload) => prop_assert_eq!(payload, b"payload"),
                refused => assert_refused(refused, &format!("{signing:?} byte {at}")),
            }
        }
    }
}

#[test]
fn every_changed_bit_of_a_small_jws_in_json_is_refused() {
    let one = (SignatureAlgorithm::EdDsa, SHAPES[5]);
    for (signing, form) in
        [(vec![one], FLATTENED), (vec![one, (SignatureAlgorithm::Es256, SHAPES[1])], GENERAL)]
    {
        let token = signed_by(&signing, form, b"p");
        every_bit(&token, |token| verified_by(&signing, &Require::All, token));
    }
}
