//! The operations of a symmetric key: wrapping, AES in GCM, and the key itself as content encryption
//! key. HMAC is a signature to PKCS#11, and to [`Pkcs11Key::sign_by`].

use std::borrow::Cow;
use std::cell::RefCell;

use super::proof::MESSAGE;
use super::*;
use crate::backend::known_answer::symmetric as known_answer;
use crate::backend::pkcs11::mechanism::{Cipher, GCM_IV_LEN, GCM_TAG_LEN};
use crate::backend::pkcs11::object::secret::SecretType;
use crate::backend::{CekPlacement, WrappedCek};
use crate::jose::alg::KeyManagementMode as Mode;
use crate::primitives::content::Sealed;
use crate::primitives::{aes_kw, random};
use crate::secret::Plaintext;

pub(super) const KEY_WRAP: &str = "CKM_AES_KEY_WRAP";
pub(super) const GCM: &str = "CKM_AES_GCM";

/// The token's own key as the content encryption key: it never leaves the token.
#[derive(Debug)]
pub(super) struct TokenCek<'a> {
    key: &'a Pkcs11Key,
}

impl Pkcs11Key {
    /// Unwraps with AES key wrap. Whatever the wrapped key is, the token gets one of the right length,
    /// and the same calls.
    pub(super) fn unwrap_key(
        &self,
        by_objects: bool,
        encrypted_key: &[u8],
        enc: ContentEncryption,
    ) -> Result<HostCek, Failure> {
        let wrapped = fitted(encrypted_key, enc.key_len() + aes_kw::OVERHEAD);
        let is_whole = matches!(wrapped, Cow::Borrowed(_));
        // As long as the wrapped key: some tokens want that of a decryption.
        let room = RefCell::new(Zeroizing::new(vec![0; wrapped.len()]));
        let len = if by_objects {
            let run = |lease: &Lease<'_>, handle| {
                lease.unwrap(handle, &wrapped, &mut room.borrow_mut()[..enc.key_len()])
            };
            self.run(KEY_WRAP, run, |_| Fate::Keep)
        } else {
            let run = |lease: &Lease<'_>, handle| {
                lease.open(Cipher::KeyWrap, handle, &wrapped, &mut room.borrow_mut())
            };
            self.run(KEY_WRAP, run, |_| self.fate_of_rejected())
        }?;
        let value = room.borrow()[..len].to_vec().into();
        HostCek::new(enc, value).filter(|_| is_whole).ok_or(Failure::Wrong)
    }

    /// Unwraps with AES in GCM, in the same way.
    pub(super) fn unwrap_gcm(
        &self,
        encrypted_key: &[u8],
        iv: &[u8],
        tag: &[u8],
        enc: ContentEncryption,
    ) -> Result<HostCek, Failure> {
        let cipher = fitted(encrypted_key, enc.key_len());
        let is_whole = matches!(cipher, Cow::Borrowed(_));
        let cek = self.open_gcm(iv, b"", cipher.into_owned(), tag)?;
        HostCek::new(enc, cek.into()).filter(|_| is_whole).ok_or(Failure::Wrong)
    }

    /// Wraps a content encryption key.
    pub(super) fn wrap_by(&self, how: How, cek: &HostCek) -> Result<WrappedCek, Failure> {
        let cek = cek.expose_to_wrap();
        let by_objects = match how {
            How::KeyWrap { by_objects } => by_objects,
            _ => {
                let (iv, sealed, tag) = self.seal_gcm(b"", cek)?;
                return Ok(WrappedCek::gcm(sealed, iv, tag));
            }
        };
        // Room for the block that NSS says it needs, and does not.
        let room = RefCell::new(vec![0; cek.len() + 2 * aes_kw::OVERHEAD]);
        let run = |lease: &Lease<'_>, handle| {
            let room = &mut room.borrow_mut();
            if by_objects {
                lease.wrap(handle, cek, room)
            } else {
                lease.seal(Cipher::KeyWrap, handle, cek, room)
            }
        };
        let len = self.run(KEY_WRAP, run, |_| Fate::Close)?;
        self.check_len("C_WrapKey", len, cek.len() + aes_kw::OVERHEAD)?;
        let mut wrapped = room.into_inner();
        wrapped.truncate(len);
        Ok(WrappedCek::key_wrap(wrapped))
    }

    /// Recovers a content encryption key, which may be the key itself.
    pub(super) fn cek_by(
        &self,
        how: How,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, Failure> {
        Ok(match request {
            CekRequest::Dir => Box::new(self.direct(enc).map_err(Failure::Other)?),
            request => Box::new(self.unwrap_by(how, request, enc)?),
        })
    }

    /// Returns the key itself as the content encryption key.
    fn direct(&self, enc: ContentEncryption) -> Result<TokenCek<'_>, BackendError> {
        let is_gcm = enc.iv_len() == GCM_IV_LEN;
        if is_gcm && self.kind == (KeyKind::Oct { bits: 8 * enc.key_len() as u32 }) {
            return Ok(TokenCek { key: self });
        }
        let reason = match is_gcm {
            true => format!("the key is {}", self.kind),
            // SoftHSM has no CKM_EXTRACT_KEY_FROM_KEY, and with it both halves would be keys of
            // their own that any user of the token could use by themselves.
            false => {
                "a token does not split a key into one for HMAC and one for AES-CBC".to_owned()
            }
        };
        Err(self.unsupported(&format!("dir with {enc}"), reason))
    }

    /// Finds out how the key does an algorithm of a symmetric key.
    pub(super) fn prove_secret(&self, alg: KeyManagement) -> Result<Way, BackendError> {
        let (Some(secret), Some(SecretType::Aes)) = (self.info.secret, self.secret_type) else {
            return Ok(Err("the key is a generic secret, not an AES key".to_owned()));
        };
        let ways = match alg.mode() {
            Mode::KeyWrapping(_) => {
                vec![How::KeyWrap { by_objects: true }, How::KeyWrap { by_objects: false }]
            }
            _ => vec![How::Gcm],
        };
        let mut reasons = Vec::new();
        for how in ways {
            let refusal = RefCell::new(None);
            let unwrap = |request: &CekRequest<'_>, enc| {
                self.cek_by(how, request, enc).map_err(|failure| self.note(&refusal, failure))
            };
            let refuse = |request: &CekRequest<'_>, enc| {
                self.cek_by(how, request, enc).map_err(|it| self.input_error(it, alg.name()))
            };
            let wrap = |_, cek: &HostCek| {
                self.wrap_by(how, cek).map_err(|failure| self.note(&refusal, failure))
            };
            let works = match alg {
                // The content encryption key itself keeps no reason for an operator.
                KeyManagement::Dir => self
                    .seal_gcm(b"", MESSAGE)
                    .and_then(|(iv, sealed, tag)| self.open_gcm(&iv, b"", sealed, &tag))
                    .map_err(|failure| self.note(&refusal, failure))
                    .and_then(|_| known_answer::direct_works(&unwrap, secret)),
                _ => known_answer::wrap_works(&wrap, &unwrap, &refuse, alg),
            };
            match self.settled(works, refusal, || "a wrong known answer".to_owned())? {
                Ok(()) => {
                    if how == How::Gcm {
                        let garbage = [0; GCM_IV_LEN + GCM_TAG_LEN];
                        let cipher = Cipher::Gcm { iv: &[0; GCM_IV_LEN], aad: b"" };
                        self.probe_rejection(|lease, handle| {
                            lease.open(cipher, handle, &garbage, &mut [0; 32])
                        })?;
                    }
                    return Ok(Ok(how));
                }
                Err(reason) => reasons.push(reason),
            }
        }
        reasons.dedup();
        Ok(Err(reasons.join("; as a cipher: ")))
    }

    /// Encrypts with AES in GCM under an IV that is drawn here.
    fn seal_gcm(&self, aad: &[u8], plain: &[u8]) -> Result<Gcm, Failure> {
        self.invocations.take(self.keystore()).map_err(Failure::Other)?;
        let mut iv = [0; GCM_IV_LEN];
        random::fill(&mut iv);
        let room = RefCell::new(vec![0; plain.len() + GCM_TAG_LEN]);
        let run = |lease: &Lease<'_>, handle| {
            lease.seal(Cipher::Gcm { iv: &iv, aad }, handle, plain, &mut room.borrow_mut())
        };
        let len = self.run(GCM, run, |_| Fate::Close)?;
        self.check_len("C_Encrypt", len, plain.len() + GCM_TAG_LEN)?;
        let mut sealed = room.into_inner();
        let mut tag = [0; GCM_TAG_LEN];
        tag.copy_from_slice(&sealed[plain.len()..]);
        sealed.truncate(plain.len());
        Ok((iv, sealed, tag))
    }

    /// Decrypts with AES in GCM: two calls, and the same two whatever the input is. An IV or a tag of
    /// another length is refused after the token has been asked with one that fits.
    fn open_gcm(
        &self,
        iv: &[u8],
        aad: &[u8],
        mut data: Vec<u8>,
        tag: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let (mut fitted_iv, fitted_tag) = ([0; GCM_IV_LEN], fitted(tag, GCM_TAG_LEN));
        fitted_iv.copy_from_slice(&fitted(iv, GCM_IV_LEN));
        let is_whole = iv.len() == GCM_IV_LEN && tag.len() == GCM_TAG_LEN;
        let cipher_len = data.len();
        data.extend_from_slice(&fitted_tag);
        // As long as the input: SoftHSM wants room for the tag too.
        let room = RefCell::new(Zeroizing::new(vec![0; data.len()]));
        let run = |lease: &Lease<'_>, handle| {
            let cipher = Cipher::Gcm { iv: &fitted_iv, aad };
            lease.open(cipher, handle, &data, &mut room.borrow_mut())
        };
        let len = self.run(GCM, run, |_| self.fate_of_rejected())?;
        if !is_whole || len != cipher_len {
            return Err(Failure::Wrong);
        }
        let mut plain = room.into_inner();
        plain.truncate(len);
        Ok(plain)
    }

    fn check_len(&self, call: &str, len: usize, expected: usize) -> Result<(), Failure> {
        if len == expected {
            return Ok(());
        }
        Err(Failure::Other(BackendError::Device {
            keystore: self.keystore().to_owned(),
            call: call.to_owned(),
            code: format!("{len} bytes, not {expected}"),
        }))
    }
}

/// IV, ciphertext and tag.
type Gcm = ([u8; GCM_IV_LEN], Vec<u8>, [u8; GCM_TAG_LEN]);

impl Cek for TokenCek<'_> {
    fn placement(&self) -> CekPlacement {
        CekPlacement::Device
    }

    fn encrypt(self: Box<Self>, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, BackendError> {
        let sealed = self.key.seal_gcm(aad, plaintext);
        let (iv, ciphertext, tag) = sealed.map_err(|failure| self.key.input_error(failure, GCM))?;
        Ok(Sealed { iv: iv.to_vec(), ciphertext, tag: tag.to_vec() })
    }

    fn decrypt_in_place(
        &self,
        iv: &[u8],
        aad: &[u8],
        ciphertext: Vec<u8>,
        tag: &[u8],
    ) -> Result<Plaintext, BackendError> {
        let opened = self.key.open_gcm(iv, aad, ciphertext, tag);
        opened.map(Plaintext::new).map_err(|failure| self.key.input_error(failure, GCM))
    }
}

/// Cuts what a stranger sent to the length that can be right, or fills it up with zeros. The device
/// never sees another length: it is not copied, sent and allocated for there.
fn fitted(bytes: &[u8], len: usize) -> Cow<'_, [u8]> {
    if bytes.len() == len {
        return Cow::Borrowed(bytes);
    }
    let mut fitted = bytes[..bytes.len().min(len)].to_vec();
    fitted.resize(len, 0);
    Cow::Owned(fitted)
}
