//! One private key in the token, and how it does each algorithm.

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use cryptoki::error::RvError;
use cryptoki::object::ObjectHandle;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::make::{self, Pair};
use super::mechanism::{Mech, digest_info, host_oaep_step};
use super::object::secret::SecretType;
use super::object::{self, Found};
use super::pool::{Fate, Lease};
use super::raw;
use super::road::{Authenticate, Trouble};
use super::session::Connection;
use crate::backend::{
    BackendError, Cek, CekRequest, HardwareKey, HostCek, Invocations, KeyInfo, Support, ToSign,
    WrappedCek, agreement,
};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::alg::{ContentEncryption, Hash, KeyAlgorithm, KeyKind, KeyManagement};
use crate::jose::jwk::{MAX_RSA_BITS, PublicKey, PublicPoint};
use crate::primitives::read::{PART, fill};
use crate::primitives::{digest, oaep};
use crate::secret::SharedSecret;

mod operation;
mod proof;
mod run;
mod secret;

use run::{Failure, fate_of};

/// The longest RSA result, in bytes.
const MAX_LEN: usize = MAX_RSA_BITS / 8;

/// The place of the way of ECDH, after those of the four RSA-OAEP.
const AGREEMENT: usize = 4;

/// The place of the way of the first algorithm of symmetric keys, after those of the signatures.
const SECRETS: usize = AGREEMENT + 1 + SignatureAlgorithm::ALL.len();

/// One remembered way for each algorithm: the four RSA-OAEP, ECDH, each signature algorithm, and
/// each key management algorithm by its number, of which those of symmetric keys have a place.
const WAYS: usize = SECRETS + KeyManagement::ALL.len();

/// A private key in the token.
pub(super) struct Pkcs11Key {
    connection: Arc<Connection>,
    info: KeyInfo,
    kind: KeyKind,
    always_authenticate: bool,
    secret_type: Option<SecretType>,
    /// What AES in GCM may still encrypt.
    invocations: Invocations,
    /// The object's handle, good in `epoch`.
    handle: AtomicUsize,
    epoch: AtomicU64,
    ways: [OnceLock<Way>; WAYS],
    proving: Mutex<()>,
    /// The session objects of a key that goes with this value.
    ephemeral: Option<Pair>,
}

/// How the key does an algorithm, or why it does not.
type Way = Result<How, String>;

/// How the key does an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// RSAES-OAEP in the token.
    Oaep(Hash),
    /// Raw RSA in the token, OAEP decoding here.
    HostOaep(Hash),
    /// ECDH in the token; the peer's point as it is, or as a DER OCTET STRING.
    Agree { der: bool },
    /// A signature, or a MAC.
    Sign(Mech),
    /// AES key wrap: through session objects, or as a cipher.
    KeyWrap { by_objects: bool },
    /// AES in GCM.
    Gcm,
}

impl HardwareKey for Pkcs11Key {
    fn keystore(&self) -> &str {
        self.connection.name()
    }

    fn info(&self) -> &KeyInfo {
        &self.info
    }

    fn support(&self, alg: KeyAlgorithm) -> Result<Support, BackendError> {
        Ok(match (self.way(alg)?, alg) {
            (Err(reason), _) => Support::No { reason: reason.clone() },
            (Ok(How::HostOaep(_)), KeyAlgorithm::Unwrap(alg)) => {
                Support::HostAssisted { mechanism: Mech::RsaX509.name(), step: host_oaep_step(alg) }
            }
            (Ok(How::Agree { .. }), KeyAlgorithm::Unwrap(alg)) => Support::HostAssisted {
                mechanism: "CKM_ECDH1_DERIVE",
                step: if alg.key_wrap().is_some() {
                    "Concat KDF and AES key unwrap on the host; the shared secret leaves the token"
                } else {
                    "Concat KDF on the host; the shared secret leaves the token"
                },
            },
            (Ok(How::Sign(mech)), _) => Support::Hardware { mechanism: mech.name() },
            (Ok(How::Oaep(hash) | How::HostOaep(hash)), _) => {
                Support::Hardware { mechanism: Mech::RsaOaep(*hash).name() }
            }
            (Ok(How::Agree { .. }), _) => Support::Hardware { mechanism: "CKM_ECDH1_DERIVE" },
            (Ok(How::KeyWrap { .. }), _) => Support::Hardware { mechanism: secret::KEY_WRAP },
            (Ok(How::Gcm), _) => Support::Hardware { mechanism: secret::GCM },
        })
    }

    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        let alg = request.alg();
        match self.way(KeyAlgorithm::Unwrap(alg))? {
            Ok(how) => self
                .cek_by(*how, request, enc)
                .map_err(|failure| self.input_error(failure, alg.name())),
            Err(reason) => Err(self.unsupported(alg.name(), reason.clone())),
        }
    }

    fn wrap_cek(&self, alg: KeyManagement, cek: &HostCek) -> Result<WrappedCek, BackendError> {
        match self.way(KeyAlgorithm::Unwrap(alg))? {
            Ok(how @ (How::KeyWrap { .. } | How::Gcm)) if alg != KeyManagement::Dir => {
                self.wrap_by(*how, cek).map_err(|failure| self.input_error(failure, alg.name()))
            }
            Ok(_) => Err(self.unsupported(alg.name(), "it does not wrap a key".to_owned())),
            Err(reason) => Err(self.unsupported(alg.name(), reason.clone())),
        }
    }

    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError> {
        match self.way(KeyAlgorithm::Sign(alg))? {
            Ok(How::Sign(mech)) => self
                .sign_by(*mech, alg, input)
                .map_err(|failure| self.input_error(failure, alg.name())),
            Ok(_) => Err(self.unsupported(alg.name(), "the key does not sign".to_owned())),
            Err(reason) => Err(self.unsupported(alg.name(), reason.clone())),
        }
    }

    fn takes_reader(&self) -> bool {
        self.secret_type == Some(SecretType::Generic)
    }

    fn mac_reader(
        &self,
        alg: SignatureAlgorithm,
        message: &mut dyn Read,
    ) -> Result<Vec<u8>, BackendError> {
        match self.way(KeyAlgorithm::Sign(alg))? {
            Ok(How::Sign(mech @ Mech::Hmac(_))) => self
                .mac_by_parts(*mech, alg, message)
                .map_err(|failure| self.input_error(failure, alg.name())),
            Ok(_) => Err(self.unsupported(alg.name(), "it is not a MAC".to_owned())),
            Err(reason) => Err(self.unsupported(alg.name(), reason.clone())),
        }
    }

    fn confirm_alive(&self) -> Result<(), BackendError> {
        let losses = self.connection.losses_at_begin();
        let lease = self.connection.checkout()?;
        match self.connection.alive(&lease) {
            Ok(()) => lease.end(Fate::Keep),
            Err(fault) => {
                lease.end(fate_of(fault));
                // The next operation looks what is gone, and brings it back.
                self.connection.lose();
                return Err(fault.into_unavailable(self.keystore()));
            }
        }
        // Alive again, by this call or by another thread, is not alive all the time.
        if self.connection.losses() == losses {
            Ok(())
        } else {
            Err(BackendError::Unavailable {
                keystore: self.keystore().to_owned(),
                call: "C_GetSessionInfo".to_owned(),
                code: "the connection was lost meanwhile, and is back".to_owned(),
            })
        }
    }
}

impl Pkcs11Key {
    /// Makes a key of an object that was found, with what it told.
    pub(super) fn new(connection: Arc<Connection>, found: Found, epoch: u64) -> Self {
        Self {
            connection,
            info: found.info,
            kind: found.kind,
            always_authenticate: found.always_authenticate,
            secret_type: found.secret_type,
            invocations: Invocations::new(),
            handle: AtomicUsize::new(found.handle.handle() as usize),
            epoch: AtomicU64::new(epoch),
            ways: [const { OnceLock::new() }; WAYS],
            proving: Mutex::default(),
            ephemeral: None,
        }
    }

    /// Makes the key one that is destroyed with this value.
    pub(super) fn goes_with(mut self, pair: Pair) -> Self {
        self.ephemeral = Some(pair);
        self
    }

    /// Returns what is known, to add to it before the key is shared.
    pub(super) fn info_mut(&mut self) -> &mut KeyInfo {
        &mut self.info
    }

    /// Takes note that the key was outside: what cannot be true of it is not missing.
    pub(super) fn was_outside(&mut self) {
        self.info.unproven.retain(|phrase| {
            !["CKA_LOCAL", "CKA_KEY_GEN"].iter().any(|name| phrase.starts_with(name))
        });
    }

    /// Returns the kind of key.
    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }

    fn authenticate(&self) -> Authenticate<'_> {
        self.always_authenticate.then_some(&*self.connection)
    }

    /// Returns whether the key has done ECDH or unwrapped with a known answer.
    fn has_agreed_or_unwrapped(&self) -> bool {
        let has_unwrapped = |way: &OnceLock<Way>| matches!(way.get(), Some(Ok(_)));
        self.ways[AGREEMENT].get().is_some() || self.ways[SECRETS..].iter().any(has_unwrapped)
    }

    fn modulus_len(&self) -> Option<usize> {
        match &self.info.public {
            Some(PublicKey::Rsa(rsa)) => Some(rsa.modulus_len()),
            _ => None,
        }
    }

    /// The error of an operation whose data came from a token: `Rejected`, unless the data was not
    /// looked at or the connection has gone.
    fn input_error(&self, failure: Failure, what: &str) -> BackendError {
        match failure {
            Failure::Other(error) => error,
            Failure::Init(fault) => self.init_error(fault, what),
            Failure::Data(fault) if fault.is_transport() => fault.into_unavailable(self.keystore()),
            Failure::Data(fault) if fault.is_of_input() => BackendError::Rejected,
            Failure::Wrong => BackendError::Rejected,
            Failure::Data(fault) => fault.into_error(self.keystore()),
        }
    }

    fn init_error(&self, fault: Fault, what: &str) -> BackendError {
        if fault.is_refusal() {
            self.unsupported(what, fault.to_string())
        } else {
            fault.into_error(self.keystore())
        }
    }

    fn unsupported(&self, what: &str, reason: String) -> BackendError {
        let keystore = self.keystore().to_owned();
        BackendError::Unsupported { keystore, what: what.to_owned(), reason }
    }

    fn host_step(&self, step: &'static str) {
        tracing::debug!(
            target: "hsm_jose::custody",
            keystore = self.keystore(),
            token = self.connection.token().label.as_str(),
            step,
            place = "host",
            "host step"
        );
    }
}

impl Drop for Pkcs11Key {
    fn drop(&mut self) {
        let Some(pair) = self.ephemeral.take() else { return };
        let destroyed = self.connection.admin().and_then(|admin| {
            // A handle of another epoch may be another object's now.
            if self.connection.epoch() == pair.epoch {
                make::destroy(&admin, &pair)
            } else {
                make::destroy_at(&admin, self.keystore(), &self.info.locator)
            }
        });
        match destroyed {
            // Session objects go with the session that made them, at the latest.
            Ok(()) | Err(BackendError::NotFound { .. } | BackendError::Unavailable { .. }) => {}
            Err(error) => tracing::warn!(keystore = self.keystore(), %error, "destroying a key"),
        }
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Key")
            .field("keystore", &self.connection.name())
            .field("locator", &self.info.locator)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Returns the place of the remembered way; the algorithms of ECDH-ES differ on the host only.
fn index(alg: KeyAlgorithm) -> usize {
    match alg {
        KeyAlgorithm::Unwrap(alg) => match alg.oaep_hash() {
            Some(Hash::Sha1) => 0,
            Some(Hash::Sha256) => 1,
            Some(Hash::Sha384) => 2,
            Some(Hash::Sha512) => 3,
            None if alg.is_symmetric() => SECRETS + alg as usize,
            None => AGREEMENT,
        },
        KeyAlgorithm::Sign(alg) => AGREEMENT + 1 + alg as usize,
    }
}
