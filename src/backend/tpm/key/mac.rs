//! HMAC in the TPM: one command, and a message that fits into it.

use tss_esapi::structures::MaxBuffer;

use super::*;
use crate::backend::tpm::scheme::hashing_algorithm;
use crate::primitives::read::fill;

impl TpmKey {
    /// Computes the MAC of a message. One that is longer than the TPM takes at once is refused before
    /// the key is touched, by its length alone, whatever MAC a token has.
    pub(super) fn authenticate(
        &self,
        hash: Hash,
        alg: SignatureAlgorithm,
        input: ToSign<'_>,
    ) -> Result<Vec<u8>, BackendError> {
        let ToSign::Message(message) = input else {
            let reason = "HMAC takes the message, not a digest".to_owned();
            return Err(self.shared.unsupported(alg.name(), reason));
        };
        let max = self.max_input()?;
        if message.len() > max {
            return Err(self.too_long(alg, max));
        }
        self.authenticate_whole(hash, message)
    }

    /// As [`TpmKey::authenticate`], of a message that is read: one byte more than the TPM takes, at
    /// most. Its limit is asked for once: a greater one afterwards, of a TPM that was reached anew or of
    /// somebody on the way to it, would pass the beginning of a message for the whole.
    pub(super) fn authenticate_reader(
        &self,
        hash: Hash,
        alg: SignatureAlgorithm,
        message: &mut dyn Read,
    ) -> Result<Vec<u8>, BackendError> {
        let max = self.max_input()?;
        // Never grown, so that no copy is left behind.
        let mut held = Zeroizing::new(vec![0; max + 1]);
        let len = fill(message, &mut held)
            .map_err(|error| BackendError::Message { reason: error.to_string() })?;
        if len > max {
            return Err(self.too_long(alg, max));
        }
        self.authenticate_whole(hash, &held[..len])
    }

    /// Sends a message that is whole and that the TPM takes.
    fn authenticate_whole(&self, hash: Hash, message: &[u8]) -> Result<Vec<u8>, BackendError> {
        let buffer = self.parameter(MaxBuffer::try_from(message))?;
        let answer = self.operate("TPM_ALG_HMAC", |live, key| {
            let buffer = buffer.clone();
            live.send("TPM2_HMAC", |context| {
                context.hmac(key.into(), buffer, hashing_algorithm(hash))
            })
        });
        match answer {
            Ok(mac) if mac.value().len() == hash.len() => Ok(mac.value().to_vec()),
            Ok(_) => {
                Err(Fault::nonsense("TPM2_HMAC", "a MAC of another length")
                    .into_error(self.keystore()))
            }
            Err(Failure::Input(fault)) => Err(fault.into_error(self.keystore())),
            Err(Failure::Other(error)) => Err(error),
        }
    }

    fn too_long(&self, alg: SignatureAlgorithm, max: usize) -> BackendError {
        self.shared.unsupported(
            &format!("{alg} over more than {max} bytes"),
            "TPM2_HMAC takes no more at once (TPM_PT_INPUT_BUFFER), and the binding (tss-esapi 7.7) has \
             no commands for parts: shorten what is signed (header and payload in base64url), or use \
             ES256 or a PKCS#11 token"
                .to_owned(),
        )
    }

    fn max_input(&self) -> Result<usize, BackendError> {
        self.shared.run(|live| Ok(live.max_input()))
    }
}
