//! A JWE that policy has let through.

use serde_json::{Map, Value};

use super::recovery::Recovery;
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyKind, KeyManagement};
use crate::jose::header::Header;
use crate::jose::parameters::Parameters;
use crate::jose::serialization::{Jwe, Serialization, decode};
use crate::policy::JweRules;

/// A JWE that policy has let through: parsed once, its headers checked, no key touched yet.
///
/// ```
/// use hsm_jose::Error;
/// use hsm_jose::jwe::JweToken;
/// use hsm_jose::policy::{Policy, Profile};
///
/// let rules = Policy::of(Profile::Strict).jwe;
/// // {"alg":"RSA1_5","enc":"A256GCM"}
/// let token = b"eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMjU2R0NNIn0.AAAA.AAAA.AAAA.AAAA";
/// assert!(matches!(JweToken::parse(token, &rules), Err(Error::Policy(_))));
/// ```
#[derive(Debug)]
pub struct JweToken<'a> {
    header: Header,
    pub(super) enc: ContentEncryption,
    recipients: Vec<JweRecipient>,
    pub(crate) passed_over: Vec<PassedOver>,
    pub(super) parts: Jwe<'a>,
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
    pub(super) aad: Vec<u8>,
}

/// One recipient of a JWE, with an `alg` that policy allows.
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
/// # let token = hsm_jose::jwe::JweBuilder::new(ContentEncryption::A256Gcm)
/// #     .to(&recipient, alg)
/// #     .encrypt(Default::default(), b"content")?;
/// use hsm_jose::jwe::JweToken;
///
/// let token = JweToken::parse(token.as_bytes(), &policy.jwe)?;
/// assert_eq!(token.recipients()[0].alg, alg);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct JweRecipient {
    /// Its place among the recipients of the token, from 0.
    pub index: usize,
    /// Its `alg`.
    pub alg: KeyManagement,
    kid: Option<String>,
    pub(super) recovery: Recovery,
    pub(super) encrypted_key: Vec<u8>,
}

/// A recipient that policy or this build cannot serve.
#[derive(Debug)]
pub(crate) struct PassedOver {
    /// The `kid` of its key, which may be ours all the same.
    pub(crate) kid: Option<String>,
    pub(crate) why: Error,
}

impl<'a> JweToken<'a> {
    /// Parses a JWE in any serialization and checks its headers: length, parts, headers, rules, and
    /// for ECDH-ES that `epk` is a valid point. Nothing here costs a token call.
    ///
    /// Of several recipients, those that policy or this build cannot serve are passed over; they are
    /// the sender's to choose.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Policy`]; of the only recipient, or where every one is passed
    /// over.
    pub fn parse(token: &'a [u8], rules: &JweRules) -> Result<Self> {
        Self::of(Jwe::parse(token, rules.limits.max_token_len)?, rules)
    }

    /// As [`JweToken::parse`], of the compact serialization only.
    ///
    /// # Errors
    /// As [`JweToken::parse`].
    pub fn parse_compact(token: &'a [u8], rules: &JweRules) -> Result<Self> {
        Self::of(Jwe::parse_compact(token, rules.limits.max_token_len)?, rules)
    }

    fn of(parts: Jwe<'a>, rules: &JweRules) -> Result<Self> {
        let encrypted_keys = parts.recipients.iter();
        let encrypted_keys: Vec<_> = encrypted_keys
            .map(|recipient| decode(&recipient.encrypted_key, "encrypted key"))
            .collect::<Result<_>>()?;
        let iv = decode(&parts.iv, "initialization vector")?;
        let ciphertext = decode(&parts.ciphertext, "ciphertext")?;
        let tag = decode(&parts.tag, "authentication tag")?;
        let aad = decode(&parts.aad, "aad")?;
        let header = parts.protected_header()?;
        let joint = parts.joint_headers(&header)?;
        for (joint, recipient) in joint.iter().zip(&parts.recipients) {
            rules.limits.check(joint, &header)?;
            rules.unprotected.check(&parts.unprotected, &recipient.header)?;
        }
        let mut enc = None;
        let (mut recipients, mut passed_over) = (Vec::new(), Vec::new());
        for (index, (joint, encrypted_key)) in joint.iter().zip(encrypted_keys).enumerate() {
            let checked =
                joint.checked().and_then(|joint| rules.check_alg(&joint)).and_then(|alg| {
                    let enc = *enc.insert(rules.check_enc(joint)?);
                    Ok((alg, Recovery::of(alg, enc, joint)?))
                });
            let kid = joint.kid().map(str::to_owned);
            match checked {
                Ok((alg, recovery)) => {
                    recipients.push(JweRecipient { index, alg, kid, recovery, encrypted_key });
                }
                Err(why) => passed_over.push(PassedOver { kid, why }),
            }
        }
        match enc {
            Some(enc) if !recipients.is_empty() => {
                Ok(Self { header, enc, recipients, passed_over, parts, iv, ciphertext, tag, aad })
            }
            _ => Err(most_telling(passed_over.into_iter().map(|it| it.why).collect())),
        }
    }

    /// Returns the protected header: all that the content's tag vouches for. Where the token is in a JSON
    /// serialization, a recipient's `alg` and `kid` can be elsewhere: see [`JweToken::recipients`].
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Takes the protected header.
    pub fn into_header(self) -> Header {
        self.header
    }

    /// Returns the `enc`, the same for every recipient.
    pub fn enc(&self) -> ContentEncryption {
        self.enc
    }

    /// Returns the recipients that are not passed over, at least one.
    pub fn recipients(&self) -> &[JweRecipient] {
        &self.recipients
    }

    /// Returns the number of recipients that the token has, those that are passed over too.
    pub fn recipient_count(&self) -> usize {
        self.parts.recipient_count()
    }

    /// Returns the serialization that the token came in.
    pub fn serialization(&self) -> Serialization {
        self.parts.serialization()
    }

    /// Takes what is left when the content is open: the protected header, and what was not
    /// protected of the recipient's.
    pub(super) fn into_headers(
        mut self,
        recipient: usize,
    ) -> (Header, Map<String, Value>, Vec<u8>) {
        let index = self.recipients[recipient].index;
        let mut unprotected = self.parts.unprotected;
        unprotected.append(&mut self.parts.recipients[index].header);
        (self.header, unprotected, self.aad)
    }
}

impl JweRecipient {
    /// Returns the `kid` of its key, from wherever policy lets it be.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns whether a key could be the one: it has the `alg`, for ECDH-ES the curve of `epk`, and for
    /// `dir` the length that `enc` needs.
    #[must_use]
    pub fn fits(&self, algs: &[KeyAlgorithm], kind: KeyKind) -> bool {
        let has_alg = algs.contains(&KeyAlgorithm::Unwrap(self.alg));
        has_alg && self.alg.fits(kind) && self.recovery.fits(kind)
    }
}

/// Of the reasons why no recipient is left, the one that says most: a refusal before a fault of
/// form.
fn most_telling(errors: Vec<Error>) -> Error {
    let is_policy = |error: &Error| matches!(error, Error::Policy(_));
    let place = errors.iter().position(is_policy).unwrap_or_default();
    let nobody = || Error::Malformed("no recipients".into());
    errors.into_iter().nth(place).unwrap_or_else(nobody)
}
