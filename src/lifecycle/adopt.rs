//! Keys that are in a device already. Nothing is changed there.

use super::identity::Identity;
use super::{Entered, KeyRequest, Outcome, prove};
use crate::backend::{KeyInfo, Keystore, Locator};
use crate::error::{Error, Result};
use crate::jose::jwk::PublicJwk;
use crate::keyring::{KeyEntry, KeyState, KeyVersion, KeyringFile, Provenance, Timestamp};

/// A key of a device to be entered into the keyring.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// # use hsm_jose::keyring::KeyringFile;
/// # use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
/// # let directory = tempfile::tempdir().unwrap();
/// # let file = KeyringFile::new(&directory.path().join("keyring.json"));
/// # let keystore = MemoryKeystore::new("test");
/// # let key = KeyRequest {
/// #     name: "issuer-sig".into(),
/// #     algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::Es256)],
/// #     kid: None,
/// #     profile: hsm_jose::policy::Profile::Strict,
/// # };
/// # let request = GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
///
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore, Locator};
/// use hsm_jose::jose::alg::Curve;
/// use hsm_jose::lifecycle::{AdoptRequest, adopt};
///
/// // A key that a vendor's tool has made in the device:
/// let locator = Locator::Memory("theirs".into());
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: request.key.algs.clone() };
/// keystore.generate(&locator, &spec)?;
///
/// let adopted = adopt(&file, &keystore, &AdoptRequest { key: request.key, locator, public: None })?;
/// assert_eq!(adopted.name, "issuer-sig");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdoptRequest {
    /// What every way in needs.
    pub key: KeyRequest,
    /// Where the key is.
    pub locator: Locator,
    /// Its public half, for a device that does not tell it.
    pub public: Option<PublicJwk>,
}

/// Enters a key that is in the device already, active, recorded as adopted.
///
/// It is made to do each of its algorithms with a known answer, which also proves that the public
/// half is its own. A symmetric key is recorded by its size and check value. What the device does not guarantee is recorded in [`KeyVersion::unproven`].
///
/// # Errors
/// [`Error::Usage`] for a request that cannot be, a name or kid that is taken, or a public half
/// that is missing; [`crate::backend::BackendError::Unsupported`] for an algorithm the key does not
/// do; [`crate::backend::BackendError::Misconfigured`] for a public half that is another key's;
/// [`crate::backend::BackendError::WeakKey`] for a key that anyone can factor;
/// [`crate::backend::BackendError::NotFound`] and [`crate::backend::BackendError::Ambiguous`] of
/// the locator; else a device fault.
pub fn adopt(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &AdoptRequest,
) -> Result<Entered> {
    let purpose = request.key.check()?;
    if file.read()?.key(&request.key.name).is_some() {
        return Err(taken(&request.key.name));
    }
    let found = match &request.public {
        Some(given) => keystore.find_with_public(&request.locator, &given.key)?,
        None => keystore.find(&request.locator)?,
    };
    let info = found.info();
    let Some(identity) = Identity::told(info) else {
        return Err(Error::Usage(format!(
            "keystore {} does not tell the public half of the key at {}: give it with \
             `public`",
            keystore.name(),
            info.locator
        )));
    };
    let shape = identity.shape();
    request.key.check_fit(shape.kind())?;
    if let Some(given) = &request.public {
        super::jwks::check_claims(given, purpose, &request.key.algs)?;
    }
    let support = prove(found.as_ref(), &request.key.algs)?;
    let kid = request.key.kid.clone();
    let mut version = KeyVersion {
        version: 1,
        kid_given: kid.is_some(),
        kid: Some(kid.unwrap_or_else(|| identity.kid())),
        state: KeyState::Active,
        created: Timestamp::now(),
        keystore: keystore.name().to_owned(),
        locator: info.locator.clone(),
        provenance: Provenance::Adopted,
        waiver: None,
        unproven: doubts(info),
        public: None,
        secret: None,
    };
    identity.record(&mut version);
    let mut writer = file.lock()?;
    if writer.keyring().key(&request.key.name).is_some() {
        return Err(taken(&request.key.name));
    }
    let entry = entry(&request.key, version.clone());
    writer.change(|keyring| keyring.keys.push(entry))?;
    Ok(Entered {
        outcome: Outcome::Entered,
        name: request.key.name.clone(),
        algs: request.key.algs.clone(),
        shape,
        version: Some(version),
        support,
    })
}

/// Makes the entry of a key with one version. The request has been checked to have an algorithm.
pub(super) fn entry(request: &KeyRequest, version: KeyVersion) -> KeyEntry {
    KeyEntry {
        name: request.name.clone(),
        purpose: request.algs[0].purpose(), // invariant: `KeyRequest::check` refuses none
        algs: request.algs.clone(),
        versions: vec![version],
    }
}

/// Everything that is not as it would be for a key made here: not proved, or known to be weak.
pub(super) fn doubts(info: &KeyInfo) -> Vec<String> {
    info.weak.iter().chain(&info.unproven).cloned().collect()
}

fn taken(name: &str) -> Error {
    Error::Usage(format!("key {name} is there already: choose another name"))
}
