//! The operations on a lent session, with the steps that the host adds.

use super::*;

impl Pkcs11Key {
    pub(super) fn unwrap_by(
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
            (How::KeyWrap { by_objects }, CekRequest::AesKw { encrypted_key, .. }) => {
                self.unwrap_key(by_objects, encrypted_key, enc)
            }
            (How::Gcm, CekRequest::AesGcmKw { encrypted_key, iv, tag, .. }) => {
                self.unwrap_gcm(encrypted_key, iv, tag, enc)
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
        let cek = buffer[..len].to_vec().into();
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
    pub(super) fn run_decrypt(
        &self,
        mech: Mech,
        cipher: &[u8],
        plain: &mut [u8],
    ) -> Result<usize, Failure> {
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
            |_| self.fate_of_rejected(),
        )?;
        if fitted.is_some() { Err(Failure::Wrong) } else { Ok(len) }
    }

    /// Returns what becomes of the session after a rejected ciphertext.
    ///
    /// It is not closed here: closing it on this path only would tell the paths apart, by the calls
    /// and by the time. Where the module leaves it unusable, another thread replaces it. Before that
    /// is known (while the key is proved) it is closed.
    pub(super) fn fate_of_rejected(&self) -> Fate {
        match self.connection.poisons() {
            Some(true) => Fate::Replace,
            None if !self.always_authenticate => Fate::Close,
            _ => Fate::Keep,
        }
    }

    fn agree(&self, epk: &PublicPoint, der: bool) -> Result<SharedSecret, Failure> {
        if KeyKind::Curve(epk.curve()) != self.kind {
            self.connection.begin(self.connection.losses());
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

    pub(super) fn sign_by(
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
            KeyKind::Oct { .. } => alg.hash().map(Hash::len),
        };
        self.of_length(&signature.into_inner()[..len], expected, "C_Sign")
    }

    /// Computes a MAC of a message that is read. One that ends within the first part is as one that
    /// is held; of a longer one, what has been read is not run again.
    pub(super) fn mac_by_parts(
        &self,
        mech: Mech,
        alg: SignatureAlgorithm,
        message: &mut dyn Read,
    ) -> Result<Vec<u8>, Failure> {
        // Before a session is lent: whatever a reader takes its time for, others have it meanwhile.
        let mut first = Zeroizing::new(vec![0; PART]);
        let len = fill(message, &mut first)
            .map_err(|error| Failure::Other(BackendError::Message { reason: error.to_string() }))?;
        if len < PART {
            return self.sign_by(mech, alg, ToSign::Message(&first[..len]));
        }
        let message = std::cell::RefCell::new((first, message));
        let mac = std::cell::RefCell::new([0; MAX_LEN]);
        let len = self.run(
            mech.name(),
            |lease, handle| {
                let (first, message) = &mut *message.borrow_mut();
                let mac = &mut *mac.borrow_mut();
                lease.mac_reader(mech, handle, first, *message, mac, self.authenticate())
            },
            |_| Fate::Close,
        )?;
        self.of_length(&mac.into_inner()[..len], alg.hash().map(Hash::len), "C_SignFinal")
    }

    fn of_length(
        &self,
        signature: &[u8],
        expected: Option<usize>,
        call: &str,
    ) -> Result<Vec<u8>, Failure> {
        match expected {
            Some(expected) if signature.len() != expected => {
                Err(Failure::Other(BackendError::Device {
                    keystore: self.keystore().to_owned(),
                    call: call.to_owned(),
                    code: format!("a signature of {} bytes, not {expected}", signature.len()),
                }))
            }
            _ => Ok(signature.to_vec()),
        }
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
