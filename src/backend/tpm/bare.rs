//! The bare calls of TPM 2.0, with the context, the session and the slot that the engine uses.

use tss_esapi::handles::KeyHandle;
use tss_esapi::structures::{
    Auth, Data, Digest, EccParameter, EccPoint, PublicKeyRsa, RsaDecryptionScheme, SignatureScheme,
};
use tss_esapi::utils::TpmsContext;
use tss_esapi::{Context, Result as TssResult};

use super::context::{Live, Trouble};
use super::fault::Fault;
use super::key::{TpmKey, sign};
use super::scheme::Scheme;
use super::{Shared, TpmKeystore};
use crate::backend::bare::{BareCall, BareKeystore, BareOperation};
use crate::backend::{BackendError, Locator};
use crate::jose::alg::{Hash, KeyManagement};

/// Keys in turn: several times more than there are slots.
const IN_TURN: usize = 20;

/// A command with its parameters.
enum Command {
    Decrypt(PublicKeyRsa, RsaDecryptionScheme),
    Sign(Digest, SignatureScheme),
    Agree(EccPoint),
}

/// Where a key is between two commands.
enum Rest {
    InSlot(KeyHandle),
    Saved(Box<TpmsContext>),
}

/// An operation of keys in turn, ready to be repeated.
struct Bare<'a> {
    shared: &'a Shared,
    /// `None` when it was put back.
    live: Option<Live>,
    /// After `live`: a key that is dropped is flushed by the context that was put back.
    keys: Vec<(TpmKey, Rest)>,
    next: usize,
    command: Command,
    auth: Option<Auth>,
    in_clear: bool,
}

impl BareKeystore for TpmKeystore {
    fn oaep(&self) -> KeyManagement {
        KeyManagement::RsaOaep256
    }

    fn most_bare(&self) -> usize {
        1
    }

    fn calls(&self, operation: &BareOperation) -> &'static str {
        match operation {
            BareOperation::DecryptOaep(..) => "TPM2_RSA_Decrypt",
            BareOperation::SignPss(_) | BareOperation::SignEcdsa(_) => "TPM2_Sign",
            BareOperation::Agree(_) => "TPM2_ECDH_ZGen",
        }
    }

    fn bare(&self, key: &Locator, operation: &BareOperation) -> Result<BareCall<'_>, BackendError> {
        let mut bare = self.prepare(std::slice::from_ref(key), operation, false)?;
        Ok(Box::new(move || bare.run()))
    }

    fn bare_in_clear(
        &self,
        key: &Locator,
        operation: &BareOperation,
    ) -> Result<Option<BareCall<'_>>, BackendError> {
        let mut bare = self.prepare(std::slice::from_ref(key), operation, true)?;
        Ok(Some(Box::new(move || bare.run())))
    }

    fn in_turn(&self) -> usize {
        IN_TURN
    }

    fn bare_in_turn(
        &self,
        keys: &[Locator],
        operation: &BareOperation,
    ) -> Result<Option<BareCall<'_>>, BackendError> {
        let mut bare = self.prepare(keys, operation, false)?;
        Ok(Some(Box::new(move || bare.run())))
    }
}

impl TpmKeystore {
    /// Takes the context and loads the keys; several are left saved, none in a slot.
    fn prepare(
        &self,
        keys: &[Locator],
        operation: &BareOperation,
        in_clear: bool,
    ) -> Result<Bare<'_>, BackendError> {
        let shared = &*self.shared;
        let command = shared.built("a parameter", command(operation))?;
        let auth = match shared.auth.as_slice() {
            [] => None,
            auth => Some(shared.built("TPM2B_AUTH", Auth::try_from(auth))?),
        };
        let found = keys.iter().map(|key| self.found(key)).collect::<Result<Vec<_>, _>>()?;
        let live = shared.device.take(shared.pinned()).map_err(|trouble| shared.error(trouble))?;
        let is_one = found.len() == 1;
        let live = Some(live);
        let mut bare = Bare { shared, live, keys: Vec::new(), next: 0, command, auth, in_clear };
        for key in found {
            let rest = bare.load(&key, is_one).map_err(|trouble| shared.error(trouble))?;
            bare.keys.push((key, rest));
        }
        Ok(bare)
    }
}

impl Bare<'_> {
    fn load(&mut self, key: &TpmKey, stays: bool) -> Result<Rest, Trouble> {
        let live = self.live.as_mut().ok_or(NO_CONTEXT)?;
        let material = key.material();
        let handle = live.key(material, &self.shared.auth)?;
        if stays {
            return Ok(Rest::InSlot(handle));
        }
        let no_file = Fault::nonsense("TPM2_ContextSave", "a key without a file");
        let saved = live.saved(material.id).ok_or(no_file)?;
        live.forget(material.id)?;
        Ok(Rest::Saved(Box::new(saved)))
    }

    fn run(&mut self) -> Result<(), BackendError> {
        let Self { shared, live, keys, next, command, auth, in_clear } = self;
        let (Some(live), Some((_, rest))) = (live, keys.get(*next)) else {
            return Err(NO_CONTEXT.into_error(&shared.name));
        };
        *next = (*next + 1) % keys.len();
        let context = live.by_hand(*in_clear);
        let done = match rest {
            Rest::InSlot(handle) => command.send(context, *handle),
            Rest::Saved(saved) => command.send_saved(context, saved, auth.as_ref()),
        };
        shared.built("the bare call", done)
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        if let Some(mut live) = self.live.take() {
            live.by_hand(false);
            self.shared.device.put_back(live);
        }
    }
}

impl Command {
    fn send(&self, context: &mut Context, key: KeyHandle) -> TssResult<()> {
        match self {
            Self::Decrypt(cipher, scheme) => {
                context.rsa_decrypt(key, cipher.clone(), *scheme, Data::default()).map(drop)
            }
            Self::Sign(digest, scheme) => sign(context, key, digest.clone(), *scheme).map(drop),
            Self::Agree(point) => context.ecdh_z_gen(key, point.clone()).map(drop),
        }
    }

    fn send_saved(
        &self,
        context: &mut Context,
        saved: &TpmsContext,
        auth: Option<&Auth>,
    ) -> TssResult<()> {
        let object = context.context_load(saved.clone())?;
        if let Some(auth) = auth {
            context.tr_set_auth(object, auth.clone())?;
        }
        self.send(context, object.into())?;
        context.flush_context(object)
    }
}

const NO_CONTEXT: Fault = Fault::nonsense("Esys_Initialize", "no context");

fn command(operation: &BareOperation) -> TssResult<Command> {
    let sign = |scheme: Scheme, digest: &[u8]| {
        let scheme = scheme.signature().ok_or_else(no_parameter)?;
        Ok(Command::Sign(Digest::try_from(digest)?, scheme))
    };
    match operation {
        BareOperation::DecryptOaep(hash, cipher) => {
            let scheme = Scheme::Oaep(*hash).decryption().ok_or_else(no_parameter)?;
            Ok(Command::Decrypt(PublicKeyRsa::try_from(cipher.as_slice())?, scheme))
        }
        BareOperation::SignPss(digest) => sign(Scheme::RsaPss(Hash::Sha256), digest),
        BareOperation::SignEcdsa(digest) => sign(Scheme::EcDsa(Hash::Sha256), digest),
        BareOperation::Agree(point) => {
            let (x, y) = point.coordinates();
            let (x, y) = (x, y.ok_or_else(no_parameter)?);
            Ok(Command::Agree(EccPoint::new(EccParameter::try_from(x)?, y.try_into()?)))
        }
    }
}

fn no_parameter() -> tss_esapi::Error {
    tss_esapi::Error::WrapperError(tss_esapi::WrapperErrorKind::InvalidParam)
}
