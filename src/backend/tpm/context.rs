//! The way to the TPM: one ESYS context for all keystores of the process on it, its protected
//! session, and the few slots for loaded keys.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::{CapabilityType, PropertyTag, SessionType};
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, CapabilityData, Public, SymmetricDefinition};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::utils::TpmsContext;
use tss_esapi::{Context, Result as TssResult};

use super::fault::Fault;
use super::object::template::{self, OWNER};
use super::object::{Material, Place, name_of};
use sweep::Left;

mod sweep;

/// How long a command waits for a slot that another user of the TPM holds.
const SLOT_PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits before it asks again.
const SLOT_PAUSE: Duration = Duration::from_millis(20);

/// The slots for loaded objects that every TPM has (PC Client Platform TPM Profile).
const MIN_SLOTS: usize = 3;

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

/// A context with its session and what is loaded in it.
pub(super) struct Live {
    context: Context,
    session: AuthSession,
    /// Its handle in the TPM, to be flushed where the context cannot.
    session_handle: Option<u32>,
    /// The names of all objects that were ever loaded.
    names: HashSet<Vec<u8>>,
    parent: TpmsContext,
    parent_public: Public,
    parent_name: Vec<u8>,
    slots: usize,
    /// The keys that are in slots now, the one that was used last at the end.
    loaded: Vec<(u64, KeyHandle)>,
    /// The contexts of keys that were in a slot before: loading them again is cheaper.
    saved: HashMap<u64, TpmsContext>,
    /// Keys at persistent handles take no slot.
    persistent: HashMap<u64, ObjectHandle>,
}

/// The counters of the dictionary attack protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lockout {
    pub(super) is_locked: bool,
    pub(super) failures: u32,
    pub(super) max_failures: u32,
    /// Seconds until one failure is forgotten.
    pub(super) interval: u32,
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

impl Live {
    /// Reaches the TPM, makes the parent, looks at its name, and only then starts the session whose
    /// keys depend on a secret that was encrypted to that parent.
    fn open(tcti: &str, expected: Option<&[u8]>, left: &mut Left) -> Result<Self, Trouble> {
        let tcti = TctiNameConf::from_str(tcti).map_err(|error| Fault::of(error, "TCTI"))?;
        let mut context =
            Context::new(tcti).map_err(|error| Fault::of(error, "Esys_Initialize"))?;
        left.sweep(&mut context).map_err(|error| Fault::of(error, "TPM2_FlushContext"))?;
        *left = Left::default();
        // The owner's authorization value is the empty one: no secret is in this command.
        let parent = patient(|| {
            context.execute_with_session(Some(AuthSession::Password), |context| {
                let template = template::parent()?;
                context.create_primary(Hierarchy::Owner, template, None, None, None, None)
            })
        })
        .map_err(|error| Fault::of(error, "TPM2_CreatePrimary"))?;
        let (parent, parent_public) = (parent.key_handle, parent.out_public);
        // The hash of the very key that the salt will be encrypted to.
        let parent_name = context
            .tr_get_name(parent.into())
            .map_err(|error| Fault::of(error, "Esys_TR_GetName"))?
            .value()
            .to_vec();
        if name_of(&parent_public).as_ref() != Some(&parent_name) {
            return Err(Fault::nonsense("TPM2_CreatePrimary", "two names of one key").into());
        }
        if let Some(expected) = expected.filter(|expected| *expected != parent_name) {
            return Err(Trouble::Parent { expected: expected.to_vec(), found: parent_name });
        }
        let before = sweep::sessions(&mut context);
        let session = patient(|| {
            context.execute_without_session(|context| {
                context.start_auth_session(
                    Some(parent),
                    None,
                    None,
                    SessionType::Hmac,
                    SymmetricDefinition::AES_128_CFB,
                    HashingAlgorithm::Sha256,
                )
            })
        })
        .map_err(|error| Fault::of(error, "TPM2_StartAuthSession"))?
        .ok_or(Fault::nonsense("TPM2_StartAuthSession", "no session"))?;
        let after = sweep::sessions(&mut context);
        let session_handle = before
            .and_then(|before| Ok(after?.into_iter().find(|handle| !before.contains(handle))));
        let session_handle =
            session_handle.map_err(|error| Fault::of(error, "TPM2_GetCapability"))?;
        let saved = save(&mut context, parent)?;
        context.set_sessions((Some(session), None, None));
        let mut live = Self {
            context,
            session,
            session_handle,
            names: HashSet::from([parent_name.clone()]),
            parent: saved,
            parent_public,
            parent_name,
            slots: MIN_SLOTS,
            loaded: Vec::new(),
            saved: HashMap::new(),
            persistent: HashMap::new(),
        };
        let told = live.property(PropertyTag::HrTransientMin)?.unwrap_or_default();
        live.slots = MIN_SLOTS.max(told as usize);
        Ok(live)
    }

    /// Returns the name of the parent key.
    pub(super) fn parent_name(&self) -> &[u8] {
        &self.parent_name
    }

    /// Returns the public area of the parent key.
    pub(super) fn parent_public(&self) -> &Public {
        &self.parent_public
    }

    /// Sends a command, authorized and protected by the session.
    pub(super) fn send<T>(
        &mut self,
        name: &'static str,
        command: impl FnOnce(&mut Context) -> TssResult<T>,
    ) -> Result<T, Fault> {
        self.protect()?;
        command(&mut self.context).map_err(|error| Fault::of(error, name))
    }

    /// Sets the attributes that make the session protect the first parameter both ways. Before
    /// every command: where one fails, tpm2-tss leaves those that it took away for it.
    fn protect(&mut self) -> Result<(), Fault> {
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_decrypt(true)
            .with_encrypt(true)
            .with_continue_session(true)
            .build();
        self.context
            .tr_sess_set_attributes(self.session, attributes, mask)
            .map_err(|error| Fault::of(error, "Esys_TRSess_SetAttributes"))
    }

    /// Sends a command that has no use for a session.
    pub(super) fn send_bare<T>(
        &mut self,
        name: &'static str,
        command: impl FnOnce(&mut Context) -> TssResult<T>,
    ) -> Result<T, Fault> {
        let answer = self.context.execute_without_session(command);
        answer.map_err(|error| Fault::of(error, name))
    }

    /// Asks for a byte, through the session: an answer is the TPM's own, and it is alive.
    pub(super) fn ask(&mut self) -> Result<(), Fault> {
        debug_assert_eq!(self.context.sessions().0, Some(self.session));
        self.send("TPM2_GetRandom", |context| context.get_random(16)).map(|_| ())
    }

    /// Returns a property of the TPM as it is now.
    pub(super) fn property(&mut self, tag: PropertyTag) -> Result<Option<u32>, Fault> {
        let (answer, _) = self.send_bare("TPM2_GetCapability", |context| {
            context.get_capability(CapabilityType::TpmProperties, tag.into(), 1)
        })?;
        let CapabilityData::TpmProperties(properties) = answer else { return Ok(None) };
        let mut properties = properties.into_iter();
        Ok(properties.find(|found| found.property() == tag).map(|found| found.value()))
    }

    /// Reads the counters of the dictionary attack protection.
    pub(super) fn lockout(&mut self) -> Result<Lockout, Fault> {
        // TPMA_PERMANENT inLockout.
        const IN_LOCKOUT: u32 = 1 << 9;
        let mut read = |tag| Ok::<u32, Fault>(self.property(tag)?.unwrap_or_default());
        Ok(Lockout {
            is_locked: read(PropertyTag::Permanent)? & IN_LOCKOUT != 0,
            failures: read(PropertyTag::LockoutCounter)?,
            max_failures: read(PropertyTag::MaxAuthFail)?,
            interval: read(PropertyTag::LockoutInterval)?,
        })
    }

    /// Loads the parent for as long as `commands` run.
    pub(super) fn with_parent<T>(
        &mut self,
        parent: u32,
        room: usize,
        commands: impl FnOnce(&mut Self, KeyHandle) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if parent != OWNER {
            let mut handle = self.open_persistent(parent)?;
            let answer = commands(self, handle.into());
            self.send("Esys_TR_Close", |context| context.tr_close(&mut handle))?;
            return answer;
        }
        self.make_room(1 + room)?;
        let saved = self.parent.clone();
        let handle = self.load_saved(saved)?;
        let answer = commands(self, handle);
        let flushed = self.flush(handle);
        let answer = answer?;
        flushed?;
        Ok(answer)
    }

    /// Returns the handle of a key that is in a slot, or at its persistent handle, with its
    /// authorization value set.
    pub(super) fn key(&mut self, material: &Material, auth: &[u8]) -> Result<KeyHandle, Trouble> {
        if let Some(place) = self.loaded.iter().position(|(id, _)| *id == material.id) {
            let found = self.loaded.remove(place);
            self.loaded.push(found);
            return Ok(found.1);
        }
        if let Some(handle) = self.persistent.get(&material.id) {
            return Ok((*handle).into());
        }
        self.names.extend(name_of(&material.public));
        let handle = match &material.place {
            Place::Persistent(number) => {
                let handle = self.open_persistent(*number)?;
                self.persistent.insert(material.id, handle);
                handle.into()
            }
            Place::Wrapped { parent, private } => match self.saved.get(&material.id).cloned() {
                Some(saved) => {
                    self.make_room(1)?;
                    let handle = self.load_saved(saved)?;
                    self.loaded.push((material.id, handle));
                    handle
                }
                None => {
                    let handle = self.with_parent(*parent, 1, |live, parent| {
                        live.load(parent, private, &material.public).map_err(Trouble::from)
                    })?;
                    self.loaded.push((material.id, handle));
                    handle
                }
            },
        };
        match self.prepare(material, handle, auth) {
            Ok(()) => Ok(handle),
            Err(trouble) => {
                self.forget(material.id)?;
                Err(trouble)
            }
        }
    }

    /// Checks a key that was loaded just now, and makes it ready for use.
    fn prepare(
        &mut self,
        material: &Material,
        handle: KeyHandle,
        auth: &[u8],
    ) -> Result<(), Trouble> {
        let object = ObjectHandle::from(handle);
        let name = self.send("Esys_TR_GetName", |context| context.tr_get_name(object))?;
        if name_of(&material.public).as_deref() != Some(name.value()) {
            return Err(Trouble::Replaced);
        }
        let is_wrapped = matches!(material.place, Place::Wrapped { .. });
        if is_wrapped && !self.saved.contains_key(&material.id) {
            let saved =
                self.send_bare("TPM2_ContextSave", |context| context.context_save(object))?;
            self.saved.insert(material.id, saved);
        }
        if !auth.is_empty() {
            let auth = Auth::try_from(auth).map_err(|error| Fault::of(error, "TPM2B_AUTH"))?;
            self.send("Esys_TR_SetAuth", |context| context.tr_set_auth(object, auth))?;
        }
        Ok(())
    }

    /// Opens what is at a persistent handle, and returns its public area.
    pub(super) fn read_persistent(&mut self, number: u32) -> Result<Public, Fault> {
        let mut handle = self.open_persistent(number)?;
        let public = self
            .send_bare("TPM2_ReadPublic", |context| context.read_public(handle.into()))
            .map(|(public, _, _)| public);
        self.send("Esys_TR_Close", |context| context.tr_close(&mut handle))?;
        public
    }

    /// Opens a persistent handle; its name is the hash of what the TPM says is there, and the
    /// session's HMAC fails where it is not.
    pub(super) fn open_persistent(&mut self, number: u32) -> Result<ObjectHandle, Fault> {
        let handle = PersistentTpmHandle::new(number)
            .map_err(|error| Fault::of(error, "a persistent handle"))?;
        self.send_bare("TPM2_ReadPublic", |context| {
            context.tr_from_tpm_public(TpmHandle::Persistent(handle))
        })
    }

    /// Forgets a key: its slot and its saved context.
    pub(super) fn forget(&mut self, id: u64) -> Result<(), Fault> {
        self.saved.remove(&id);
        self.persistent.remove(&id);
        match self.loaded.iter().position(|(loaded, _)| *loaded == id) {
            Some(place) => {
                let (_, handle) = self.loaded.remove(place);
                self.flush(handle)
            }
            None => Ok(()),
        }
    }

    /// Flushes the keys that were not used for longest until `count` slots are free.
    fn make_room(&mut self, count: usize) -> Result<(), Fault> {
        while !self.loaded.is_empty() && self.loaded.len() + count > self.slots {
            let (_, handle) = self.loaded.remove(0);
            self.flush(handle)?;
        }
        Ok(())
    }

    fn load(
        &mut self,
        parent: KeyHandle,
        private: &tss_esapi::structures::Private,
        public: &Public,
    ) -> Result<KeyHandle, Fault> {
        self.filling("TPM2_Load", |context| context.load(parent, private.clone(), public.clone()))
    }

    fn load_saved(&mut self, saved: TpmsContext) -> Result<KeyHandle, Fault> {
        let handle = self.filling("TPM2_ContextLoad", |context| {
            context.execute_without_session(|context| context.context_load(saved.clone()))
        })?;
        Ok(handle.into())
    }

    /// Sends a command that takes a slot. Where other users of the TPM hold them, our own are freed
    /// first, and then it waits for a while.
    fn filling<T>(
        &mut self,
        name: &'static str,
        command: impl Fn(&mut Context) -> TssResult<T>,
    ) -> Result<T, Fault> {
        match self.send(name, &command) {
            Err(fault) if fault.is_full() => {}
            answer => return answer,
        }
        while let Some((_, handle)) = self.loaded.pop() {
            self.flush(handle)?;
        }
        let start = Instant::now();
        loop {
            match self.send(name, &command) {
                Err(fault) if fault.is_full() && start.elapsed() < SLOT_PATIENCE => {
                    thread::sleep(SLOT_PAUSE);
                }
                answer => return answer,
            }
        }
    }

    fn flush(&mut self, handle: KeyHandle) -> Result<(), Fault> {
        self.send_bare("TPM2_FlushContext", |context| context.flush_context(handle.into()))
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

/// Saves the context of a key, and flushes it.
fn save(context: &mut Context, handle: KeyHandle) -> Result<TpmsContext, Fault> {
    context.execute_without_session(|context| {
        let saved = context
            .context_save(handle.into())
            .map_err(|error| Fault::of(error, "TPM2_ContextSave"))?;
        context
            .flush_context(handle.into())
            .map_err(|error| Fault::of(error, "TPM2_FlushContext"))?;
        Ok(saved)
    })
}

/// Runs a command again while the TPM has no slot for it, for a while.
fn patient<T>(mut command: impl FnMut() -> TssResult<T>) -> TssResult<T> {
    let start = Instant::now();
    loop {
        match command() {
            Err(error) if Fault::of(error, "").is_full() && start.elapsed() < SLOT_PATIENCE => {
                thread::sleep(SLOT_PAUSE);
            }
            answer => return answer,
        }
    }
}
