//! Keys in a PKCS#11 token: a smart card, a network HSM, SoftHSM.
//!
//! | file | role |
//! |---|---|
//! | `module` | the vendor's library: loaded, initialized, brought back to life |
//! | `token` | which token of it |
//! | `session`, `pool` | one login for the life of the keystore, sessions lent to operations |
//! | `object`, `make` | finding, judging, making and destroying keys |
//! | `mechanism`, `road`, `raw` | what an operation is, and the native calls that do it |
//! | `key` | one private key: the operations of the seam |
//! | `probe`, `describe` | what the token does, found by doing it, and what it says of itself |
//! | `fault` | what a code of the module means |
//!
//! A process that forks must open its keystores after the fork: a child cannot use the sessions of
//! its parent, and every call in it answers [`BackendError::Unavailable`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use cryptoki::object::AttributeType;

use crate::jose::alg::{KeyAlgorithm, KeyKind};
use crate::jose::jwk::{PrivateJwk, PublicKey};
use crate::jose::oct::SecretJwk;
use crate::primitives::random;
use crate::secret::PinSource;

use super::{
    BackendError, DeviceInfo, HardwareKey, KeyInfo, KeyShape, KeySpec, Keystore, Locator, Support,
    known_answer,
};

#[cfg(feature = "cli")]
mod bare;
mod describe;
mod fault;
mod key;
mod make;
mod mechanism;
mod module;
mod object;
mod pool;
mod probe;
#[allow(unsafe_code, reason = "the calls of the hot path; each block says why it is sound")]
mod raw;
mod road;
mod session;
mod token;

pub use token::{TokenSelector, TokenSelectorError};

use key::Pkcs11Key;
use make::Pair;
use module::lock;
use object::template::{Usages, Wanted};
use session::{AdminLease, Connection};

/// More sessions than any process has use for; guards against a slip of the pen.
const MAX_SESSIONS: usize = 4096;

/// The configuration of a keystore.
///
/// ```
/// use hsm_jose::backend::pkcs11::{Pkcs11Config, TokenSelector};
/// use hsm_jose::secret::PinSource;
///
/// let config = Pkcs11Config {
///     name: "issuer".into(),
///     module: "/usr/lib/softhsm/libsofthsm2.so".into(),
///     token: TokenSelector::label("issuer"),
///     pin: PinSource::File("pin".into()),
///     sessions: 8,
///     host_oaep: false,
/// };
/// assert_eq!(config.sessions, 8);
/// ```
#[derive(Clone, Debug)]
pub struct Pkcs11Config {
    /// The keystore's name.
    pub name: String,
    /// The path of the vendor's PKCS#11 library.
    pub module: PathBuf,
    /// Which of the module's tokens.
    pub token: TokenSelector,
    /// Where the user's PIN is to be had.
    pub pin: PinSource,
    /// How many sessions the keystore opens at most, at least 2 and at most 4096: one keeps the
    /// login and serves searches, each of the others serves one operation at a time. Where the
    /// token tells a lower limit, that is taken.
    pub sessions: usize,
    /// Allows raw RSA in the token with OAEP decoding on the host, where the token does not do
    /// RSAES-OAEP with the hash itself. A key that is made for it also allows raw RSA.
    pub host_oaep: bool,
}

/// A PKCS#11 token, logged in.
///
/// ```no_run
/// use hsm_jose::backend::Keystore;
/// use hsm_jose::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore, TokenSelector};
/// use hsm_jose::secret::PinSource;
///
/// let keystore = Pkcs11Keystore::open(Pkcs11Config {
///     name: "issuer".into(),
///     module: "/usr/lib/softhsm/libsofthsm2.so".into(),
///     token: TokenSelector::label("issuer"),
///     pin: PinSource::File("pin".into()),
///     sessions: 8,
///     host_oaep: false,
/// })?;
/// keystore.health()?;
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
///
/// What cannot be is said before anything is asked of a token:
///
/// ```
/// # use hsm_jose::backend::BackendError;
/// # use hsm_jose::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore, TokenSelector};
/// # use hsm_jose::secret::PinSource;
/// # let config = Pkcs11Config {
/// #     name: "issuer".into(),
/// #     module: "/usr/lib/softhsm/libsofthsm2.so".into(),
/// #     token: TokenSelector::label("issuer"),
/// #     pin: PinSource::File("pin".into()),
/// #     sessions: 8,
/// #     host_oaep: false,
/// # };
/// let moved = Pkcs11Config { module: "/nowhere/libsofthsm2.so".into(), ..config };
/// let error = Pkcs11Keystore::open(moved).expect_err("no such module");
/// assert!(matches!(error, BackendError::Misconfigured { .. }));
/// assert!(error.to_string().contains("/nowhere/libsofthsm2.so"));
/// ```
#[derive(Debug)]
pub struct Pkcs11Keystore {
    connection: Arc<Connection>,
    supports: Mutex<HashMap<KeyShape, HashMap<KeyAlgorithm, Support>>>,
}

impl Pkcs11Keystore {
    /// Loads the module, finds the token and logs in.
    ///
    /// The module stays loaded and initialized until the process ends, and is shared with every
    /// other keystore on it.
    ///
    /// # Errors
    /// [`BackendError::Misconfigured`] (no module, not one, several tokens that fit, or a number of
    /// sessions that cannot be),
    /// [`BackendError::Unavailable`] (the token is not there, the module does not answer), or the
    /// PIN's: [`BackendError::PinUnavailable`], [`BackendError::PinRefused`],
    /// [`BackendError::PinLocked`]. A PIN that was refused once is not tried again by this process
    /// under the keystore's name.
    pub fn open(config: Pkcs11Config) -> Result<Self, BackendError> {
        if !(2..=MAX_SESSIONS).contains(&config.sessions) {
            return Err(BackendError::Misconfigured {
                keystore: config.name,
                reason: format!(
                    "sessions = {}: from 2 (one keeps the login, one works) to {MAX_SESSIONS}",
                    config.sessions
                ),
            });
        }
        let connection = Connection::open(config)?;
        Ok(Self { connection, supports: Mutex::default() })
    }

    /// Returns how many sessions the keystore has open now: never more than
    /// [`Pkcs11Config::sessions`].
    pub fn sessions(&self) -> usize {
        self.connection.sessions()
    }

    fn admin(&self) -> Result<AdminLease<'_>, BackendError> {
        self.connection.admin()
    }

    /// Runs a search or a reading, once more if session, login or module had gone and are back.
    fn with_admin<T>(
        &self,
        run: impl Fn(&AdminLease<'_>) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let first = run(&self.admin()?);
        match first {
            Err(BackendError::Unavailable { .. } | BackendError::Device { .. }) => {
                let before = self.connection.epoch();
                let admin = self.admin()?;
                if self.connection.epoch() == before { first } else { run(&admin) }
            }
            answer => answer,
        }
    }

    fn found(&self, locator: &Locator) -> Result<Pkcs11Key, BackendError> {
        let (found, epoch) = self.with_admin(|admin| {
            let handle = object::find_one(admin, self.name(), locator)?;
            Ok((object::describe(admin, handle)?, self.connection.epoch()))
        })?;
        let Some(mut found) = found else {
            return Err(BackendError::Unsupported {
                keystore: self.name().to_owned(),
                what: format!("the key at {locator}"),
                reason: "not RSA, P-256, P-384, P-521, X25519, Ed25519, AES or a generic secret"
                    .to_owned(),
            });
        };
        // The key is looked for again by what it was found by, not by what it tells.
        found.info.locator = locator.clone();
        Ok(Pkcs11Key::new(self.connection.clone(), found, epoch))
    }
}

impl Keystore for Pkcs11Keystore {
    fn name(&self) -> &str {
        self.connection.name()
    }

    fn describe(&self) -> Result<DeviceInfo, BackendError> {
        self.told_of_itself()
    }

    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Result<Support, BackendError> {
        self.supports_of_shape(alg, shape)
    }

    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let key = self.found(locator)?;
        super::refuse_weak(self.name(), locator, key.info().public.as_ref())?;
        Ok(Arc::new(key))
    }

    fn find_with_public(
        &self,
        locator: &Locator,
        public: &PublicKey,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let mut key = self.found(locator)?;
        super::check_public(self.name(), locator, key.info(), key.kind(), public)?;
        key.info_mut().public = Some(public.clone());
        Ok(Arc::new(key))
    }

    fn list(&self) -> Result<Vec<KeyInfo>, BackendError> {
        self.with_admin(|admin| {
            let everywhere = Locator::Object { id: None, label: None };
            let mut keys = Vec::new();
            for handle in object::find_keys(admin, &everywhere)? {
                // A session object of this process: nobody's key but of whoever holds it.
                if object::flag(admin, handle, AttributeType::Token).ok().flatten() == Some(false) {
                    continue;
                }
                match object::describe(admin, handle) {
                    Ok(found) => keys.extend(found.map(|found| found.info)),
                    // Another process, or thread, has destroyed it meanwhile.
                    Err(_) if !object::find_keys(admin, &everywhere)?.contains(&handle) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(keys)
        })
    }

    fn new_locator(&self, name: &str) -> Result<Locator, BackendError> {
        self.with_admin(|admin| {
            loop {
                let mut id = vec![0; 16];
                random::fill(&mut id);
                if object::find(admin, &[cryptoki::object::Attribute::Id(id.clone())])?.is_empty() {
                    return Ok(Locator::Object { id: Some(id), label: Some(name.to_owned()) });
                }
            }
        })
    }

    fn generate(
        &self,
        locator: &Locator,
        spec: &KeySpec,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let (id, label) = make::checked(&self.admin()?, self.name(), locator, spec)?;
        let wanted = self.wanted(id, label, spec)?;
        let (key, _) = self.prove(locator, spec, &wanted, |admin| self.make(admin, &wanted))?;
        Ok(Arc::new(key))
    }

    fn generate_ephemeral(&self, spec: &KeySpec) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let mut id = vec![0; 16];
        random::fill(&mut id);
        let locator = Locator::Object { id: Some(id), label: Some("hsm-jose ephemeral".into()) };
        let (id, label) = make::checked(&self.admin()?, self.name(), &locator, spec)?;
        let wanted = Wanted { on_token: false, ..self.wanted(id, label, spec)? };
        let make = |admin: &AdminLease<'_>| self.make(admin, &wanted);
        let (key, pair) = self.prove(&locator, spec, &wanted, make)?;
        Ok(Arc::new(key.goes_with(pair)))
    }

    fn import(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        private: &PrivateJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let (id, label) = make::checked(&self.admin()?, self.name(), locator, spec)?;
        if private.public.key.kind() != spec.shape.kind() {
            return Err(BackendError::Misconfigured {
                keystore: self.name().to_owned(),
                reason: format!(
                    "the private key is {}, not {}",
                    private.public.key.kind(),
                    spec.shape
                ),
            });
        }
        let wanted = self.wanted(id, label, spec)?;
        let (mut key, _) = self.prove(locator, spec, &wanted, |admin| {
            make::create(admin, &self.connection, &wanted, private)
        })?;
        key.was_outside();
        Ok(Arc::new(key))
    }

    fn import_secret(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        secret: &SecretJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let (id, label) = make::checked(&self.admin()?, self.name(), locator, spec)?;
        if secret.kind() != spec.shape.kind() {
            return Err(BackendError::Misconfigured {
                keystore: self.name().to_owned(),
                reason: format!("the key is {}, not {}", secret.kind(), spec.shape),
            });
        }
        let wanted = self.wanted(id, label, spec)?;
        let (mut key, _) = self.prove(locator, spec, &wanted, |admin| {
            make::secret::create(admin, &self.connection, &wanted, secret.expose())
        })?;
        key.was_outside();
        for alg in &spec.algs {
            if !known_answer::symmetric::is_same(&key, secret.expose(), *alg)? {
                self.destroy(locator)?;
                return Err(BackendError::NotAsAsked {
                    keystore: self.name().to_owned(),
                    what: format!("{alg} does not come out as with the key that was given"),
                });
            }
        }
        Ok(Arc::new(key))
    }

    fn destroy(&self, locator: &Locator) -> Result<(), BackendError> {
        make::destroy_at(&self.admin()?, self.name(), locator)
    }

    fn health(&self) -> Result<(), BackendError> {
        self.connection.health()
    }
}

impl Pkcs11Keystore {
    fn make(&self, admin: &AdminLease<'_>, wanted: &Wanted<'_>) -> Result<Pair, BackendError> {
        match wanted.shape {
            KeyShape::Oct { .. } => make::secret::generate(admin, &self.connection, wanted),
            _ => make::generate(admin, &self.connection, wanted),
        }
    }

    fn wanted<'a>(
        &self,
        id: &'a [u8],
        label: &'a str,
        spec: &KeySpec,
    ) -> Result<Wanted<'a>, BackendError> {
        let needs_raw_rsa = self.needs_raw_rsa(spec)?;
        let mut allowed = Vec::new();
        for mechanism in spec.algs.iter().flat_map(|alg| mechanism::allowed(*alg, needs_raw_rsa)) {
            if !allowed.contains(&mechanism) {
                allowed.push(mechanism);
            }
        }
        Ok(Wanted {
            id,
            label,
            shape: spec.shape,
            usages: make::usages(&spec.algs),
            allowed,
            on_token: true,
        })
    }
}
