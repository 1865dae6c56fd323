//! The way to the TPM: one context for all keystores of the process on it, made anew when it breaks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::fault::Fault;
use sweep::Left;

mod live;
mod slots;
mod sweep;

pub(super) use live::{Live, Lockout};

/// The TPM at the end of a TCTI. Shared by the keystores of the process that name it.
pub(super) struct Device {
    tcti: String,
    ids: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// What the contexts that broke may have left in the TPM.
    left: Left,
    /// The parent's name as it was when the TPM was first reached.
    first_name: Option<Vec<u8>>,
}

/// What a command ended with instead of an answer.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// A command failed.
    Fault(Fault),
    /// The parent key is not the one that was expected: nothing was sent to it.
    Parent { expected: Vec<u8>, found: Vec<u8> },
    /// What was loaded, or is at a persistent handle, is not the key that was expected.
    Replaced,
    /// The TPM takes no authorization of protected keys for now; none was tried.
    Locked(Lockout),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The TPMs of this process, for as long as a keystore or a key needs them.
static DEVICES: Mutex<Vec<Weak<Device>>> = Mutex::new(Vec::new());

impl Device {
    /// Returns the TPM at `tcti`. Nothing is sent yet.
    pub(super) fn at(tcti: &str) -> Arc<Self> {
        let mut devices = lock(&DEVICES);
        devices.retain(|device| device.strong_count() > 0);
        let mut all = devices.iter().filter_map(Weak::upgrade);
        if let Some(device) = all.find(|device| device.tcti == tcti) {
            return device;
        }
        let device = Arc::new(Self {
            tcti: tcti.to_owned(),
            ids: AtomicU64::new(1),
            state: Mutex::default(),
        });
        devices.push(Arc::downgrade(&device));
        device
    }

    /// Returns a number for a new key.
    pub(super) fn new_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs commands, if the parent key has the name `pinned`, or where none is given the name that
    /// it had at first. Where the way to the TPM, the session or an object has gone, everything is
    /// made anew and they are run once more: each of them can be.
    pub(super) fn run<T>(
        &self,
        pinned: Option<&[u8]>,
        commands: impl Fn(&mut Live) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut state = lock(&self.state);
        let mut is_second = false;
        loop {
            let trouble = match commands(self.live(&mut state, pinned)?) {
                Err(trouble) => trouble,
                answer => return answer,
            };
            match trouble {
                Trouble::Fault(fault) if fault.is_transport() || fault.is_stale() => {
                    state.give_up(fault);
                    if is_second {
                        return Err(trouble);
                    }
                    tracing::debug!(target: "hsm_jose", %fault, "the TPM is reached anew");
                    is_second = true;
                }
                _ => return Err(trouble),
            }
        }
    }

    /// Runs commands once, as things are: what has gone is made anew by the next that run.
    pub(super) fn run_once<T>(
        &self,
        pinned: Option<&[u8]>,
        commands: impl FnOnce(&mut Live) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut state = lock(&self.state);
        let answer = commands(self.live(&mut state, pinned)?);
        if let Err(Trouble::Fault(fault)) = &answer
            && (fault.is_transport() || fault.is_stale() || fault.is_auth())
        {
            state.give_up(*fault);
        }
        answer
    }

    /// Takes the context away, to send commands by hand; it is to be put back.
    #[cfg(feature = "cli")]
    pub(super) fn take(&self, pinned: Option<&[u8]>) -> Result<Live, Trouble> {
        let mut state = lock(&self.state);
        self.live(&mut state, pinned)?;
        state.live.take().ok_or(Fault::nonsense("Esys_Initialize", "no context").into())
    }

    /// Puts back what [`Device::take`] has taken.
    #[cfg(feature = "cli")]
    pub(super) fn put_back(&self, live: Live) {
        lock(&self.state).live.get_or_insert(live);
    }

    /// Frees the slot of a key that is not used any more.
    pub(super) fn release(&self, id: u64) {
        let mut state = lock(&self.state);
        if let Some(live) = &mut state.live
            && let Err(fault) = live.forget(id)
        {
            state.give_up(fault);
        }
    }

    /// Gives up session, keys and context; what needs them next makes them anew.
    pub(super) fn forget(&self) {
        lock(&self.state).live = None;
    }

    fn live<'a>(
        &self,
        state: &'a mut State,
        pinned: Option<&[u8]>,
    ) -> Result<&'a mut Live, Trouble> {
        let expected = pinned.or(state.first_name.as_deref());
        let live = match state.live.take() {
            Some(live) => live,
            None => Live::open(&self.tcti, expected, &mut state.left)?,
        };
        let live = state.live.insert(live);
        if let Some(expected) = expected.filter(|expected| *expected != live.parent_name) {
            let (expected, found) = (expected.to_vec(), live.parent_name.clone());
            return Err(Trouble::Parent { expected, found });
        }
        state.first_name.get_or_insert_with(|| live.parent_name.clone());
        Ok(live)
    }
}

impl State {
    /// Drops the context, which flushes what it holds, unless it is broken.
    fn give_up(&mut self, fault: Fault) {
        let Some(live) = self.live.take() else { return };
        if fault.is_transport() {
            self.left.names.extend(live.names.iter().cloned());
            self.left.session = live.session_handle;
            self.left.is_there = fault.is_of_context();
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("tcti", &self.tcti).finish_non_exhaustive()
    }
}

/// Locks what stays whole when a thread panics: every step of a command is undone with its context.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
