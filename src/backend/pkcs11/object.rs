//! Objects of the token: finding them, reading what they tell, and judging it.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use super::fault::Fault;
use super::session::AdminLease;
use crate::backend::{BackendError, KeyInfo, Locator};
use crate::jose::alg::{Curve, KeyKind};
use crate::jose::jwk::{PublicKey, PublicPoint, RsaPublic};

pub(super) mod secret;
pub(super) mod template;

use secret::SecretType;

/// A private or symmetric key that was found.
pub(super) struct Found {
    pub(super) handle: ObjectHandle,
    pub(super) kind: KeyKind,
    pub(super) info: KeyInfo,
    pub(super) always_authenticate: bool,
    /// What a symmetric key is; `None` for a private key.
    pub(super) secret_type: Option<SecretType>,
}

/// What kind of object a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Private,
    Secret,
}

/// Finds the one private key at `locator`, or, where there is none, the one symmetric key.
pub(super) fn find_one(
    admin: &AdminLease<'_>,
    keystore: &str,
    locator: &Locator,
) -> Result<ObjectHandle, BackendError> {
    let mut found = find_private(admin, locator)?;
    if found.is_empty() {
        found = secret::find_secret(admin, locator)?;
    }
    match found[..] {
        [handle] => Ok(handle),
        [] => {
            Err(BackendError::NotFound { keystore: keystore.to_owned(), locator: locator.clone() })
        }
        _ => Err(BackendError::Ambiguous {
            keystore: keystore.to_owned(),
            locator: locator.clone(),
            count: found.len(),
        }),
    }
}

/// Finds every private key at `locator`.
pub(super) fn find_private(
    admin: &AdminLease<'_>,
    locator: &Locator,
) -> Result<Vec<ObjectHandle>, BackendError> {
    let Locator::Object { id, label } = locator else { return Ok(Vec::new()) };
    // By class too: some modules list certificates and mechanisms as objects of the same id.
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(id.clone().map(Attribute::Id));
    template.extend(label.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    find(admin, &template)
}

/// Finds every key of ours, private or symmetric, at `locator`.
pub(super) fn find_keys(
    admin: &AdminLease<'_>,
    locator: &Locator,
) -> Result<Vec<ObjectHandle>, BackendError> {
    let mut found = find_private(admin, locator)?;
    found.extend(secret::find_secret(admin, locator)?);
    Ok(found)
}

/// Tells what kind of object a key is.
pub(super) fn class(admin: &AdminLease<'_>, handle: ObjectHandle) -> Result<Class, BackendError> {
    match read(admin, handle, AttributeType::Class)? {
        Some(Attribute::Class(ObjectClass::SECRET_KEY)) => Ok(Class::Secret),
        _ => Ok(Class::Private),
    }
}

/// Finds every object of a class with an id.
pub(super) fn find_by_id(
    admin: &AdminLease<'_>,
    class: ObjectClass,
    id: &[u8],
) -> Result<Vec<ObjectHandle>, BackendError> {
    find(admin, &[Attribute::Class(class), Attribute::Id(id.to_vec())])
}

/// Finds every object that fits a template.
pub(super) fn find(
    admin: &AdminLease<'_>,
    template: &[Attribute],
) -> Result<Vec<ObjectHandle>, BackendError> {
    admin
        .session()
        .find_objects(template)
        .map_err(|error| admin.error(&error, Function::FindObjects))
}

/// Reads what a key tells, and judges it; `None` where it is not of a kind we know.
pub(super) fn describe(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
) -> Result<Option<Found>, BackendError> {
    let id = match read(admin, handle, AttributeType::Id)? {
        Some(Attribute::Id(id)) if !id.is_empty() => Some(id),
        _ => None,
    };
    let label = match read(admin, handle, AttributeType::Label)? {
        Some(Attribute::Label(label)) if !label.is_empty() => {
            Some(String::from_utf8_lossy(&label).into_owned())
        }
        _ => None,
    };
    let mut info = KeyInfo {
        locator: Locator::Object { id: id.clone(), label: label.clone() },
        label,
        public: None,
        secret: None,
        unproven: Vec::new(),
        weak: Vec::new(),
        attributes: Vec::new(),
        exportable: false,
    };
    if class(admin, handle)? == Class::Secret {
        return secret::describe_secret(admin, handle, info);
    }
    let Some((kind, public)) = public_half(admin, handle, id.as_deref())? else { return Ok(None) };
    info.weak.extend(public.as_ref().and_then(PublicKey::weakness).map(str::to_owned));
    info.public = public;
    let always_authenticate = flag(admin, handle, AttributeType::AlwaysAuthenticate)? == Some(true);
    audit(admin, handle, &mut info, Class::Private)?;
    Ok(Some(Found { handle, kind, info, always_authenticate, secret_type: None }))
}

/// Reads one attribute; `None` where the token does not tell it.
///
/// One by one: a token that fails for one attribute often fails the whole call. Not told is not
/// false, and what could not be read is an error: of a device that stumbles, nothing is known.
pub(super) fn read(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
    kind: AttributeType,
) -> Result<Option<Attribute>, BackendError> {
    match admin.session().get_attributes(handle, &[kind]) {
        Ok(mut attributes) => Ok(attributes.pop()),
        Err(error @ Error::Pkcs11(..)) => {
            let fault = Fault::of(&error, Function::GetAttributeValue);
            if is_not_told(kind, fault) { Ok(None) } else { Err(admin.fault(fault)) }
        }
        // A value that the binding does not know, or CK_UNAVAILABLE_INFORMATION.
        Err(_) => Ok(None),
    }
}

/// Returns whether a fault says that the token does not tell the attribute.
fn is_not_told(kind: AttributeType, fault: Fault) -> bool {
    match fault.native() {
        Some(RvError::AttributeTypeInvalid | RvError::AttributeSensitive) => true,
        // p11-kit cannot carry it: CKR_DEVICE_ERROR.
        Some(RvError::DeviceError | RvError::GeneralError) => {
            kind == AttributeType::AllowedMechanisms
        }
        _ => false,
    }
}

/// Reads a boolean attribute.
pub(super) fn flag(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
    kind: AttributeType,
) -> Result<Option<bool>, BackendError> {
    use Attribute as A;
    Ok(match read(admin, handle, kind)? {
        Some(
            A::Token(value)
            | A::Private(value)
            | A::Sensitive(value)
            | A::Extractable(value)
            | A::Encrypt(value)
            | A::Decrypt(value)
            | A::Sign(value)
            | A::SignRecover(value)
            | A::Verify(value)
            | A::Wrap(value)
            | A::Unwrap(value)
            | A::Derive(value)
            | A::Local(value)
            | A::AlwaysSensitive(value)
            | A::NeverExtractable(value)
            | A::Modifiable(value)
            | A::Copyable(value)
            | A::AlwaysAuthenticate(value),
        ) => Some(value),
        _ => None,
    })
}

/// The usages a private key can have.
pub(super) const USAGES: [(AttributeType, &str); 5] = [
    (AttributeType::Decrypt, "CKA_DECRYPT"),
    (AttributeType::Sign, "CKA_SIGN"),
    (AttributeType::Derive, "CKA_DERIVE"),
    (AttributeType::Unwrap, "CKA_UNWRAP"),
    (AttributeType::SignRecover, "CKA_SIGN_RECOVER"),
];

/// Judges a key by its attributes: what is wrong goes to `weak`, what is not proved to `unproven`.
fn audit(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
    info: &mut KeyInfo,
    class: Class,
) -> Result<(), BackendError> {
    for (kind, name, wanted, keeps_inside) in [
        (AttributeType::Sensitive, "CKA_SENSITIVE", true, true),
        (AttributeType::Extractable, "CKA_EXTRACTABLE", false, true),
        (AttributeType::Private, "CKA_PRIVATE", true, false),
    ] {
        match flag(admin, handle, kind)? {
            Some(value) if value == wanted => {}
            Some(value) => {
                info.weak.push(format!("{name} is {value}"));
                info.exportable |= keeps_inside;
            }
            None => info.unproven.push(format!("{name} is not told")),
        }
    }
    info.weak.extend(match class {
        Class::Private => several_usages(admin, handle)?,
        Class::Secret => secret::mixed_usages(admin, handle)?,
    });
    for (kind, name, wanted) in [
        (AttributeType::Local, "CKA_LOCAL", true),
        (AttributeType::AlwaysSensitive, "CKA_ALWAYS_SENSITIVE", true),
        (AttributeType::NeverExtractable, "CKA_NEVER_EXTRACTABLE", true),
        (AttributeType::Modifiable, "CKA_MODIFIABLE", false),
        (AttributeType::Copyable, "CKA_COPYABLE", false),
    ] {
        match flag(admin, handle, kind)? {
            Some(value) if value == wanted => {}
            Some(value) => info.unproven.push(format!("{name} is {value}")),
            None => info.unproven.push(format!("{name} is not told")),
        }
    }
    if read(admin, handle, AttributeType::KeyGenMechanism)?.is_none() {
        info.unproven.push("CKA_KEY_GEN_MECHANISM is not told".to_owned());
    }
    match read(admin, handle, AttributeType::AllowedMechanisms)? {
        Some(Attribute::AllowedMechanisms(allowed)) if !allowed.is_empty() => {}
        Some(_) => {
            info.unproven.push("CKA_ALLOWED_MECHANISMS is empty: any mechanism".to_owned());
        }
        None => info.unproven.push("CKA_ALLOWED_MECHANISMS is not told".to_owned()),
    }
    Ok(())
}

/// Names the usages of a private key that has not exactly one; `None` where all is well.
fn several_usages(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
) -> Result<Option<String>, BackendError> {
    let mut usages = Vec::new();
    for (kind, name) in USAGES {
        if flag(admin, handle, kind)? == Some(true) {
            usages.push(name);
        }
    }
    let names = if usages.is_empty() { "none".to_owned() } else { usages.join(", ") };
    Ok((usages.len() != 1).then(|| format!("not exactly one usage: {names}")))
}

/// Finds kind and public half of a private key: told by itself, or by the one public key with the
/// same id. `None` for a kind of key that is not ours.
fn public_half(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
    id: Option<&[u8]>,
) -> Result<Option<(KeyKind, Option<PublicKey>)>, BackendError> {
    let key_type = match admin.session().get_attributes(handle, &[AttributeType::KeyType]) {
        Ok(told) => match told[..] {
            [Attribute::KeyType(key_type)] => key_type,
            // Every key has one.
            _ => {
                let function = Function::GetAttributeValue;
                return Err(admin.fault(Fault::nonsense(function, "CKA_KEY_TYPE is not told")));
            }
        },
        Err(error @ Error::Pkcs11(..)) => {
            return Err(admin.error(&error, Function::GetAttributeValue));
        }
        // A type that the binding does not know.
        Err(_) => return Ok(None),
    };
    let own = public_of(admin, handle, key_type)?;
    let kind = match &own {
        Some(public) => public.kind(),
        None if key_type == KeyType::RSA => KeyKind::Rsa,
        // By the parameters, not by the type: SoftHSM has X25519 under CKK_EC_EDWARDS.
        None => match curve(admin, handle)? {
            Some(curve) => KeyKind::Curve(curve),
            None => return Ok(None),
        },
    };
    if own.is_some() {
        return Ok(Some((kind, own)));
    }
    let Some(id) = id else { return Ok(Some((kind, None))) };
    let mut public = None;
    for object in find_by_id(admin, ObjectClass::PUBLIC_KEY, id)? {
        let told = public_of(admin, object, key_type)?.filter(|told| told.kind() == kind);
        match (&public, told) {
            (_, None) => {}
            (None, told) => public = told,
            (Some(one), Some(other)) if *one == other => {}
            // Two public keys under one id: neither is believed.
            _ => return Ok(Some((kind, None))),
        }
    }
    Ok(Some((kind, public)))
}

/// Reads a public half from the attributes of one object, private or public.
fn public_of(
    admin: &AdminLease<'_>,
    object: ObjectHandle,
    key_type: KeyType,
) -> Result<Option<PublicKey>, BackendError> {
    if key_type == KeyType::RSA {
        let modulus = read(admin, object, AttributeType::Modulus)?;
        let exponent = read(admin, object, AttributeType::PublicExponent)?;
        let (Some(Attribute::Modulus(n)), Some(Attribute::PublicExponent(e))) = (modulus, exponent)
        else {
            return Ok(None);
        };
        return Ok(RsaPublic::existing(&n, &e).ok().map(PublicKey::Rsa));
    }
    let Some(curve) = curve(admin, object)? else { return Ok(None) };
    let Some(Attribute::EcPoint(point)) = read(admin, object, AttributeType::EcPoint)? else {
        return Ok(None);
    };
    Ok(ec_point(curve, &point).map(PublicKey::Point))
}

fn curve(admin: &AdminLease<'_>, object: ObjectHandle) -> Result<Option<Curve>, BackendError> {
    Ok(match read(admin, object, AttributeType::EcParams)? {
        Some(Attribute::EcParams(params)) => template::curve_of(&params),
        _ => None,
    })
}

/// Reads CKA_EC_POINT: a DER OCTET STRING as the standard has it, or the bare point.
fn ec_point(curve: Curve, bytes: &[u8]) -> Option<PublicPoint> {
    let bare_len = match curve.kty() {
        "EC" => 1 + 2 * curve.field_len(),
        _ => curve.field_len(),
    };
    let point = if bytes.len() == bare_len {
        bytes
    } else {
        let point = bytes.get(bytes.len().checked_sub(bare_len)?..)?;
        (octet_string(point) == bytes).then_some(point)?
    };
    PublicPoint::new(curve, point.to_vec()).ok()
}

/// Wraps bytes, at most 255 of them, into a DER OCTET STRING.
pub(super) fn octet_string(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() as u8;
    let mut der = if len < 128 { vec![0x04, len] } else { vec![0x04, 0x81, len] };
    der.extend_from_slice(bytes);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_bare_and_wrapped() {
        for curve in Curve::ALL {
            let mut bare = match curve.kty() {
                "EC" => vec![4; 1 + 2 * curve.field_len()],
                _ => vec![4; curve.field_len()],
            };
            let point = PublicPoint::new(*curve, bare.clone()).unwrap();
            assert_eq!(ec_point(*curve, &bare), Some(point.clone()), "{curve}");
            let mut wrapped = octet_string(&bare);
            assert_eq!(ec_point(*curve, &wrapped), Some(point), "{curve}");
            wrapped[1] ^= 1;
            assert_eq!(ec_point(*curve, &wrapped), None, "{curve}");
            bare.pop();
            assert_eq!(ec_point(*curve, &bare), None, "{curve}");
        }
        assert_eq!(ec_point(Curve::P256, &[]), None);
    }
}
