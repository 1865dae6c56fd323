//! The engine: configuration, keyring and policy behind seal, open, sign, verify, encrypt and
//! decrypt.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::jose::jwk::JwkSet;
use crate::jwe::{EphemeralKey, NotOpened, Once, Recipient};
use crate::jws::TrustedKeys;
use crate::jwt::{self, Claims, Clock, Opened, SystemClock};
use crate::keyring::Keyring;
use crate::keystores::Keystores;
use crate::policy::{Audience, Context, Nesting, Policy, refuse_confusable};

mod failures;
mod jwe;
mod jws;
pub mod load;
mod served;

pub use failures::FailureCounts;
pub use jwe::{DecryptedContent, EncryptOptions, encrypt, encrypt_to_all};
pub use jws::SignOptions;
use served::{KeysFor, ServedKeys};

/// Signs, encrypts, decrypts and verifies with keys that live in devices.
///
/// Sync, and to be shared: one engine serves any number of threads, with as many device sessions as
/// its keystores allow. Calls block until the device has answered; from async code, wrap them in the
/// runtime's `spawn_blocking`.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement};
/// # use hsm_jose::keyring::KeyringFile;
/// # use hsm_jose::keystores::Keystores;
/// # use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let directory = tempfile::tempdir().unwrap();
/// # let file = KeyringFile::new(&directory.path().join("keyring.json"));
/// # let keystore = Arc::new(MemoryKeystore::new("test"));
/// # let key = KeyRequest {
/// #     name: "partner-enc".into(),
/// #     algs: vec![KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw)],
/// #     kid: None,
/// #     profile: Profile::Strict,
/// # };
/// # let request = GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
/// # let jwk = generate(&file, &*keystore, &request)?.jwk().unwrap();
/// # let keyring = file.read()?;
/// # let keystores = Keystores::opened(vec![keystore], false)?;
/// use hsm_jose::engine::{EncryptOptions, Engine};
/// use hsm_jose::jwe::Recipient;
///
/// let engine = Engine::new(Policy::of(Profile::Strict), Vec::new(), &keyring, keystores)?;
/// let token = engine.encrypt(&[Recipient::new(jwk)?], &EncryptOptions::default(), b"content")?;
/// assert_eq!(engine.decrypt(token.as_bytes(), None)?.plaintext.as_bytes(), b"content");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
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

impl Engine {
    /// Makes an engine of its parts.
    ///
    /// Keystores are opened when a key of theirs is first used, or all at once by
    /// [`Engine::connect`].
    ///
    /// # Errors
    /// [`Error::Config`]: two contexts of one name, or that would accept each other's tokens
    /// (RFC 8725 section 3.12), or one that cannot tell its issuers apart (section 3.8), lacks what its
    /// tokens need or is wider than the policy ([`Context::check`]).
    pub fn new(
        policy: Policy,
        contexts: Vec<Context>,
        keyring: &Keyring,
        keystores: Keystores,
    ) -> Result<Self> {
        contexts.iter().try_for_each(|context| context.check(&policy))?;
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
        let keys = ServedKeys::new(keyring, keystores, policy.failure_budget);
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
            (Some(name), Nesting::Jws | Nesting::JweOfJws) => Some(self.signer_in_context(name)?),
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
        self.open_of(context, token, None)
    }

    /// As [`Engine::open`], for a token that came from `peer`: whoever the caller has authenticated,
    /// by a name of the caller's own.
    ///
    /// Under a policy with a [`FailureBudget`](crate::policy::FailureBudget), a peer whose tokens
    /// failed to decrypt too often with a key is refused for a while, and no other peer is. Without
    /// one, and in [`Engine::open`], nothing is counted.
    ///
    /// # Errors
    /// As [`jwt::open`]; [`Error::BudgetSpent`], before any device is asked.
    pub fn open_from(&self, peer: &str, context: &str, token: &[u8]) -> Result<Opened> {
        self.open_of(context, token, Some(peer))
    }

    /// As [`Engine::open`], with a key that was made for this one token: it is used instead of the
    /// keys that the context names, and is gone once its device has been asked with it.
    ///
    /// # Errors
    /// As [`jwt::open`]; [`Error::KeyNotFound`] if the token is for another key; [`Error::Usage`] for a
    /// context of tokens that are not encrypted. Whatever was refused before the device was asked comes
    /// with the key, for the next token: see [`NotOpened`].
    pub fn open_once(
        &self,
        context: &str,
        token: &[u8],
        key: EphemeralKey,
    ) -> std::result::Result<Opened, NotOpened> {
        let once = Once::new(key);
        let opened = self.served_context(context).and_then(|ServedContext { context, trusted }| {
            if !context.nesting.is_encrypted() {
                let what = format!("tokens of context {} are opened without a key", context.name);
                return Err(Error::Usage(what));
            }
            jwt::open(context, token, &once, trusted, self.clock.now())
        });
        opened.map_err(|error| once.not_opened(error))
    }

    /// Returns what the failure budget has counted since the engine was made.
    pub fn failure_counts(&self) -> FailureCounts {
        self.keys.failure_counts()
    }

    fn open_of(&self, context: &str, token: &[u8], peer: Option<&str>) -> Result<Opened> {
        let ServedContext { context, trusted } = self.served_context(context)?;
        let keys = KeysFor { keys: &self.keys, peer };
        jwt::open(context, token, &keys, trusted, self.clock.now())
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
}
