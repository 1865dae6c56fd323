//! How a key does an algorithm: found by doing it, remembered for the life of the key.

use std::cell::RefCell;

use super::*;
use crate::backend::known_answer;
use crate::primitives::verify::VerifyingKey;

const MESSAGE: &[u8] = b"hsm-jose known answer";

impl Pkcs11Key {
    /// Returns how the key does `alg`. Asked the first time, it is proved with known answers.
    pub(super) fn way(&self, alg: KeyAlgorithm) -> Result<&Way, BackendError> {
        let place = &self.ways[index(alg)];
        if let Some(way) = place.get() {
            return Ok(way);
        }
        let _one_at_a_time = lock(&self.proving);
        if place.get().is_none() {
            // In the trace, what is done to find out is told from what was asked for.
            let _span = tracing::debug_span!(target: "hsm_jose::custody", "known_answer").entered();
            let way = self.prove(alg)?;
            return Ok(place.get_or_init(|| way));
        }
        Ok(place.get().expect("a proved way")) // invariant: seen set under the lock, never unset
    }

    fn prove(&self, alg: KeyAlgorithm) -> Result<Way, BackendError> {
        if !alg.fits(self.kind) {
            return Ok(Err(format!("the key is {}", self.kind)));
        }
        match alg {
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
                    self.probe_rejection(how)?;
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
        let mut reason = String::new();
        for how in [How::Agree { der: false }, How::Agree { der: true }] {
            match self.unwraps(how, alg)? {
                Ok(()) => return Ok(Ok(how)),
                Err(because) if reason.is_empty() => reason = because,
                Err(_) => {}
            }
        }
        Ok(Err(reason))
    }

    fn prove_signature(&self, alg: SignatureAlgorithm) -> Result<Way, BackendError> {
        let mut reasons = Vec::new();
        for mech in Mech::for_signing(alg) {
            let refusal = RefCell::new(None);
            let sign = |alg, input: ToSign<'_>| {
                note(&refusal, self.sign_by(mech, alg, input), self.keystore())
            };
            let works = match &self.info.public {
                Some(public) if !mech.hashes() || alg.hash().is_none() => {
                    known_answer::sign_works(&sign, public, alg)?
                }
                public => match (sign(alg, ToSign::Message(MESSAGE)), public) {
                    (Ok(signature), Some(public)) => VerifyingKey::new(public)
                        .is_ok_and(|public| public.verify(alg, MESSAGE, &signature)),
                    // The device does not tell the public half: that it signs is all we know.
                    (Ok(_), None) => true,
                    (Err(BackendError::Unsupported { .. }), _) => false,
                    (Err(error), _) => return Err(error),
                },
            };
            if works {
                return Ok(Ok(How::Sign(mech)));
            }
            let reason = refusal.into_inner();
            reasons
                .push(reason.unwrap_or_else(|| {
                    format!("the signature of {} does not verify", mech.name())
                }));
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
                let unwrap = |request: &CekRequest<'_>, enc| {
                    note(&refusal, self.unwrap_by(how, request, enc), self.keystore())
                };
                known_answer::unwrap_works(&unwrap, public, alg)?
            }
            (None, How::Oaep(hash)) => {
                let garbage = vec![0xff; 256];
                let mut plain = Zeroizing::new(vec![0; MAX_LEN]);
                let answer = self.run_decrypt(Mech::RsaOaep(hash), &garbage, &mut plain);
                match note(&refusal, answer, self.keystore()) {
                    Ok(_) | Err(BackendError::Rejected) => true,
                    Err(BackendError::Unsupported { .. }) => false,
                    Err(error) => return Err(error),
                }
            }
            (None, How::Agree { der }) => !der,
            (None, _) => {
                refusal.replace(Some("the public half of the key is not known".to_owned()));
                false
            }
        };
        Ok(if works {
            Ok(())
        } else {
            Err(refusal.into_inner().unwrap_or_else(|| "a wrong known answer".to_owned()))
        })
    }

    /// Finds out, once for each connection, whether a rejected ciphertext leaves the session
    /// unusable (tpm2-pkcs11 answers CKR_OPERATION_ACTIVE from then on).
    fn probe_rejection(&self, how: How) -> Result<(), BackendError> {
        if self.connection.poisons().is_some() || self.always_authenticate {
            return Ok(());
        }
        let mech = match how {
            How::Oaep(hash) => Mech::RsaOaep(hash),
            _ => Mech::RsaX509,
        };
        // Larger than any modulus of that length: refused by raw RSA too.
        let len = self.modulus_len().unwrap_or(256);
        let garbage = vec![0xff; len];
        let mut plain = Zeroizing::new(vec![0; len]);
        let (lease, handle) = self.lease()?;
        let _ = lease.decrypt(mech, handle, &garbage, &mut plain, None);
        let again = lease.decrypt(mech, handle, &garbage, &mut plain, None);
        lease.end(Fate::Close);
        let is_active = |fault: &Fault| fault.native() == Some(RvError::OperationActive);
        let poisons = matches!(&again, Err(Trouble::Fault(fault)) if is_active(fault));
        self.connection.set_poisons(poisons);
        Ok(())
    }
}

/// While a key is proved, an error of the device is its way to say no; only a connection or a
/// login that has gone is an error. The reason is kept for an operator.
fn note<T>(
    refusal: &RefCell<Option<String>>,
    answer: Result<T, BackendError>,
    keystore: &str,
) -> Result<T, BackendError> {
    let reason = match &answer {
        Err(BackendError::Device { call, code, .. }) => format!("{call}: {code}"),
        Err(BackendError::Unsupported { reason, .. }) => reason.clone(),
        Err(BackendError::Rejected) => "a wrong known answer".to_owned(),
        _ => return answer,
    };
    let is_rejected = matches!(answer, Err(BackendError::Rejected));
    refusal.replace(Some(reason.clone()));
    Err(if is_rejected {
        BackendError::Rejected
    } else {
        BackendError::Unsupported {
            keystore: keystore.to_owned(),
            what: "a known answer".to_owned(),
            reason,
        }
    })
}
