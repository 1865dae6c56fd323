//! What we produce and what we accept: decided here, from a file an auditor can read, before any
//! private key is touched.

mod budget;
mod context;
mod critical;
mod profile;
mod taken;
mod unprotected;
mod words;

pub use budget::{FailureBudget, MAX_ACCOUNTS, MAX_FAILURES, MAX_WINDOW};
pub use context::{
    Audience, Context, Nesting, OpenRules, SealRules, media_type, refuse_confusable,
};
pub use critical::{CriticalExtension, CriticalExtensions};
pub use profile::{Limits, Policy, Profile};
pub use unprotected::UnprotectedHeaders;
pub(crate) use words::{check_nested_cty, refuse_nested_cty};

use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use crate::jose::header::Header;
use crate::jose::parameters::Parameters;
use crate::jose::refused;

/// An ordered list of what is allowed: never empty, and nothing twice.
///
/// The order is that of preference when producing.
///
/// ```
/// use hsm_jose::jose::alg::SignatureAlgorithm;
/// use hsm_jose::policy::AllowList;
///
/// let allowed = AllowList::new([SignatureAlgorithm::Es256, SignatureAlgorithm::Ps256])?;
/// assert!(allowed.contains(SignatureAlgorithm::Es256));
/// assert!(AllowList::<SignatureAlgorithm>::new([]).is_err(), "an empty list is a mistake");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList<T>(Vec<T>);

/// What a JWE must be to reach a key: for whoever names the algorithms of a protocol.
///
/// ```
/// use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
/// use hsm_jose::policy::JweRules;
///
/// let rules = JweRules::new([KeyManagement::EcdhEs], [ContentEncryption::A256Gcm])?;
/// assert!(!rules.algs.contains(KeyManagement::RsaOaep));
/// assert!(JweRules::new([], [ContentEncryption::A256Gcm]).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// There are no rules that name nothing:
///
/// ```compile_fail,E0599
/// let rules = hsm_jose::policy::JweRules::default();
/// ```
#[derive(Clone, Debug)]
pub struct JweRules {
    /// Allowed `alg` values.
    pub algs: AllowList<KeyManagement>,
    /// Allowed `enc` values.
    pub encs: AllowList<ContentEncryption>,
    /// What is believed of a header that is not protected.
    pub unprotected: UnprotectedHeaders,
    /// Limits that hold for any token.
    pub limits: Limits,
}

/// What a JWS must be to reach a key: for whoever names the algorithms of a protocol.
///
/// ```
/// use hsm_jose::jose::alg::SignatureAlgorithm;
/// use hsm_jose::policy::JwsRules;
///
/// let rules = JwsRules::new([SignatureAlgorithm::Es256])?;
/// assert!(!rules.unencoded);
/// assert!(JwsRules::new([]).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct JwsRules {
    /// Allowed `alg` values.
    pub algs: AllowList<SignatureAlgorithm>,
    /// Whether `alg` and `kid` of an unprotected header are believed.
    pub unprotected: JwsUnprotectedHeader,
    /// Whether a payload may be unencoded: `b64` false (RFC 7797). Never in a JWT, whatever stands
    /// here (section 7).
    pub unencoded: bool,
    /// Limits that hold for any token.
    pub limits: Limits,
}

/// What is believed of the JWS Unprotected Header of a JSON serialization (RFC 7515 section 7.2.1).
///
/// Whatever is chosen: `crit` and `b64` there are malformed, `typ` and `cty` count only where they are
/// protected, and a member that policy refuses is refused there too.
///
/// ```
/// use hsm_jose::policy::{JwsUnprotectedHeader, Policy, Profile};
///
/// assert_eq!(Policy::of(Profile::Strict).jws.unprotected, JwsUnprotectedHeader::Ignored);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsUnprotectedHeader {
    /// Nothing: `alg` must be protected, and a `kid` that is not names no key, as if it were not
    /// there.
    Ignored,
    /// `alg` and `kid`, as the JOSE Header has them (RFC 7515 section 4, RFC 7520 sections 4.6
    /// and 4.7), still within the allow-lists. For interoperability: whoever stands between can
    /// change them.
    Joint,
}

impl<T: Copy + PartialEq> AllowList<T> {
    /// Takes the allowed values.
    ///
    /// # Errors
    /// [`Error::Config`] if there are none: a list that allows nothing is a mistake, and one that
    /// is left out must not mean everything.
    pub fn new(values: impl IntoIterator<Item = T>) -> Result<Self> {
        let mut list = Vec::new();
        for value in values {
            if !list.contains(&value) {
                list.push(value);
            }
        }
        if list.is_empty() {
            return Err(Error::Config("an allow-list is empty: name what is allowed".into()));
        }
        Ok(Self(list))
    }

    /// Returns the values in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter().copied()
    }

    /// Returns whether `value` is allowed.
    #[must_use]
    pub fn contains(&self, value: T) -> bool {
        self.0.contains(&value)
    }

    /// Adds values to the end of the list.
    pub(crate) fn widened(&self, more: impl IntoIterator<Item = T>) -> Self {
        let mut list = self.0.clone();
        for value in more {
            if !list.contains(&value) {
                list.push(value);
            }
        }
        Self(list)
    }

    /// Keeps the values of `wish`, in its order, all of which must be in this list.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first value that is not: a narrower list never widens.
    pub fn narrowed(&self, wish: Option<&[T]>, what: &str) -> Result<Self>
    where
        T: std::fmt::Display,
    {
        let Some(wish) = wish else { return Ok(self.clone()) };
        if let Some(value) = wish.iter().find(|value| !self.contains(**value)) {
            return Err(Error::Config(format!(
                "{what}: {value} is not in the profile ({self}); only a wider profile allows it"
            )));
        }
        Self::new(wish.iter().copied())
    }
}

impl<T: std::fmt::Display> std::fmt::Display for AllowList<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl JweRules {
    /// Allows these algorithms, in order of preference, and nothing that profile `strict` would not
    /// take otherwise.
    ///
    /// # Errors
    /// [`Error::Config`] for a list without a value.
    pub fn new(
        algs: impl IntoIterator<Item = KeyManagement>,
        encs: impl IntoIterator<Item = ContentEncryption>,
    ) -> Result<Self> {
        Ok(Self {
            algs: AllowList::new(algs)?,
            encs: AllowList::new(encs)?,
            unprotected: UnprotectedHeaders::RecipientKey,
            limits: Limits::default(),
        })
    }

    /// Checks the header of a JWE that is protected as a whole.
    ///
    /// # Errors
    /// [`Error::Policy`] with the first reason found; [`Error::Malformed`] for a header without `enc`.
    pub fn check(&self, header: &Header) -> Result<(KeyManagement, ContentEncryption)> {
        self.limits.check(header, header)?;
        Ok((self.check_alg(header)?, self.check_enc(header)?))
    }

    pub(crate) fn check_alg(&self, header: &impl Parameters) -> Result<KeyManagement> {
        let alg = header.key_management().filter(|alg| self.algs.contains(*alg));
        alg.ok_or_else(|| refused_name("alg", header.alg(), &self.algs))
    }

    pub(crate) fn check_enc(&self, header: &impl Parameters) -> Result<ContentEncryption> {
        if !header.has("enc") {
            // RFC 7516 section 4.1.2: it must be present.
            return Err(Error::Malformed("header: enc is missing".into()));
        }
        let enc = header.content_encryption().filter(|enc| self.encs.contains(*enc));
        enc.ok_or_else(|| refused_name("enc", header.enc(), &self.encs))
    }
}

impl JwsRules {
    /// Allows these algorithms, in order of preference, and nothing that profile `strict` would not
    /// take otherwise.
    ///
    /// # Errors
    /// [`Error::Config`] for a list without a value.
    pub fn new(algs: impl IntoIterator<Item = SignatureAlgorithm>) -> Result<Self> {
        Ok(Self {
            algs: AllowList::new(algs)?,
            unprotected: JwsUnprotectedHeader::Ignored,
            unencoded: false,
            limits: Limits::default(),
        })
    }

    /// Checks the header of a JWS that is protected as a whole.
    ///
    /// # Errors
    /// [`Error::Policy`] with the first reason found.
    pub fn check(&self, header: &Header) -> Result<SignatureAlgorithm> {
        self.check_believed(header, header)
    }

    /// Checks what is believed of a header, of which `crit` knows the protected part only.
    pub(crate) fn check_believed(
        &self,
        header: &impl Parameters,
        protected: &Header,
    ) -> Result<SignatureAlgorithm> {
        self.limits.check_jws(header, protected)?;
        if header.member("b64") == Some(&serde_json::Value::Bool(false)) && !self.unencoded {
            return Err(Error::Policy(
                "an unencoded payload (b64 false) is not allowed here: see policy.unencoded".into(),
            ));
        }
        if header.has("enc") {
            return Err(Error::Policy("a JWS with enc in its header".into()));
        }
        let alg = header.signature_algorithm().filter(|alg| self.algs.contains(*alg));
        alg.ok_or_else(|| refused_name("alg", header.alg(), &self.algs))
    }
}

/// What is said of an algorithm that is not allowed.
pub(crate) fn refused_name<T: std::fmt::Display>(
    what: &str,
    name: &str,
    allowed: &AllowList<T>,
) -> Error {
    // Names come from a stranger: shown short, and escaped by the debug form.
    let shown: String = name.chars().take(32).collect();
    let why = match (refused::find(name), KeyAlgorithm::from_name(name)) {
        _ if what != "alg" => String::new(),
        (Some(refused), _) => format!(" ({})", refused.why),
        (None, Some(alg)) if alg.is_symmetric() => {
            " (symmetric keys work only where `symmetric` of [policy] names their algorithm)".into()
        }
        (None, _) => String::new(),
    };
    Error::Policy(format!("{what} {shown:?} is not allowed here{why}; allowed: {allowed}"))
}
