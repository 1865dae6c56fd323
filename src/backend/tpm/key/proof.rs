//! How a key does an algorithm: by what it is bound to, proved by doing it, remembered for the life
//! of the key.

use std::cell::RefCell;

use super::*;
use crate::backend::known_answer;
use crate::backend::tpm::scheme;

impl TpmKey {
    /// Returns how the key does `alg`. Asked the first time, it is proved with known answers.
    pub(super) fn way(&self, alg: KeyAlgorithm) -> Result<&Way, BackendError> {
        known_answer::remembered(&self.ways[index(alg)], &self.proving, || self.prove(alg))
    }

    fn prove(&self, alg: KeyAlgorithm) -> Result<Way, BackendError> {
        if !alg.fits(self.kind()) {
            return Ok(Err(format!("the key is {}", self.kind())));
        }
        let scheme = match scheme::bound_to(&self.material.public, alg) {
            Ok(scheme) => scheme,
            Err(reason) => return Ok(Err(reason)),
        };
        let refusal = RefCell::new(None);
        let works = match (alg, &self.identity) {
            (KeyAlgorithm::Unwrap(alg), Identity::Public(public)) => {
                let unwrap = |request: &CekRequest<'_>, enc| {
                    self.note(&refusal, self.unwrap_by(scheme, request, enc))
                };
                known_answer::unwrap_works(&unwrap, public, alg)?
            }
            (KeyAlgorithm::Sign(alg), identity) => {
                let sign =
                    |alg, input: ToSign<'_>| self.note(&refusal, self.sign_by(scheme, alg, input));
                match identity {
                    Identity::Public(public) => known_answer::sign_works(&sign, public, alg)?,
                    Identity::Secret(_) => known_answer::symmetric::mac_works(&sign, alg)?,
                }
            }
            (KeyAlgorithm::Unwrap(_), Identity::Secret(_)) => false,
        };
        if works {
            return Ok(Ok(scheme));
        }
        Ok(Err(refusal.into_inner().unwrap_or_else(|| match scheme {
            Scheme::RsaPss(_) => "its signature does not verify with a salt as long as the hash: \
                                  the TPM may use the longest salt that fits"
                .to_owned(),
            _ => "a wrong known answer".to_owned(),
        })))
    }

    /// While a key is proved, an error that the TPM answers is its way to say no; only a TPM, a key
    /// or an authorization that has gone is an error. The reason is kept for an operator.
    fn note<T>(
        &self,
        refusal: &RefCell<Option<String>>,
        answer: Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let reason = match &answer {
            Err(BackendError::Device { call, code, .. }) => format!("{call}: {code}"),
            Err(BackendError::Rejected) => "a wrong known answer".to_owned(),
            _ => return answer,
        };
        refusal.replace(Some(reason.clone()));
        Err(self.shared.unsupported("a known answer", reason))
    }
}
