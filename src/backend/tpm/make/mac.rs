//! A known answer of HMAC: of a TPM that makes its keys itself, nothing else tells that it computes what
//! others do.

use sha2::{Digest as _, Sha256};
use tss_esapi::structures::{
    Auth, Digest, MaxBuffer, Public, PublicParameters, Sensitive, SensitiveData,
};

use super::Shared;
use super::template::{self, Usage};
use crate::backend::BackendError;
use crate::backend::tpm::scheme::hashing_algorithm;
use crate::jose::alg::Hash;
use crate::primitives::secret::hmac;

/// As long as a block of SHA-256: a TPM takes no longer key (part 4, `CryptGenerateKeyedHash`), and a
/// strict one might take none that is shorter than the hash.
const KEY: [u8; 64] = [0x0b; 64];
const MESSAGE: &[u8] = b"what do ya want for nothing?";

/// The seed of the known key, as long as the hash of its name.
const SEED: [u8; 32] = [0; 32];

/// Has the TPM load a known key, which stays outside of its hierarchies, and use it.
///
/// # Errors
/// [`BackendError::Rejected`] for a wrong answer; else what the TPM answered.
pub(super) fn check(
    shared: &Shared,
    parameters: PublicParameters,
    hash: Hash,
) -> Result<(), BackendError> {
    let usage = Usage { sign: true, decrypt: false, protected: false, made_here: false };
    let key = template::key(parameters, usage, None).and_then(|mut public| {
        if let Public::KeyedHash { unique, .. } = &mut public {
            // TPM 2.0 part 1, section "Public area": the digest of seed and key.
            let digest = Sha256::new().chain_update(SEED).chain_update(KEY).finalize();
            *unique = Digest::try_from(digest.as_slice())?;
        }
        let sensitive = Sensitive::Bits {
            auth_value: Auth::default(),
            seed_value: Digest::try_from(SEED.as_slice())?,
            sensitive: SensitiveData::try_from(KEY.as_slice())?,
        };
        Ok((sensitive, public, MaxBuffer::try_from(MESSAGE)?))
    });
    let (sensitive, public, message) = shared.built("a known key", key)?;
    let mac = shared.run(|live| {
        live.with_external(&sensitive, &public, |live, key| {
            let message = message.clone();
            Ok(live.send("TPM2_HMAC", |context| {
                context.hmac(key.into(), message, hashing_algorithm(hash))
            })?)
        })
    })?;
    match mac.value() == hmac(hash, &KEY, MESSAGE) {
        true => Ok(()),
        false => Err(BackendError::Rejected),
    }
}
