//! `decrypt` with tokens of a sender who knows our public keys and keeps to no rule: any header, a
//! content encryption key of any length, tags that are right. What is taken is what was sent.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, Purpose};
use hsm_jose::jose::base64url;
use hsm_jose_fuzz::edit::{Name, Value};
use hsm_jose_fuzz::oracle::assert_told;
use hsm_jose_fuzz::sender;
use hsm_jose_fuzz::world::world;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};

#[derive(Arbitrary, Debug)]
struct Crafted {
    key: u8,
    alg: u8,
    /// The `enc` that the header says.
    enc: u8,
    /// Another one that the CEK is for.
    cek_for: Option<u8>,
    /// Bytes after the encrypted key, or fewer of them.
    encrypted_key: Option<Vec<u8>>,
    members: Vec<(Name, Value)>,
    content: Vec<u8>,
}

fuzz_target!(|crafted: Crafted| {
    let world = world();
    let key = world.key(Purpose::Decrypt, crafted.key);
    let KeyAlgorithm::Unwrap(alg) = key.algs[usize::from(crafted.alg) % key.algs.len()] else {
        unreachable!("a key for decryption")
    };
    let all = ContentEncryption::ALL;
    let chosen = |number: u8| all[usize::from(number) % all.len()];
    let enc = chosen(crafted.enc);
    let cek_for = crafted.cek_for.map_or(enc, chosen);

    let mut sent = sender::send(&key.public().key, alg, cek_for);
    if let Some(bytes) = &crafted.encrypted_key {
        sent.encrypted_key.extend_from_slice(bytes);
    }
    let mut header = json!({ "alg": alg, "enc": enc, "kid": key.kid() });
    if let Some((epk, _)) = &sent.agreed {
        header["epk"] = Json::Object(epk.to_members());
        header["apu"] = base64url::encode(b"apu").into();
        header["apv"] = base64url::encode(b"apv").into();
    }
    for (name, value) in crafted.members.iter().take(4) {
        header[name.text()] = value.json();
    }
    let protected = base64url::encode(header.to_string().as_bytes());
    // The content is sealed with the key that the recipient would have, as far as its length goes.
    let (iv, ciphertext, tag) =
        sender::seal(cek_for, &sent.cek, protected.as_bytes(), &crafted.content);
    let parts = [&sent.encrypted_key, &iv, &ciphertext, &tag].map(|part| base64url::encode(part));
    let token = format!("{protected}.{}", parts.join("."));

    let is_honest = crafted.members.is_empty()
        && cek_for == enc
        && crafted.encrypted_key.as_ref().is_none_or(Vec::is_empty);
    match world.all.decrypt(token.as_bytes(), None) {
        Ok(decrypted) => {
            assert_eq!(decrypted.plaintext.as_bytes(), crafted.content);
            assert_eq!(decrypted.kid, key.kid());
            assert_eq!(decrypted.header.enc(), cek_for.name());
            assert!(crafted.encrypted_key.is_none_or(|bytes| bytes.is_empty()));
        }
        Err(error) => {
            assert!(!is_honest, "a good token is refused: {error}");
            let codes =
                ["malformed", "policy", "decryption_failed", "key_not_found", "key_ambiguous"];
            assert_told(&error, &[&codes]);
        }
    }
});
