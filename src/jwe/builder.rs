//! Encryption to any number of recipients, into any serialization.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::recipient::{Delivered, PartyInfo, Recipient};
use super::to::{To, wrap};
use crate::backend::{Cek, CekRequest, HardwareKey, HostCek};
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::jose::base64url;
use crate::jose::header::Header;
use crate::jose::serialization::{Jwe, RecipientPart, Serialization, check_len_to_send, join_jwe};
use crate::primitives::content::Sealed;

mod check;

/// A JWE in the making (RFC 7516 section 5.1). The content encryption key and the initialization
/// vector are made by [`JweBuilder::encrypt`]; there is no way to pass one in.
///
/// With one recipient, all of its header is protected. With several, each has its `alg`, `kid` and
/// what its key management needs in a header of its own, and the rest is protected.
///
/// ```
/// use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
/// use hsm_jose::jose::serialization::{Jwe, MAX_TOKEN_LEN, Serialization};
/// use hsm_jose::jwe::{JweBuilder, Recipient};
/// # use hsm_jose::jose::jwk::PublicJwk;
/// # fn jwk(kid: &str) -> PublicJwk {
/// #     let members = r#"{"kty":"EC","crv":"P-256","kid":"KID",
/// #         "x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
/// #         "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#;
/// #     PublicJwk::parse(members.replace("KID", kid).as_bytes()).unwrap()
/// # }
///
/// # fn main() -> hsm_jose::Result<()> {
/// let (a, b) = (Recipient::new(jwk("a"))?, Recipient::new(jwk("b"))?);
/// let token = JweBuilder::new(ContentEncryption::A256Gcm)
///     .to(&a, KeyManagement::EcdhEsA256Kw)
///     .to(&b, KeyManagement::EcdhEsA256Kw)
///     .protected("cty", "text/plain")
///     .aad(b"seen by everyone")
///     .encrypt(Serialization::General, b"seen by both")?;
///
/// let jwe = Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN)?;
/// assert_eq!((jwe.serialization(), jwe.recipient_count()), (Serialization::General, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JweBuilder<'a> {
    enc: ContentEncryption,
    recipients: Vec<(To<'a>, KeyManagement)>,
    parties: PartyInfo<'a>,
    protected: Vec<(String, Value)>,
    unprotected: Vec<(String, Value)>,
    aad: &'a [u8],
}

impl<'a> JweBuilder<'a> {
    /// Starts a JWE whose content is encrypted with `enc`.
    pub fn new(enc: ContentEncryption) -> Self {
        Self {
            enc,
            recipients: Vec::new(),
            parties: PartyInfo::default(),
            protected: Vec::new(),
            unprotected: Vec::new(),
            aad: &[],
        }
    }

    /// Adds a recipient, who gets the content encryption key by `alg`.
    #[must_use]
    pub fn to(mut self, recipient: &'a Recipient, alg: KeyManagement) -> Self {
        self.recipients.push((To::Public(recipient), alg));
        self
    }

    /// Adds those who share a symmetric key of a device, which wraps the content encryption key by
    /// `alg`, or for `dir` is it. `kid` is what the header shall call it.
    ///
    /// ```
    /// use hsm_jose::backend::memory::MemoryKeystore;
    /// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
    /// use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement};
    /// use hsm_jose::jose::serialization::Serialization;
    /// use hsm_jose::jwe::{self, Attempt, JweBuilder, JweToken};
    /// use hsm_jose::policy::{Policy, Profile};
    ///
    /// # fn main() -> hsm_jose::Result<()> {
    /// let alg = KeyAlgorithm::Unwrap(KeyManagement::A256Kw);
    /// let keystore = MemoryKeystore::new("memory");
    /// let spec = KeySpec { shape: KeyShape::Oct { bits: 256 }, algs: vec![alg] };
    /// let key = keystore.generate(&keystore.new_locator("shared")?, &spec)?;
    /// let token = JweBuilder::new(ContentEncryption::A256Gcm)
    ///     .with(&*key, Some("shared-1"), KeyManagement::A256Kw)
    ///     .encrypt(Serialization::Compact, b"content")?;
    ///
    /// // No profile but "all" has it; the configuration or the caller names it.
    /// let policy = Policy::of(Profile::Strict);
    /// assert!(JweToken::parse(token.as_bytes(), &policy.jwe).is_err());
    /// let policy = policy.with_symmetric(&[alg])?;
    /// let token = JweToken::parse(token.as_bytes(), &policy.jwe)?;
    /// let decrypted = jwe::decrypt(token, &[Attempt { recipient: 0, key: &*key }])?;
    /// assert_eq!(decrypted.plaintext.as_bytes(), b"content");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with(
        mut self,
        key: &'a dyn HardwareKey,
        kid: Option<&'a str>,
        alg: KeyManagement,
    ) -> Self {
        self.recipients.push((To::Secret { key, kid }, alg));
        self
    }

    /// Says who the parties of an agreement are: `apu` and `apv`, raw; empty for none. For ECDH-ES
    /// (RFC 7518 section 4.6.1).
    #[must_use]
    pub fn parties(mut self, apu: &'a [u8], apv: &'a [u8]) -> Self {
        self.parties = PartyInfo { apu, apv };
        self
    }

    /// Adds a member to the protected header: `typ`, `cty`, or one that no specification of JWE has.
    #[must_use]
    pub fn protected(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.protected.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a member to the shared unprotected header, which nobody should believe: one that no
    /// specification of JWE has.
    #[must_use]
    pub fn unprotected(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.unprotected.push((name.to_owned(), value.into()));
        self
    }

    /// Authenticates more than the header: `aad`, raw. JSON serializations only.
    #[must_use]
    pub fn aad(mut self, aad: &'a [u8]) -> Self {
        self.aad = aad;
        self
    }

    /// Encrypts `plaintext`.
    ///
    /// Each call draws a fresh content encryption key, a fresh initialization vector and, for
    /// ECDH-ES, a fresh ephemeral key for each recipient.
    ///
    /// # Errors
    /// [`Error::Policy`] if a key cannot do its `alg`. [`Error::Usage`]: no recipient, more than
    /// [`MAX_RECIPIENTS`], or more than the serialization takes; several, one of them with `ECDH-ES`;
    /// `apu` or `apv` without ECDH-ES; a member given twice, or one that is made here; `aad` or
    /// unprotected members in the compact serialization.
    ///
    /// [`Error::Usage`] too for a token that no recipient would take: over [`MAX_TOKEN_LEN`], which a
    /// plaintext of 24 MiB makes; a header over [`MAX_HEADER_LEN`] or [`MAX_HEADER_VALUES`], or nested
    /// deeper than [`MAX_DEPTH`], counted from the outside of the token where it is not protected; a
    /// `kid` over [`MAX_KID_LEN`] or with control characters; an `apu` or `apv` over
    /// [`MAX_PARTY_INFO_LEN`]. No device is asked for a token that is known not to be taken before.
    ///
    /// [`MAX_RECIPIENTS`]: crate::jose::serialization::MAX_RECIPIENTS
    /// [`MAX_PARTY_INFO_LEN`]: crate::jose::header::MAX_PARTY_INFO_LEN
    /// [`MAX_TOKEN_LEN`]: crate::jose::serialization::MAX_TOKEN_LEN
    /// [`MAX_HEADER_LEN`]: crate::jose::header::MAX_HEADER_LEN
    /// [`MAX_HEADER_VALUES`]: crate::jose::header::MAX_HEADER_VALUES
    /// [`MAX_DEPTH`]: crate::jose::json::MAX_DEPTH
    /// [`MAX_KID_LEN`]: crate::jose::jwk::MAX_KID_LEN
    pub fn encrypt(&self, serialization: Serialization, plaintext: &[u8]) -> Result<String> {
        self.check(serialization, plaintext.len())?;
        let (cek, mut delivered) = self.deliver()?;
        let protected = self.protected_header(&mut delivered)?;
        let aad = base64url::encode(self.aad);
        let authenticated = match aad.is_empty() {
            true => Cow::Borrowed(&*protected),
            false => Cow::Owned([&*protected, &*aad].join(".")),
        };
        let sealed = cek.encrypt(authenticated.as_bytes(), plaintext)?;
        if serialization == Serialization::Compact {
            let [Delivered { encrypted_key, .. }] = &delivered[..] else {
                return Err(Error::Usage("compact is for one recipient".into()));
            };
            let (iv, tag) = (&sealed.iv, &sealed.tag);
            let token = join_jwe(&protected, encrypted_key, iv, &sealed.ciphertext, tag);
            return check_len_to_send(token.len()).map(|()| token);
        }
        self.jwe(serialization, protected, delivered, &aad, &sealed).write_checked(serialization)
    }

    /// Makes the protected header; of an only recipient, with its members.
    fn protected_header(&self, delivered: &mut [Delivered]) -> Result<String> {
        let mut protected: Map<_, _> = self.protected.iter().cloned().collect();
        protected.insert("enc".into(), self.enc.name().into());
        if let [Delivered { members, .. }] = delivered {
            protected.append(members);
        }
        Header::of(protected).encode_to_send()
    }

    fn jwe<'t>(
        &self,
        serialization: Serialization,
        protected: String,
        delivered: Vec<Delivered>,
        aad: &'t str,
        sealed: &Sealed,
    ) -> Jwe<'t> {
        let recipients =
            delivered.into_iter().map(|Delivered { members, encrypted_key }| RecipientPart {
                header: members,
                encrypted_key: base64url::encode(&encrypted_key).into(),
            });
        Jwe {
            serialization,
            protected: protected.into(),
            unprotected: self.unprotected.iter().cloned().collect(),
            recipients: recipients.collect(),
            aad: aad.into(),
            iv: base64url::encode(&sealed.iv).into(),
            ciphertext: base64url::encode(&sealed.ciphertext).into(),
            tag: base64url::encode(&sealed.tag).into(),
        }
    }

    /// Makes the one CEK, and what each recipient gets of it.
    fn deliver(&self) -> Result<(Box<dyn Cek + 'a>, Vec<Delivered>)> {
        let (enc, parties) = (self.enc, self.parties);
        let (cek, mut delivered): (Box<dyn Cek + 'a>, _) = match self.recipients[..] {
            [(To::Public(recipient), alg)] if alg.is_direct() => {
                let (cek, delivered) = recipient.agree(alg, enc, parties)?;
                (Box::new(cek), vec![delivered])
            }
            [(To::Secret { key, .. }, alg)] if alg.is_direct() => {
                (key.unwrap_cek(&CekRequest::Dir, enc)?, vec![Delivered::default()])
            }
            _ => {
                let cek = HostCek::random(enc);
                let each = self.recipients.iter().map(|(to, alg)| match to {
                    To::Public(to) => to.deliver(*alg, enc, parties, &cek),
                    To::Secret { key, .. } => wrap(*key, *alg, &cek),
                });
                let each = each.collect::<Result<_>>()?;
                (Box::new(cek), each)
            }
        };
        self.name(&mut delivered);
        Ok((cek, delivered))
    }

    /// Says in the members of each recipient by which `alg` it gets the key, and whose it is.
    fn name(&self, delivered: &mut [Delivered]) {
        for ((recipient, alg), Delivered { members, .. }) in self.recipients.iter().zip(delivered) {
            members.insert("alg".into(), alg.name().into());
            if let Some(kid) = recipient.kid() {
                members.insert("kid".into(), kid.into());
            }
        }
    }
}
