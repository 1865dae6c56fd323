//! The few slots for loaded keys: which keys are in them, and what goes when another comes.

use std::thread;
use std::time::{Duration, Instant};

use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::structures::{Auth, Private, Public, Sensitive};
use tss_esapi::utils::TpmsContext;
use tss_esapi::{Context, Result as TssResult};

use super::{Fault, Live, Trouble};
use crate::backend::tpm::object::{Material, Place, name_of};
use crate::backend::tss2::OWNER;

/// How long a command waits for a slot that another user of the TPM holds.
const SLOT_PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits before it asks again.
const SLOT_PAUSE: Duration = Duration::from_millis(20);

/// The slots for loaded objects that every TPM has (PC Client Platform TPM Profile).
pub(super) const MIN_SLOTS: usize = 3;

impl Live {
    /// Loads the parent for as long as `commands` run.
    pub(in crate::backend::tpm) fn with_parent<T>(
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

    /// Loads a key that is outside of the hierarchies, both halves, for as long as `commands` run.
    pub(in crate::backend::tpm) fn with_external<T>(
        &mut self,
        private: &Sensitive,
        public: &Public,
        commands: impl FnOnce(&mut Self, KeyHandle) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.make_room(1)?;
        self.names.extend(name_of(public));
        let handle = self.filling("TPM2_LoadExternal", |context| {
            context.load_external(private.clone(), public.clone(), Hierarchy::Null)
        })?;
        let answer = commands(self, handle);
        let flushed = self.flush(handle);
        let answer = answer?;
        flushed?;
        Ok(answer)
    }

    /// Returns the handle of a key that is in a slot, or at its persistent handle, with its
    /// authorization value set.
    pub(in crate::backend::tpm) fn key(
        &mut self,
        material: &Material,
        auth: &[u8],
    ) -> Result<KeyHandle, Trouble> {
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
        // What was saved is of a key that was looked at before. tpm2-tss hashes for the name, and
        // is slow at that.
        if !self.saved.contains_key(&material.id) {
            let name = self.send("Esys_TR_GetName", |context| context.tr_get_name(object))?;
            if name_of(&material.public).as_deref() != Some(name.value()) {
                return Err(Trouble::Replaced);
            }
            if matches!(material.place, Place::Wrapped { .. }) {
                let saved =
                    self.send_bare("TPM2_ContextSave", |context| context.context_save(object))?;
                self.saved.insert(material.id, saved);
            }
        }
        if !auth.is_empty() {
            let auth = Auth::try_from(auth).map_err(|error| Fault::of(error, "TPM2B_AUTH"))?;
            self.send("Esys_TR_SetAuth", |context| context.tr_set_auth(object, auth))?;
        }
        Ok(())
    }

    /// Opens what is at a persistent handle, and returns its public area.
    pub(in crate::backend::tpm) fn read_persistent(
        &mut self,
        number: u32,
    ) -> Result<Public, Fault> {
        let mut handle = self.open_persistent(number)?;
        let public = self
            .send_bare("TPM2_ReadPublic", |context| context.read_public(handle.into()))
            .map(|(public, _, _)| public);
        self.send("Esys_TR_Close", |context| context.tr_close(&mut handle))?;
        public
    }

    /// Opens a persistent handle; its name is the hash of what the TPM says is there, and the
    /// session's HMAC fails where it is not.
    pub(in crate::backend::tpm) fn open_persistent(
        &mut self,
        number: u32,
    ) -> Result<ObjectHandle, Fault> {
        let handle = PersistentTpmHandle::new(number)
            .map_err(|error| Fault::of(error, "a persistent handle"))?;
        self.send_bare("TPM2_ReadPublic", |context| {
            context.tr_from_tpm_public(TpmHandle::Persistent(handle))
        })
    }

    /// Forgets a key: its slot and its saved context.
    pub(in crate::backend::tpm) fn forget(&mut self, id: u64) -> Result<(), Fault> {
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
        private: &Private,
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

/// Runs a command again while the TPM has no slot for it, for a while.
pub(super) fn patient<T>(mut command: impl FnMut() -> TssResult<T>) -> TssResult<T> {
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
