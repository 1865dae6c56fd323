//! The ways back when session, login or module has gone, the smallest remedy first.

use super::*;

/// The longest pause between two attempts to bring a dead module back.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

impl Connection {
    pub(super) fn restore(&self) -> Result<(), BackendError> {
        self.restore_locked(&mut lock(&self.admin))
    }

    /// Brings back what is gone, the smallest remedy first. Nobody holds an [`Entry`] here that
    /// waits for us: a reinitialization waits for all of them.
    pub(super) fn restore_locked(&self, admin: &mut Admin) -> Result<(), BackendError> {
        if self.is_sound() {
            return Ok(());
        }
        let entry = self.module.enter(self.name())?;
        let generation = self.module.generation();
        if let Some(anchor) = admin.anchor.take_if(|anchor| anchor.generation == generation) {
            match session_state(&anchor.session, self.module.known_calls()) {
                Ok(state) if self.is_enough(&state) => {
                    admin.anchor = Some(anchor);
                    self.sound(generation);
                    return Ok(());
                }
                Ok(_) => {
                    self.lose();
                    let login = self.login(&anchor.session);
                    admin.anchor = Some(anchor);
                    login?;
                    self.epoch.fetch_add(1, Ordering::AcqRel);
                    self.sound(generation);
                    return Ok(());
                }
                // The module does not know it: its number may be another's by now.
                Err(fault) if fault.is_stale_session() => {}
                Err(_) => self.module.close(anchor),
            }
        }
        self.lose();
        self.pool.close_idle();
        match self.find_and_attach(admin) {
            Err(BackendError::Unavailable { .. } | BackendError::Device { .. }) => {}
            answered => return answered,
        }
        drop(entry);
        self.reconnect(admin, generation)
    }

    fn reconnect(&self, admin: &mut Admin, generation: u64) -> Result<(), BackendError> {
        let now = Instant::now();
        if let Some(left) = admin.retry_at.and_then(|at| at.checked_duration_since(now)) {
            return Err(BackendError::Unavailable {
                keystore: self.name().to_owned(),
                call: "C_Initialize".to_owned(),
                code: format!(
                    "the device does not answer; the next attempt is in {} s",
                    left.as_secs() + 1
                ),
            });
        }
        let result = self.reinitialize(generation).and_then(|()| {
            let _entry = self.module.enter(self.name())?;
            self.find_and_attach(admin)
        });
        if result.is_ok() {
            admin.retry_at = None;
            admin.backoff = Duration::from_secs(1);
        } else {
            admin.retry_at = Some(Instant::now() + admin.backoff);
            admin.backoff = (admin.backoff * 2).min(MAX_BACKOFF);
        }
        result
    }

    /// Reinitializes the module, unless that would take a token that is well from another keystore.
    fn reinitialize(&self, generation: u64) -> Result<(), BackendError> {
        let entry = self.module.enter(self.name())?;
        if self.module.generation() == generation && self.module.serves_another(self.pool.place()) {
            return Err(BackendError::Unavailable {
                keystore: self.name().to_owned(),
                call: "C_Finalize".to_owned(),
                code: "the token is not there; the module is not reinitialized, as another \
                       keystore is well on it"
                    .to_owned(),
            });
        }
        drop(entry);
        tracing::warn!(keystore = self.name(), "the device does not answer: reinitializing");
        self.module.reinitialize(generation, self.name())
    }

    /// Finds the token, opens the anchor session and logs in. The caller holds an [`Entry`].
    fn find_and_attach(&self, admin: &mut Admin) -> Result<(), BackendError> {
        let (slot, _) = select(&self.config, &self.module)?;
        self.attach(admin, slot)
    }

    pub(super) fn attach(&self, admin: &mut Admin, slot: Slot) -> Result<(), BackendError> {
        // The old anchor is not closed: it is gone, or of another generation.
        admin.anchor = None;
        let generation = self.module.generation();
        let opened = self.module.open_session(slot);
        let session = opened.map_err(|fault| fault.into_unavailable(self.name()))?;
        let opened = Opened { session, generation };
        if self.module.calls(&opened.session, slot).is_none() {
            tracing::debug!(
                keystore = self.name(),
                "the module has a new instance for each function list: length queries are made"
            );
        }
        if let Err(error) = self.login(&opened.session) {
            self.module.close(opened);
            return Err(error);
        }
        admin.anchor = Some(opened);
        self.pool.set_slot(slot);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.sound(generation);
        Ok(())
    }

    fn sound(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
        self.suspect.store(false, Ordering::Release);
    }
}

/// Finds the one token of the configuration.
pub(super) fn select(
    config: &Pkcs11Config,
    module: &Module,
) -> Result<(Slot, Token), BackendError> {
    let tokens = module.tokens().map_err(|fault| fault.into_unavailable(&config.name))?;
    let there = tokens.iter().map(|(_, token)| format!("{:?}", token.label)).collect::<Vec<_>>();
    let mut fitting = tokens.into_iter().filter(|(_, token)| config.token.matches(token));
    match (fitting.next(), fitting.count()) {
        (Some(found), 0) => Ok(found),
        (Some(_), others) => Err(BackendError::Misconfigured {
            keystore: config.name.clone(),
            reason: format!(
                "{} tokens are {}: choose by serial, as in token = \"pkcs11:serial=...\"",
                others + 1,
                config.token
            ),
        }),
        (None, _) => Err(BackendError::Unavailable {
            keystore: config.name.clone(),
            call: format!("looking for the token {}", config.token),
            code: if there.is_empty() {
                format!("the module {} shows no token at all", module.path().display())
            } else {
                format!("not there; there are: {}", there.join(", "))
            },
        }),
    }
}
