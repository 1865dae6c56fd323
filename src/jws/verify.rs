//! A compact JWS with its one signature, as a JWT is (RFC 7519 section 7.2).

use std::fmt;

use zeroize::Zeroizing;

use super::trusted::{Claimed, SigningInput, TrustedKeys};
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::base64url;
use crate::jose::header::Header;
use crate::jose::jwk::PublicJwk;
use crate::jose::serialization::{self, CompactJws, bounded};
use crate::policy::JwsRules;
use crate::secret::{Plaintext, Wiped};

/// A compact JWS that policy has let through: parsed once, its header checked, no signature verified
/// yet. The other serializations, several signatures and unencoded payloads are for
/// [`Jws`](super::Jws).
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
/// # let es256 = SignatureAlgorithm::Es256;
/// # let key = make(KeyAlgorithm::Sign(es256))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let parameters = hsm_jose::jws::JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// # let token = hsm_jose::jws::sign(&*key, &parameters, b"payload")?;
/// use hsm_jose::jws::{JwsToken, TrustedKeys};
///
/// let jws = JwsToken::parse(token.as_bytes(), &policy.jws)?;
/// assert_eq!(jws.alg(), es256);
/// let trusted = TrustedKeys::new(JwkSet { keys: vec![jwk] }, &policy);
/// assert_eq!(jws.verify(&trusted)?.get().as_bytes(), b"payload");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// What it says is not seen before it is verified:
///
/// ```compile_fail,E0599
/// fn early(jws: &hsm_jose::jws::JwsToken<'_>) -> &[u8] {
///     jws.payload()
/// }
/// ```
///
/// And what policy has seen stays as it was:
///
/// ```compile_fail,E0616
/// # use hsm_jose::jose::header::Header;
/// fn other(mut jws: hsm_jose::jws::JwsToken<'_>, header: Header) {
///     jws.header = header;
/// }
/// ```
pub struct JwsToken<'a> {
    header: Header,
    alg: SignatureAlgorithm,
    parts: CompactJws<'a>,
}

/// Something that a signature vouches for. Only a verification makes one.
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
/// # let es256 = SignatureAlgorithm::Es256;
/// # let key = make(KeyAlgorithm::Sign(es256))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let parameters = hsm_jose::jws::JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// # let token = hsm_jose::jws::sign(&*key, &parameters, b"payload")?;
/// use hsm_jose::jws::{JwsToken, TrustedKeys, Verified};
///
/// let trusted = TrustedKeys::new(JwkSet { keys: vec![jwk.clone()] }, &policy);
/// let verified = JwsToken::parse(token.as_bytes(), &policy.jws)?.verify(&trusted)?;
/// assert_eq!(verified.key(), &jwk);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// There is no other way to one:
///
/// ```compile_fail,E0451
/// # use hsm_jose::jose::{header::Header, jwk::PublicJwk};
/// # use hsm_jose::jws::Verified;
/// fn forged(header: Header, key: PublicJwk) -> Verified<&'static str> {
///     Verified { value: "trust me", header, key }
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use hsm_jose::jws::Verified;
/// # use hsm_jose::jwt::{Claims, DecryptedUnsigned};
/// fn promoted(unsigned: DecryptedUnsigned) -> Verified<Claims> {
///     unsigned.into()
/// }
/// ```
#[derive(Debug)]
pub struct Verified<T> {
    value: T,
    header: Header,
    key: Box<PublicJwk>,
}

impl<'a> JwsToken<'a> {
    /// Parses a compact JWS and checks its header.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Policy`]; the latter too for any `b64` (RFC 7797 section 7:
    /// not in a JWT).
    pub fn parse(token: &'a [u8], rules: &JwsRules) -> Result<Self> {
        let text = bounded(token, rules.limits.max_token_len)?;
        let parts = CompactJws::split(text)?;
        let header = Header::parse(parts.protected)?;
        if header.has("b64") {
            return Err(Error::Policy(
                "b64 is not for a JWT, whose payload is always encoded (RFC 7797 section 7)".into(),
            ));
        }
        let alg = rules.check(&header)?;
        Ok(Self { header, alg, parts })
    }

    /// Returns the protected header; nothing of it is verified.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Takes the protected header; nothing of it is verified.
    pub fn into_header(self) -> Header {
        self.header
    }

    /// Returns its `alg`, which policy allows.
    pub fn alg(&self) -> SignatureAlgorithm {
        self.alg
    }

    /// Verifies the signature and returns the payload.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`]; [`Error::KeyNotFound`] or [`Error::Policy`] if no key could be
    /// tried; [`Error::Malformed`] for a payload that is not base64url.
    pub fn verify(self, keys: &TrustedKeys) -> Result<Verified<Plaintext>> {
        let CompactJws { payload, signing_input, .. } = self.parts;
        self.verify_input(signing_input.as_bytes(), keys)?.try_map(|()| {
            let payload = serialization::decode(payload, "payload")?;
            Ok(Plaintext::new(Zeroizing::new(payload)))
        })
    }

    /// Verifies the signature of a token without payload (RFC 7515 appendix F) over `payload`.
    ///
    /// # Errors
    /// As [`JwsToken::verify`]; [`Error::Malformed`] too if the token has a payload of its own.
    pub fn verify_detached(self, payload: &[u8], keys: &TrustedKeys) -> Result<Verified<()>> {
        if !self.parts.payload.is_empty() {
            return Err(Error::Malformed("the token has a payload of its own".into()));
        }
        let mut input =
            String::with_capacity(self.parts.protected.len() + payload.len() * 4 / 3 + 8);
        input.push_str(self.parts.protected);
        input.push('.');
        base64url::encode_append(payload, &mut input);
        // The payload may be a secret: no copy of it stays behind.
        self.verify_input(&Wiped::new(input.into_bytes()), keys)
    }

    fn verify_input(self, input: &[u8], keys: &TrustedKeys) -> Result<Verified<()>> {
        let claimed =
            Claimed { alg: self.alg, kid: self.header.kid(), signature: &self.parts.signature };
        let input = SigningInput::Message(input);
        let key = Box::new(keys.signer_of(input, claimed, None)?.clone());
        Ok(Verified { value: (), header: self.header, key })
    }
}

/// Nobody has verified the payload: how long it is, and no more.
impl fmt::Debug for JwsToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwsToken")
            .field("header", &self.header)
            .field("payload_len", &self.parts.payload.len())
            .finish_non_exhaustive()
    }
}

impl<T> Verified<T> {
    pub(super) fn new(value: T, header: Header, key: PublicJwk) -> Self {
        Self { value, header, key: Box::new(key) }
    }

    /// Returns what was verified.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Hands over what was verified.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the protected header that the signature covers.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the key that verified.
    pub fn key(&self) -> &PublicJwk {
        &self.key
    }

    /// Changes the form of what was verified, where that can be.
    pub(crate) fn try_map<U>(self, change: impl FnOnce(T) -> Result<U>) -> Result<Verified<U>> {
        Ok(Verified { value: change(self.value)?, header: self.header, key: self.key })
    }
}
