//! One private key in the token, and how it does each algorithm.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use cryptoki::error::RvError;
use cryptoki::object::ObjectHandle;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::mechanism::{Mech, digest_info, host_oaep_step};
use super::module::lock;
use super::object::{self, Found};
use super::pool::{Fate, Lease};
use super::raw;
use super::road::{Authenticate, Trouble};
use super::session::Connection;
use crate::backend::{
    BackendError, Cek, CekRequest, HardwareKey, HostCek, KeyInfo, Support, ToSign, agreement,
};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::alg::{ContentEncryption, Hash, KeyAlgorithm, KeyKind, KeyManagement};
use crate::jose::jwk::{MAX_RSA_BITS, PublicKey, PublicPoint};
use crate::primitives::{digest, oaep};
use crate::secret::SharedSecret;

mod proof;
mod run;

use run::{Failure, fate_of};

/// The longest RSA result, in bytes.
const MAX_LEN: usize = MAX_RSA_BITS / 8;

/// The place of the way of ECDH, after those of the four RSA-OAEP.
const AGREEMENT: usize = 4;

/// One remembered way for each algorithm: the four RSA-OAEP, ECDH, and each signature algorithm.
const WAYS: usize = AGREEMENT + 1 + SignatureAlgorithm::ALL.len();

/// A private key in the token.
pub(super) struct Pkcs11Key {
    connection: Arc<Connection>,
    info: KeyInfo,
    kind: KeyKind,
    always_authenticate: bool,
    /// The object's handle, good in `epoch`.
    handle: AtomicUsize,
    epoch: AtomicU64,
    ways: [OnceLock<Way>; WAYS],
    proving: Mutex<()>,
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
    /// A signature.
    Sign(Mech),
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
        })
    }

    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek>, BackendError> {
        let alg = request.alg();
        match self.way(KeyAlgorithm::Unwrap(alg))? {
            Ok(how) => match self.unwrap_by(*how, request, enc) {
                Ok(cek) => Ok(Box::new(cek)),
                Err(failure) => Err(self.input_error(failure, alg.name())),
            },
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
            handle: AtomicUsize::new(found.handle.handle() as usize),
            epoch: AtomicU64::new(epoch),
            ways: [const { OnceLock::new() }; WAYS],
            proving: Mutex::default(),
        }
    }

    /// Returns what is known, to add to it before the key is shared.
    pub(super) fn info_mut(&mut self) -> &mut KeyInfo {
        &mut self.info
    }

    /// Returns the kind of key.
    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }

    fn unwrap_by(
        &self,
        how: How,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<HostCek, Failure> {
        match (how, request) {
            (How::Oaep(hash), CekRequest::RsaOaep { encrypted_key, .. }) => {
                self.decrypt(hash, encrypted_key, enc)
            }
            (How::HostOaep(hash), CekRequest::RsaOaep { encrypted_key, .. }) => {
                self.decrypt_raw(hash, encrypted_key, enc)
            }
            (How::Agree { der }, CekRequest::EcdhEs { epk, other_info, wrapped }) => {
                let z = self.agree(epk, der)?;
                let step =
                    if wrapped.is_some() { "Concat KDF, AES key unwrap" } else { "Concat KDF" };
                self.host_step(step);
                agreement::cek_from_z(z, other_info, *wrapped, enc).map_err(|_| Failure::Wrong)
            }
            _ => {
                let reason = format!("the key is {}", self.kind);
                Err(Failure::Other(self.unsupported(request.alg().name(), reason)))
            }
        }
    }

    fn decrypt(
        &self,
        hash: Hash,
        encrypted_key: &[u8],
        enc: ContentEncryption,
    ) -> Result<HostCek, Failure> {
        let mut buffer = Zeroizing::new(vec![0; self.modulus_len().unwrap_or(MAX_LEN)]);
        let len = self.run_decrypt(Mech::RsaOaep(hash), encrypted_key, &mut buffer)?;
        let cek = Zeroizing::new(buffer[..len].to_vec());
        HostCek::new(enc, cek).ok_or(Failure::Wrong)
    }

    fn decrypt_raw(
        &self,
        hash: Hash,
        encrypted_key: &[u8],
        enc: ContentEncryption,
    ) -> Result<HostCek, Failure> {
        let Some(modulus_len) = self.modulus_len() else {
            let reason = "the length of the modulus is not known".to_owned();
            return Err(Failure::Other(self.unsupported("OAEP decoding on the host", reason)));
        };
        let mut em = Zeroizing::new(vec![0; modulus_len]);
        let (len, failure) = match self.run_decrypt(Mech::RsaX509, encrypted_key, &mut em) {
            Ok(len) => (len, None),
            Err(failure) if failure.is_of_input() => (modulus_len, Some(failure)),
            Err(failure) => return Err(failure),
        };
        // Decoded even where there is nothing to decode: the time tells no more than the result.
        shift_right(&mut em, modulus_len - len);
        self.host_step("OAEP decoding");
        let cek = oaep::decode(hash, &em, enc.key_len());
        match failure {
            Some(failure) => Err(failure),
            None => cek.and_then(|cek| HostCek::new(enc, cek)).ok_or(Failure::Wrong),
        }
    }

    /// Decrypts: two calls, and the same two whatever the ciphertext is.
    ///
    /// A failed data call is `Rejected` whatever its code, but for the few that only a lost
    /// connection has; a device that is gone and says so with another code is found by
    /// [`HardwareKey::confirm_alive`], which follows on every path to a failed decryption.
    fn run_decrypt(&self, mech: Mech, cipher: &[u8], plain: &mut [u8]) -> Result<usize, Failure> {
        // RFC 8017 section 7.1.2 step 1. The device never sees a ciphertext of another length: what
        // a stranger chose is not copied, sent and allocated for there; yet the calls are made.
        let fitted = self.modulus_len().filter(|len| *len != cipher.len()).map(|len| {
            let mut fitted = cipher[..cipher.len().min(len)].to_vec();
            fitted.resize(len, 0);
            fitted
        });
        let room = std::cell::RefCell::new(plain);
        let len = self.run(
            mech.name(),
            |lease, handle| {
                let plain = &mut room.borrow_mut();
                let cipher = fitted.as_deref().unwrap_or(cipher);
                lease.decrypt(mech, handle, cipher, plain, self.authenticate())
            },
            // The session is not closed here: closing it on this path only would tell the paths
            // apart, by the calls and by the time. Where the module leaves it unusable, another
            // thread replaces it. Before that is known (while the key is proved) it is closed.
            |_| match self.connection.poisons() {
                Some(true) => Fate::Replace,
                None if !self.always_authenticate => Fate::Close,
                _ => Fate::Keep,
            },
        )?;
        if fitted.is_some() { Err(Failure::Wrong) } else { Ok(len) }
    }

    fn agree(&self, epk: &PublicPoint, der: bool) -> Result<SharedSecret, Failure> {
        if KeyKind::Curve(epk.curve()) != self.kind {
            self.connection.begin();
            return Err(Failure::Wrong);
        }
        let len = epk.curve().field_len();
        let wrapped;
        let point = if der {
            wrapped = object::octet_string(epk.as_bytes());
            &wrapped
        } else {
            epk.as_bytes()
        };
        let z = std::cell::RefCell::new(Zeroizing::new(vec![0; len]));
        let read = self.run(
            "CKM_ECDH1_DERIVE",
            |lease, handle| lease.agree(handle, point, &mut z.borrow_mut()),
            |_| Fate::Keep,
        )?;
        let mut z = z.into_inner();
        // A token that drops leading zeros: Z is as long as the field (RFC 7518 section 4.6.2).
        shift_right(&mut z, len - read);
        Ok(SharedSecret::new(z))
    }

    fn sign_by(
        &self,
        mech: Mech,
        alg: SignatureAlgorithm,
        input: ToSign<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let unsupported = |reason| Err(Failure::Other(self.unsupported(alg.name(), reason)));
        let hashed;
        let data = match (input, alg.hash()) {
            (ToSign::Message(message), _) if mech.hashes() => message,
            (ToSign::Digest(_), _) if mech.hashes() => {
                return unsupported(format!("{} takes the message, not a digest", mech.name()));
            }
            (ToSign::Digest(digest), Some(hash)) if digest.len() != hash.len() => {
                return unsupported(format!("a digest of {} bytes", digest.len()));
            }
            (input, hash) => {
                let hash = hash.unwrap_or(Hash::Sha256);
                let digest = match input {
                    ToSign::Message(message) => digest::digest(hash, message),
                    ToSign::Digest(digest) => digest.to_vec(),
                };
                hashed = match mech {
                    Mech::RsaPkcs => digest_info(hash, &digest),
                    _ => digest,
                };
                &hashed
            }
        };
        let signature = std::cell::RefCell::new([0; MAX_LEN]);
        let len = self.run(
            mech.name(),
            |lease, handle| {
                let signature = &mut *signature.borrow_mut();
                lease.sign(mech, handle, data, signature, self.authenticate())
            },
            |_| Fate::Close,
        )?;
        let expected = match self.kind {
            KeyKind::Rsa => self.modulus_len(),
            KeyKind::Curve(curve) => Some(2 * curve.field_len()),
        };
        if expected.is_some_and(|expected| len != expected) {
            return Err(Failure::Other(BackendError::Device {
                keystore: self.keystore().to_owned(),
                call: "C_Sign".to_owned(),
                code: format!("a signature of {len} bytes, not {}", expected.unwrap_or_default()),
            }));
        }
        Ok(signature.into_inner()[..len].to_vec())
    }

    fn authenticate(&self) -> Authenticate<'_> {
        self.always_authenticate.then_some(&*self.connection)
    }

    /// Returns whether the key has done ECDH with a known answer.
    fn has_agreed(&self) -> bool {
        self.ways[AGREEMENT].get().is_some()
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
            None => AGREEMENT,
        },
        KeyAlgorithm::Sign(alg) => AGREEMENT + 1 + alg as usize,
    }
}

/// Moves the bytes `by` places towards the end and fills with zeros, without a branch or an index
/// that depends on `by`: how many leading zeros a decryption has is Manger's oracle.
fn shift_right(bytes: &mut [u8], by: usize) {
    let mut step = 1;
    while step <= bytes.len() {
        let mask = 0u8.wrapping_sub(u8::from(std::hint::black_box(by & step) != 0));
        for place in (0..bytes.len()).rev() {
            let moved = if place >= step { bytes[place - step] } else { 0 };
            bytes[place] ^= mask & (bytes[place] ^ moved);
        }
        step <<= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_move_right_by_any_number_of_places() {
        let bytes = [1u8, 2, 3, 4, 5, 6, 7];
        for by in 0..=7 {
            let mut moved = bytes;
            shift_right(&mut moved, by);
            let mut expected = vec![0; by];
            expected.extend_from_slice(&bytes[..7 - by]);
            assert_eq!(moved.as_slice(), expected, "{by}");
        }
    }
}
