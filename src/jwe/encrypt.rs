//! Encryption to one recipient, into the compact serialization.

use super::builder::JweBuilder;
use super::recipient::Recipient;
use crate::error::Result;
use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::jose::serialization::Serialization;

/// What a compact JWE shall say of itself. The content encryption key and the initialization vector
/// are made inside [`encrypt`]; there is no way to pass one in.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let keystore = MemoryKeystore::new("test");
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let policy = Policy::of(Profile::Strict);
/// # let alg = KeyManagement::EcdhEsA256Kw;
/// # let key = make(KeyAlgorithm::Unwrap(alg))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let recipient = hsm_jose::jwe::Recipient::new(jwk.clone())?;
/// use hsm_jose::jwe::{JweParameters, encrypt};
///
/// let enc = ContentEncryption::A256Gcm;
/// let parameters = JweParameters { alg, enc, typ: None, cty: None, apu: b"", apv: b"" };
/// assert_eq!(encrypt(&recipient, &parameters, b"content")?.split('.').count(), 5);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct JweParameters<'a> {
    /// How the key reaches the recipient.
    pub alg: KeyManagement,
    /// How the content is encrypted.
    pub enc: ContentEncryption,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
    /// Agreement PartyUInfo, for ECDH-ES; empty for none.
    pub apu: &'a [u8],
    /// Agreement PartyVInfo, for ECDH-ES; empty for none.
    pub apv: &'a [u8],
}

/// Encrypts `plaintext` into a compact JWE (RFC 7516 section 5.1).
///
/// The header carries the recipient's `kid`. Each call draws a fresh content encryption key, a fresh
/// initialization vector and, for ECDH-ES, a fresh ephemeral key.
///
/// # Errors
/// As [`JweBuilder::encrypt`].
pub fn encrypt(
    recipient: &Recipient,
    parameters: &JweParameters<'_>,
    plaintext: &[u8],
) -> Result<String> {
    builder(recipient, parameters).encrypt(Serialization::Compact, plaintext)
}

/// Checks, for a plaintext of at least so many bytes, that [`encrypt`] will not refuse it.
///
/// # Errors
/// As [`encrypt`], as far as it is known before.
pub(crate) fn check(
    recipient: &Recipient,
    parameters: &JweParameters<'_>,
    plaintext_len: usize,
) -> Result<()> {
    builder(recipient, parameters).check(Serialization::Compact, plaintext_len)
}

fn builder<'a>(recipient: &'a Recipient, parameters: &JweParameters<'a>) -> JweBuilder<'a> {
    let JweParameters { alg, enc, typ, cty, apu, apv } = *parameters;
    let mut jwe = JweBuilder::new(enc).to(recipient, alg).parties(apu, apv);
    for (name, value) in [("typ", typ), ("cty", cty)] {
        if let Some(value) = value {
            jwe = jwe.protected(name, value);
        }
    }
    jwe
}
