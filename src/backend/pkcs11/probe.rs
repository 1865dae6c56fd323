//! What the token does, found by doing it with a key of the kind.

use super::*;

/// The size of the RSA key with which it is found out how the token does RSA.
const PROBE_RSA_BITS: u32 = 2048;

/// What a probe found of each algorithm.
type Answers = Vec<(KeyAlgorithm, Result<Support, BackendError>)>;

impl Pkcs11Keystore {
    /// Tells how the token does `alg` with a key of `shape`, remembered.
    pub(super) fn supports_of_shape(
        &self,
        alg: KeyAlgorithm,
        shape: KeyShape,
    ) -> Result<Support, BackendError> {
        if !alg.fits(shape.kind()) {
            return Ok(Support::No { reason: format!("{alg} does not fit a key of {shape}") });
        }
        // Held while probing: two threads that ask at once would make two keys.
        let mut known = lock(&self.supports);
        let known = known.entry(shape).or_default();
        if let Some(support) = known.get(&alg) {
            return Ok(support.clone());
        }
        if !make::is_in_one_piece(alg, shape.kind()) {
            let reason = "a token does not split a key into one for HMAC and one for AES-CBC";
            return Ok(Support::No { reason: reason.to_owned() });
        }
        // A symmetric key has the usages of one algorithm, and costs nothing to make.
        let unknown = match shape.kind() {
            KeyKind::Oct { .. } => vec![alg],
            kind => KeyAlgorithm::all()
                .filter(|alg| alg.fits(kind) && !known.contains_key(alg))
                .collect(),
        };
        let mut asked = None;
        for (other, answer) in self.probe(shape, &unknown)? {
            if other == alg {
                asked = Some(answer.clone());
            }
            // A fault is not an answer: the device is asked again the next time.
            known.extend(answer.ok().map(|support| (other, support)));
        }
        asked.unwrap_or_else(|| Ok(Support::No { reason: "not tried".to_owned() }))
    }

    /// Checks a new key: what the token kept of it, and that it does what it is for.
    pub(super) fn prove(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        wanted: &Wanted<'_>,
        make: impl FnOnce(&AdminLease<'_>) -> Result<Pair, BackendError>,
    ) -> Result<(Pkcs11Key, Pair), BackendError> {
        let admin = self.admin()?;
        let pair = make(&admin)?;
        let mut found = make::read_back(&admin, &self.connection, wanted, &pair)?;
        found.info.locator = locator.clone();
        let key = Pkcs11Key::new(self.connection.clone(), found, self.connection.epoch());
        // The proof takes a session of its own, and may have to look for the key.
        drop(admin);
        let failed = spec.algs.iter().find_map(|alg| match key.support(*alg) {
            Ok(Support::No { reason }) => Some(BackendError::Unsupported {
                keystore: self.name().to_owned(),
                what: alg.name().to_owned(),
                reason,
            }),
            Ok(_) => None,
            Err(error) => Some(error),
        });
        match failed {
            None => Ok((key, pair)),
            Some(error) => {
                if let Err(left) = self.destroy(locator) {
                    tracing::warn!(keystore = self.name(), %locator, %left, "a key was left over");
                }
                Err(error)
            }
        }
    }

    /// Makes a session key of `shape` and finds out what it does with each of `algs`.
    fn probe(&self, shape: KeyShape, algs: &[KeyAlgorithm]) -> Result<Answers, BackendError> {
        let kind = shape.kind();
        let mut id = [0; 16];
        random::fill(&mut id);
        let wanted = Wanted {
            id: &id,
            label: "hsm-jose probe",
            shape,
            usages: match kind {
                KeyKind::Rsa => Usages { decrypt: true, sign: true, ..Usages::default() },
                KeyKind::Curve(_) | KeyKind::Oct { .. } => make::usages(algs),
            },
            allowed: Vec::new(),
            on_token: false,
        };
        let made = {
            let admin = self.admin()?;
            self.make(&admin, &wanted).and_then(|pair| {
                let found = make::read_back(&admin, &self.connection, &wanted, &pair)?;
                Ok((pair, Pkcs11Key::new(self.connection.clone(), found, self.connection.epoch())))
            })
        };
        let (pair, key) = match made {
            Ok(made) => made,
            Err(error) if make::is_inability(&error) => {
                let no = || Support::No { reason: format!("no {shape} key to try: {error}") };
                return Ok(algs.iter().map(|alg| (*alg, Ok(no()))).collect());
            }
            Err(error) => return Err(error),
        };
        let supports = algs.iter().map(|alg| (*alg, key.support(*alg))).collect();
        // Session objects of a module that was reinitialized meanwhile are gone already.
        if let Ok(admin) = self.admin() {
            let _ = make::destroy(&admin, &pair);
        }
        Ok(supports)
    }

    /// Returns whether a new key for `algs` is to allow raw RSA too.
    pub(super) fn needs_raw_rsa(&self, spec: &KeySpec) -> Result<bool, BackendError> {
        if !self.connection.config().host_oaep || spec.shape.kind() != KeyKind::Rsa {
            return Ok(false);
        }
        for alg in &spec.algs {
            let shape = KeyShape::Rsa { bits: PROBE_RSA_BITS };
            if let Support::HostAssisted { .. } = self.supports(*alg, shape)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
