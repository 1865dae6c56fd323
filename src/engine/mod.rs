//! The engine: configuration, keyring and policy behind seal, open, sign, verify, encrypt and
//! decrypt.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{CekPlacement, HardwareKey, Support};
use crate::error::{Error, Result};
use crate::jose::alg::{
    ContentEncryption, KeyAlgorithm, KeyManagement, Purpose, SignatureAlgorithm,
};
use crate::jose::jwk::JwkSet;
use crate::jwe::{self, JweParameters, JweToken, Recipient};
use crate::jws::{self, JwsParameters, JwsToken, TrustedKeys, Verified};
use crate::jwt::{self, Claims, Clock, Opened, SystemClock};
use crate::keyring::Keyring;
use crate::keystores::Keystores;
use crate::policy::{Audience, Context, Nesting, Policy, refuse_confusable};
use crate::secret::Plaintext;

pub mod load;
mod served;

use served::{ServedKey, ServedKeys};

/// Signs, encrypts, decrypts and verifies with keys that live in devices.
///
/// Sync, and to be shared: one engine serves any number of threads, with as many device sessions as
/// its keystores allow. Calls block until the device has answered; from async code, wrap them in the
/// runtime's `spawn_blocking`.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    contexts: BTreeMap<String, ServedContext>,
    keys: ServedKeys,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct ServedContext {
    context: Context,
    trusted: TrustedKeys,
}

/// What an encryption shall be; what is left out is chosen by policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct EncryptOptions<'a> {
    /// The `alg`, which must be allowed.
    pub alg: Option<KeyManagement>,
    /// The `enc`, which must be allowed.
    pub enc: Option<ContentEncryption>,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
    /// Agreement PartyUInfo; empty for none.
    pub apu: &'a [u8],
    /// Agreement PartyVInfo; empty for none.
    pub apv: &'a [u8],
}

/// What a signature shall be; what is left out is chosen by the key and policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignOptions<'a> {
    /// The `alg`, one of the key's own.
    pub alg: Option<SignatureAlgorithm>,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
    /// Leave the payload out of the token (RFC 7515 appendix F).
    pub detached: bool,
}

/// A decrypted content, and where its key was recovered.
#[derive(Debug)]
pub struct DecryptedContent {
    /// The content.
    pub plaintext: Plaintext,
    /// The protected header, which the content's tag vouches for.
    pub header: crate::jose::header::Header,
    /// The name of the key.
    pub key: String,
    /// The kid of its version.
    pub kid: String,
    /// The keystore that holds it.
    pub keystore: String,
    /// Where the steps of the private-key operation ran.
    pub support: Support,
    /// Where the content encryption key was while it was used.
    pub cek_placement: CekPlacement,
}

impl Engine {
    /// Makes an engine of its parts.
    ///
    /// Keystores are opened when a key of theirs is first used, or all at once by
    /// [`Engine::connect`].
    ///
    /// # Errors
    /// [`Error::Config`]: two contexts of one name, or that would accept each other's tokens
    /// (RFC 8725 section 3.12), or one that cannot tell its issuers apart (section 3.8).
    pub fn new(
        policy: Policy,
        contexts: Vec<Context>,
        keyring: &Keyring,
        keystores: Keystores,
    ) -> Result<Self> {
        refuse_confusable(&contexts)?;
        contexts.iter().try_for_each(Context::check_issuers)?;
        let mut served = BTreeMap::new();
        for context in contexts {
            let keys = context.open.iter().flat_map(|open| open.trust.clone()).collect();
            let trusted = TrustedKeys::new(JwkSet { keys }, &policy);
            let name = context.name.clone();
            if served.insert(name.clone(), ServedContext { context, trusted }).is_some() {
                return Err(Error::Config(format!("two contexts are called {name}")));
            }
        }
        let keys = ServedKeys::new(keyring, keystores);
        Ok(Self { policy, contexts: served, keys, clock: Arc::new(SystemClock) })
    }

    /// Takes another clock than the system's.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens every keystore that a serving key is in, finds every such key and has it do each of its
    /// algorithms once, so that the first token finds all of it ready.
    ///
    /// # Errors
    /// The first device fault, missing key, refused keystore, or key that does not do what it is for.
    pub fn connect(&self) -> Result<()> {
        self.keys.connect()
    }

    /// Returns the effective policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the keystores.
    pub fn keystores(&self) -> &Keystores {
        self.keys.keystores()
    }

    /// Finds a context by its name.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the contexts there are.
    pub fn context(&self, name: &str) -> Result<&Context> {
        self.served_context(name).map(|served| &served.context)
    }

    /// Returns the contexts, ordered by name.
    pub fn contexts(&self) -> impl Iterator<Item = &Context> {
        self.contexts.values().map(|served| &served.context)
    }

    /// Makes a token of a context for a recipient: stamps the claims, signs in the device, encrypts,
    /// as the context says. `audience` is the name that the recipient registered.
    ///
    /// # Errors
    /// As [`jwt::seal`]; [`Error::KeyNotFound`] without an active signing key.
    pub fn seal(
        &self,
        context: &str,
        claims: &Claims,
        recipients: &[Recipient],
        audience: Option<&str>,
    ) -> Result<String> {
        let context = self.context(context)?;
        let rules = context.sealing()?;
        let audience = match &rules.audience {
            Some(Audience::Fixed(audience)) => Some(audience.as_str()),
            Some(Audience::Recipient) => audience,
            None => None,
        };
        let signer = match (&rules.sign, context.nesting) {
            (Some(name), Nesting::Jws | Nesting::JweOfJws) => Some(self.signer(name, None)?),
            _ => None,
        };
        let signer = signer.map(|(handle, key, alg)| (handle, key.kid.as_str(), alg));
        jwt::seal(context, &self.policy, claims, signer, recipients, audience, self.clock.now())
    }

    /// Opens a token of a context: decrypts in the device, verifies the issuer's signature and checks
    /// the claims, as the context says.
    ///
    /// # Errors
    /// As [`jwt::open`].
    pub fn open(&self, context: &str, token: &[u8]) -> Result<Opened> {
        let ServedContext { context, trusted } = self.served_context(context)?;
        jwt::open(context, token, &self.keys, trusted, self.clock.now())
    }

    /// Encrypts to the first of the recipient's keys that policy's order of algorithms finds.
    ///
    /// # Errors
    /// [`Error::Policy`]: nothing that is allowed fits.
    pub fn encrypt(
        &self,
        recipients: &[Recipient],
        options: &EncryptOptions<'_>,
        plaintext: &[u8],
    ) -> Result<String> {
        encrypt(&self.policy, recipients, options, plaintext)
    }

    /// Decrypts a JWE with the key that its `kid` names, or, if it names none, with the key called
    /// `key`; without either, with the keys that fit, four at most.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Policy`] before any device is asked; [`Error::KeyNotFound`];
    /// [`Error::DecryptionFailed`], bare; or a device fault.
    pub fn decrypt(&self, token: &[u8], key: Option<&str>) -> Result<DecryptedContent> {
        let token = JweToken::parse(token, &self.policy.jwe)?;
        let alg = KeyAlgorithm::Unwrap(token.alg);
        let names = match key {
            Some(name) => {
                self.keys.check_decrypts(name)?;
                Some([name.to_owned()])
            }
            None => None,
        };
        let (decrypted, key) =
            self.keys.decrypt_with(token, names.as_ref().map(|names| &names[..]))?;
        let handle = self.keys.handle(key)?;
        Ok(DecryptedContent {
            plaintext: decrypted.plaintext,
            header: decrypted.header,
            key: key.name().to_owned(),
            kid: key.kid.clone(),
            keystore: handle.keystore().to_owned(),
            support: handle.support(alg)?,
            cek_placement: decrypted.cek_placement,
        })
    }

    /// Signs a payload with the active version of the key called `key`.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::Usage`] for a key that is not for signing, or not for the
    /// `alg`; [`Error::Policy`]; or a device fault.
    pub fn sign(&self, key: &str, options: &SignOptions<'_>, payload: &[u8]) -> Result<String> {
        let (handle, key, alg) = self.signer(key, options.alg)?;
        let SignOptions { typ, cty, detached, .. } = *options;
        let parameters = JwsParameters { alg, kid: Some(&key.kid), typ, cty };
        match detached {
            true => jws::sign_detached(handle, &parameters, payload),
            false => jws::sign(handle, &parameters, payload),
        }
    }

    /// Verifies a JWS with keys that the caller trusts.
    ///
    /// # Errors
    /// As [`JwsToken::verify`].
    pub fn verify(&self, token: &[u8], keys: &TrustedKeys) -> Result<Verified<Plaintext>> {
        JwsToken::parse(token, &self.policy.jws)?.verify(keys)
    }

    fn served_context(&self, name: &str) -> Result<&ServedContext> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            let there_are = match names.is_empty() {
                true => "none is configured".to_owned(),
                false => format!("there are: {}", names.join(", ")),
            };
            Error::Usage(format!("no context is called {name:?}; {there_are}"))
        })
    }

    /// The active version of a signing key, and the algorithm it shall sign with: the one asked for,
    /// or the first of its own that policy allows.
    fn signer(
        &self,
        name: &str,
        asked: Option<SignatureAlgorithm>,
    ) -> Result<(&dyn HardwareKey, &ServedKey, SignatureAlgorithm)> {
        let key = self.keys.active(name, Purpose::Sign)?;
        let own = key.entry.algs.iter().filter_map(|alg| match alg {
            KeyAlgorithm::Sign(alg) => Some(*alg),
            KeyAlgorithm::Unwrap(_) => None,
        });
        let alg = match asked {
            Some(asked) if own.clone().any(|alg| alg.is_same_as(asked)) => Some(asked),
            Some(asked) => {
                return Err(Error::Usage(format!("key {name} is not for {asked}")));
            }
            None => own.clone().find(|alg| self.policy.jws.algs.contains(*alg)),
        };
        let alg = alg.filter(|alg| self.policy.jws.algs.contains(*alg)).ok_or_else(|| {
            Error::Policy(format!(
                "key {name} has no algorithm that policy allows ({})",
                self.policy.jws.algs
            ))
        })?;
        Ok((self.keys.handle(key)?, key, alg))
    }
}

/// Encrypts under a policy, without any engine: public keys are all it takes.
///
/// # Errors
/// As [`Engine::encrypt`].
pub fn encrypt(
    policy: &Policy,
    recipients: &[Recipient],
    options: &EncryptOptions<'_>,
    plaintext: &[u8],
) -> Result<String> {
    let EncryptOptions { alg, enc, typ, cty, apu, apv } = *options;
    let as_list = alg.map(|alg| [alg]);
    let algs = policy.jwe.algs.narrowed(as_list.as_ref().map(|algs| &algs[..]), "alg");
    let (recipient, alg) = jwe::choose(recipients, &algs.map_err(refused)?, policy)?;
    let as_list = enc.map(|enc| [enc]);
    let encs =
        policy.jwe.encs.narrowed(as_list.as_ref().map(|encs| &encs[..]), "enc").map_err(refused)?;
    let enc = encs.iter().next().ok_or_else(|| Error::Config("no enc is allowed".into()))?;
    jwe::encrypt(recipient, &JweParameters { alg, enc, typ, cty, apu, apv }, plaintext)
}

fn refused(error: Error) -> Error {
    match error {
        Error::Config(text) => Error::Policy(text),
        other => other,
    }
}
