//! The JSON serializations of JWE, to public keys.

use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jwe::JweBuilder;

use super::*;

/// A JWE in JSON for two recipients, of whom the second is ours, with `aad`.
fn encrypted_in_json(
    (alg, shape): (KeyManagement, KeyShape),
    enc: ContentEncryption,
    serialization: Serialization,
    content: &[u8],
) -> String {
    let own = Recipient::new(public(&*key(KeyAlgorithm::Unwrap(alg), shape))).unwrap();
    let stranger = key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw), SHAPES[1]);
    let stranger = Recipient::new(public(&*stranger)).unwrap();
    let mut builder = JweBuilder::new(enc).aad(b"more").protected("typ", "x");
    if serialization == Serialization::General && alg != KeyManagement::EcdhEs {
        builder = builder.to(&stranger, KeyManagement::EcdhEsA256Kw);
    }
    builder.to(&own, alg).encrypt(serialization, content).unwrap()
}

fn decrypted_of_last(alg: KeyManagement, shape: KeyShape, token: &[u8]) -> Result<Vec<u8>, Error> {
    let key = key(KeyAlgorithm::Unwrap(alg), shape);
    let token = JweToken::parse(token, &Policy::of(Profile::All).jwe)?;
    let algs = [KeyAlgorithm::Unwrap(alg)];
    let fitting = token.recipients().iter().rposition(|it| it.fits(&algs, shape.kind()));
    let recipient = fitting.ok_or_else(|| Error::KeyNotFound("no recipient fits".into()))?;
    let decrypted = jwe::decrypt(token, &[Attempt { recipient, key: &*key }])?;
    assert_eq!(decrypted.aad(), b"more");
    Ok(decrypted.plaintext.into_bytes())
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn what_is_encrypted_in_json_is_decrypted(
        (alg, shape) in select(decrypting()),
        enc in select(ContentEncryption::ALL),
        general: bool,
        len in len(),
        seed: u8,
    ) {
        let content = content(len, seed);
        let serialization =
            if general { Serialization::General } else { Serialization::Flattened };
        let token = encrypted_in_json((alg, shape), enc, serialization, &content);
        prop_assert!(decrypted_of_last(alg, shape, token.as_bytes()).unwrap() == content);
    }

    /// What is another recipient's is not authenticated: changed, it changes nothing of ours.
    #[test]
    fn a_changed_bit_of_a_general_jwe_changes_no_content(
        (alg, shape) in select(decrypting()),
        enc in select(ContentEncryption::ALL),
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut token =
            encrypted_in_json((alg, shape), enc, Serialization::General, b"c").into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        match decrypted_of_last(alg, shape, &token) {
            Ok(content) => prop_assert_eq!(content, b"c"),
            refused => assert_refused(refused, &format!("{alg} {enc} byte {at}")),
        }
    }
}

#[test]
fn every_changed_bit_of_a_flattened_jwe_is_refused() {
    let families = [
        (KeyManagement::RsaOaep256, SHAPES[0], ContentEncryption::A128Gcm),
        (KeyManagement::EcdhEsA256Kw, SHAPES[1], ContentEncryption::A128CbcHs256),
    ];
    for (alg, shape, enc) in families {
        let token = encrypted_in_json((alg, shape), enc, Serialization::Flattened, b"c");
        every_bit(&token, |token| decrypted_of_last(alg, shape, token));
    }
}
