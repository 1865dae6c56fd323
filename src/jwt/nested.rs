//! The two lists of the engine as two functions: seal (sign, then encrypt) and open (decrypt, then
//! verify, then check the claims).

use zeroize::Zeroizing;

use crate::backend::HardwareKey;
use crate::error::{Error, Result};
use crate::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
use crate::jose::base64url;
use crate::jose::header::Header;
use crate::jose::serialization::only_compact;
use crate::jwe::{self, Decrypted, JweParameters, JweToken, Recipient};
use crate::jws::{self, JwsParameters, JwsToken, TrustedKeys, Verified};
use crate::policy::{
    Context, Nesting, OpenRules, Policy, check_nested_cty, refuse_nested_cty, refused_name,
};
use crate::secret::Plaintext;

use super::claims::Claims;
use super::steps::DecryptedJwt;

/// Claims of an opened token: verified, or (in contexts that say so) only decrypted.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::config::Config;
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::jwk::PublicJwk;
/// # use hsm_jose::jws::TrustedKeys;
/// # use hsm_jose::jwe::{self, Attempt, Decrypted, JweBuilder, JweToken, Recipient};
/// # use hsm_jose::jwt::OuterKeys;
/// # struct Only<'k>(&'k dyn HardwareKey);
/// # impl OuterKeys for Only<'_> {
/// #     fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> hsm_jose::Result<Decrypted> {
/// #         jwe::decrypt(token, &[Attempt { recipient: 0, key: self.0 }])
/// #     }
/// # }
/// # let alg = KeyManagement::EcdhEsA256Kw;
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(alg)] };
/// # let key = MemoryKeystore::new("soft").generate_ephemeral(&spec)?;
/// # let recipient = Recipient::new(PublicJwk::bare(key.info().public.clone().unwrap()))?;
/// # let text = "schema = 1\nenvironment = \"test\"\n[keystore.soft]\ntype = \"memory\"\n\
/// #     [context.vp]\nnesting = \"jwe\"\n[context.vp.open]\ndecrypt = [\"verifier-enc\"]\n";
/// # let config = Config::parse("hsm-jose.toml".as_ref(), text)?;
/// # let context = hsm_jose::engine::load::contexts(&config)?.remove(0);
/// # let token = JweBuilder::new(ContentEncryption::A256Gcm)
/// #     .to(&recipient, alg)
/// #     .encrypt(Default::default(), br#"{"vp_token":"presented"}"#)?;
/// # let (keys, trusted, now) = (Only(&*key), TrustedKeys::default(), 1_780_000_000);
/// use hsm_jose::jwt::{self, Opened};
///
/// let opened = jwt::open(&context, token.as_bytes(), &keys, &trusted, now)?;
/// assert_eq!(opened.claims().members()["vp_token"], "presented");
/// // Only what somebody signed is acted upon, and nobody signs the tokens of this context.
/// assert!(!matches!(opened, Opened::Verified(_)));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Opened {
    /// Signed by an issuer that the context trusts.
    Verified(Verified<Claims>),
    /// From a context whose nesting is `jwe`: nobody signed them.
    Unsigned(DecryptedUnsigned),
}

/// Claims that were decrypted and that nobody signed: anyone who has the public key can have made
/// them. They never become [`Verified`].
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::config::Config;
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::jwk::PublicJwk;
/// # use hsm_jose::jws::TrustedKeys;
/// # use hsm_jose::jwe::{self, Attempt, Decrypted, JweBuilder, JweToken, Recipient};
/// # use hsm_jose::jwt::OuterKeys;
/// # struct Only<'k>(&'k dyn HardwareKey);
/// # impl OuterKeys for Only<'_> {
/// #     fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> hsm_jose::Result<Decrypted> {
/// #         jwe::decrypt(token, &[Attempt { recipient: 0, key: self.0 }])
/// #     }
/// # }
/// # let alg = KeyManagement::EcdhEsA256Kw;
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(alg)] };
/// # let key = MemoryKeystore::new("soft").generate_ephemeral(&spec)?;
/// # let recipient = Recipient::new(PublicJwk::bare(key.info().public.clone().unwrap()))?;
/// # let text = "schema = 1\nenvironment = \"test\"\n[keystore.soft]\ntype = \"memory\"\n\
/// #     [context.vp]\nnesting = \"jwe\"\n[context.vp.open]\ndecrypt = [\"verifier-enc\"]\n";
/// # let config = Config::parse("hsm-jose.toml".as_ref(), text)?;
/// # let context = hsm_jose::engine::load::contexts(&config)?.remove(0);
/// # let token = JweBuilder::new(ContentEncryption::A256Gcm)
/// #     .to(&recipient, alg)
/// #     .encrypt(Default::default(), br#"{"vp_token":"presented"}"#)?;
/// # let (keys, trusted, now) = (Only(&*key), TrustedKeys::default(), 1_780_000_000);
/// use hsm_jose::jwt::{self, Opened};
///
/// let opened = jwt::open(&context, token.as_bytes(), &keys, &trusted, now)?;
/// let Opened::Unsigned(response) = opened else { panic!("a context of signed tokens") };
/// // An OpenID4VP response: the presentation in it is verified by what it is signed with.
/// assert_eq!(response.claims().members()["vp_token"], "presented");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// It does not pass for something that was verified:
///
/// ```compile_fail,E0308
/// # use hsm_jose::jws::Verified;
/// # use hsm_jose::jwt::{Claims, DecryptedUnsigned};
/// # fn act_on(claims: &Verified<Claims>) {}
/// fn confused(unsigned: &DecryptedUnsigned) {
///     act_on(unsigned);
/// }
/// ```
#[derive(Debug)]
pub struct DecryptedUnsigned {
    claims: Claims,
    header: Header,
}

/// Finds our keys for a JWE that policy has let through: the one its `kid` names, or the
/// candidates.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// # use hsm_jose::config::Config;
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::jwk::PublicJwk;
/// # use hsm_jose::jws::TrustedKeys;
/// # use hsm_jose::jwe::{JweBuilder, Recipient};
/// # let alg = KeyManagement::EcdhEsA256Kw;
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(alg)] };
/// # let key = MemoryKeystore::new("soft").generate_ephemeral(&spec)?;
/// # let recipient = Recipient::new(PublicJwk::bare(key.info().public.clone().unwrap()))?;
/// # let text = "schema = 1\nenvironment = \"test\"\n[keystore.soft]\ntype = \"memory\"\n\
/// #     [context.vp]\nnesting = \"jwe\"\n[context.vp.open]\ndecrypt = [\"verifier-enc\"]\n";
/// # let config = Config::parse("hsm-jose.toml".as_ref(), text)?;
/// # let context = hsm_jose::engine::load::contexts(&config)?.remove(0);
/// # let token = JweBuilder::new(ContentEncryption::A256Gcm)
/// #     .to(&recipient, alg)
/// #     .encrypt(Default::default(), br#"{"vp_token":"presented"}"#)?;
/// use hsm_jose::backend::HardwareKey;
/// use hsm_jose::jwe::{self, Attempt, Decrypted, JweToken};
/// use hsm_jose::jwt::{self, OuterKeys};
///
/// /// One key, whatever the token names.
/// struct Only<'k>(&'k dyn HardwareKey);
///
/// impl OuterKeys for Only<'_> {
///     fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> hsm_jose::Result<Decrypted> {
///         jwe::decrypt(token, &[Attempt { recipient: 0, key: self.0 }])
///     }
/// }
///
/// # let (keys, trusted, now) = (Only(&*key), TrustedKeys::default(), 1_780_000_000);
/// let opened = jwt::open(&context, token.as_bytes(), &keys, &trusted, now)?;
/// assert_eq!(opened.claims().members()["vp_token"], "presented");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
pub trait OuterKeys {
    /// Decrypts with those keys.
    ///
    /// # Errors
    /// As [`jwe::decrypt`]; [`Error::KeyNotFound`] if there is no key to try.
    fn decrypt(&self, token: JweToken<'_>, names: &[String]) -> Result<Decrypted>;
}

/// Makes a token of `context`: stamps the claims, signs, encrypts, as its nesting says.
///
/// `signer` is the context's active signing key with its `kid` and `alg`; `recipient` the keys of
/// whoever shall open it, and `audience` the name they registered.
///
/// # Errors
/// [`Error::Config`] for a context that lacks what its tokens need or is wider than the policy
/// ([`Context::check`]), [`Error::Claim`] for claims that contradict the context, [`Error::Policy`] if
/// the policy does not allow the signer's algorithm, no key of the recipient fits, or the token is
/// longer than the context takes, [`Error::Usage`] as [`jws::sign`] and [`jwe::encrypt`], before
/// anything is signed where it can be known, or a device fault.
pub fn seal(
    context: &Context,
    policy: &Policy,
    claims: &Claims,
    signer: Option<(&dyn HardwareKey, &str, SignatureAlgorithm)>,
    recipients: &[Recipient],
    audience: Option<&str>,
    now: u64,
) -> Result<String> {
    context.check(policy)?;
    let rules = context.sealing()?;
    let content = claims.stamped(context, rules, audience, now)?;
    // As long as the token is at least: no device signs what will be refused for its length.
    check_len(context, base64url::encoded_len(content.len()))?;
    let typ = Some(context.sent_typ());
    let signer = match (context.nesting, signer) {
        (Nesting::Jwe, _) => None,
        (_, Some((_, _, alg))) if !policy.allows_in_context(KeyAlgorithm::Sign(alg)) => {
            return Err(refused_name("alg", alg.name(), &policy.jws.algs));
        }
        (_, Some(signer)) => Some(signer),
        (_, None) => return Err(lacks(context, "a signing key")),
    };
    let outer = match context.nesting {
        Nesting::Jws => None,
        Nesting::Jwe | Nesting::JweOfJws => {
            let algs = rules.algs.as_ref().ok_or_else(|| lacks(context, "JWE algorithms"))?;
            let encs = rules.encs.as_ref().ok_or_else(|| lacks(context, "content encryptions"))?;
            let (recipient, alg) = jwe::choose(recipients, algs, policy)?;
            let enc = encs.iter().next().ok_or_else(|| lacks(context, "content encryptions"))?;
            let (typ, cty) = if signer.is_some() { (None, Some("JWT")) } else { (typ, None) };
            let parameters = JweParameters { alg, enc, typ, cty, apu: &[], apv: &[] };
            // No device signs what cannot be sent then.
            jwe::check(recipient, &parameters, content.len())?;
            Some((recipient, parameters))
        }
    };
    let inner = signer.map(|(key, kid, alg)| {
        let parameters = JwsParameters { alg, kid: Some(kid), typ, cty: None };
        jws::sign(key, &parameters, &content).map(Zeroizing::new)
    });
    let inner = inner.transpose()?;
    let token = match (&outer, &inner) {
        (Some((recipient, parameters)), _) => {
            let content = inner.as_ref().map_or(&content[..], |token| token.as_bytes());
            jwe::encrypt(recipient, parameters, content)?
        }
        (None, Some(token)) => token.to_string(),
        (None, None) => return Err(lacks(context, "a signing key")),
    };
    check_len(context, token.len())?;
    Ok(token)
}

/// Opens a token of `context`: decrypts, verifies and checks the claims, as its nesting says. There
/// is no way to the claims of a signed context around the signature.
///
/// # Errors
/// Whatever refused it first: [`Error::Malformed`], [`Error::Policy`], [`Error::KeyNotFound`],
/// [`Error::DecryptionFailed`], [`Error::SignatureInvalid`], [`Error::Claim`], or a device fault;
/// before all of them [`Error::Config`] for a context that lacks what its tokens need.
pub fn open(
    context: &Context,
    token: &[u8],
    keys: &dyn OuterKeys,
    trusted: &TrustedKeys,
    now: u64,
) -> Result<Opened> {
    context.check_complete()?;
    let rules = context.opening()?;
    if context.nesting == Nesting::Jws {
        let payload = verify(context, rules, token, trusted)?;
        return claims(context, rules, payload, now).map(Opened::Verified);
    }
    let jwe_rules = rules.jwe.as_ref().ok_or_else(|| lacks(context, "JWE rules"))?;
    only_compact(token)?;
    let outer = JweToken::parse_compact(token, jwe_rules)?;
    if context.nesting == Nesting::JweOfJws {
        check_nested_cty(outer.header())?;
        let decrypted = DecryptedJwt::of(keys.decrypt(outer, &rules.decrypt)?);
        return decrypted.verify(context, trusted, now).map(Opened::Verified);
    }
    refuse_nested_cty(outer.header())?;
    context.check_typ(outer.header())?;
    let Decrypted { plaintext, header, .. } = keys.decrypt(outer, &rules.decrypt)?;
    let claims = Claims::parse(plaintext.into_bytes())?;
    claims.check(context, rules, None, now)?;
    claims.check_replicated(&header)?;
    Ok(Opened::Unsigned(DecryptedUnsigned { claims, header }))
}

pub(super) fn verify(
    context: &Context,
    rules: &OpenRules,
    token: &[u8],
    trusted: &TrustedKeys,
) -> Result<Verified<Plaintext>> {
    let jws_rules = rules.jws.as_ref().ok_or_else(|| lacks(context, "JWS rules"))?;
    only_compact(token)?;
    let jws = JwsToken::parse(token, jws_rules)?;
    context.check_typ(jws.header())?;
    if jws.header().has("cty") {
        return Err(Error::Policy(
            "the signed token has a cty: its payload would not be claims".into(),
        ));
    }
    jws.verify(trusted)
}

pub(super) fn claims(
    context: &Context,
    rules: &OpenRules,
    payload: Verified<Plaintext>,
    now: u64,
) -> Result<Verified<Claims>> {
    let verified = payload.try_map(|payload| Claims::parse(payload.into_bytes()))?;
    verified.get().check(context, rules, verified.key().iss.as_deref(), now)?;
    verified.get().check_replicated(verified.header())?;
    Ok(verified)
}

/// What the context would not take is not made in it.
fn check_len(context: &Context, len: usize) -> Result<()> {
    if len > context.max_token_len {
        return Err(Error::Policy(format!(
            "the token would have {len} bytes or more, context {} takes at most {}",
            context.name, context.max_token_len
        )));
    }
    Ok(())
}

impl Opened {
    /// Returns the claims, however they came: for showing them, not for deciding on them.
    pub fn claims(&self) -> &Claims {
        match self {
            Self::Verified(verified) => verified.get(),
            Self::Unsigned(unsigned) => &unsigned.claims,
        }
    }
}

impl DecryptedUnsigned {
    /// Returns the claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns the protected header, which the content's tag vouches for.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

fn lacks(context: &Context, what: &str) -> Error {
    Error::Config(format!("context {} lacks {what}", context.name))
}
