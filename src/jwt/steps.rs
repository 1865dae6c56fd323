//! A nested JWT step by step, for protocols of the caller's own: the wrong order does not compile.

use zeroize::Zeroizing;

use super::claims::Claims;
use super::nested::{claims, verify};
use crate::backend::HardwareKey;
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::jose::header::Header;
use crate::jose::serialization::{Serialization, only_compact};
use crate::jwe::{self, Attempt, Decrypted, JweBuilder, JweRecipient, JweToken, Recipient};
use crate::jws::{self, JwsParameters, TrustedKeys, Verified};
use crate::policy::{Context, JweRules, check_nested_cty};
use crate::secret::Plaintext;

/// A JWT that is signed, and can be sent as it is or encrypted.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::PublicJwk;
/// # use hsm_jose::jwe::Recipient;
/// use hsm_jose::jws::JwsParameters;
/// use hsm_jose::jwt::{Claims, SignedJwt};
///
/// # let keystore = MemoryKeystore::new("test");
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let (alg, enc) = (KeyManagement::EcdhEsA256Kw, ContentEncryption::A256Gcm);
/// # let es256 = SignatureAlgorithm::Es256;
/// # let signing_key = make(KeyAlgorithm::Sign(es256))?;
/// # let partner = make(KeyAlgorithm::Unwrap(alg))?;
/// # let jwk = PublicJwk::bare(partner.info().public.clone().unwrap());
/// # let recipient = Recipient::new(jwk)?;
/// let claims = Claims::parse(r#"{"iss":"https://issuer.example","sub":"alice"}"#)?;
/// let parameters =
///     JwsParameters { alg: es256, kid: Some("issuer-1"), typ: Some("JWT"), cty: None };
/// let signed = SignedJwt::sign(&claims, &*signing_key, &parameters)?;
/// let token = signed.encrypt(&recipient, alg, enc)?;
/// assert_eq!(token.split('.').count(), 5);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// Claims that are not signed cannot be encrypted as if they were:
///
/// ```compile_fail,E0599
/// # use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
/// # use hsm_jose::jwe::Recipient;
/// # use hsm_jose::jwt::Claims;
/// fn unsigned(claims: &Claims, recipient: &Recipient) -> hsm_jose::Result<String> {
///     claims.encrypt(recipient, KeyManagement::EcdhEs, ContentEncryption::A256Gcm)
/// }
/// ```
pub struct SignedJwt(Zeroizing<String>);

/// A nested JWT that came in and that policy has let through; no key has been asked.
///
/// It says for whom it is, and is then decrypted; what it holds is not seen before it is verified:
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::config::Config;
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::jwe::Recipient;
/// # use hsm_jose::jws::{JwsParameters, TrustedKeys};
/// # use hsm_jose::jwt::{Claims, SignedJwt};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let (keystore, shape) = (MemoryKeystore::new("soft"), KeyShape::Curve(Curve::P256));
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let (alg, es256) = (KeyManagement::EcdhEsA256Kw, SignatureAlgorithm::Es256);
/// # let (issuer, key) = (make(KeyAlgorithm::Sign(es256))?, make(KeyAlgorithm::Unwrap(alg))?);
/// # let jwk = |key: &dyn HardwareKey| PublicJwk::bare(key.info().public.clone().unwrap());
/// # let directory = tempfile::tempdir().unwrap();
/// # let set = JwkSet { keys: vec![jwk(&*issuer)] };
/// # let written = serde_json::json!({ "keys": [jwk(&*issuer)] }).to_string();
/// # std::fs::write(directory.path().join("issuers.json"), written).unwrap();
/// # let text = "schema = 1\nenvironment = \"test\"\n[keystore.soft]\ntype = \"memory\"\n\
/// #     [context.id]\nnesting = \"jwe(jws)\"\n[context.id.open]\ndecrypt = [\"enc\"]\n\
/// #     audience = \"https://rp.example\"\ntrust = \"issuers.json\"\n";
/// # let config = Config::parse(&directory.path().join("hsm-jose.toml"), text)?;
/// # let context = hsm_jose::engine::load::contexts(&config)?.remove(0);
/// # let policy = Policy::of(Profile::Strict);
/// # let (issuers, now) = (TrustedKeys::new(set, &policy), 1_780_000_000);
/// # let claims = Claims::parse(
/// #     r#"{"iss":"a","sub":"alice","aud":"https://rp.example","exp":1780000300}"#,
/// # )?;
/// # let parameters = JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// # let recipient = Recipient::new(jwk(&*key))?;
/// # let token = SignedJwt::sign(&claims, &*issuer, &parameters)?.encrypt(
/// #     &recipient,
/// #     alg,
/// #     ContentEncryption::A256Gcm,
/// # )?;
/// use hsm_jose::jwe::Attempt;
/// use hsm_jose::jwt::ReceivedJwt;
///
/// let received = ReceivedJwt::parse(token.as_bytes(), &policy.jwe)?;
/// assert_eq!(received.recipient().kid(), None, "whoever it is for");
/// let decrypted = received.decrypt(&[Attempt { recipient: 0, key: &*key }])?;
/// let verified = decrypted.verify(&context, &issuers, now)?;
/// assert_eq!(verified.get().members()["sub"], "alice");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// There is no verifying before decrypting:
///
/// ```compile_fail,E0599
/// # use hsm_jose::jws::TrustedKeys;
/// # use hsm_jose::jwt::ReceivedJwt;
/// # use hsm_jose::policy::Context;
/// fn early(received: ReceivedJwt<'_>, context: &Context, issuers: &TrustedKeys) {
///     received.verify(context, issuers, 0);
/// }
/// ```
///
/// and no token without rules for it:
///
/// ```compile_fail,E0061
/// # use hsm_jose::jwt::ReceivedJwt;
/// let received = ReceivedJwt::parse(b"e30....");
/// ```
#[derive(Debug)]
pub struct ReceivedJwt<'a>(JweToken<'a>);

/// A nested JWT that was decrypted, and that nobody is known to have signed.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::config::Config;
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::jwe::Recipient;
/// # use hsm_jose::jws::{JwsParameters, TrustedKeys};
/// # use hsm_jose::jwt::{Claims, SignedJwt};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let (keystore, shape) = (MemoryKeystore::new("soft"), KeyShape::Curve(Curve::P256));
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let (alg, es256) = (KeyManagement::EcdhEsA256Kw, SignatureAlgorithm::Es256);
/// # let (issuer, key) = (make(KeyAlgorithm::Sign(es256))?, make(KeyAlgorithm::Unwrap(alg))?);
/// # let jwk = |key: &dyn HardwareKey| PublicJwk::bare(key.info().public.clone().unwrap());
/// # let directory = tempfile::tempdir().unwrap();
/// # let set = JwkSet { keys: vec![jwk(&*issuer)] };
/// # let written = serde_json::json!({ "keys": [jwk(&*issuer)] }).to_string();
/// # std::fs::write(directory.path().join("issuers.json"), written).unwrap();
/// # let text = "schema = 1\nenvironment = \"test\"\n[keystore.soft]\ntype = \"memory\"\n\
/// #     [context.id]\nnesting = \"jwe(jws)\"\n[context.id.open]\ndecrypt = [\"enc\"]\n\
/// #     audience = \"https://rp.example\"\ntrust = \"issuers.json\"\n";
/// # let config = Config::parse(&directory.path().join("hsm-jose.toml"), text)?;
/// # let context = hsm_jose::engine::load::contexts(&config)?.remove(0);
/// # let policy = Policy::of(Profile::Strict);
/// # let (issuers, now) = (TrustedKeys::new(set, &policy), 1_780_000_000);
/// # let claims = Claims::parse(
/// #     r#"{"iss":"a","sub":"alice","aud":"https://rp.example","exp":1780000300}"#,
/// # )?;
/// # let parameters = JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// # let recipient = Recipient::new(jwk(&*key))?;
/// # let token = SignedJwt::sign(&claims, &*issuer, &parameters)?.encrypt(
/// #     &recipient,
/// #     alg,
/// #     ContentEncryption::A256Gcm,
/// # )?;
/// use hsm_jose::jwe::Attempt;
/// use hsm_jose::jwt::ReceivedJwt;
///
/// let take = || {
///     let received = ReceivedJwt::parse(token.as_bytes(), &policy.jwe)?;
///     received.decrypt(&[Attempt { recipient: 0, key: &*key }])
/// };
/// assert_eq!(take()?.verify(&context, &issuers, now)?.get().members()["sub"], "alice");
/// // A signature of somebody that is not trusted.
/// assert!(take()?.verify(&context, &TrustedKeys::default(), now).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// Its claims are behind [`DecryptedJwt::verify`], and nowhere else:
///
/// ```compile_fail,E0599
/// # use hsm_jose::jwt::{Claims, DecryptedJwt};
/// fn unverified(decrypted: &DecryptedJwt) -> &Claims {
///     decrypted.claims()
/// }
/// ```
///
/// ```compile_fail,E0616
/// # use hsm_jose::jwt::DecryptedJwt;
/// fn unverified(decrypted: &DecryptedJwt) -> &[u8] {
///     decrypted.inner.as_bytes()
/// }
/// ```
#[derive(Debug)]
pub struct DecryptedJwt {
    inner: Plaintext,
    header: Header,
}

impl SignedJwt {
    /// Signs claims as they are: what a context would stamp is the caller's to put in.
    ///
    /// # Errors
    /// As [`jws::sign`].
    pub fn sign(
        claims: &Claims,
        key: &dyn HardwareKey,
        parameters: &JwsParameters<'_>,
    ) -> Result<Self> {
        Ok(Self(Zeroizing::new(jws::sign(key, parameters, claims.json())?)))
    }

    /// Returns the token, signed only: in the compact serialization.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Encrypts the token; `cty` says what it is (RFC 7519 section 5.2).
    ///
    /// # Errors
    /// As [`JweBuilder::encrypt`].
    pub fn encrypt(
        &self,
        recipient: &Recipient,
        alg: KeyManagement,
        enc: ContentEncryption,
    ) -> Result<String> {
        JweBuilder::new(enc)
            .to(recipient, alg)
            .protected("cty", "JWT")
            .encrypt(Serialization::Compact, self.0.as_bytes())
    }
}

impl std::fmt::Debug for SignedJwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedJwt(redacted)")
    }
}

impl<'a> ReceivedJwt<'a> {
    /// Parses a nested JWT, in the compact serialization as a JWT is, and checks its outer header.
    ///
    /// # Errors
    /// As [`JweToken::parse_compact`]; [`Error::Policy`] too if `cty` does not
    /// say that the content is a JWT.
    pub fn parse(token: &'a [u8], rules: &JweRules) -> Result<Self> {
        only_compact(token)?;
        let token = JweToken::parse_compact(token, rules)?;
        check_nested_cty(token.header())?;
        Ok(Self(token))
    }

    /// Returns the one recipient: its `kid`, and what a key of it must be.
    pub fn recipient(&self) -> &JweRecipient {
        // invariant: a parsed token has a recipient, a compact one no other.
        &self.0.recipients()[0]
    }

    /// Decrypts with the keys that could be the recipient's.
    ///
    /// # Errors
    /// As [`jwe::decrypt`].
    pub fn decrypt(self, attempts: &[Attempt<'_>]) -> Result<DecryptedJwt> {
        jwe::decrypt(self.0, attempts).map(DecryptedJwt::of)
    }
}

impl DecryptedJwt {
    pub(super) fn of(decrypted: Decrypted) -> Self {
        Self { inner: decrypted.plaintext, header: decrypted.header }
    }

    /// Verifies the signature by one of the issuers' keys, and checks `typ` and the claims as the
    /// context's `open` half says, at the time `now` in seconds since 1970.
    ///
    /// # Errors
    /// As [`jwt::open`](super::open), after decryption; [`Error::Usage`] for a context of tokens that
    /// nobody signs.
    pub fn verify(
        self,
        context: &Context,
        issuers: &TrustedKeys,
        now: u64,
    ) -> Result<Verified<Claims>> {
        context.check_complete()?;
        // Rules for what nobody signs ask for neither issuer, audience nor expiry.
        if !context.nesting.is_signed() {
            return Err(Error::Usage(format!(
                "context {} is of tokens that nobody signs",
                context.name
            )));
        }
        let (rules, Self { inner, header }) = (context.opening()?, self);
        let payload = verify(context, rules, inner.as_bytes(), issuers)?;
        // The payload is out of it: a large token is not kept beside its claims.
        drop(inner);
        let verified = claims(context, rules, payload, now)?;
        verified.get().check_replicated(&header)?;
        Ok(verified)
    }
}
