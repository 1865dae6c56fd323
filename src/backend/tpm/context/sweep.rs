//! What a context that broke has left in the TPM: a context of tpm2-tss that has met an answer with
//! a wrong HMAC, or none, takes no command any more, not even one that flushes.

use std::collections::HashSet;

use tss_esapi::constants::CapabilityType;
use tss_esapi::handles::TpmHandle;
use tss_esapi::structures::CapabilityData;
use tss_esapi::{Context, Result as TssResult};

const FIRST_TRANSIENT: u32 = 0x8000_0000;
const FIRST_LOADED_SESSION: u32 = 0x0200_0000;

/// What was loaded when a context broke.
#[derive(Default)]
pub(super) struct Left {
    /// The names of the objects that may be in slots.
    pub(super) names: HashSet<Vec<u8>>,
    /// The handle of the session, where it is known.
    pub(super) session: Option<u32>,
    /// It was the context that gave up, not the way to the TPM: the session is there still.
    pub(super) is_there: bool,
}

impl Left {
    /// Flushes what is there still. An object is known by its name: nobody else's is touched. A
    /// session has none; it is flushed only where the TPM was not restarted meanwhile.
    pub(super) fn sweep(&self, context: &mut Context) -> TssResult<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        let mut is_there = self.is_there;
        for handle in handles(context, FIRST_TRANSIENT)? {
            let Ok(mut object) = context.tr_from_tpm_public(handle) else { continue };
            if self.names.contains(context.tr_get_name(object)?.value()) {
                context.flush_context(object)?;
                is_there = true;
            } else {
                // Not ours, and not to be flushed when the context is dropped. The binding says no
                // after it has done so.
                let _ = context.tr_close(&mut object);
            }
        }
        let session = |handle: &TpmHandle| Some(u32::from(*handle)) == self.session;
        if is_there
            && let Some(handle) = handles(context, FIRST_LOADED_SESSION)?.into_iter().find(session)
        {
            let session = context.tr_from_tpm_public(handle)?;
            context.flush_context(session)?;
        }
        Ok(())
    }
}

/// Lists the loaded sessions.
pub(super) fn sessions(context: &mut Context) -> TssResult<Vec<u32>> {
    Ok(handles(context, FIRST_LOADED_SESSION)?.into_iter().map(u32::from).collect())
}

fn handles(context: &mut Context, first: u32) -> TssResult<Vec<TpmHandle>> {
    let (answer, _) = context.get_capability(CapabilityType::Handles, first, 64)?;
    Ok(match answer {
        CapabilityData::Handles(handles) => handles.into_inner(),
        _ => Vec::new(),
    })
}
