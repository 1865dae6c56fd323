//! Keys that are made in a device, or put into it.

use super::entry::{Entry, Make, is_interrupted};
use super::identity::Identity;
use super::jwks::Stated;
use super::{Entered, KeyRequest, Outcome, probe};
use crate::backend::{CheckValue, KeyShape, KeySpec, Keystore, SecretInfo};
use crate::error::{Error, Result};
use crate::jose::alg::Curve;
use crate::jose::jwk::PrivateJwk;
use crate::jose::oct::SecretJwk;
use crate::keyring::{KeyEntry, KeyringFile, Provenance};

/// A key to be made in a device.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// use hsm_jose::keyring::KeyringFile;
/// use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("keyring.json");
/// let key = KeyRequest {
///     name: "issuer-sig".into(),
///     algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::Es256)],
///     kid: None,
///     profile: hsm_jose::policy::Profile::Strict,
/// };
/// let request = GenerateRequest { key, bits: None, curve: None, if_absent: true, dry_run: false };
/// let (file, keystore) = (KeyringFile::new(&path), MemoryKeystore::new("test"));
/// let made = generate(&file, &keystore, &request)?;
/// assert_eq!(made.name, "issuer-sig");
/// // Asked again, the key that is there is as good as a new one.
/// assert_eq!(generate(&file, &keystore, &request)?.version, made.version);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// What every way in needs.
    pub key: KeyRequest,
    /// The RSA modulus, in bits, 3072 unless given; or the length of a symmetric key, unless given the
    /// one that the algorithm has, 256 for `dir`, and that of the hash for HMAC.
    pub bits: Option<u32>,
    /// The curve; that of the algorithm, or P-256, unless given.
    pub curve: Option<Curve>,
    /// A key of this name with the same algorithms is as good as a new one.
    pub if_absent: bool,
    /// Ask the device and look at the keyring, but make nothing.
    pub dry_run: bool,
}

/// A known private key to be put into a device.
///
/// ```
/// use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// use hsm_jose::jose::jwk::PrivateJwk;
/// use hsm_jose::lifecycle::{ImportRequest, KeyRequest};
///
/// // RFC 8037 appendix A.1.
/// let jwk = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let request = ImportRequest {
///     key: KeyRequest {
///         name: "rfc8037".into(),
///         algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::EdDsa)],
///         kid: None,
///         profile: hsm_jose::policy::Profile::Strict,
///     },
///     private: PrivateJwk::parse(jwk)?,
///     waiver: None, // production refuses to use it
/// };
/// assert!(format!("{request:?}").contains("redacted"));
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Debug)]
pub struct ImportRequest {
    /// What every way in needs. Without a kid, the JWK's own is kept: tokens out there name it.
    pub key: KeyRequest,
    /// The key.
    pub private: PrivateJwk,
    /// Why it may serve in production, in the words of who decided it.
    pub waiver: Option<String>,
}

/// A known symmetric key to be put into a device.
///
/// ```
/// use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement};
/// use hsm_jose::jose::oct::SecretJwk;
/// use hsm_jose::lifecycle::{ImportSecretRequest, KeyRequest};
///
/// let request = ImportSecretRequest {
///     key: KeyRequest {
///         name: "shared".into(),
///         algs: vec![KeyAlgorithm::Unwrap(KeyManagement::A128Kw)],
///         kid: None,
///         profile: hsm_jose::policy::Profile::All,
///     },
///     secret: SecretJwk::parse(br#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"}"#)?,
///     waiver: None,
/// };
/// assert_eq!(request.secret.bits(), 128);
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Debug)]
pub struct ImportSecretRequest {
    /// What every way in needs. Without a kid, the JWK's own is kept: tokens out there name it.
    pub key: KeyRequest,
    /// The key.
    pub secret: SecretJwk,
    /// Why it may serve in production, in the words of who decided it.
    pub waiver: Option<String>,
}

/// Makes a key in the device and enters it, active.
///
/// A version that a crash left pending is completed: its key is looked for at its locator, read
/// back, proved and activated, or made anew.
///
/// # Errors
/// [`Error::Usage`] for a request that cannot be, or a name or kid that is taken;
/// [`crate::backend::BackendError::Unsupported`] before anything is written or made;
/// [`crate::backend::BackendError::NotAsAsked`] for a key that lacks a guarantee, which is
/// destroyed; else a device fault, after which the intent is gone if the device has no key of it,
/// and pending if that is not known.
pub fn generate(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &GenerateRequest,
) -> Result<Entered> {
    request.key.check()?;
    let shape = request.key.shape(request.bits, request.curve)?;
    let spec = KeySpec { shape, algs: request.key.algs.clone() };
    // Without the lock first, so that a name that is taken costs no probe of the device.
    let present = |key: &KeyEntry| match request.if_absent {
        true => present_as_asked(key, keystore.name(), request),
        false => Err(taken(key, "; `if_absent` takes it as it is")),
    };
    let keyring = file.read()?;
    if let Some(key) = keyring.key(&request.key.name).filter(|key| !is_interrupted(key)) {
        return present(key);
    }
    let support = probe(keystore, &spec)?;
    if request.dry_run {
        return Ok(Entered {
            outcome: Outcome::Planned,
            name: request.key.name.clone(),
            algs: spec.algs,
            shape,
            version: None,
            support,
        });
    }
    let mut writer = file.lock()?;
    match writer.keyring().key(&request.key.name) {
        Some(key) if !is_interrupted(key) => present(key),
        _ => {
            let is_sized = request.bits.is_some() || request.curve.is_some();
            let expected = |found: &Identity| !is_sized || found.shape() == shape;
            Entry {
                keystore,
                request: &request.key,
                provenance: Provenance::Generated,
                waiver: None,
                make: &|locator| keystore.generate(locator, &spec),
                expected: &expected,
                known: None,
            }
            .enter(&mut writer)
        }
    }
}

/// Puts a known private key into the device and enters it, active, recorded as imported.
///
/// # Errors
/// As [`generate`]; [`Error::Usage`] too if the JWK says another `alg` or `use`, its `key_ops` are none
/// of a private half ([`Purpose::private_operations`](crate::jose::alg::Purpose::private_operations)), or
/// its parts are not of one key ([`PrivateJwk::check`]).
pub fn import(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &ImportRequest,
) -> Result<Entered> {
    let public = &request.private.public;
    let mut key = request.key.clone();
    key.kid = key.kid.or_else(|| public.kid.clone());
    let purpose = key.check()?;
    key.check_fit(public.key.kind())?;
    super::jwks::check_private_claims(public, purpose, &key.algs)?;
    request.private.check().map_err(|error| Error::Usage(format!("the key to import: {error}")))?;
    let spec = KeySpec { shape: KeyShape::of(&public.key), algs: key.algs.clone() };
    if let Some(what) = spec.shape.wrong_length() {
        return Err(Error::Usage(format!("the key to import: {what}")));
    }
    let known = Identity::Public(public.key.clone());
    let make = |locator: &_| keystore.import(locator, &spec, &request.private);
    enter_known(file, keystore, &key, &spec, &request.waiver, &make, &known)
}

/// Puts a known symmetric key into the device and enters it, active, recorded as imported.
///
/// # Errors
/// As [`import`].
pub fn import_secret(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &ImportSecretRequest,
) -> Result<Entered> {
    let secret = &request.secret;
    let mut key = request.key.clone();
    key.kid = key.kid.or_else(|| secret.kid.clone());
    let purpose = key.check()?;
    key.check_fit(secret.kind())?;
    let stated = Stated { use_: &secret.use_, key_ops: &secret.key_ops, alg: &secret.alg };
    // There is one half, which whoever verifies has as well as whoever signs.
    stated.check(purpose, purpose.operations(), &key.algs)?;
    let spec = KeySpec { shape: KeyShape::Oct { bits: secret.bits() }, algs: key.algs.clone() };
    let known = Identity::Secret(SecretInfo {
        bits: secret.bits(),
        check_value: Some(CheckValue::of(secret.expose(), purpose)),
    });
    let make = |locator: &_| keystore.import_secret(locator, &spec, secret);
    enter_known(file, keystore, &key, &spec, &request.waiver, &make, &known)
}

fn enter_known(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &KeyRequest,
    spec: &KeySpec,
    waiver: &Option<String>,
    make: &Make<'_>,
    known: &Identity,
) -> Result<Entered> {
    probe(keystore, spec)?;
    let mut writer = file.lock()?;
    if let Some(present) = writer.keyring().key(&request.name).filter(|key| !is_interrupted(key)) {
        return Err(taken(present, ""));
    }
    Entry {
        keystore,
        request,
        provenance: Provenance::Imported,
        waiver: waiver.clone(),
        make,
        expected: &|found| found.joined(known).is_some(),
        known: Some(known),
    }
    .enter(&mut writer)
}

fn present_as_asked(key: &KeyEntry, keystore: &str, request: &GenerateRequest) -> Result<Entered> {
    let algs: Vec<&str> = key.algs.iter().map(|alg| alg.name()).collect();
    let differs =
        |what: String| Err(Error::Usage(format!("key {} is there already, but {what}", key.name)));
    if !request.key.has_same_algs(&key.algs) {
        return differs(format!("for {}", algs.join(" and ")));
    }
    let Some(active) = key.active() else {
        return differs("has no active version".into());
    };
    if active.version.keystore != keystore {
        return differs(format!("in keystore {}", active.version.keystore));
    }
    active.check_strength()?;
    let Some(identity) = Identity::recorded(active.version) else {
        return differs("without its public half".into());
    };
    let shape = identity.shape();
    let is_sized = request.bits.is_some() || request.curve.is_some();
    if is_sized && shape != request.key.shape(request.bits, request.curve)? {
        return differs(format!("is {shape}"));
    }
    if request.key.kid.as_deref().is_some_and(|kid| kid != active.kid) {
        return differs(format!("has the kid {:?}", active.kid));
    }
    Ok(Entered {
        outcome: Outcome::Present,
        name: key.name.clone(),
        algs: key.algs.clone(),
        shape,
        version: Some(active.version.clone()),
        support: Vec::new(),
    })
}

fn taken(key: &KeyEntry, hint: &str) -> Error {
    Error::Usage(format!("key {} is there already: choose another name{hint}", key.name))
}
