//! JSON Web Encryption (RFC 7516): a content encrypted to the keys of one or several recipients.

mod builder;
mod decrypt;
mod encrypt;
mod ephemeral;
mod recipient;
mod recovery;
mod to;
mod token;

pub use builder::JweBuilder;
pub use decrypt::{Attempt, Decrypted, decrypt};
pub(crate) use encrypt::check;
pub use encrypt::{JweParameters, encrypt};
pub(crate) use ephemeral::Once;
pub use ephemeral::{EphemeralKey, NotOpened};
pub use recipient::{Recipient, choose};
pub use token::{JweRecipient, JweToken};

use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::primitives::concat_kdf;

/// Returns the `OtherInfo` of an agreement and the length of the key it derives, in bytes
/// (RFC 7518 section 4.6.2): the AlgorithmID is `enc` for direct agreement, `alg` with key wrap.
fn agreement_info(
    alg: KeyManagement,
    enc: ContentEncryption,
    apu: &[u8],
    apv: &[u8],
) -> (Vec<u8>, usize) {
    let (algorithm_id, key_len) = match alg.key_wrap() {
        Some(wrap) => (alg.name(), wrap.key_len()),
        None => (enc.name(), enc.key_len()),
    };
    (concat_kdf::other_info(algorithm_id, apu, apv, key_len), key_len)
}
