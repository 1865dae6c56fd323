//! Whom a content is encrypted to: public-key work, all of it on the host.

use serde_json::{Map, Value};

use super::agreement_info;
use crate::backend::HostCek;
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyManagement, Purpose};
use crate::jose::base64url;
use crate::jose::jwk::{MAX_KID_LEN, PublicJwk, PublicKey, is_kid};
use crate::policy::{AllowList, Policy};
use crate::primitives::ecdh::EcdhRecipient;
use crate::primitives::rsa::RsaRecipient;
use crate::primitives::{aes_kw, concat_kdf};
use crate::secret::KeyBytes;

/// A recipient's public key: checked and parsed once, kept for as many tokens as there are.
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
/// use hsm_jose::jwe::Recipient;
///
/// let recipient = Recipient::new(jwk)?;
/// assert!(recipient.fits(KeyManagement::EcdhEs) && !recipient.fits(KeyManagement::RsaOaep));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct Recipient {
    jwk: PublicJwk,
    key: RecipientKey,
}

#[derive(Debug)]
enum RecipientKey {
    Rsa(RsaRecipient),
    Point(EcdhRecipient),
}

/// What key management makes for one recipient.
#[derive(Default)]
pub(super) struct Delivered {
    /// The JWE Encrypted Key; empty for a direct key.
    pub(super) encrypted_key: Vec<u8>,
    /// The members that it adds to the recipient's header.
    pub(super) members: Map<String, Value>,
}

/// What the parties of an agreement say of themselves (RFC 7518 section 4.6.1.2); empty for none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartyInfo<'a> {
    pub(super) apu: &'a [u8],
    pub(super) apv: &'a [u8],
}

impl Recipient {
    /// Takes a recipient's JWK.
    ///
    /// # Errors
    /// [`Error::Policy`]: a key that is not for encryption (`use`, `key_ops`, an Ed25519 key), a
    /// point that is not on its curve, a key that the library refuses, or a `kid` that no header may have
    /// (over [`MAX_KID_LEN`] bytes, or with control characters).
    pub fn new(jwk: PublicJwk) -> Result<Self> {
        let purpose = Purpose::Decrypt;
        if !jwk.leaves_room(purpose, purpose.public_operations()) {
            return Err(Error::Policy(
                "the recipient's key is not for encryption (its use or key_ops say so)".into(),
            ));
        }
        if !jwk.kid.as_deref().is_none_or(is_kid) {
            return Err(Error::Policy(format!(
                "the recipient's kid is over {MAX_KID_LEN} bytes or has control characters: no header names it"
            )));
        }
        let key = match &jwk.key {
            PublicKey::Rsa(rsa) => RecipientKey::Rsa(RsaRecipient::new(rsa).map_err(bad_key)?),
            PublicKey::Point(point) if point.curve().agrees() => {
                RecipientKey::Point(EcdhRecipient::new(point).map_err(bad_key)?)
            }
            PublicKey::Point(point) => {
                return Err(Error::Policy(format!("{} keys only sign", point.curve())));
            }
        };
        Ok(Self { jwk, key })
    }

    /// Returns the JWK.
    pub fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// Returns whether the key can do `alg` and its owner allows it: a JWK that names an `alg` is
    /// for that one alone (RFC 7517 section 4.4).
    #[must_use]
    pub fn fits(&self, alg: KeyManagement) -> bool {
        alg.fits(self.jwk.key.kind()) && self.jwk.alg.as_ref().is_none_or(|name| name == alg.name())
    }

    /// Makes a CEK that follows from an agreement with the recipient (RFC 7518 section 4.6, direct
    /// key agreement).
    pub(super) fn agree(
        &self,
        alg: KeyManagement,
        enc: ContentEncryption,
        parties: PartyInfo<'_>,
    ) -> Result<(HostCek, Delivered)> {
        let RecipientKey::Point(peer) = &self.key else { return Err(self.unfit(alg)) };
        let (derived, members) = derive(peer, alg, enc, parties)?;
        let cek = HostCek::new(enc, derived);
        let cek = cek.ok_or_else(|| bad_key("derived key of the wrong length"))?;
        Ok((cek, Delivered { encrypted_key: Vec::new(), members }))
    }

    /// Encrypts or wraps a CEK for the recipient: the one place where each `alg` does it.
    pub(super) fn deliver(
        &self,
        alg: KeyManagement,
        enc: ContentEncryption,
        parties: PartyInfo<'_>,
        cek: &HostCek,
    ) -> Result<Delivered> {
        match (&self.key, alg.oaep_hash(), alg.key_wrap()) {
            (RecipientKey::Rsa(key), Some(hash), _) => {
                let encrypted_key = key.encrypt(hash, cek.expose_to_wrap()).map_err(bad_key)?;
                Ok(Delivered { encrypted_key, members: Map::new() })
            }
            (RecipientKey::Point(peer), _, Some(wrap)) => {
                let (derived, members) = derive(peer, alg, enc, parties)?;
                let encrypted_key = aes_kw::wrap(wrap, derived.expose(), cek.expose_to_wrap());
                Ok(Delivered { encrypted_key, members })
            }
            _ => Err(self.unfit(alg)),
        }
    }

    pub(super) fn unfit(&self, alg: KeyManagement) -> Error {
        Error::Policy(format!("the recipient's key is not for {alg}"))
    }
}

/// Chooses the first algorithm of the list that one of the recipient's keys can do, and that key.
///
/// A key that policy refuses is passed over; it is the reason given where nothing else fits.
///
/// # Errors
/// [`Error::Policy`] if none fits.
pub fn choose<'r>(
    recipients: &'r [Recipient],
    algs: &AllowList<KeyManagement>,
    policy: &Policy,
) -> Result<(&'r Recipient, KeyManagement)> {
    let mut refusal = None;
    for alg in algs.iter() {
        for recipient in recipients.iter().filter(|recipient| recipient.fits(alg)) {
            match policy.check_partner_key(&recipient.jwk.key) {
                Ok(()) => return Ok((recipient, alg)),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
    }
    let unfit = || Error::Policy(format!("no key of the recipient can do any of: {algs}"));
    Err(refusal.unwrap_or_else(unfit))
}

/// A derived key, and the header members that let the recipient derive it too.
type Derived = (KeyBytes, Map<String, Value>);

/// Agrees with a fresh ephemeral key.
fn derive(
    peer: &EcdhRecipient,
    alg: KeyManagement,
    enc: ContentEncryption,
    PartyInfo { apu, apv }: PartyInfo<'_>,
) -> Result<Derived> {
    let (epk, z) = peer.agree_ephemeral().map_err(bad_key)?;
    let mut members = Map::new();
    members.insert("epk".into(), Value::Object(epk.to_members()));
    for (name, info) in [("apu", apu), ("apv", apv)] {
        if !info.is_empty() {
            members.insert(name.into(), base64url::encode(info).into());
        }
    }
    let (other_info, key_len) = agreement_info(alg, enc, apu, apv);
    Ok((concat_kdf::derive(&z, &other_info, key_len), members))
}

fn bad_key(error: impl std::fmt::Display) -> Error {
    Error::Policy(format!("the recipient's key cannot be used: {error}"))
}
