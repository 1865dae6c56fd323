//! Encryption to a recipient: public-key work, all of it on the host.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::agreement_info;
use crate::backend::HostCek;
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::jose::header::Header;
use crate::jose::jwk::{PublicJwk, PublicKey, PublicPoint};
use crate::jose::{base64url, serialization};
use crate::policy::{AllowList, Policy};
use crate::primitives::rsa::RsaRecipient;
use crate::primitives::{aes_kw, concat_kdf, ecdh};

/// A recipient's public key: checked and parsed once, kept for as many tokens as there are.
#[derive(Debug)]
pub struct Recipient {
    jwk: PublicJwk,
    key: RecipientKey,
}

#[derive(Debug)]
enum RecipientKey {
    Rsa(RsaRecipient),
    Point(PublicPoint),
}

/// What a JWE shall say of itself. The content encryption key and the initialization vector are
/// made inside [`encrypt`]; there is no way to pass one in.
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

impl Recipient {
    /// Takes a recipient's JWK.
    ///
    /// # Errors
    /// [`Error::Policy`]: a key that is not for encryption (`use`, `key_ops`, an Ed25519 key), a
    /// point that is not on its curve, or a key that the library refuses.
    pub fn new(jwk: PublicJwk) -> Result<Self> {
        const OPERATIONS: [&str; 4] = ["encrypt", "wrapKey", "deriveKey", "deriveBits"];
        let is_for_encryption = jwk.use_.as_deref().is_none_or(|value| value == "enc")
            && jwk.key_ops.as_ref().is_none_or(|operations| {
                operations.is_empty() || operations.iter().any(|op| OPERATIONS.contains(&&**op))
            });
        if !is_for_encryption {
            return Err(Error::Policy(
                "the recipient's key is not for encryption (its use or key_ops say so)".into(),
            ));
        }
        let key = match &jwk.key {
            PublicKey::Rsa(rsa) => RecipientKey::Rsa(RsaRecipient::new(rsa).map_err(bad_key)?),
            PublicKey::Point(point) if point.curve().agrees() => {
                ecdh::check_point(point).map_err(bad_key)?;
                RecipientKey::Point(point.clone())
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
    pub fn fits(&self, alg: KeyManagement) -> bool {
        alg.fits(self.jwk.key.kind()) && self.jwk.alg.as_ref().is_none_or(|name| name == alg.name())
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

/// Encrypts `plaintext` into a compact JWE (RFC 7516 section 5.1).
///
/// The header carries the recipient's `kid`. Each call draws a fresh content encryption key, a fresh
/// initialization vector and, for ECDH-ES, a fresh ephemeral key.
///
/// # Errors
/// [`Error::Policy`] if the key cannot do `alg`, or `apu`/`apv` are given for RSA.
pub fn encrypt(
    recipient: &Recipient,
    parameters: &JweParameters<'_>,
    plaintext: &[u8],
) -> Result<String> {
    let JweParameters { alg, enc, typ, cty, apu, apv } = *parameters;
    if !recipient.fits(alg) {
        return Err(Error::Policy(format!("the recipient's key is not for {alg}")));
    }
    let mut members = Map::new();
    members.insert("alg".into(), alg.name().into());
    members.insert("enc".into(), enc.name().into());
    for (name, value) in [("kid", recipient.jwk.kid.as_deref()), ("typ", typ), ("cty", cty)] {
        if let Some(value) = value {
            members.insert(name.into(), value.into());
        }
    }
    let (cek, encrypted_key) = match (&recipient.key, alg.oaep_hash()) {
        (RecipientKey::Rsa(key), Some(hash)) => {
            if !apu.is_empty() || !apv.is_empty() {
                return Err(Error::Usage("apu and apv are for ECDH-ES".into()));
            }
            let cek = HostCek::random(enc);
            let encrypted_key = key.encrypt(hash, cek.expose_to_wrap()).map_err(bad_key)?;
            (cek, encrypted_key)
        }
        (RecipientKey::Point(peer), None) => {
            let (epk, z) = ecdh::agree_ephemeral(peer).map_err(bad_key)?;
            members.insert("epk".into(), Value::Object(epk.to_members()));
            for (name, info) in [("apu", apu), ("apv", apv)] {
                if !info.is_empty() {
                    members.insert(name.into(), base64url::encode(info).into());
                }
            }
            let (other_info, key_len) = agreement_info(alg, enc, apu, apv);
            let derived = concat_kdf::derive(&z, &other_info, key_len);
            with_derived(alg, enc, derived)?
        }
        _ => return Err(Error::Policy(format!("the recipient's key is not for {alg}"))),
    };
    let protected = Header::of(members).encode();
    let sealed = cek.encrypt(protected.as_bytes(), plaintext);
    Ok(serialization::join_jwe(
        &protected,
        &encrypted_key,
        &sealed.iv,
        &sealed.ciphertext,
        &sealed.tag,
    ))
}

/// The derived key is the CEK, or wraps a fresh one.
fn with_derived(
    alg: KeyManagement,
    enc: ContentEncryption,
    derived: Zeroizing<Vec<u8>>,
) -> Result<(HostCek, Vec<u8>)> {
    match alg.key_wrap() {
        None => {
            let cek = HostCek::new(enc, derived);
            let cek = cek.ok_or_else(|| bad_key("derived key of the wrong length"))?;
            Ok((cek, Vec::new()))
        }
        Some(wrap) => {
            let cek = HostCek::random(enc);
            let encrypted_key = aes_kw::wrap(wrap, &derived, cek.expose_to_wrap());
            Ok((cek, encrypted_key))
        }
    }
}

fn bad_key(error: impl std::fmt::Display) -> Error {
    Error::Policy(format!("the recipient's key cannot be used: {error}"))
}
