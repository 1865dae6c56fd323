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
//! | `fault` | what a code of the module means |
//!
//! A process that forks must open its keystores after the fork: a child cannot use the sessions of
//! its parent, and every call in it answers [`BackendError::Unavailable`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
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
mod fault;
mod key;
mod make;
mod mechanism;
mod module;
mod object;
mod pool;
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

/// The size of the RSA key with which it is found out how the token does RSA.
const PROBE_RSA_BITS: u32 = 2048;

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

/// What a probe found of each algorithm.
type Answers = Vec<(KeyAlgorithm, Result<Support, BackendError>)>;

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

    /// Checks a new key: what the token kept of it, and that it does what it is for.
    fn prove(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        wanted: &Wanted<'_>,
        make: impl FnOnce(&AdminLease<'_>) -> Result<Pair, BackendError>,
    ) -> Result<(Pkcs11Key, Pair), BackendError> {
        let admin = self.admin()?;
        let pair = make(&admin)?;
        let mut found = make::read_back(&admin, &self.connection, wanted, &pair)?;
        found.info.locator = locator.clone();
        let key = Pkcs11Key::new(self.connection.clone(), found, self.connection.epoch());
        // The proof takes a session of its own, and may have to look for the key.
        drop(admin);
        let failed = spec.algs.iter().find_map(|alg| match key.support(*alg) {
            Ok(Support::No { reason }) => Some(BackendError::Unsupported {
                keystore: self.name().to_owned(),
                what: alg.name().to_owned(),
                reason,
            }),
            Ok(_) => None,
            Err(error) => Some(error),
        });
        match failed {
            None => Ok((key, pair)),
            Some(error) => {
                if let Err(left) = self.destroy(locator) {
                    tracing::warn!(keystore = self.name(), %locator, %left, "a key was left over");
                }
                Err(error)
            }
        }
    }

    /// Makes a session key of `shape` and finds out what it does with each of `algs`.
    fn probe(&self, shape: KeyShape, algs: &[KeyAlgorithm]) -> Result<Answers, BackendError> {
        let kind = shape.kind();
        let mut id = [0; 16];
        random::fill(&mut id);
        let wanted = Wanted {
            id: &id,
            label: "hsm-jose probe",
            shape,
            usages: match kind {
                KeyKind::Rsa => Usages { decrypt: true, sign: true, ..Usages::default() },
                KeyKind::Curve(_) | KeyKind::Oct { .. } => make::usages(algs),
            },
            allowed: Vec::new(),
            on_token: false,
        };
        let made = {
            let admin = self.admin()?;
            self.make(&admin, &wanted).and_then(|pair| {
                let found = make::read_back(&admin, &self.connection, &wanted, &pair)?;
                Ok((pair, Pkcs11Key::new(self.connection.clone(), found, self.connection.epoch())))
            })
        };
        let (pair, key) = match made {
            Ok(made) => made,
            Err(error) if make::is_inability(&error) => {
                let no = || Support::No { reason: format!("no {shape} key to try: {error}") };
                return Ok(algs.iter().map(|alg| (*alg, Ok(no()))).collect());
            }
            Err(error) => return Err(error),
        };
        let supports = algs.iter().map(|alg| (*alg, key.support(*alg))).collect();
        // Session objects of a module that was reinitialized meanwhile are gone already.
        if let Ok(admin) = self.admin() {
            let _ = make::destroy(&admin, &pair);
        }
        Ok(supports)
    }

    /// Returns whether a new key for `algs` is to allow raw RSA too.
    fn needs_raw_rsa(&self, spec: &KeySpec) -> Result<bool, BackendError> {
        if !self.connection.config().host_oaep || spec.shape.kind() != KeyKind::Rsa {
            return Ok(false);
        }
        for alg in &spec.algs {
            let shape = KeyShape::Rsa { bits: PROBE_RSA_BITS };
            if let Support::HostAssisted { .. } = self.supports(*alg, shape)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Keystore for Pkcs11Keystore {
    fn name(&self) -> &str {
        self.connection.name()
    }

    fn describe(&self) -> Result<DeviceInfo, BackendError> {
        let token = self.connection.current_token()?;
        let module = self.connection.module();
        let version = {
            let _admin = self.admin()?;
            let library = module.pkcs11().get_library_info();
            let library = library.map_or_else(
                |_| "unknown library".to_owned(),
                |info| {
                    let version = info.library_version();
                    let (major, minor) = (version.major(), version.minor());
                    format!("{} {major}.{minor}", info.library_description().trim_end())
                },
            );
            format!("{library}, firmware {}.{}", token.firmware.0, token.firmware.1)
        };
        Ok(DeviceInfo {
            kind: "pkcs11",
            manufacturer: token.manufacturer.clone(),
            model: token.model.clone(),
            serial: token.serial.clone(),
            version,
            label: token.label.clone(),
            software: token.is_software(),
            details: Vec::new(),
            warnings: self.warnings(&token),
        })
    }

    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Result<Support, BackendError> {
        if !alg.fits(shape.kind()) {
            return Ok(Support::No { reason: format!("{alg} does not fit a key of {shape}") });
        }
        // Held while probing: two threads that ask at once would make two keys.
        let mut known = lock(&self.supports);
        let known = known.entry(shape).or_default();
        if let Some(support) = known.get(&alg) {
            return Ok(support.clone());
        }
        if !make::is_in_one_piece(alg, shape.kind()) {
            let reason = "a token does not split a key into one for HMAC and one for AES-CBC";
            return Ok(Support::No { reason: reason.to_owned() });
        }
        // A symmetric key has the usages of one algorithm, and costs nothing to make.
        let unknown = match shape.kind() {
            KeyKind::Oct { .. } => vec![alg],
            kind => KeyAlgorithm::all()
                .filter(|alg| alg.fits(kind) && !known.contains_key(alg))
                .collect(),
        };
        let mut asked = None;
        for (other, answer) in self.probe(shape, &unknown)? {
            if other == alg {
                asked = Some(answer.clone());
            }
            // A fault is not an answer: the device is asked again the next time.
            known.extend(answer.ok().map(|support| (other, support)));
        }
        asked.unwrap_or_else(|| Ok(Support::No { reason: "not tried".to_owned() }))
    }

    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError> {
        Ok(Arc::new(self.found(locator)?))
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

    fn warnings(&self, token: &token::Token) -> Vec<String> {
        let mut warnings = Vec::new();
        let spies = std::env::var_os("PKCS11SPY").is_some()
            || self.connection.module().path().to_string_lossy().contains("pkcs11-spy");
        if spies {
            warnings.push("PKCS11SPY: a spy module may log PINs and plaintexts".to_owned());
        }
        if std::env::var_os("LD_PRELOAD").is_some() {
            warnings.push("LD_PRELOAD: another library may stand between us and the module".into());
        }
        if is_writable_by_others(self.connection.module().path()) {
            warnings.push("the module's file can be written by group or others".to_owned());
        }
        if token.pin_count_low {
            warnings.push("CKF_USER_PIN_COUNT_LOW: a wrong PIN has been tried".to_owned());
        }
        if token.pin_final_try {
            warnings.push("CKF_USER_PIN_FINAL_TRY: one attempt before the PIN locks".to_owned());
        }
        if token.pin_locked {
            warnings.push("CKF_USER_PIN_LOCKED: the PIN is locked".to_owned());
        }
        let pin = &self.connection.config().pin;
        if token.protected_path && *pin != PinSource::Protected {
            warnings.push("the token has a PIN pad: pin = { protected = true } uses it".to_owned());
        }
        if !token.login_required && *pin != PinSource::None {
            warnings.push("the token does not require a login".to_owned());
        }
        if token.max_sessions.is_some_and(|max| max < self.connection.config().sessions) {
            warnings.push("the token allows fewer sessions than the configuration".to_owned());
        }
        warnings
    }
}

fn is_writable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o022 != 0)
}
