//! Contexts: the application says what a token *is*, the rest follows from here.

use serde::{Deserialize, Serialize};

use super::{AllowList, JweRules, JwsRules};
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::jose::header::Header;
use crate::jose::jwk::PublicJwk;

/// What a token is made of.
///
/// ```
/// use hsm_jose::policy::Nesting;
///
/// assert!(Nesting::JweOfJws.is_signed() && Nesting::JweOfJws.is_encrypted());
/// assert!(!Nesting::Jwe.is_signed());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nesting {
    /// Signed only.
    #[serde(rename = "jws")]
    Jws,
    /// Signed, then encrypted: a nested JWT (RFC 7519 section 5.2 and appendix A.2).
    #[serde(rename = "jwe(jws)")]
    JweOfJws,
    /// Encrypted and *not signed*: anyone with the public key can make one. What comes out is
    /// never called verified.
    #[serde(rename = "jwe")]
    Jwe,
}

/// What a token is, and what follows from it.
///
/// ```
/// # use hsm_jose::policy::{Context, Nesting, OpenRules, SealRules};
/// # let context = Context {
/// #     name: "vp".into(),
/// #     nesting: Nesting::Jwe,
/// #     typ: None,
/// #     skew: 60,
/// #     max_token_len: 65536,
/// #     seal: None,
/// #     open: Some(OpenRules {
/// #         audience: None,
/// #         issuers: Vec::new(),
/// #         trust: Vec::new(),
/// #         decrypt: vec!["verifier-enc".into()],
/// #         jwe: Some(hsm_jose::policy::Policy::of(Default::default()).jwe),
/// #         jws: None,
/// #         max_lifetime: None,
/// #     }),
/// # };
///
/// assert!(context.opening().is_ok());
/// assert!(context.sealing().is_err(), "nobody makes its tokens here");
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    /// The name in the configuration.
    pub name: String,
    /// What a token is made of.
    pub nesting: Nesting,
    /// The explicit type (RFC 8725 section 3.11), as it is sent. `None`: `JWT` is sent, and `JWT` or
    /// nothing is taken.
    pub typ: Option<String>,
    /// The clock skew that is tolerated, in seconds.
    pub skew: u64,
    /// The longest token, in bytes.
    pub max_token_len: usize,
    /// How to make one; `None` if this party does not.
    pub seal: Option<SealRules>,
    /// What to take; `None` if this party does not.
    pub open: Option<OpenRules>,
}

/// How a token of a context is made.
///
/// ```
/// # use hsm_jose::policy::{Context, Nesting, OpenRules, SealRules};
/// # let context = Context {
/// #     name: "vp".into(),
/// #     nesting: Nesting::Jwe,
/// #     typ: None,
/// #     skew: 60,
/// #     max_token_len: 65536,
/// #     seal: None,
/// #     open: Some(OpenRules {
/// #         audience: None,
/// #         issuers: Vec::new(),
/// #         trust: Vec::new(),
/// #         decrypt: vec!["verifier-enc".into()],
/// #         jwe: Some(hsm_jose::policy::Policy::of(Default::default()).jwe),
/// #         jws: None,
/// #         max_lifetime: None,
/// #     }),
/// # };
///
/// let rules: Option<&SealRules> = context.seal.as_ref();
/// assert!(rules.is_none());
/// ```
#[derive(Clone, Debug)]
pub struct SealRules {
    /// `iss`; only [`Nesting::Jwe`] may have none ([`Context::check_complete`]).
    pub issuer: Option<String>,
    /// Where `aud` comes from; only [`Nesting::Jwe`] may have none.
    pub audience: Option<Audience>,
    /// The name of the signing key; `None` for [`Nesting::Jwe`].
    pub sign: Option<String>,
    /// JWE algorithms in order of preference (`encrypt` of a configuration); `None` for
    /// [`Nesting::Jws`].
    pub algs: Option<AllowList<KeyManagement>>,
    /// Content encryptions in order of preference (`content` of a configuration); `None` for
    /// [`Nesting::Jws`].
    pub encs: Option<AllowList<ContentEncryption>>,
    /// `exp` minus `iat`, in seconds; only [`Nesting::Jwe`] may have none, and stamps neither then.
    pub lifetime: Option<u64>,
}

/// Where the audience of a token comes from.
///
/// ```
/// use hsm_jose::policy::Audience;
///
/// assert_ne!(Audience::Recipient, Audience::Fixed("https://partner.example".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// From the recipient's registration.
    Recipient,
    /// Always this one.
    Fixed(String),
}

/// What is taken in a context.
///
/// ```
/// # use hsm_jose::policy::{Context, Nesting, OpenRules, SealRules};
/// # let context = Context {
/// #     name: "vp".into(),
/// #     nesting: Nesting::Jwe,
/// #     typ: None,
/// #     skew: 60,
/// #     max_token_len: 65536,
/// #     seal: None,
/// #     open: Some(OpenRules {
/// #         audience: None,
/// #         issuers: Vec::new(),
/// #         trust: Vec::new(),
/// #         decrypt: vec!["verifier-enc".into()],
/// #         jwe: Some(hsm_jose::policy::Policy::of(Default::default()).jwe),
/// #         jws: None,
/// #         max_lifetime: None,
/// #     }),
/// # };
///
/// assert_eq!(context.opening()?.decrypt, ["verifier-enc"]);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenRules {
    /// Our own name, which `aud` must hold; only [`Nesting::Jwe`] may have none
    /// ([`Context::check_complete`]).
    pub audience: Option<String>,
    /// The issuers that are taken; empty: whoever `trust` vouches for.
    pub issuers: Vec<String>,
    /// The issuers' keys; empty for [`Nesting::Jwe`].
    pub trust: Vec<PublicJwk>,
    /// Names of our decryption keys; empty for [`Nesting::Jws`].
    pub decrypt: Vec<String>,
    /// What the JWE may be; `None` for [`Nesting::Jws`].
    pub jwe: Option<JweRules>,
    /// What the JWS may be; `None` for [`Nesting::Jwe`].
    pub jws: Option<JwsRules>,
    /// The longest lifetime that is taken, in seconds; `None`: any.
    pub max_lifetime: Option<u64>,
}

impl Nesting {
    /// Returns whether tokens carry a signature.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Jws | Self::JweOfJws)
    }

    /// Returns whether tokens are encrypted.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Jwe | Self::JweOfJws)
    }
}

impl Context {
    /// Returns the `typ` that is sent.
    pub fn sent_typ(&self) -> &str {
        self.typ.as_deref().unwrap_or("JWT")
    }

    /// Checks the `typ` of the JWT itself: the signed one, or the encrypted one where nothing is
    /// signed.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn check_typ(&self, header: &Header) -> Result<()> {
        let expected = media_type(self.sent_typ());
        match header.typ() {
            Some(typ) if media_type(typ) == expected => Ok(()),
            None if self.typ.is_none() => Ok(()),
            _ => Err(Error::Policy(format!(
                "typ is not {:?}, which context {} requires",
                self.sent_typ(),
                self.name
            ))),
        }
    }

    /// Returns the half that makes tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] if the context has none.
    pub fn sealing(&self) -> Result<&SealRules> {
        self.seal.as_ref().ok_or_else(|| self.without("seal", "made"))
    }

    /// Returns the half that takes tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] if the context has none.
    pub fn opening(&self) -> Result<&OpenRules> {
        self.open.as_ref().ok_or_else(|| self.without("open", "taken"))
    }

    /// Refuses a context in which one trusted issuer could speak for another (RFC 8725 section 3.8):
    /// one that takes several issuers, or binds some keys, binds every key to its issuer.
    ///
    /// Keys without `iss`, in a context that names one issuer or none, are keys of one domain: each
    /// of them speaks for whatever issuer the context takes.
    ///
    /// # Errors
    /// [`Error::Config`] naming the context and what to do.
    pub fn check_issuers(&self) -> Result<()> {
        let Some(open) = self.open.as_ref().filter(|_| self.nesting.is_signed()) else {
            return Ok(());
        };
        let bound = open.trust.iter().filter(|key| key.iss.is_some()).count();
        let needs_binding = open.issuers.len() > 1 || (open.issuers.is_empty() && bound > 0);
        if needs_binding && bound < open.trust.len() {
            return Err(Error::Config(format!(
                "context {} cannot tell its issuers apart: give every key of its trust file the \
                 member \"iss\" with the one issuer it signs for",
                self.name
            )));
        }
        Ok(())
    }

    fn without(&self, half: &str, verb: &str) -> Error {
        Error::Usage(format!(
            "context {0} has no [context.{0}.{half}]: its tokens are not {verb} here",
            self.name
        ))
    }
}

/// Returns a media type in the form it is compared in: lower case, without `application/` where
/// nothing else has a slash (RFC 7515 section 4.1.9).
pub fn media_type(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => lower,
    }
}

/// Refuses two contexts that would accept each other's tokens (RFC 8725 section 3.12).
///
/// Two signed contexts are told apart by `typ`, by the audience, or by having no issuer key in
/// common. Nesting and decryption keys do *not* tell them apart: whoever received a nested JWT can
/// take its signed half out, and send it bare or encrypt it to another of our keys.
///
/// # Errors
/// [`Error::Config`] naming both contexts and what would tell them apart.
pub fn refuse_confusable(contexts: &[Context]) -> Result<()> {
    for (index, a) in contexts.iter().enumerate() {
        for b in &contexts[index + 1..] {
            let (Some(open_a), Some(open_b)) = (&a.open, &b.open) else { continue };
            let is_unsigned = |context: &Context| context.nesting == Nesting::Jwe;
            let one_source = match (is_unsigned(a), is_unsigned(b)) {
                (false, false) => open_a.trust.iter().any(|key| {
                    open_b.trust.iter().any(|other| key.key == other.key && same_issuer(key, other))
                }),
                (true, true) => open_a.decrypt.iter().any(|key| open_b.decrypt.contains(key)),
                // Claims against a signed token: the content's form tells them apart.
                _ => false,
            };
            // Whoever asks for no audience takes the tokens of any.
            let audiences_meet = match (&open_a.audience, &open_b.audience) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            };
            if one_source && audiences_meet && typs_meet(a, b) {
                return Err(Error::Config(format!(
                    "contexts {} and {} would accept each other's tokens: same audience (or none), same \
                     keys, same typ; give each a typ of its own",
                    a.name, b.name
                )));
            }
        }
    }
    Ok(())
}

fn same_issuer(a: &PublicJwk, b: &PublicJwk) -> bool {
    match (&a.iss, &b.iss) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn typs_meet(a: &Context, b: &Context) -> bool {
    media_type(a.sent_typ()) == media_type(b.sent_typ())
}
