//! One private or symmetric key of the TPM, and how it does each algorithm.

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::handles::KeyHandle;
use tss_esapi::structures::{Data, Digest, EccParameter, EccPoint, HashcheckTicket};
use tss_esapi::structures::{PublicKeyRsa, RsaDecryptionScheme, Signature, SignatureScheme};
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;
use zeroize::Zeroizing;

use super::Shared;
use super::context::{Live, Trouble, lock};
use super::fault::Fault;
use super::object::store::{Stamp, Unread};
use super::object::{Identity, Material};
use super::scheme::Scheme;
use crate::backend::{
    BackendError, Cek, CekRequest, HardwareKey, HostCek, KeyInfo, Locator, Support, ToSign,
    agreement,
};
use crate::jose::alg::{ContentEncryption, Hash, KeyAlgorithm, KeyKind, SignatureAlgorithm};
use crate::jose::jwk::{PublicKey, PublicPoint};
use crate::primitives::digest;
use crate::secret::SharedSecret;

mod access;
mod mac;
mod proof;

/// One remembered way for each algorithm: the four RSA-OAEP, ECDH, each signature algorithm, and one
/// for all key management with symmetric keys, of which there is none.
const WAYS: usize = 6 + SignatureAlgorithm::ALL.len();

/// A private or symmetric key of the TPM.
pub(super) struct TpmKey {
    shared: Arc<Shared>,
    info: KeyInfo,
    identity: Identity,
    material: Material,
    /// Its authorization value is the empty one, whatever that of the keystore is.
    empty_auth: bool,
    /// The TPM has taken the authorization value once.
    is_authorized: AtomicBool,
    /// What the key file looked like; `None` for a key that has none, or not yet.
    stamp: Mutex<Option<Stamp>>,
    ways: [OnceLock<Way>; WAYS],
    proving: Mutex<()>,
}

/// How the key does an algorithm, or why it does not.
type Way = Result<Scheme, String>;

/// Why an operation did not come to its end.
enum Failure {
    /// The command with the input was refused.
    Input(Fault),
    /// The TPM, the way to it, the key or its authorization.
    Other(BackendError),
}

impl HardwareKey for TpmKey {
    fn keystore(&self) -> &str {
        &self.shared.name
    }

    fn info(&self) -> &KeyInfo {
        &self.info
    }

    fn support(&self, alg: KeyAlgorithm) -> Result<Support, BackendError> {
        Ok(match (self.way(alg)?, alg) {
            (Err(reason), _) => Support::No { reason: reason.clone() },
            (Ok(scheme @ Scheme::EcDh), KeyAlgorithm::Unwrap(alg)) => Support::HostAssisted {
                mechanism: scheme.name(),
                step: if alg.key_wrap().is_some() {
                    "Concat KDF and AES key unwrap on the host; the shared secret leaves the TPM"
                } else {
                    "Concat KDF on the host; the shared secret leaves the TPM"
                },
            },
            (Ok(scheme), _) => Support::Hardware { mechanism: scheme.name() },
        })
    }

    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        let alg = request.alg();
        match self.way(KeyAlgorithm::Unwrap(alg))? {
            Ok(scheme) => self.unwrap_by(*scheme, request, enc),
            Err(reason) => Err(self.shared.unsupported(alg.name(), reason.clone())),
        }
    }

    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError> {
        match self.way(KeyAlgorithm::Sign(alg))? {
            Ok(scheme) => self.sign_by(*scheme, alg, input),
            Err(reason) => Err(self.shared.unsupported(alg.name(), reason.clone())),
        }
    }

    fn takes_reader(&self) -> bool {
        matches!(self.identity, Identity::Secret(_))
    }

    fn mac_reader(
        &self,
        alg: SignatureAlgorithm,
        message: &mut dyn Read,
    ) -> Result<Vec<u8>, BackendError> {
        match self.way(KeyAlgorithm::Sign(alg))? {
            Ok(Scheme::Hmac(hash)) => self.authenticate_reader(*hash, alg, message),
            Ok(_) => Err(self.shared.unsupported(alg.name(), "it is not a MAC".to_owned())),
            Err(reason) => Err(self.shared.unsupported(alg.name(), reason.clone())),
        }
    }

    fn confirm_alive(&self) -> Result<(), BackendError> {
        let answer = self.shared.device.run_once(self.shared.pinned(), |live| Ok(live.ask()?));
        answer.map_err(|trouble| match trouble {
            Trouble::Fault(fault) => fault.into_unavailable(self.keystore()),
            other => self.shared.error(other),
        })
    }
}

impl TpmKey {
    /// Makes a key of its material; `info` and `identity` are what that told.
    pub(super) fn new(
        shared: Arc<Shared>,
        info: KeyInfo,
        identity: Identity,
        material: Material,
        empty_auth: bool,
        stamp: Option<Stamp>,
    ) -> Self {
        Self {
            shared,
            info,
            identity,
            material,
            empty_auth,
            is_authorized: AtomicBool::new(false),
            stamp: Mutex::new(stamp),
            ways: [const { OnceLock::new() }; WAYS],
            proving: Mutex::default(),
        }
    }

    /// Returns the wrapped key, to be written to its file.
    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    /// Notes that the key is in its file from now on.
    pub(super) fn stored(&self, stamp: Option<Stamp>) {
        *lock(&self.stamp) = stamp;
    }

    fn unwrap_by(
        &self,
        scheme: Scheme,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        let cek = match (scheme.decryption(), request) {
            (Some(oaep), CekRequest::RsaOaep { encrypted_key, .. }) => {
                self.decrypt(oaep, scheme.name(), encrypted_key, enc)
            }
            (None, CekRequest::EcdhEs { epk, other_info, wrapped }) => {
                let z = self.agree(epk, scheme.name())?;
                let step =
                    if wrapped.is_some() { "Concat KDF, AES key unwrap" } else { "Concat KDF" };
                self.host_step(step);
                agreement::cek_from_z(z, other_info, *wrapped, enc)
            }
            _ => {
                let reason = format!("the key is {}", self.kind());
                Err(self.shared.unsupported(request.alg().name(), reason))
            }
        };
        cek.map(|cek| Box::new(cek) as Box<dyn Cek>)
    }

    /// Decrypts: one command, whatever the ciphertext is.
    ///
    /// Any refusal that does not speak of the TPM, the session or the authorization is `Rejected`;
    /// a TPM in failure mode, which answers what libtpms answers to a wrong padding, is found by
    /// [`HardwareKey::confirm_alive`], which follows on every path to a failed decryption.
    fn decrypt(
        &self,
        oaep: RsaDecryptionScheme,
        name: &'static str,
        encrypted_key: &[u8],
        enc: ContentEncryption,
    ) -> Result<HostCek, BackendError> {
        let Identity::Public(PublicKey::Rsa(rsa)) = &self.identity else {
            return Err(BackendError::Rejected);
        };
        let is_whole = encrypted_key.len() == rsa.modulus_len();
        // RFC 8017 section 7.1.2 step 1. The TPM gets something to refuse, so that it is asked the
        // same as for any other ciphertext: larger than every modulus of that length.
        let refused = vec![0xff; rsa.modulus_len()];
        let cipher = if is_whole { encrypted_key } else { &refused };
        let cipher = self.parameter(PublicKeyRsa::try_from(cipher))?;
        let plain = self.operate(name, |live, key| {
            live.send("TPM2_RSA_Decrypt", |context| {
                context.rsa_decrypt(key, cipher.clone(), oaep, Data::default())
            })
        });
        let plain = plain.map_err(input_error)?;
        let cek = plain.value().to_vec().into();
        HostCek::new(enc, cek).filter(|_| is_whole).ok_or(BackendError::Rejected)
    }

    fn agree(&self, epk: &PublicPoint, name: &'static str) -> Result<SharedSecret, BackendError> {
        let (x, Some(y)) = epk.coordinates() else { return Err(BackendError::Rejected) };
        if KeyKind::Curve(epk.curve()) != self.kind() {
            return Err(BackendError::Rejected);
        }
        let x = self.parameter(EccParameter::try_from(x))?;
        let point = EccPoint::new(x, self.parameter(EccParameter::try_from(y))?);
        let z = self.operate(name, |live, key| {
            live.send("TPM2_ECDH_ZGen", |context| context.ecdh_z_gen(key, point.clone()))
        });
        let z = z.map_err(input_error)?;
        // Z is as long as the field (RFC 7518 section 4.6.2); a TPM may drop leading zeros.
        match padded(z.x().value(), epk.curve().field_len()) {
            Some(z) => Ok(SharedSecret::new(z)),
            None => Err(Fault::nonsense("TPM2_ECDH_ZGen", "a longer Z than the field's")
                .into_error(self.keystore())),
        }
    }

    fn sign_by(
        &self,
        scheme: Scheme,
        alg: SignatureAlgorithm,
        input: ToSign<'_>,
    ) -> Result<Vec<u8>, BackendError> {
        if let Scheme::Hmac(hash) = scheme {
            return self.authenticate(hash, alg, input);
        }
        let (Some(hash), Some(signature)) = (alg.hash(), scheme.signature()) else {
            let reason = "the key does not sign".to_owned();
            return Err(self.shared.unsupported(alg.name(), reason));
        };
        let digest = match input {
            ToSign::Message(message) => digest::digest(hash, message),
            ToSign::Digest(digest) if digest.len() != hash.len() => {
                let reason = format!("a digest of {} bytes", digest.len());
                return Err(self.shared.unsupported(alg.name(), reason));
            }
            ToSign::Digest(digest) => digest.to_vec(),
        };
        let digest = self.parameter(Digest::try_from(digest))?;
        let answer = self.operate(scheme.name(), |live, key| {
            let digest = digest.clone();
            live.send("TPM2_Sign", |context| sign(context, key, digest, signature))
        });
        let signature = match answer {
            Ok(signature) => signature,
            Err(Failure::Input(fault)) => return Err(fault.into_error(self.keystore())),
            Err(Failure::Other(error)) => return Err(error),
        };
        self.jws_form(&signature).ok_or_else(|| {
            Fault::nonsense("TPM2_Sign", "a signature of another form").into_error(self.keystore())
        })
    }

    /// Pads each part to its length: that of the modulus, or of the field.
    fn jws_form(&self, signature: &Signature) -> Option<Vec<u8>> {
        let Identity::Public(public) = &self.identity else { return None };
        match (signature, public) {
            (Signature::RsaSsa(rsa) | Signature::RsaPss(rsa), PublicKey::Rsa(public)) => {
                Some(padded(rsa.signature().value(), public.modulus_len())?.to_vec())
            }
            (Signature::EcDsa(ecc), PublicKey::Point(point)) => {
                let len = point.curve().field_len();
                let (r, s) = (ecc.signature_r().value(), ecc.signature_s().value());
                Some([padded(r, len)?.as_slice(), &padded(s, len)?].concat())
            }
            _ => None,
        }
    }

    /// Runs one command with the key. What fails before the TPM looked at the input, because
    /// session, key or the way to the TPM have gone, is made anew and run once more.
    fn operate<T>(
        &self,
        mechanism: &'static str,
        command: impl Fn(&mut Live, KeyHandle) -> Result<T, Fault>,
    ) -> Result<T, Failure> {
        self.check_present().map_err(Failure::Other)?;
        let auth = self.auth().map_err(Failure::Other)?;
        let answer = self.shared.device.run(self.shared.pinned(), |live| {
            self.check_lockout(live, auth)?;
            let key = live.key(&self.material, auth)?;
            match command(live, key) {
                Err(fault) if fault.is_transport() || fault.is_stale() => Err(fault.into()),
                answer => Ok(answer),
            }
        });
        tracing::debug!(
            target: "hsm_jose::custody",
            keystore = self.keystore(),
            token = "TPM 2.0",
            mechanism,
            place = "token",
            "private key used"
        );
        match answer {
            Ok(Ok(value)) => {
                self.is_authorized.store(true, Ordering::Relaxed);
                Ok(value)
            }
            Ok(Err(fault)) if fault.is_auth() => Err(Failure::Other(self.refused(fault))),
            Ok(Err(fault)) if fault.is_of_device() => {
                Err(Failure::Other(fault.into_error(self.keystore())))
            }
            Ok(Err(fault)) => {
                self.is_authorized.store(true, Ordering::Relaxed);
                Err(Failure::Input(fault))
            }
            Err(trouble) => Err(Failure::Other(self.loading_error(trouble))),
        }
    }

    fn kind(&self) -> KeyKind {
        self.identity.kind()
    }

    /// A value that the binding does not take is not one that the caller has checked.
    fn parameter<T>(&self, value: tss_esapi::Result<T>) -> Result<T, BackendError> {
        value.map_err(|error| Fault::of(error, "a parameter").into_error(self.keystore()))
    }

    fn host_step(&self, step: &'static str) {
        tracing::debug!(
            target: "hsm_jose::custody",
            keystore = self.keystore(),
            token = "TPM 2.0",
            step,
            place = "host",
            "host step"
        );
    }
}

impl Drop for TpmKey {
    fn drop(&mut self) {
        // What is not used any more takes no slot from what is.
        self.shared.device.release(self.material.id);
    }
}

impl fmt::Debug for TpmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TpmKey")
            .field("keystore", &self.shared.name)
            .field("locator", &self.info.locator)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// The error of an operation whose data came from a token.
fn input_error(failure: Failure) -> BackendError {
    match failure {
        Failure::Input(_) => BackendError::Rejected,
        Failure::Other(error) => error,
    }
}

/// Sends TPM2_Sign for a digest that was made here, which only a key that is not restricted takes.
pub(super) fn sign(
    context: &mut tss_esapi::Context,
    key: KeyHandle,
    digest: Digest,
    scheme: SignatureScheme,
) -> tss_esapi::Result<Signature> {
    let no_ticket = HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: Default::default(),
    })?;
    context.sign(key, digest, scheme, no_ticket)
}

/// Puts zeros before `bytes` up to `len`; `None` if there are more.
fn padded(bytes: &[u8], len: usize) -> Option<Zeroizing<Vec<u8>>> {
    let padding = len.checked_sub(bytes.len())?;
    let mut padded = Zeroizing::new(vec![0; len]);
    padded[padding..].copy_from_slice(bytes);
    Some(padded)
}

/// Returns the place of the remembered way; the algorithms of ECDH-ES differ on the host only.
fn index(alg: KeyAlgorithm) -> usize {
    match alg {
        KeyAlgorithm::Unwrap(alg) => match alg.oaep_hash() {
            Some(Hash::Sha1) => 0,
            Some(Hash::Sha256) => 1,
            Some(Hash::Sha384) => 2,
            Some(Hash::Sha512) => 3,
            None if alg.is_ecdh() => 4,
            None => WAYS - 1,
        },
        KeyAlgorithm::Sign(alg) => 5 + alg as usize,
    }
}
