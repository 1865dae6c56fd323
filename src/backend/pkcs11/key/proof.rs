//! How a key does an algorithm: found by doing it, remembered for the life of the key.

use std::cell::RefCell;

use super::*;
use crate::backend::known_answer;
use crate::primitives::verify::VerifyingKey;

pub(super) const MESSAGE: &[u8] = b"hsm-jose known answer";

impl Pkcs11Key {
    /// Returns how the key does `alg`. Asked the first time, it is proved with known answers.
    pub(super) fn way(&self, alg: KeyAlgorithm) -> Result<&Way, BackendError> {
        known_answer::remembered(&self.ways[index(alg)], &self.proving, || self.prove(alg))
    }

    fn prove(&self, alg: KeyAlgorithm) -> Result<Way, BackendError> {
        if !alg.fits(self.kind) {
            return Ok(Err(format!("the key is {}", self.kind)));
        }
        match alg {
            KeyAlgorithm::Unwrap(alg) if alg.is_symmetric() => self.prove_secret(alg),
            KeyAlgorithm::Unwrap(alg) => match alg.oaep_hash() {
                Some(hash) => self.prove_oaep(alg, hash),
                None => self.prove_agreement(alg),
            },
            KeyAlgorithm::Sign(alg) => self.prove_signature(alg),
        }
    }

    fn prove_oaep(&self, alg: KeyManagement, hash: Hash) -> Result<Way, BackendError> {
        let mut ways = vec![How::Oaep(hash)];
        if self.connection.config().host_oaep {
            ways.push(How::HostOaep(hash));
        }
        let mut reasons = Vec::new();
        for how in ways {
            match self.unwraps(how, alg)? {
                Ok(()) => {
                    self.probe_rsa(how)?;
                    return Ok(Ok(how));
                }
                Err(reason) => reasons.push(reason),
            }
        }
        let mut reason = reasons.join("; with raw RSA: ");
        if !self.connection.config().host_oaep && !reason.contains("NOT_PERMITTED") {
            reason.push_str(
                "; host_oaep = true in the configuration of the keystore allows raw RSA in the \
                 token with OAEP decoding on the host",
            );
        }
        Ok(Err(reason))
    }

    fn prove_agreement(&self, alg: KeyManagement) -> Result<Way, BackendError> {
        let (mut refusal, mut fault) = (None, None);
        for how in [How::Agree { der: false }, How::Agree { der: true }] {
            match self.unwraps(how, alg) {
                Ok(Ok(())) => return Ok(Ok(how)),
                Ok(Err(reason)) => drop(refusal.get_or_insert(reason)),
                // Which code is the answer to a point in the other form, nobody says.
                Err(error @ BackendError::Device { .. }) => drop(fault.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Err(refusal.unwrap_or_default())),
        }
    }

    fn prove_signature(&self, alg: SignatureAlgorithm) -> Result<Way, BackendError> {
        let mut reasons = Vec::new();
        for mech in Mech::for_signing(alg) {
            let refusal = RefCell::new(None);
            let sign = |alg, input: ToSign<'_>| {
                self.sign_by(mech, alg, input).map_err(|failure| self.note(&refusal, failure))
            };
            let works = match &self.info.public {
                None if alg.is_symmetric() => match self.secret_type {
                    Some(SecretType::Generic) => known_answer::symmetric::mac_works(&sign, alg),
                    _ => return Ok(Err("the key is an AES key, not a generic secret".to_owned())),
                },
                Some(public) if !mech.hashes() || alg.hash().is_none() => {
                    known_answer::sign_works(&sign, public, alg)
                }
                public => match (sign(alg, ToSign::Message(MESSAGE)), public) {
                    (Ok(signature), Some(public)) => Ok(VerifyingKey::new(public)
                        .is_ok_and(|public| public.verify(alg, MESSAGE, &signature))),
                    // The device does not tell the public half: that it signs is all we know.
                    (Ok(_), None) => Ok(true),
                    (Err(BackendError::Unsupported { .. }), _) => Ok(false),
                    (Err(error), _) => Err(error),
                },
            };
            let wrong = || match alg.is_symmetric() {
                true => format!("the MAC of {} is none", mech.name()),
                false => format!("the signature of {} does not verify", mech.name()),
            };
            match self.settled(works, refusal, wrong)? {
                Ok(()) => return Ok(Ok(How::Sign(mech))),
                Err(reason) => reasons.push(reason),
            }
        }
        reasons.dedup();
        Ok(Err(reasons.join("; ")))
    }

    /// Unwraps a known CEK; where the public half is not known, asks only whether the key takes
    /// the mechanism.
    fn unwraps(&self, how: How, alg: KeyManagement) -> Result<Result<(), String>, BackendError> {
        let refusal = RefCell::new(None);
        let works = match (&self.info.public, how) {
            (Some(public), _) => {
                let unwrap = |request: &CekRequest<'_>, enc| match self.unwrap_by(how, request, enc)
                {
                    Ok(cek) => Ok(Box::new(cek) as Box<dyn Cek>),
                    Err(failure) => Err(self.note(&refusal, failure)),
                };
                known_answer::unwrap_works(&unwrap, public, alg)
            }
            (None, How::Oaep(hash)) => {
                let garbage = vec![0xff; 256];
                let mut plain = Zeroizing::new(vec![0; MAX_LEN]);
                match self.run_decrypt(Mech::RsaOaep(hash), &garbage, &mut plain) {
                    Ok(_) => Ok(true),
                    Err(Failure::Data(fault)) if fault.is_refusal() || fault.is_transport() => {
                        Err(self.note(&refusal, Failure::Data(fault)))
                    }
                    Err(Failure::Data(_) | Failure::Wrong) => self.confirm_alive().map(|()| true),
                    Err(failure) => Err(self.note(&refusal, failure)),
                }
            }
            (None, How::Agree { der }) => Ok(!der),
            (None, _) => {
                refusal.replace(Some("the public half of the key is not known".to_owned()));
                Ok(false)
            }
        };
        self.settled(works, refusal, || "a wrong known answer".to_owned())
    }

    /// Says what a known answer means for good. What is remembered for the life of the key is that
    /// it works, a refusal of mechanism, parameters or key, and a wrong answer of a device that is
    /// alive; any other fault may be gone the next time, and is an error.
    pub(super) fn settled(
        &self,
        works: Result<bool, BackendError>,
        refusal: RefCell<Option<String>>,
        wrong: impl FnOnce() -> String,
    ) -> Result<Result<(), String>, BackendError> {
        match (works, refusal.into_inner()) {
            (Ok(true), _) => Ok(Ok(())),
            (Ok(false) | Err(BackendError::Unsupported { .. }), Some(reason)) => Ok(Err(reason)),
            (Ok(false), None) => {
                self.confirm_alive()?;
                Ok(Err(wrong()))
            }
            (Err(error @ BackendError::Device { .. }), _) => {
                self.confirm_alive()?;
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Makes the error of a known answer that failed, and keeps the reason of a refusal for an
    /// operator. No input of a stranger is in it: a fault that is not a refusal is the device's.
    pub(super) fn note(&self, refusal: &RefCell<Option<String>>, failure: Failure) -> BackendError {
        let error = match failure {
            Failure::Other(error) => error,
            Failure::Wrong => BackendError::Rejected,
            Failure::Init(fault) | Failure::Data(fault) if fault.is_refusal() => {
                self.unsupported("a known answer", fault.to_string())
            }
            Failure::Init(fault) | Failure::Data(fault) => fault.into_error(self.keystore()),
        };
        if let BackendError::Unsupported { reason, .. } = &error {
            refusal.replace(Some(reason.clone()));
        }
        error
    }

    /// Has the key refuse a ciphertext of RSA.
    fn probe_rsa(&self, how: How) -> Result<(), BackendError> {
        let mech = match how {
            How::Oaep(hash) => Mech::RsaOaep(hash),
            _ => Mech::RsaX509,
        };
        // Larger than any modulus of that length: refused by raw RSA too.
        let len = self.modulus_len().unwrap_or(256);
        let garbage = vec![0xff; len];
        self.probe_rejection(|lease, handle| {
            lease.decrypt(mech, handle, &garbage, &mut Zeroizing::new(vec![0; len]), None)
        })
    }

    /// Finds out, once for each connection, whether a rejected ciphertext leaves the session
    /// unusable (tpm2-pkcs11 answers CKR_OPERATION_ACTIVE from then on): the very Init that went well
    /// before then fails.
    pub(super) fn probe_rejection(
        &self,
        decrypt_garbage: impl Fn(&Lease<'_>, ObjectHandle) -> Result<usize, Trouble>,
    ) -> Result<(), BackendError> {
        if self.connection.poisons().is_some() || self.always_authenticate {
            return Ok(());
        }
        let (lease, handle) = self.lease()?;
        let first = decrypt_garbage(&lease, handle);
        let again = decrypt_garbage(&lease, handle);
        lease.end(Fate::Close);
        let fault_of = |answer| match answer {
            Ok(_) => Ok(None),
            Err(Trouble::Fault(fault)) if fault.is_transport() => {
                Err(fault.into_error(self.keystore()))
            }
            Err(Trouble::Fault(fault)) => Ok(Some(fault)),
            Err(Trouble::Other(error)) => Err(error),
        };
        match fault_of(first)? {
            // No ciphertext was looked at: nothing was found out.
            Some(fault) if !fault.is_of_input() => return Err(fault.into_error(self.keystore())),
            _ => {}
        }
        let poisons = fault_of(again)?.is_some_and(|fault| !fault.is_of_input());
        self.connection.set_poisons(poisons);
        Ok(())
    }
}
