//! A module: loaded once per process, initialized once, finalized only to bring it back to life.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::Fault;
use super::pool::Opened;
use super::raw::Calls;
use super::token::Token;
use crate::backend::BackendError;

/// How long a reinitialization waits for calls in the module, and calls wait for it.
const QUIESCE: Duration = Duration::from_secs(10);

/// Every module of this process, by the path of its file. They stay loaded until the process ends:
/// C_Finalize would take the module from whoever else in the process uses it.
static MODULES: LazyLock<Mutex<HashMap<PathBuf, Arc<Module>>>> = LazyLock::new(Mutex::default);

/// A loaded and initialized module, shared by every keystore on it.
pub(super) struct Module {
    path: PathBuf,
    pkcs11: Pkcs11,
    calls: Option<Calls>,
    /// Whether `calls` speak to the instance that `pkcs11` has initialized.
    same_instance: OnceLock<bool>,
    /// We called C_Initialize, so that we may call C_Finalize.
    owned: bool,
    /// The process that initialized it: a child made by fork(2) must not use it.
    pid: u32,
    in_flight: AtomicUsize,
    closing: AtomicBool,
    opened: (Mutex<()>, Condvar),
    generation: AtomicU64,
    was_opened: AtomicBool,
    reinitialize: Mutex<()>,
    keygen: Mutex<()>,
    pins: Mutex<HashMap<String, Arc<Mutex<Attempts>>>>,
    /// The slot of each connection that is open.
    places: Mutex<Vec<Weak<Mutex<Slot>>>>,
}

/// What became of the attempts to log in with one PIN.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// The refusal: there is no further attempt.
    pub(super) refused: Option<BackendError>,
    /// How many ended with a code that says nothing of the PIN, and may have counted all the same.
    pub(super) unclear: u8,
}

/// A call that is about to be made: while one is held, the module is not finalized.
pub(super) struct Entry<'a>(&'a Module);

impl Module {
    /// Loads and initializes the module, or finds it loaded; tells whether it was us who did it
    /// now, so that nobody else can have come to rely on it.
    pub(super) fn open(path: &Path, keystore: &str) -> Result<(Arc<Self>, bool), BackendError> {
        let misconfigured =
            |reason: String| BackendError::Misconfigured { keystore: keystore.to_owned(), reason };
        let shown = path.display();
        let path = path.canonicalize().map_err(|error| {
            misconfigured(format!(
                "the module {shown}: {error}; module is the path of the vendor's PKCS#11 library, \
                 as in /usr/lib/softhsm/libsofthsm2.so"
            ))
        })?;
        let mut modules = lock(&MODULES);
        if let Some(module) = modules.get(&path) {
            return Ok((module.clone(), false));
        }
        let pkcs11 = Pkcs11::new(&path).map_err(|error| {
            misconfigured(format!(
                "{shown} is not a PKCS#11 module ({error}); module is the path of the vendor's \
                 PKCS#11 library, as in /usr/lib/softhsm/libsofthsm2.so"
            ))
        })?;
        let owned = initialize(&pkcs11).map_err(|fault| fault.into_unavailable(keystore))?;
        let module = Arc::new(Self {
            calls: Calls::load(&path),
            same_instance: OnceLock::new(),
            path: path.clone(),
            pkcs11,
            owned,
            pid: std::process::id(),
            in_flight: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            opened: Default::default(),
            generation: AtomicU64::new(0),
            was_opened: AtomicBool::new(false),
            reinitialize: Mutex::default(),
            keygen: Mutex::default(),
            pins: Mutex::default(),
            places: Mutex::default(),
        });
        modules.insert(path, module.clone());
        Ok((module, owned))
    }

    /// Announces a call. Waits while the module is being reinitialized.
    pub(super) fn enter(&self, keystore: &str) -> Result<Entry<'_>, BackendError> {
        if self.is_forked() {
            return Err(BackendError::Unavailable {
                keystore: keystore.to_owned(),
                call: "fork".to_owned(),
                code: "the module was initialized by the parent process; open the keystore after \
                       fork, in the process that uses it"
                    .to_owned(),
            });
        }
        let mut until = None;
        loop {
            // First announced, then looked: whoever closes does it the other way round, so that
            // one of the two sees the other.
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            if !self.closing.load(Ordering::SeqCst) {
                return Ok(Entry(self));
            }
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            let until = *until.get_or_insert_with(|| Instant::now() + QUIESCE);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(BackendError::Unavailable {
                    keystore: keystore.to_owned(),
                    call: "C_Finalize".to_owned(),
                    code: "the module is being reinitialized".to_owned(),
                });
            }
            let guard = lock(&self.opened.0);
            if self.closing.load(Ordering::SeqCst) {
                let waited = self.opened.1.wait_timeout(guard, left);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Returns whether this is another process than the one that initialized the module.
    pub(super) fn is_forked(&self) -> bool {
        std::process::id() != self.pid
    }

    /// Returns how often the module has been reinitialized: sessions and handles of another
    /// generation mean nothing, or something else.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns the binding.
    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.pkcs11
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the calls of the hot path, if they speak to the instance that opened `session`.
    pub(super) fn calls(&self, session: &Session, slot: Slot) -> Option<&Calls> {
        let calls = self.calls.as_ref()?;
        self.same_instance.get_or_init(|| calls.same_instance(session, slot)).then_some(calls)
    }

    /// Returns the calls of the hot path, once [`Module::calls`] has found them good.
    pub(super) fn known_calls(&self) -> Option<&Calls> {
        self.calls.as_ref().filter(|_| self.same_instance.get() == Some(&true))
    }

    /// Lists the tokens. A slot that does not tell about its token is passed over.
    pub(super) fn tokens(&self) -> Result<Vec<(Slot, Token)>, Fault> {
        let slots = self
            .pkcs11
            .get_slots_with_token()
            .map_err(|error| Fault::of(&error, Function::GetSlotList))?;
        let token = |slot: Slot| Some((slot, self.token(slot).ok()?));
        Ok(slots.into_iter().filter_map(token).filter(|(_, token)| token.initialized).collect())
    }

    /// Asks about one token.
    pub(super) fn token(&self, slot: Slot) -> Result<Token, Fault> {
        // Not through `known_calls`: a list of another instance answers
        // CKR_CRYPTOKI_NOT_INITIALIZED, and then the binding is asked.
        let native = self.calls.as_ref().map(|calls| calls.token_info(slot));
        if let Some(Ok(info)) = native {
            return Ok(Token::from_native(&info));
        }
        let info = self
            .pkcs11
            .get_token_info(slot)
            .map_err(|error| Fault::of(&error, Function::GetTokenInfo))?;
        Ok(Token::from(&info))
    }

    /// Opens a session: for reading and writing, as some modules do not work without; where the
    /// token cannot be written, for reading.
    pub(super) fn open_session(&self, slot: Slot) -> Result<Session, Fault> {
        // Closed by hand: one of an earlier generation must not be closed, its number may be
        // another's by now.
        match self.pkcs11.open_rw_session_no_drop(slot) {
            Ok(session) => Ok(session),
            Err(Error::Pkcs11(
                RvError::TokenWriteProtected | RvError::SessionReadOnly | RvError::FunctionFailed,
                _,
            )) => self
                .pkcs11
                .open_ro_session_no_drop(slot)
                .map_err(|error| Fault::of(&error, Function::OpenSession)),
            Err(error) => Err(Fault::of(&error, Function::OpenSession)),
        }
    }

    /// Finalizes and initializes again, unless that has happened since `generation`: the one cure
    /// for a p11-kit connection that has broken, or a token that appeared after the start.
    ///
    /// Waits until no call is in the module: C_Finalize beside another call crashes SoftHSM and NSS.
    pub(super) fn reinitialize(&self, generation: u64, keystore: &str) -> Result<(), BackendError> {
        let _one_at_a_time = lock(&self.reinitialize);
        if self.generation() != generation {
            return Ok(());
        }
        let unavailable = |call: &str, code: &str| BackendError::Unavailable {
            keystore: keystore.to_owned(),
            call: call.to_owned(),
            code: code.to_owned(),
        };
        if !self.owned {
            return Err(unavailable(
                "C_Finalize",
                "another part of this process initialized the module, so that it cannot be \
                 reinitialized here; restart the process",
            ));
        }
        self.closing.store(true, Ordering::SeqCst);
        let result = self.cycle(&unavailable);
        self.closing.store(false, Ordering::SeqCst);
        drop(lock(&self.opened.0));
        self.opened.1.notify_all();
        result
    }

    fn cycle(&self, unavailable: &dyn Fn(&str, &str) -> BackendError) -> Result<(), BackendError> {
        let until = Instant::now() + QUIESCE;
        while self.in_flight.load(Ordering::SeqCst) > 0 {
            if Instant::now() > until {
                return Err(unavailable("C_Finalize", "calls in the module do not return"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // From here on every session and handle of before is void, whatever C_Finalize says.
        self.generation.fetch_add(1, Ordering::AcqRel);
        if let Err(error) = self.pkcs11.clone().finalize() {
            let fault = Fault::of(&error, Function::Finalize);
            tracing::debug!(%fault, "finalizing a broken module");
        }
        initialize(&self.pkcs11)
            .map(drop)
            .map_err(|fault| unavailable(&fault.call(), &fault.code()))
    }

    /// Serializes key generation: SoftHSM fails sporadically when two threads do it.
    pub(super) fn keygen(&self) -> MutexGuard<'_, ()> {
        lock(&self.keygen)
    }

    /// Tells whether a keystore has been open on this module.
    pub(super) fn was_opened(&self) -> &AtomicBool {
        &self.was_opened
    }

    /// Returns what became of the PIN of one keystore and token in this process.
    pub(super) fn attempts(&self, latch: String) -> Arc<Mutex<Attempts>> {
        lock(&self.pins).entry(latch).or_default().clone()
    }

    /// Notes that a connection is open; `place` has the slot of its token.
    pub(super) fn serve(&self, place: &Arc<Mutex<Slot>>) {
        let mut places = lock(&self.places);
        places.retain(|place| place.strong_count() > 0);
        places.push(Arc::downgrade(place));
    }

    /// Returns whether the token of a connection other than `own` answers. The caller holds an
    /// [`Entry`].
    pub(super) fn serves_another(&self, own: &Arc<Mutex<Slot>>) -> bool {
        let places = lock(&self.places).iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        places.iter().any(|place| !Arc::ptr_eq(place, own) && self.answers(*lock(place)))
    }

    /// Asks by a session of its own: those of another connection are lent, or kept for it.
    fn answers(&self, slot: Slot) -> bool {
        match self.open_session(slot) {
            Ok(session) => {
                let answers = session.get_session_info().is_ok();
                self.close(Opened { session, generation: self.generation() });
                answers
            }
            Err(fault) => fault.native() == Some(RvError::SessionCount),
        }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Locks; a panic elsewhere does not make the data behind our locks wrong.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Initializes for use from many threads; answers whether it was us who did.
fn initialize(pkcs11: &Pkcs11) -> Result<bool, Fault> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(true),
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
        Err(error) => Err(Fault::of(&error, Function::Initialize)),
    }
}
