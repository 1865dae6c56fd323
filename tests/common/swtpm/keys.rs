//! The keys that tests make in a software TPM.

use std::sync::Arc;

use hsm_jose::backend::tpm::{TpmConfig, TpmKeystore};
use hsm_jose::backend::{BackendError, HardwareKey, KeyShape, KeySpec, Keystore, Locator, ToSign};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::primitives::verify::VerifyingKey;
use hsm_jose::secret::PinSource;

use super::Swtpm;

pub const ENC: ContentEncryption = ContentEncryption::A256Gcm;
pub const ES256: SignatureAlgorithm = SignatureAlgorithm::Es256;
pub const OAEP: KeyManagement = KeyManagement::RsaOaep256;
pub const ECDH: KeyManagement = KeyManagement::EcdhEs;

/// A configuration whose keys have no authorization value: restarts do not count against them.
pub fn plain(tpm: &Swtpm) -> TpmConfig {
    TpmConfig { auth: PinSource::None, ..tpm.config("tpm") }
}

/// A key of this shape for one algorithm.
pub fn spec(shape: KeyShape, alg: KeyAlgorithm) -> KeySpec {
    KeySpec { shape, algs: vec![alg] }
}

/// Makes a key on P-256 that signs.
pub fn signing(keystore: &dyn Keystore) -> Arc<dyn HardwareKey> {
    let locator = keystore.new_locator("sig").unwrap();
    let spec = spec(KeyShape::Curve(Curve::P256), KeyAlgorithm::Sign(ES256));
    keystore.generate(&locator, &spec).unwrap()
}

/// Makes an RSA key that decrypts.
pub fn decrypting(keystore: &dyn Keystore) -> Arc<dyn HardwareKey> {
    let locator = keystore.new_locator("rsa").unwrap();
    let spec = spec(KeyShape::Rsa { bits: 2048 }, KeyAlgorithm::Unwrap(OAEP));
    keystore.generate(&locator, &spec).unwrap()
}

/// Makes a key on P-256 that agrees.
pub fn agreeing(keystore: &dyn Keystore) -> Arc<dyn HardwareKey> {
    let locator = keystore.new_locator("ecdh").unwrap();
    let spec = spec(KeyShape::Curve(Curve::P256), KeyAlgorithm::Unwrap(ECDH));
    keystore.generate(&locator, &spec).unwrap()
}

/// Signs with a key on P-256, and verifies.
pub fn sign(key: &dyn HardwareKey) -> Result<(), BackendError> {
    let signature = key.sign(ES256, ToSign::Message(b"message"))?;
    let public = key.info().public.clone().unwrap();
    assert!(VerifyingKey::new(&public).unwrap().verify(ES256, b"message", &signature));
    Ok(())
}

/// Opens a keystore whose keys have no authorization value: restarts do not count against them.
pub fn open_without_auth(tpm: &Swtpm) -> TpmKeystore {
    TpmKeystore::open(plain(tpm)).unwrap()
}

/// The file of a key.
pub fn file_of(keystore: &TpmConfig, key: &dyn HardwareKey) -> std::path::PathBuf {
    match &key.info().locator {
        Locator::KeyFile(name) => keystore.keys.join(name),
        other => panic!("{other}"),
    }
}
