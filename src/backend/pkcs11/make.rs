//! Making, taking in and destroying keys, and checking that they came out as asked.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};

use super::fault::Fault;
use super::object::secret::PAIRS;
use super::object::template::{Extras, Usages, Wanted};
use super::object::{self, Class, Found};
use super::session::{AdminLease, Connection};
use crate::backend::{BackendError, KeyShape, KeySpec, Locator};
use crate::jose::alg::{KeyAlgorithm, KeyKind, KeyManagement};
use crate::jose::jwk::{PrivateJwk, PublicKey};

pub(super) mod secret;

/// A new pair, or a symmetric key, not yet shown to anybody.
pub(super) struct Pair {
    /// The private key, or the symmetric key.
    pub(super) private: ObjectHandle,
    pub(super) public: Option<ObjectHandle>,
    /// The mechanism that generated it; none for an imported key.
    generator: Option<MechanismType>,
    /// The epoch of the connection in which the handles are good.
    pub(super) epoch: u64,
}

/// Checks a request for a new key, and returns the id and label its locator gives it.
pub(super) fn checked<'a>(
    admin: &AdminLease<'_>,
    keystore: &str,
    locator: &'a Locator,
    spec: &KeySpec,
) -> Result<(&'a [u8], &'a str), BackendError> {
    let misconfigured =
        |reason: String| BackendError::Misconfigured { keystore: keystore.to_owned(), reason };
    let Locator::Object { id: Some(id), label } = locator else {
        return Err(misconfigured(format!("a new key at {locator} needs an id")));
    };
    if spec.purpose().is_none() {
        return Err(misconfigured("a new key needs algorithms of one purpose".to_owned()));
    }
    let kind = spec.shape.kind();
    if let Some(alg) = spec.algs.iter().find(|alg| !alg.fits(kind)) {
        return Err(misconfigured(format!("{alg} does not fit a key of {}", spec.shape)));
    }
    // RFC 7518 section 5.2.2.1: half of the key is for HMAC, half for AES-CBC.
    if kind.is_secret() && !spec.algs.iter().all(|alg| is_in_one_piece(*alg, kind)) {
        return Err(BackendError::Unsupported {
            keystore: keystore.to_owned(),
            what: format!("dir with {}", spec.shape),
            reason: "a token does not split a key into one for HMAC and one for AES-CBC; AES in \
                     GCM has keys of 128, 192 and 256 bits"
                .to_owned(),
        });
    }
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY] {
        if !object::find_by_id(admin, class, id)?.is_empty() {
            return Err(misconfigured(format!("there is a key at {locator} already")));
        }
    }
    Ok((id, label.as_deref().unwrap_or_default()))
}

/// Generates a pair, giving up step by step what the token does not keep.
pub(super) fn generate(
    admin: &AdminLease<'_>,
    connection: &Connection,
    wanted: &Wanted<'_>,
) -> Result<Pair, BackendError> {
    let _one_at_a_time = wanted.on_token.then(|| connection.module().keygen());
    let epoch = connection.epoch();
    first_that_works(
        admin,
        connection,
        wanted,
        &wanted.generators(),
        |extras, (mechanism, adds)| {
            let mut public = wanted.public();
            public.extend_from_slice(adds);
            let made =
                admin.session().generate_key_pair(mechanism, &public, &wanted.private(extras));
            let (public, private) =
                made.map_err(|error| Fault::of(&error, Function::GenerateKeyPair))?;
            let generator = Some(mechanism.mechanism_type());
            Ok(Pair { private, public: Some(public), generator, epoch })
        },
    )
}

/// Creates the objects of a known pair, in the same way.
pub(super) fn create(
    admin: &AdminLease<'_>,
    connection: &Connection,
    wanted: &Wanted<'_>,
    key: &PrivateJwk,
) -> Result<Pair, BackendError> {
    let _one_at_a_time = connection.module().keygen();
    let epoch = connection.epoch();
    first_that_works(admin, connection, wanted, &wanted.forms(), |extras, form| {
        let fault = |error: Error| Fault::of(&error, Function::CreateObject);
        let template = wanted.known_private(extras, *form, key);
        let private = admin.session().create_object(&template).map_err(fault)?;
        drop(template);
        let template = wanted.known_public(*form, &key.public.key);
        let public = admin.session().create_object(&template).map_err(fault);
        let public = public.inspect_err(|_| discard(admin, private))?;
        Ok(Pair { private, public: Some(public), generator: None, epoch })
    })
}

/// Makes a pair in the first of the `ways` that the token takes, with fewer extras step by step.
///
/// Each attempt is made twice before another: a fault that comes and goes must not cost a key its
/// guarantees.
fn first_that_works<W>(
    admin: &AdminLease<'_>,
    connection: &Connection,
    wanted: &Wanted<'_>,
    ways: &[W],
    make: impl Fn(Extras, &W) -> Result<Pair, Fault>,
) -> Result<Pair, BackendError> {
    let (mut first, mut failed) = (None, None);
    for extras in Extras::STEPS {
        failed = None;
        for way in ways.iter().flat_map(|way| [way, way]) {
            match make(extras, way) {
                Ok(pair) => return Ok(pair),
                Err(fault) if is_final(fault) => return Err(admin.fault(fault)),
                Err(fault) => {
                    first.get_or_insert(fault);
                    if !fault.is_refusal() {
                        failed = Some(fault);
                    }
                }
            }
        }
    }
    // A fault of the barest template that is not about the template may be gone the next time.
    Err(failed.map_or_else(
        || BackendError::Unsupported {
            keystore: connection.name().to_owned(),
            what: format!("a key of {}", wanted.shape),
            // What the fullest template ran into says most.
            reason: first.map_or_else(|| "no way to make one".to_owned(), |it| it.to_string()),
        },
        |fault| admin.fault(fault),
    ))
}

/// Reads back what the token kept, and destroys the pair where a guarantee is missing.
pub(super) fn read_back(
    admin: &AdminLease<'_>,
    connection: &Connection,
    wanted: &Wanted<'_>,
    pair: &Pair,
) -> Result<Found, BackendError> {
    let checked = || {
        let mut missing = missing(admin, wanted, pair.private)?;
        let found = object::describe(admin, pair.private)?;
        let Some(mut found) = found.filter(|found| found.kind == wanted.shape.kind()) else {
            missing.push("CKA_KEY_TYPE is another".to_owned());
            return Ok((missing, None));
        };
        let has_wanted_size = match (wanted.shape, &found.info.public) {
            (KeyShape::Rsa { bits }, Some(PublicKey::Rsa(rsa))) => rsa.bits() == bits as usize,
            (_, public) => public.is_some() || found.kind == KeyKind::Rsa || found.kind.is_secret(),
        };
        if !has_wanted_size {
            missing.push("the public half is of another size, or not told".to_owned());
        }
        let weakness = found.info.public.as_ref().and_then(PublicKey::weakness);
        missing.extend(weakness.map(str::to_owned));
        unproven(admin, wanted, pair, &mut found)?;
        Ok((missing, Some(found)))
    };
    match checked() {
        Ok((missing, Some(found))) if missing.is_empty() => Ok(found),
        Ok((missing, _)) => {
            destroy(admin, pair)?;
            Err(BackendError::NotAsAsked {
                keystore: connection.name().to_owned(),
                what: missing.join(", "),
            })
        }
        Err(error) => {
            // What cannot be read back is not kept; the first error says more than a second.
            let _ = destroy(admin, pair);
            Err(error)
        }
    }
}

/// Destroys both objects of a pair.
pub(super) fn destroy(admin: &AdminLease<'_>, pair: &Pair) -> Result<(), BackendError> {
    let private = admin.session().destroy_object(pair.private);
    if let Some(public) = pair.public {
        discard(admin, public);
    }
    private.map_err(|error| admin.error(&error, Function::DestroyObject))
}

/// Destroys the key at `locator`, and its public key if no other private key has its id.
///
/// The public key first: a crash in between leaves a private key, which is found again, and not a
/// public one, which nobody looks for. One that is left all the same goes where the private key
/// is not found.
pub(super) fn destroy_at(
    admin: &AdminLease<'_>,
    keystore: &str,
    locator: &Locator,
) -> Result<(), BackendError> {
    let handle = match object::find_one(admin, keystore, locator) {
        Err(BackendError::NotFound { keystore, locator }) => {
            if let Locator::Object { id: Some(id), .. } = &locator {
                destroy_public(admin, id, 0)?;
            }
            return Err(BackendError::NotFound { keystore, locator });
        }
        found => found?,
    };
    if object::class(admin, handle)? == Class::Private
        && let Some(Attribute::Id(id)) = object::read(admin, handle, AttributeType::Id)?
    {
        destroy_public(admin, &id, 1)?;
    }
    admin
        .session()
        .destroy_object(handle)
        .map_err(|error| admin.error(&error, Function::DestroyObject))
}

/// Destroys the public keys with an id, unless more private keys than `own` have it too.
fn destroy_public(admin: &AdminLease<'_>, id: &[u8], own: usize) -> Result<(), BackendError> {
    if id.is_empty() || object::find_by_id(admin, ObjectClass::PRIVATE_KEY, id)?.len() > own {
        return Ok(());
    }
    for public in object::find_by_id(admin, ObjectClass::PUBLIC_KEY, id)? {
        discard(admin, public);
    }
    Ok(())
}

/// Returns the usages of a key for all of `algs`.
pub(super) fn usages(algs: &[KeyAlgorithm]) -> Usages {
    algs.iter().map(|alg| Usages::of(*alg)).fold(Usages::default(), |all, one| Usages {
        decrypt: all.decrypt || one.decrypt,
        sign: all.sign || one.sign,
        derive: all.derive || one.derive,
        wrap: all.wrap || one.wrap,
    })
}

/// Whether a token can do an algorithm with a symmetric key that it does not take apart.
pub(super) fn is_in_one_piece(alg: KeyAlgorithm, kind: KeyKind) -> bool {
    match alg {
        KeyAlgorithm::Unwrap(KeyManagement::Dir) => {
            matches!(kind, KeyKind::Oct { bits: 128 | 192 | 256 })
        }
        _ => true,
    }
}

/// Lists the guarantees that a new key must have and has not.
fn missing(
    admin: &AdminLease<'_>,
    wanted: &Wanted<'_>,
    handle: ObjectHandle,
) -> Result<Vec<String>, BackendError> {
    let mut missing = Vec::new();
    for (kind, name, value) in [
        (AttributeType::Sensitive, "CKA_SENSITIVE", true),
        (AttributeType::Extractable, "CKA_EXTRACTABLE", false),
        (AttributeType::Private, "CKA_PRIVATE", true),
        (AttributeType::Token, "CKA_TOKEN", wanted.on_token),
    ] {
        match object::flag(admin, handle, kind)? {
            Some(told) if told == value => {}
            Some(told) => missing.push(format!("{name} is {told}")),
            None => missing.push(format!("{name} is not told")),
        }
    }
    let usages = match wanted.shape.kind().is_secret() {
        true => {
            PAIRS.iter().flatten().copied().chain([(AttributeType::Derive, "CKA_DERIVE")]).collect()
        }
        false => object::USAGES.to_vec(),
    };
    for (kind, name) in usages {
        let value = wanted.usages.has(kind);
        // A usage that the token does not know at all is one that the key does not have.
        match object::flag(admin, handle, kind)? {
            Some(told) if told == value => {}
            None if !value => {}
            Some(told) => missing.push(format!("{name} is {told}")),
            None => missing.push(format!("{name} is not told")),
        }
    }
    Ok(missing)
}

/// Adds to what the audit found unproven: attributes that were asked for and came out otherwise.
fn unproven(
    admin: &AdminLease<'_>,
    wanted: &Wanted<'_>,
    pair: &Pair,
    found: &mut Found,
) -> Result<(), BackendError> {
    let unproven = &mut found.info.unproven;
    if let Some(Attribute::AllowedMechanisms(told)) =
        object::read(admin, pair.private, AttributeType::AllowedMechanisms)?
    {
        let is_same = told.len() == wanted.allowed.len()
            && wanted.allowed.iter().all(|mechanism| told.contains(mechanism));
        if !is_same && !told.is_empty() {
            unproven.push("CKA_ALLOWED_MECHANISMS is not as asked".to_owned());
        }
    }
    let told = object::read(admin, pair.private, AttributeType::KeyGenMechanism)?;
    match (pair.generator, told) {
        (Some(generator), Some(Attribute::KeyGenMechanism(told))) if told != generator => {
            unproven.push("CKA_KEY_GEN_MECHANISM is another".to_owned());
        }
        _ => {}
    }
    Ok(())
}

/// Destroys an object that nobody refers to; what is left over does no harm.
fn discard(admin: &AdminLease<'_>, object: ObjectHandle) {
    if let Err(error) = admin.session().destroy_object(object) {
        tracing::debug!(%error, "destroying an object");
    }
}

/// Returns whether another template would not help.
fn is_final(fault: Fault) -> bool {
    fault.is_stale()
        || fault.is_transport()
        || matches!(
            fault.native(),
            Some(
                RvError::SessionReadOnly
                    | RvError::TokenWriteProtected
                    | RvError::DeviceMemory
                    | RvError::PinExpired
            )
        )
}

/// Returns whether an error of a probe says that the token cannot, rather than that it did not.
pub(super) fn is_inability(error: &BackendError) -> bool {
    matches!(error, BackendError::Unsupported { .. } | BackendError::NotAsAsked { .. })
}
