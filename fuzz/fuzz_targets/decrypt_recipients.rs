//! `decrypt` with a token for several recipients, of whom some are ours, changed outside of what is
//! protected or anywhere: what is taken is the content and the `aad` that were sent.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, Purpose};
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jwe::{JweBuilder, Recipient};
use hsm_jose_fuzz::edit::{self, Edit};
use hsm_jose_fuzz::oracle::assert_told;
use hsm_jose_fuzz::world::world;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Sent<'a> {
    enc: u8,
    /// For each recipient the key, the `alg`, and whether we know its kid.
    recipients: Vec<(u8, u8, bool)>,
    aad: &'a [u8],
    apu: &'a [u8],
    content: &'a [u8],
    edits: Vec<Edit>,
}

const CODES: &[&str] =
    &["malformed", "policy", "decryption_failed", "key_not_found", "key_ambiguous"];

fuzz_target!(|sent: Sent| {
    let world = world();
    let mut recipients = Vec::new();
    for (number, alg, is_known) in sent.recipients.iter().take(5) {
        let key = world.key(Purpose::Decrypt, *number);
        let alg = key.algs[usize::from(*alg) % key.algs.len()];
        let jwk = if *is_known { key.public() } else { key.public_of_a_stranger() };
        let KeyAlgorithm::Unwrap(alg) = alg else { unreachable!("a key for decryption") };
        recipients.push((Recipient::new(jwk).expect("a recipient"), alg, *is_known));
    }
    let enc = ContentEncryption::ALL[usize::from(sent.enc) % ContentEncryption::ALL.len()];
    let mut builder = JweBuilder::new(enc).aad(sent.aad).parties(sent.apu, b"");
    for (recipient, alg, _) in &recipients {
        builder = builder.to(recipient, *alg);
    }
    let token = match builder.encrypt(Serialization::General, sent.content) {
        Ok(token) => token,
        Err(error) => return assert_told(&error, &[&["usage", "policy"]]),
    };
    let token = edit::apply(&token, &sent.edits);
    match world.all.decrypt(&token, None) {
        Ok(decrypted) => {
            assert_eq!(decrypted.plaintext.as_bytes(), sent.content);
            assert_eq!(decrypted.aad, sent.aad);
            assert_eq!(decrypted.header.enc(), enc.name());
        }
        Err(error) => {
            let is_ours = recipients.iter().filter(|(_, _, is_known)| *is_known).count();
            // At most four of them are tried.
            assert!(!sent.edits.is_empty() || is_ours == 0 || is_ours > 4, "{error}");
            assert_told(&error, &[CODES]);
        }
    }
});
