//! The rule that says which signatures of a JWS must verify.

use super::several::{Checked, Jws};
use super::trusted::TrustedKeys;
use super::verified::VerifiedSignature;
use crate::error::{Error, Result};
use crate::jose::jwk::PublicJwk;

/// Which signatures of a JWS must verify (RFC 7515 section 5.2 leaves it to the application). There
/// is no default: the caller says.
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
/// assert!(jws.verify(&trusted, &Require::All).is_ok());
/// let jws = Jws::parse(token.as_bytes(), &policy.jws)?;
/// // No trusted key is bound to this issuer.
/// assert!(jws.verify(&trusted, &Require::AnyOf(&["https://other.example"])).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Require<'a> {
    /// Every signature, each by a trusted key. One that is misformed, refused by policy or by nobody
    /// we know refuses the JWS.
    All,
    /// At least one, by a trusted key. The others may be anything that the serialization allows,
    /// and nothing is said of them.
    Any,
    /// Each of these issuers has signed: for each there is a signature by a trusted key with its
    /// `iss`. Other signatures may be anything.
    AllOf(&'a [&'a str]),
    /// At least one of these issuers has signed. Other signatures may be anything.
    AnyOf(&'a [&'a str]),
}

impl Jws<'_> {
    /// Has each signature verified and judges by the rule.
    pub(super) fn conclude<'k>(
        &self,
        keys: &'k TrustedKeys,
        require: &Require<'_>,
        verify: impl Fn(usize, &Checked<'_>, Option<&[&str]>) -> Result<&'k PublicJwk>,
    ) -> Result<Vec<VerifiedSignature>> {
        let issuers = require.issuers(keys)?;
        let (mut verified, mut refusals) = (Vec::new(), Vec::new());
        for (index, signature) in self.signatures.iter().enumerate() {
            let signed_by = match signature {
                Ok(checked) => verify(index, checked, issuers).map(|key| (checked, key)),
                Err(error) => Err(error.clone()),
            };
            match signed_by {
                Ok((checked, key)) => verified.push(VerifiedSignature {
                    index,
                    header: checked.protected.clone(),
                    alg: checked.alg,
                    key: key.clone(),
                }),
                Err(Error::KeyNotFound(_)) if *require == Require::All && self.count() > 1 => {
                    return Err(Error::Policy(format!(
                        "all signatures must verify, and the one at {index} is by nobody who is \
                         trusted"
                    )));
                }
                Err(error) if *require == Require::All => return Err(error),
                // A device that does not answer is no bad signature.
                Err(error @ Error::Backend(_)) => return Err(error),
                Err(error) => refusals.push(error),
            }
        }
        let has_signed = |name: &&str| {
            verified.iter().any(|signature| signature.key.iss.as_deref() == Some(*name))
        };
        let is_met = match require {
            Require::AllOf(names) => names.iter().all(has_signed),
            Require::All | Require::Any | Require::AnyOf(_) => !verified.is_empty(),
        };
        match is_met {
            true => Ok(verified),
            false => Err(told(refusals)),
        }
    }
}

impl<'a> Require<'a> {
    /// Returns the issuers that the rule names.
    ///
    /// # Errors
    /// [`Error::Usage`]: a list without one, which anything would meet, or nothing;
    /// [`Error::KeyNotFound`]: an issuer that no key is bound to, so that the rule cannot be met.
    fn issuers(&self, keys: &TrustedKeys) -> Result<Option<&'a [&'a str]>> {
        let (names, lacks) = match self {
            Self::All | Self::Any => return Ok(None),
            Self::AllOf([]) | Self::AnyOf([]) => {
                return Err(Error::Usage("the rule names no issuer that must have signed".into()));
            }
            Self::AllOf(names) => (*names, names.iter().find(|name| !keys.has_issuer(name))),
            Self::AnyOf(names) => {
                let has_one = names.iter().any(|name| keys.has_issuer(name));
                (*names, names.first().filter(|_| !has_one))
            }
        };
        match lacks {
            None => Ok(Some(names)),
            Some(name) => Err(Error::KeyNotFound(format!(
                "no trusted key is bound to the issuer {name:?}: give its key the member \"iss\""
            ))),
        }
    }
}

/// The refusal that tells most: that of a signature by a key of ours, or else the first.
fn told(refusals: Vec<Error>) -> Error {
    let is_telling = |error: &Error| matches!(error, Error::SignatureInvalid);
    match refusals.iter().any(is_telling) {
        true => Error::SignatureInvalid,
        // Some verified, and an issuer that must have signed has not.
        false => refusals.into_iter().next().unwrap_or(Error::SignatureInvalid),
    }
}
