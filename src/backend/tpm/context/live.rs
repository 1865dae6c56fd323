//! One context of tpm2-tss: the parent key, the protected session, and the commands that go through
//! it.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::{CapabilityType, PropertyTag, SessionType};
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{CapabilityData, MaxBuffer, Public, SymmetricDefinition};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::utils::TpmsContext;
use tss_esapi::{Context, Result as TssResult};

use super::slots::{MIN_SLOTS, patient};
use super::sweep::{self, Left};
use super::{Fault, Trouble};
use crate::backend::tpm::object::name_of;
use crate::backend::tpm::object::template;

/// A context with its session and what is loaded in it.
pub(in crate::backend::tpm) struct Live {
    pub(super) context: Context,
    pub(super) session: AuthSession,
    /// Its handle in the TPM, to be flushed where the context cannot.
    pub(super) session_handle: Option<u32>,
    /// The names of all objects that were ever loaded.
    pub(super) names: HashSet<Vec<u8>>,
    pub(super) parent: TpmsContext,
    pub(super) parent_public: Public,
    pub(super) parent_name: Vec<u8>,
    pub(super) slots: usize,
    /// The keys that are in slots now, the one that was used last at the end.
    pub(super) loaded: Vec<(u64, KeyHandle)>,
    /// The contexts of keys that were in a slot before: loading them again is cheaper.
    pub(super) saved: HashMap<u64, TpmsContext>,
    /// Keys at persistent handles take no slot.
    pub(super) persistent: HashMap<u64, ObjectHandle>,
    /// The most bytes that TPM2_HMAC takes at once.
    max_input: usize,
}

/// The most bytes that a TPM2B_MAX_BUFFER of the binding has, and that TPM2_HMAC of most TPMs takes: the
/// TPM itself is asked (TPM_PT_INPUT_BUFFER; TPM 2.0 part 2, MAX_DIGEST_BUFFER).
const MAX_INPUT: usize = MaxBuffer::MAX_SIZE;

/// The counters of the dictionary attack protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend::tpm) struct Lockout {
    pub(in crate::backend::tpm) is_locked: bool,
    pub(in crate::backend::tpm) failures: u32,
    pub(in crate::backend::tpm) max_failures: u32,
    /// Seconds until one failure is forgotten.
    pub(in crate::backend::tpm) interval: u32,
}

impl Live {
    /// Reaches the TPM, makes the parent, looks at its name, and only then starts the session whose
    /// keys depend on a secret that was encrypted to that parent.
    pub(super) fn open(
        tcti: &str,
        expected: Option<&[u8]>,
        left: &mut Left,
    ) -> Result<Self, Trouble> {
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
            max_input: MAX_INPUT,
        };
        let told = live.property(PropertyTag::HrTransientMin)?.unwrap_or_default();
        live.slots = MIN_SLOTS.max(told as usize);
        let told = live.property(PropertyTag::InputBuffer)?;
        live.max_input = told.map_or(MAX_INPUT, |told| MAX_INPUT.min(told as usize));
        Ok(live)
    }

    /// Returns the name of the parent key.
    pub(in crate::backend::tpm) fn parent_name(&self) -> &[u8] {
        &self.parent_name
    }

    /// Returns the most bytes that TPM2_HMAC takes at once.
    pub(in crate::backend::tpm) fn max_input(&self) -> usize {
        self.max_input
    }

    /// Returns the public area of the parent key.
    pub(in crate::backend::tpm) fn parent_public(&self) -> &Public {
        &self.parent_public
    }

    /// Sends a command, authorized and protected by the session.
    pub(in crate::backend::tpm) fn send<T>(
        &mut self,
        name: &'static str,
        command: impl FnOnce(&mut Context) -> TssResult<T>,
    ) -> Result<T, Fault> {
        self.protect()?;
        command(&mut self.context).map_err(|error| Fault::of(error, name))
    }

    /// Sets the attributes that make the session protect the first parameter both ways. Before
    /// every command: where one fails, tpm2-tss leaves those that it took away for it.
    pub(super) fn protect(&mut self) -> Result<(), Fault> {
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
    pub(in crate::backend::tpm) fn send_bare<T>(
        &mut self,
        name: &'static str,
        command: impl FnOnce(&mut Context) -> TssResult<T>,
    ) -> Result<T, Fault> {
        let answer = self.context.execute_without_session(command);
        answer.map_err(|error| Fault::of(error, name))
    }

    /// Returns the context, to send commands by hand: through the session, or in the clear with
    /// none but the password.
    #[cfg(feature = "cli")]
    pub(in crate::backend::tpm) fn by_hand(&mut self, in_clear: bool) -> &mut Context {
        let session = if in_clear { AuthSession::Password } else { self.session };
        self.context.set_sessions((Some(session), None, None));
        &mut self.context
    }

    /// Returns the saved context of a key that was loaded from its file.
    #[cfg(feature = "cli")]
    pub(in crate::backend::tpm) fn saved(&self, id: u64) -> Option<TpmsContext> {
        self.saved.get(&id).cloned()
    }

    /// Asks for a byte, through the session: an answer is the TPM's own, and it is alive.
    pub(in crate::backend::tpm) fn ask(&mut self) -> Result<(), Fault> {
        debug_assert_eq!(self.context.sessions().0, Some(self.session));
        self.send("TPM2_GetRandom", |context| context.get_random(16)).map(|_| ())
    }

    /// Returns a property of the TPM as it is now.
    pub(in crate::backend::tpm) fn property(
        &mut self,
        tag: PropertyTag,
    ) -> Result<Option<u32>, Fault> {
        let (answer, _) = self.send_bare("TPM2_GetCapability", |context| {
            context.get_capability(CapabilityType::TpmProperties, tag.into(), 1)
        })?;
        let CapabilityData::TpmProperties(properties) = answer else { return Ok(None) };
        let mut properties = properties.into_iter();
        Ok(properties.find(|found| found.property() == tag).map(|found| found.value()))
    }

    /// Reads the counters of the dictionary attack protection.
    pub(in crate::backend::tpm) fn lockout(&mut self) -> Result<Lockout, Fault> {
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
