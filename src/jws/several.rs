//! A JWS in any serialization, with any number of signatures.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use zeroize::Zeroizing;

use super::require::Require;
use super::stream::{self, prehash};
use super::trusted::{Claimed, SigningInput, TrustedKeys};
use super::verified::{VerifiedJws, VerifiedSignature};
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::base64url;
use crate::jose::header::Header;
use crate::jose::parameters::{JoseHeader, Parameters};
use crate::jose::serialization::{self, JwsParts, JwsSignature, Serialization};
use crate::policy::{JwsRules, JwsUnprotectedHeader};
use crate::primitives::digest::Hasher;
use crate::secret::Plaintext;

/// A JWS that has been parsed once and whose headers policy has seen, no signature verified yet.
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
/// # use hsm_jose::jose::serialization::Serialization;
/// # let form = hsm_jose::jws::JwsForm { serialization: Serialization::General, ..Default::default() };
/// # let signer = hsm_jose::jws::Signer::new(&*key, &parameters);
/// # let token = hsm_jose::jws::sign_as(&[signer.clone(), signer], form, b"payload")?;
/// # let trusted = hsm_jose::jws::TrustedKeys::new(JwkSet { keys: vec![jwk] }, &policy);
/// use hsm_jose::jws::{Jws, Require};
///
/// let jws = Jws::parse(token.as_bytes(), &policy.jws)?;
/// assert_eq!(jws.count(), 2);
/// assert_eq!(jws.verify(&trusted, &Require::All)?.get().as_bytes(), b"payload");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// Who must have signed is never left open:
///
/// ```compile_fail,E0061
/// # use hsm_jose::jws::{Jws, TrustedKeys};
/// fn whoever(jws: Jws<'_>, trusted: &TrustedKeys) {
///     jws.verify(trusted);
/// }
/// ```
pub struct Jws<'a> {
    payload: Option<Cow<'a, str>>,
    is_compact: bool,
    /// Whether the payload is base64url-encoded: `b64`, the same for all (RFC 7797 section 3).
    pub(super) encoded: bool,
    pub(super) signatures: Vec<Result<Checked<'a>>>,
}

/// A signature whose header policy has let through.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) protected: Header,
    /// From wherever policy believes it.
    pub(super) kid: Option<String>,
    pub(super) alg: SignatureAlgorithm,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Parses a JWS in any serialization and checks its headers.
    ///
    /// # Errors
    /// [`Error::Malformed`]: as [`JwsParts::parse`], and for signatures that differ in `b64`. What is
    /// wrong with one signature of several is for the rule to judge; the fault of an only one
    /// ([`Error::Malformed`] or [`Error::Policy`]) is told at once.
    pub fn parse(token: &'a [u8], rules: &JwsRules) -> Result<Self> {
        let parts = JwsParts::parse(token, rules.limits.max_token_len)?;
        let is_compact = parts.serialization == Serialization::Compact;
        let is_only = parts.signatures.len() == 1;
        let (mut signatures, mut b64) = (Vec::with_capacity(parts.signatures.len()), None);
        for signature in parts.signatures {
            let read = read_header(&signature, rules);
            if let Ok((_, encoded, _)) = &read
                && *b64.get_or_insert(*encoded) != *encoded
            {
                return Err(Error::Malformed("the signatures differ in b64".into()));
            }
            let checked = read
                .and_then(|(protected, _, believed)| Checked::new(signature, protected, believed?));
            if let (Err(error), true) = (&checked, is_only) {
                return Err(error.clone());
            }
            signatures.push(checked);
        }
        let encoded = b64.unwrap_or(true);
        let is_unfit = |payload: &Cow<'_, str>| !payload.bytes().all(serialization::is_compact);
        if is_compact && !encoded && parts.payload.as_ref().is_some_and(is_unfit) {
            return Err(Error::Malformed(
                "the payload has characters that a compact JWS has no place for".into(),
            ));
        }
        Ok(Self { payload: parts.payload, is_compact, encoded, signatures })
    }

    /// Returns how many signatures there are, verified or not.
    pub fn count(&self) -> usize {
        self.signatures.len()
    }

    /// Returns what every signature says that it is by: `alg` and `kid`, from where policy believes them;
    /// nothing of it is verified.
    ///
    /// # Errors
    /// The first signature's that policy refuses.
    pub fn claimed(&self) -> Result<Vec<(SignatureAlgorithm, Option<&str>)>> {
        let claimed = self.signatures.iter().map(|signature| match signature {
            Ok(checked) => Ok((checked.alg, checked.kid.as_deref())),
            Err(error) => Err(error.clone()),
        });
        claimed.collect()
    }

    /// Returns whether every signature that policy lets through can be verified without the payload
    /// in memory: Ed25519 cannot, since it goes over the message twice (RFC 8032 section 5.1), and a MAC
    /// is for [`Jws::authenticate_reader`].
    #[must_use]
    pub fn takes_reader(&self) -> bool {
        self.signatures.iter().flatten().all(|checked| prehash(checked.alg).is_some())
    }

    /// Verifies the signatures and returns the payload.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`], [`Error::KeyNotFound`], [`Error::Policy`] or
    /// [`Error::Malformed`], as the rule judges; [`Error::Malformed`] for a JSON serialization without
    /// `payload`, and for a payload that is not base64url; [`Error::Usage`] for a rule that names no
    /// issuer. In the compact serialization a detached payload looks like an empty one, of which the
    /// signature is not: [`Error::SignatureInvalid`].
    pub fn verify(
        self,
        keys: &TrustedKeys,
        require: &Require<'_>,
    ) -> Result<VerifiedJws<Plaintext>> {
        let payload = self.own_payload()?;
        let signatures = self.verified_over(payload.as_bytes(), keys, require)?;
        Ok(VerifiedJws { value: self.decoded(payload)?, signatures })
    }

    /// Verifies the signatures of a JWS without payload (RFC 7515 appendix F) over `payload`.
    ///
    /// # Errors
    /// As [`Jws::verify`]; [`Error::Malformed`] if the JWS has a payload of its own.
    pub fn verify_detached(
        self,
        payload: &[u8],
        keys: &TrustedKeys,
        require: &Require<'_>,
    ) -> Result<VerifiedJws<()>> {
        self.check_detached()?;
        let signatures = self.verified_over(&self.signed_form(payload), keys, require)?;
        Ok(VerifiedJws { value: (), signatures })
    }

    /// As [`Jws::verify_detached`], reading the payload once and holding a few kilobytes of it.
    ///
    /// A signature with Ed25519 needs the payload in memory and counts as one that did not verify,
    /// with the reason: see [`Jws::takes_reader`].
    ///
    /// # Errors
    /// As [`Jws::verify_detached`]; [`Error::Io`] if the payload cannot be read; [`Error::Usage`] for
    /// Ed25519.
    pub fn verify_reader(
        self,
        payload: impl Read,
        keys: &TrustedKeys,
        require: &Require<'_>,
    ) -> Result<VerifiedJws<()>> {
        self.check_detached()?;
        let mut hashers: Vec<_> = self.signatures.iter().map(Checked::hasher).collect();
        stream::feed(payload, self.encoded, hashers.iter_mut().flatten())?;
        let digests: Vec<_> = hashers.into_iter().map(|it| it.map(Hasher::finish)).collect();
        let signatures =
            self.conclude(keys, require, |index, checked, issuers| match &digests[index] {
                Some(digest) => {
                    keys.signer_of(SigningInput::Digest(digest), checked.claimed(), issuers)
                }
                // No public key verifies a MAC, whatever it is of: the same refusal as in memory.
                None if checked.alg.is_symmetric() => {
                    keys.signer_of(SigningInput::Message(b""), checked.claimed(), issuers)
                }
                None => Err(stream::needs_whole(checked.alg)),
            })?;
        Ok(VerifiedJws { value: (), signatures })
    }

    /// Returns the payload that the JWS carries, as it stands there.
    pub(super) fn own_payload(&self) -> Result<&str> {
        match &self.payload {
            Some(payload) => Ok(payload),
            None if self.is_compact => Ok(""),
            None => {
                Err(Error::Malformed("the token has no payload of its own: it is detached".into()))
            }
        }
    }

    /// Returns the octets of a payload that the JWS carries.
    pub(super) fn decoded(&self, payload: &str) -> Result<Plaintext> {
        let value = match self.encoded {
            true => serialization::decode(payload, "payload")?,
            false => payload.as_bytes().to_vec(),
        };
        Ok(Plaintext::new(Zeroizing::new(value)))
    }

    /// Returns the octets of a detached payload as they are signed.
    pub(super) fn signed_form(&self, payload: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self.encoded {
            true => base64url::encode(payload).into_bytes(),
            false => payload.to_vec(),
        })
    }

    /// Returns the algorithm of the one signature of a JWS that has one.
    pub(crate) fn only_alg(&self) -> Result<SignatureAlgorithm> {
        self.only().map(|checked| checked.alg)
    }

    /// Returns the one signature of a JWS that has one.
    pub(super) fn only(&self) -> Result<&Checked<'_>> {
        match &self.signatures[..] {
            [Ok(only)] => Ok(only),
            [Err(error)] => Err(error.clone()),
            several => Err(Error::Policy(format!(
                "the token has {} signatures: a MAC stands alone, or one of them must be the key's \
                 (`authenticate_any`)",
                several.len()
            ))),
        }
    }

    /// Returns the signatures whose headers policy has let through, with their places.
    pub(super) fn passed(&self) -> impl Iterator<Item = (usize, &Checked<'a>)> {
        let each = self.signatures.iter().enumerate();
        each.filter_map(|(index, signature)| Some((index, signature.as_ref().ok()?)))
    }

    /// Returns the first refusal by policy among the signatures.
    pub(super) fn refused_by_policy(&self) -> Option<Error> {
        let refused = self.signatures.iter().filter_map(|signature| signature.as_ref().err());
        refused.into_iter().find(|error| matches!(error, Error::Policy(_))).cloned()
    }

    /// An empty payload is as good as none: a compact JWS has no other way to say so, and jwcrypto writes it
    /// in JSON, where RFC 7515 appendix F has the member removed.
    pub(super) fn check_detached(&self) -> Result<()> {
        match self.payload.as_deref() {
            None | Some("") => Ok(()),
            Some(_) => Err(Error::Malformed("the token has a payload of its own".into())),
        }
    }

    fn verified_over(
        &self,
        payload: &[u8],
        keys: &TrustedKeys,
        require: &Require<'_>,
    ) -> Result<Vec<VerifiedSignature>> {
        self.conclude(keys, require, |_, checked, issuers| {
            let input = stream::whole(&checked.text, payload);
            keys.signer_of(SigningInput::Message(&input), checked.claimed(), issuers)
        })
    }
}

/// Nobody has verified the payload: how long it is, and no more.
impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws")
            .field("payload_len", &self.payload.as_ref().map(|payload| payload.len()))
            .field("signatures", &self.signatures)
            .finish_non_exhaustive()
    }
}

/// `alg` and `kid`, from wherever policy believes them.
type Believed = (SignatureAlgorithm, Option<String>);

/// Reads the protected header, `b64`, and what policy believes.
fn read_header(
    signature: &JwsSignature<'_>,
    rules: &JwsRules,
) -> Result<(Header, bool, Result<Believed>)> {
    let protected = Header::parse_protected(&signature.protected)?;
    let joint = signature.jose_header(&protected)?;
    let encoded = protected.b64()?;
    let believed = believed(&joint, &protected, rules);
    Ok((protected, encoded, believed))
}

fn believed(joint: &JoseHeader<'_>, protected: &Header, rules: &JwsRules) -> Result<Believed> {
    let (alg, kid) = match rules.unprotected {
        JwsUnprotectedHeader::Joint => (rules.check_believed(joint, protected)?, joint.kid()),
        JwsUnprotectedHeader::Ignored if protected.alg().is_empty() => {
            return Err(Error::Policy(
                "alg is not in the protected header: nothing else is believed here".into(),
            ));
        }
        JwsUnprotectedHeader::Ignored => {
            // A key in a header that nobody reads is refused all the same.
            rules.limits.refuse_keys(joint)?;
            (rules.check(protected)?, protected.kid())
        }
    };
    Ok((alg, kid.map(str::to_owned)))
}

impl<'a> Checked<'a> {
    fn new(signature: JwsSignature<'a>, protected: Header, (alg, kid): Believed) -> Result<Self> {
        let decoded = serialization::decode(&signature.signature, "signature")?;
        Ok(Self { text: signature.protected, protected, kid, alg, signature: decoded })
    }

    fn claimed(&self) -> Claimed<'_> {
        Claimed { alg: self.alg, kid: self.kid.as_deref(), signature: &self.signature }
    }

    /// The digest of the signing input as far as it is known, if one is all that is needed.
    fn hasher(signature: &Result<Self>) -> Option<Hasher> {
        let checked = signature.as_ref().ok()?;
        Some(stream::begin(prehash(checked.alg)?, &checked.text))
    }
}
