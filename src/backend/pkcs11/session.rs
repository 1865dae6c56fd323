//! The connection to one token: one login for as long as it lives, sessions lent to operations,
//! and the ways back when a session, the login or the module has gone.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState};
use cryptoki::slot::Slot;

use super::Pkcs11Config;
use super::fault::Fault;
use super::module::{Entry, Module, lock};
use super::pool::{Lease, Opened, Pool, WAIT};
use super::raw::Calls;
use super::token::Token;
use crate::backend::BackendError;
use crate::secret::PinSource;

/// How often opening is tried again where the token is not (yet) there as it should be.
const OPEN_ATTEMPTS: u32 = 4;

mod login;
mod restore;

use restore::select;

thread_local! {
    /// The connection of this thread's last operation of a key, and its losses then.
    static BEGUN: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// The connection of a keystore to its token.
pub(super) struct Connection {
    /// Another for each connection of the process.
    id: u64,
    config: Pkcs11Config,
    module: Arc<Module>,
    token: Token,
    pool: Arc<Pool>,
    admin: Mutex<Admin>,
    /// The generation of the module in which we are logged in.
    generation: AtomicU64,
    /// Changes whenever object handles may have changed.
    epoch: AtomicU64,
    /// A call has failed as if the session, the login or the module had gone.
    suspect: AtomicBool,
    /// How often session, login or module was found gone.
    losses: AtomicU64,
    /// A rejected ciphertext leaves the module's session unusable.
    poisons: OnceLock<bool>,
}

/// The session that keeps the login: PKCS#11 logs out when the last session is closed. It also
/// serves what is not an operation of a key: searches, attributes, generation.
struct Admin {
    anchor: Option<Opened>,
    retry_at: Option<Instant>,
    backoff: Duration,
}

/// The anchor session, lent for administration.
pub(super) struct AdminLease<'a> {
    admin: MutexGuard<'a, Admin>,
    connection: &'a Connection,
    _entry: Entry<'a>,
}

/// What a session says of itself.
enum State {
    LoggedIn,
    LoggedOut,
}

impl Connection {
    /// Loads the module, finds the token and logs in.
    pub(super) fn open(config: Pkcs11Config) -> Result<Arc<Self>, BackendError> {
        let (module, is_fresh) = Module::open(&config.module, &config.name)?;
        let mut attempt = 1;
        loop {
            let (error, generation) = match Self::try_open(&config, &module) {
                Ok(connection) => return Ok(connection),
                Err(failed) => failed,
            };
            // A token that was made after the module looked, a server that was down then, and a
            // SoftHSM directory that another process was writing to are seen by a module that
            // starts anew. Nobody is disturbed: we have loaded it a moment ago, and no keystore has
            // been open on it.
            let is_ours = is_fresh && !module.was_opened().load(Ordering::SeqCst);
            if !is_ours || attempt == OPEN_ATTEMPTS || !is_worth_a_retry(&error) {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(20) * attempt * attempt);
            attempt += 1;
            module.reinitialize(generation, &config.name).map_err(|_| error)?;
        }
    }

    fn try_open(
        config: &Pkcs11Config,
        module: &Arc<Module>,
    ) -> Result<Arc<Self>, (BackendError, u64)> {
        let generation = module.generation();
        let inner = || {
            let entry = module.enter(&config.name)?;
            let (slot, token) = select(config, module)?;
            let allowed = token.max_sessions.map_or(usize::MAX, |max| max.max(2));
            let workers = config.sessions.min(allowed) - 1;
            static NEXT_ID: AtomicU64 = AtomicU64::new(0);
            let connection = Self {
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                pool: Pool::new(module.clone(), slot, workers),
                config: config.clone(),
                module: module.clone(),
                token,
                admin: Mutex::new(Admin {
                    anchor: None,
                    retry_at: None,
                    backoff: Duration::from_secs(1),
                }),
                generation: AtomicU64::new(generation),
                epoch: AtomicU64::new(1),
                suspect: AtomicBool::new(false),
                losses: AtomicU64::new(0),
                poisons: OnceLock::new(),
            };
            let attached = connection.attach(&mut lock(&connection.admin), slot);
            if attached.is_ok() {
                module.was_opened().store(true, Ordering::SeqCst);
                module.serve(connection.pool.place());
            }
            // Before the connection, whose drop enters the module again.
            drop(entry);
            attached.map(|()| Arc::new(connection))
        };
        inner().map_err(|error| (error, generation))
    }

    /// Returns the keystore's name.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns the configuration.
    pub(super) fn config(&self) -> &Pkcs11Config {
        &self.config
    }

    /// Returns the module.
    pub(super) fn module(&self) -> &Module {
        &self.module
    }

    /// Returns what the token said of itself when it was found.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Returns how many sessions are open now, the anchor included.
    pub(super) fn sessions(&self) -> usize {
        self.pool.count() + usize::from(lock(&self.admin).anchor.is_some())
    }

    /// Asks the token anew about itself.
    pub(super) fn current_token(&self) -> Result<Token, BackendError> {
        let _entry = self.module.enter(self.name())?;
        self.module.token(self.pool.slot()).map_err(|fault| fault.into_error(self.name()))
    }

    /// Returns a number that changes when object handles may have changed.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Notes that the connection may be gone: the next operation looks first.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// Notes that the connection is gone.
    pub(super) fn lose(&self) {
        // In this order: who sees the new number also looks at the connection first.
        self.suspect();
        self.losses.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns a number that changes whenever the connection was found gone: an answer that came
    /// before may have been that of a device that was dying, whatever it is now.
    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// Notes that this thread begins an operation of a key, on a session that was lent when
    /// [`Connection::losses`] was `losses`.
    pub(super) fn begin(&self, losses: u64) {
        BEGUN.set(Some((self.id, losses)));
    }

    /// Returns what [`Connection::losses`] was when this thread began its last operation, if that
    /// was on this connection and has not been asked for; else what it is.
    pub(super) fn losses_at_begin(&self) -> u64 {
        match BEGUN.take() {
            Some((id, losses)) if id == self.id => losses,
            _ => self.losses(),
        }
    }

    /// Notes, once, whether a rejected ciphertext leaves a session unusable.
    pub(super) fn set_poisons(&self, poisons: bool) {
        if poisons {
            // First: who sees the flag hands sessions to it.
            self.pool.start_replacer();
        }
        let _ = self.poisons.set(poisons);
    }

    /// Returns whether a rejected ciphertext leaves a session unusable; `None` before it is known.
    pub(super) fn poisons(&self) -> Option<bool> {
        self.poisons.get().copied()
    }

    /// Lends a session for an operation of a key.
    pub(super) fn checkout(&self) -> Result<Lease<'_>, BackendError> {
        let mut until = None;
        let mut restored = false;
        loop {
            let mut is_full = false;
            let entry = self.module.enter(self.name())?;
            if !self.is_sound() {
                drop(entry);
                self.restore()?;
                continue;
            }
            match self.pool.take(entry) {
                Ok(Ok(lease)) => return Ok(lease),
                Ok(Err(entry)) => drop(entry),
                // The token allows fewer sessions than it said, or others have them.
                Err(fault) if fault.native() == Some(RvError::SessionCount) => is_full = true,
                Err(_) if !restored => {
                    restored = true;
                    self.suspect();
                    continue;
                }
                Err(fault) => return Err(fault.into_unavailable(self.name())),
            }
            let until = *until.get_or_insert_with(|| Instant::now() + WAIT);
            if !self.pool.wait(until, is_full) {
                return Err(BackendError::Unavailable {
                    keystore: self.name().to_owned(),
                    call: "C_OpenSession".to_owned(),
                    code: format!("no free session within {} s", WAIT.as_secs()),
                });
            }
        }
    }

    /// Lends the anchor session, for what is not an operation of a key.
    ///
    /// Asks it first whether it is there and logged in: a search without a login finds nothing,
    /// and says so as if there were nothing.
    pub(super) fn admin(&self) -> Result<AdminLease<'_>, BackendError> {
        let mut admin = lock(&self.admin);
        let mut is_second = false;
        loop {
            let entry = self.module.enter(self.name())?;
            if self.is_sound() {
                let state = admin
                    .anchor
                    .as_ref()
                    .map(|anchor| session_state(&anchor.session, self.module.known_calls()));
                match state {
                    Some(Ok(state)) if is_second || self.is_enough(&state) => {
                        return Ok(AdminLease { admin, connection: self, _entry: entry });
                    }
                    Some(Err(fault)) if is_second => {
                        return Err(fault.into_unavailable(self.name()));
                    }
                    _ => self.suspect(),
                }
            }
            drop(entry);
            self.restore_locked(&mut admin)?;
            is_second = true;
        }
    }

    /// Looks whether session, login and module are there, and brings back what is not. Answers
    /// whether there is a point in trying again: something was brought back, or `fault` speaks of
    /// a handle or a session of ours alone.
    pub(super) fn heal(&self, fault: Fault) -> Result<bool, BackendError> {
        let before = self.epoch();
        self.suspect();
        if fault.is_stale_session() {
            let _entry = self.module.enter(self.name())?;
            self.pool.close_idle();
        }
        self.restore()?;
        Ok(self.epoch() != before || fault.is_stale())
    }

    /// Asks whether the device is there and we are logged in; brings back what is not.
    pub(super) fn health(&self) -> Result<(), BackendError> {
        self.suspect();
        self.restore()?;
        let admin = self.admin()?;
        let mut bytes = [0; 8];
        let result = random(admin.session(), self.module.known_calls(), &mut bytes);
        result.map_err(|fault| fault.into_unavailable(self.name()))
    }

    /// Asks a lent session whether it and the device behind it are alive.
    pub(super) fn alive(&self, lease: &Lease<'_>) -> Result<(), Fault> {
        let state = session_state(lease.session(), lease.calls());
        // Both calls on every path: what the first answers must not change the list of calls.
        let mut bytes = [0; 8];
        let random = random(lease.session(), lease.calls(), &mut bytes);
        if !self.is_enough(&state?) {
            return Err(Fault::nonsense(Function::GetSessionInfo, "logged out"));
        }
        random
    }

    fn logs_in(&self) -> bool {
        self.config.pin != PinSource::None
    }

    fn is_enough(&self, state: &State) -> bool {
        !self.logs_in() || matches!(state, State::LoggedIn)
    }

    fn is_sound(&self) -> bool {
        !self.suspect.load(Ordering::Acquire)
            && self.generation.load(Ordering::Acquire) == self.module.generation()
    }
}

impl AdminLease<'_> {
    /// Returns the session.
    pub(super) fn session(&self) -> &Session {
        let anchor = self.admin.anchor.as_ref();
        &anchor.expect("an anchor").session // invariant: `Connection::admin` saw it, lock held
    }

    /// Makes an error of a failed call, and has the next operation look at the connection first.
    pub(super) fn error(&self, error: &Error, function: Function) -> BackendError {
        self.fault(Fault::of(error, function))
    }

    /// As [`AdminLease::error`].
    pub(super) fn fault(&self, fault: Fault) -> BackendError {
        if fault.is_stale() || fault.is_transport() || fault.native() == Some(RvError::DeviceError)
        {
            self.connection.suspect();
        }
        fault.into_error(self.connection.name())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Ok(_entry) = self.module.enter("") else { return };
        self.pool.close_idle();
        if let Some(anchor) = lock(&self.admin).anchor.take() {
            self.module.close(anchor);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("keystore", &self.config.name)
            .field("token", &self.token.label)
            .finish_non_exhaustive()
    }
}

fn is_worth_a_retry(error: &BackendError) -> bool {
    matches!(error, BackendError::Unavailable { .. })
}

fn session_state(session: &Session, calls: Option<&Calls>) -> Result<State, Fault> {
    let is_user = match calls {
        Some(calls) => {
            let state = calls.session_info(session)?.state;
            matches!(
                state,
                cryptoki_sys::CKS_RO_USER_FUNCTIONS | cryptoki_sys::CKS_RW_USER_FUNCTIONS
            )
        }
        None => {
            let info = session
                .get_session_info()
                .map_err(|error| Fault::of(&error, Function::GetSessionInfo))?;
            matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser)
        }
    };
    Ok(if is_user { State::LoggedIn } else { State::LoggedOut })
}

/// Draws random bytes; a token without a generator is as alive as another.
fn random(session: &Session, calls: Option<&Calls>, bytes: &mut [u8]) -> Result<(), Fault> {
    let answer = match calls {
        Some(calls) => calls.random(session, bytes),
        None => session
            .generate_random_slice(bytes)
            .map_err(|error| Fault::of(&error, Function::GenerateRandom)),
    };
    match answer {
        Err(fault)
            if matches!(
                fault.native(),
                Some(RvError::RandomNoRng | RvError::FunctionNotSupported)
            ) =>
        {
            Ok(())
        }
        answer => answer,
    }
}
