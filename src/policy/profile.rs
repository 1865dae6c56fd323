//! Named profiles, as data.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    AllowList, CriticalExtensions, FailureBudget, JweRules, JwsRules, JwsUnprotectedHeader,
    UnprotectedHeaders,
};
use crate::backend::KeyShape;
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use crate::jose::header::Header;
use crate::jose::jwk::PublicKey;
use crate::jose::parameters::Parameters;
use crate::jose::refused;
use crate::jose::serialization::MAX_TOKEN_LEN;

/// A named set of rules.
///
/// ```
/// use hsm_jose::policy::Profile;
///
/// assert_eq!(Profile::default(), Profile::Strict);
/// assert_eq!(Profile::All.name(), "all");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// 128-bit strength or more, and no algorithm with a known way to use it wrongly. The default.
    #[default]
    Strict,
    /// Everything this build can do: for tests and interoperability, never in production.
    All,
}

/// The effective policy: a profile, narrowed by the configuration.
///
/// ```
/// use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement};
/// use hsm_jose::policy::{Policy, Profile};
///
/// let strict = Policy::of(Profile::Strict);
/// assert!(strict.allows(KeyAlgorithm::Unwrap(KeyManagement::RsaOaep256)));
/// assert!(!strict.allows(KeyAlgorithm::Unwrap(KeyManagement::RsaOaep)));
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    /// The profile it starts from.
    pub profile: Profile,
    /// What a JWE may be outside of contexts.
    pub jwe: JweRules,
    /// What a JWS may be outside of contexts.
    pub jws: JwsRules,
    /// Algorithms of symmetric keys beside the profile's, whatever [`Policy::narrowed`] has left of them.
    named: Vec<KeyAlgorithm>,
    /// The smallest RSA key that is made here, in bits.
    pub rsa_made_bits: u32,
    /// The smallest RSA key of a partner that is encrypted to or believed, in bits.
    pub rsa_partner_bits: u32,
    /// The smallest public exponent of such a key.
    pub rsa_partner_exponent: u64,
    /// Whether a key may be bound to more than one algorithm.
    pub several_algs: bool,
    /// How many failed decryptions a peer may cause with a key, where the caller names the peer.
    pub failure_budget: Option<FailureBudget>,
}

/// Limits that hold for any token.
///
/// ```
/// use hsm_jose::policy::{Policy, Profile};
///
/// let limits = Policy::of(Profile::Strict).jwe.limits;
/// assert!(limits.refused_parameters.contains(&"jku"));
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest token, in bytes.
    pub max_token_len: usize,
    /// Header parameters whose presence is refused: they bring keys that nobody vouched for.
    pub refused_parameters: &'static [&'static str],
    /// What `crit` may name; empty in every profile.
    pub critical: CriticalExtensions,
}

/// Parameters that carry or point to a key (RFC 8725 section 3.10).
const HEADER_BORNE_KEYS: &[&str] = &["jku", "jwk", "x5u", "x5c"];

/// Parameters that change what the octets mean, and are never taken: anywhere, and in a JWE.
const ZIP: (&str, &str) = (refused::ZIP.name, refused::ZIP.why);
const B64: (&str, &str) = ("b64", "it says how the payload of a JWS is signed (RFC 7797)");

impl Default for Limits {
    /// Those of profile `strict`.
    fn default() -> Self {
        Self {
            max_token_len: MAX_TOKEN_LEN,
            refused_parameters: HEADER_BORNE_KEYS,
            critical: CriticalExtensions::default(),
        }
    }
}

impl Profile {
    /// Returns the name of the profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::All => "all",
        }
    }
}

impl Policy {
    /// Returns the policy of a profile as it stands.
    pub fn of(profile: Profile) -> Self {
        use ContentEncryption as Enc;
        use KeyManagement as Alg;
        use SignatureAlgorithm as Sig;
        let is_strict = profile == Profile::Strict;
        let limits = match profile {
            Profile::Strict => Limits::default(),
            Profile::All => Limits { refused_parameters: &[], ..Limits::default() },
        };
        let (algs, encs, sigs) = if is_strict {
            (
                vec![Alg::EcdhEsA256Kw, Alg::EcdhEs, Alg::RsaOaep256],
                vec![Enc::A256Gcm, Enc::A128Gcm],
                vec![Sig::Ps256, Sig::Es256, Sig::EdDsa, Sig::Ed25519],
            )
        } else {
            // In order of preference when nothing else decides.
            let mut algs = vec![Alg::EcdhEsA256Kw, Alg::EcdhEs, Alg::RsaOaep256];
            algs.extend(Alg::ALL);
            let mut encs = vec![Enc::A256Gcm];
            encs.extend(Enc::ALL);
            let mut sigs = vec![Sig::Ps256, Sig::Es256];
            sigs.extend(Sig::ALL);
            (algs, encs, sigs)
        };
        Self {
            profile,
            jwe: JweRules {
                algs: AllowList::new(algs).unwrap_or_else(|_| unreachable!()), // invariant: not empty, above
                encs: AllowList::new(encs).unwrap_or_else(|_| unreachable!()), // invariant: as above
                unprotected: match is_strict {
                    true => UnprotectedHeaders::RecipientKey,
                    false => UnprotectedHeaders::Joint,
                },
                limits: limits.clone(),
            },
            jws: JwsRules {
                algs: AllowList::new(sigs).unwrap_or_else(|_| unreachable!()), // invariant: as above
                unprotected: match is_strict {
                    true => JwsUnprotectedHeader::Ignored,
                    false => JwsUnprotectedHeader::Joint,
                },
                unencoded: !is_strict,
                limits,
            },
            named: Vec::new(),
            rsa_made_bits: if is_strict { 3072 } else { 2048 },
            rsa_partner_bits: if is_strict { 3072 } else { 2048 },
            // FIPS 186-5 appendix A.1.1: over 2^16.
            rsa_partner_exponent: if is_strict { 65537 } else { 3 },
            several_algs: !is_strict,
            failure_budget: is_strict.then_some(FailureBudget::STRICT),
        }
    }

    /// Allows algorithms of symmetric keys by name: no profile for production has any.
    ///
    /// # Errors
    /// [`Error::Config`] for an algorithm of key pairs, which belongs to the profile.
    pub fn with_symmetric(mut self, algs: &[KeyAlgorithm]) -> Result<Self> {
        if let Some(alg) = algs.iter().find(|alg| !alg.is_symmetric()) {
            return Err(Error::Config(format!(
                "policy.symmetric: {alg} is not for symmetric keys; a wider profile may allow it"
            )));
        }
        let unwrap = algs.iter().filter_map(|alg| match alg {
            KeyAlgorithm::Unwrap(alg) => Some(*alg),
            KeyAlgorithm::Sign(_) => None,
        });
        let sign = algs.iter().filter_map(|alg| match alg {
            KeyAlgorithm::Sign(alg) => Some(*alg),
            KeyAlgorithm::Unwrap(_) => None,
        });
        self.jwe.algs = self.jwe.algs.widened(unwrap);
        self.jws.algs = self.jws.algs.widened(sign);
        self.named = algs.to_vec();
        Ok(self)
    }

    /// Narrows what is made and taken outside of contexts.
    ///
    /// # Errors
    /// [`Error::Config`]: an empty list, or a value that the profile does not allow.
    pub fn narrowed(
        mut self,
        jwe_algs: Option<&[KeyManagement]>,
        jwe_encs: Option<&[ContentEncryption]>,
        jws_algs: Option<&[SignatureAlgorithm]>,
    ) -> Result<Self> {
        self.jwe.algs = self.jwe.algs.narrowed(jwe_algs, "policy.jwe_alg")?;
        self.jwe.encs = self.jwe.encs.narrowed(jwe_encs, "policy.jwe_enc")?;
        self.jws.algs = self.jws.algs.narrowed(jws_algs, "policy.jws_alg")?;
        Ok(self)
    }

    /// Takes the extensions that `crit` may name outside a context, and whether the payload of a JWS
    /// may be unencoded there; `None` leaves that to the profile.
    pub fn extended(mut self, critical: CriticalExtensions, unencoded: Option<bool>) -> Self {
        self.jwe.limits.critical = critical.clone();
        self.jws.limits.critical = critical;
        self.jws.unencoded = unencoded.unwrap_or(self.jws.unencoded);
        self
    }

    /// Returns the algorithms of symmetric keys that are allowed.
    pub fn symmetric(&self) -> impl Iterator<Item = KeyAlgorithm> + '_ {
        let unwrap = self.jwe.algs.iter().map(KeyAlgorithm::Unwrap);
        unwrap.chain(self.jws.algs.iter().map(KeyAlgorithm::Sign)).filter(|alg| alg.is_symmetric())
    }

    /// Returns whether the policy lets an algorithm of ours work outside a context.
    #[must_use]
    pub fn allows(&self, alg: KeyAlgorithm) -> bool {
        match alg {
            KeyAlgorithm::Unwrap(alg) => self.jwe.algs.contains(alg),
            KeyAlgorithm::Sign(alg) => self.jws.algs.contains(alg),
        }
    }

    /// Returns whether a context may name an algorithm: one of the profile, one of symmetric keys that is
    /// named, or one of the policy's own lists.
    pub(crate) fn allows_in_context(&self, alg: KeyAlgorithm) -> bool {
        self.allows(alg) || self.named.contains(&alg) || Self::of(self.profile).allows(alg)
    }

    /// As [`Policy::allows_in_context`], of content encryption.
    pub(super) fn allows_content_in_context(&self, enc: ContentEncryption) -> bool {
        self.jwe.encs.contains(enc) || Self::of(self.profile).jwe.encs.contains(enc)
    }

    /// Checks the length of a key that is to be made here.
    ///
    /// # Errors
    /// [`Error::Policy`] naming what is needed.
    pub fn check_made(&self, shape: KeyShape) -> Result<()> {
        match shape {
            KeyShape::Rsa { bits } if bits < self.rsa_made_bits => Err(Error::Policy(format!(
                "an RSA key of {bits} bits, this profile makes them from {} bits",
                self.rsa_made_bits
            ))),
            _ => Ok(()),
        }
    }

    /// Checks a partner's key, to encrypt to or to verify with: its size, and the exponent of RSA.
    ///
    /// # Errors
    /// [`Error::Policy`] naming what is needed.
    pub fn check_partner_key(&self, key: &PublicKey) -> Result<()> {
        let PublicKey::Rsa(rsa) = key else { return Ok(()) };
        if rsa.bits() < self.rsa_partner_bits as usize {
            return Err(Error::Policy(format!(
                "a partner's RSA key of {} bits, this profile takes {} or more",
                rsa.bits(),
                self.rsa_partner_bits
            )));
        }
        let exponent = rsa.e().iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        if exponent < self.rsa_partner_exponent {
            return Err(Error::Policy(format!(
                "a partner's RSA key with the public exponent {exponent}, this profile takes {} or \
                 more",
                self.rsa_partner_exponent
            )));
        }
        Ok(())
    }

    /// Returns the SHA-256 of the policy and its contexts' texts, in hexadecimal: what an audit
    /// record names.
    pub fn hash(&self, contexts: &[String]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.text());
        for context in contexts {
            hash.update([0]);
            hash.update(context);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the policy in words, one rule a line.
    pub fn text(&self) -> String {
        let critical: Vec<_> = self.jws.limits.critical.names().collect();
        format!(
            "profile {}\nJWE alg: {}\nJWE enc: {}\nJWE unprotected headers: {}\nJWS alg: {}\nsymmetric keys: {}\n\
             JWS unprotected header: {}\nJWS unencoded payload (b64 false): {}\ncrit: {}\n\
             RSA made here: {} bits or more\nRSA of partners: {} bits or more, exponent {} or more\n\
             refused parameters: {}\ntoken: at most {} bytes\nfailed decryptions of a peer with a \
             key: {}\n",
            self.profile.name(),
            self.jwe.algs,
            self.jwe.encs,
            self.jwe.unprotected.text(),
            self.jws.algs,
            match AllowList::new(self.symmetric()) {
                Ok(algs) => algs.to_string(),
                Err(_) => "none".to_owned(),
            },
            self.jws.unprotected,
            if self.jws.unencoded { "taken" } else { "refused" },
            match critical.is_empty() {
                true => "nothing is understood".to_owned(),
                false => format!("understood: {}", critical.join(", ")),
            },
            self.rsa_made_bits,
            self.rsa_partner_bits,
            self.rsa_partner_exponent,
            [ZIP.0]
                .into_iter()
                .chain(self.jwe.limits.refused_parameters.iter().copied())
                .collect::<Vec<_>>()
                .join(", "),
            self.jwe.limits.max_token_len,
            match self.failure_budget {
                Some(budget) => {
                    format!("at most {} in {} s", budget.failures(), budget.window().as_secs())
                }
                None => "not counted".to_owned(),
            },
        )
    }
}

impl Limits {
    /// Checks the header of a JWE, and what `crit` names of its protected part.
    pub(crate) fn check(&self, header: &impl Parameters, protected: &Header) -> Result<()> {
        self.refuse(header, &[ZIP, B64])?;
        self.critical.check(protected, &[])
    }

    /// Checks the header of a JWS. Whoever reads it knows `b64`.
    pub(super) fn check_jws(&self, header: &impl Parameters, protected: &Header) -> Result<()> {
        self.refuse(header, &[ZIP])?;
        self.critical.check(protected, &["b64"])
    }

    fn refuse(&self, header: &impl Parameters, never: &[(&str, &str)]) -> Result<()> {
        for (name, why) in never {
            if header.has(name) {
                return Err(Error::Policy(format!("header parameter {name} is refused: {why}")));
            }
        }
        self.refuse_keys(header)
    }

    /// Refuses parameters that bring keys along.
    pub(crate) fn refuse_keys(&self, header: &impl Parameters) -> Result<()> {
        if let Some(name) = self.refused_parameters.iter().find(|name| header.has(name)) {
            return Err(Error::Policy(format!(
                "header parameter {name} is refused: keys come from a registration, never from a token"
            )));
        }
        Ok(())
    }
}
