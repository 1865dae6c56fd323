//! Symmetric keys of the token: what they tell, and by what they are known.

use cryptoki::mechanism::{Mechanism, MechanismType};

use super::*;
use crate::backend::{CheckValue, SecretInfo};

/// The kind of a symmetric key in the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum SecretType {
    /// CKK_AES: wraps, or encrypts.
    Aes,
    /// CKK_GENERIC_SECRET: authenticates.
    Generic,
}

/// The usages a symmetric key can have, in the pairs that go together.
pub(in super::super) const PAIRS: [[(AttributeType, &str); 2]; 3] = [
    [(AttributeType::Encrypt, "CKA_ENCRYPT"), (AttributeType::Decrypt, "CKA_DECRYPT")],
    [(AttributeType::Wrap, "CKA_WRAP"), (AttributeType::Unwrap, "CKA_UNWRAP")],
    [(AttributeType::Sign, "CKA_SIGN"), (AttributeType::Verify, "CKA_VERIFY")],
];

/// Finds every symmetric key at `locator`. Of the token only: session objects are keys on their way
/// through it.
pub(super) fn find_secret(
    admin: &AdminLease<'_>,
    locator: &Locator,
) -> Result<Vec<ObjectHandle>, BackendError> {
    let Locator::Object { id, label } = locator else { return Ok(Vec::new()) };
    let mut template = vec![Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
    template.extend(id.clone().map(Attribute::Id));
    template.extend(label.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    find(admin, &template)
}

/// Reads what a symmetric key tells, and judges it; `None` where it is not of a kind we know.
pub(super) fn describe_secret(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
    mut info: KeyInfo,
) -> Result<Option<Found>, BackendError> {
    let secret_type = match read(admin, handle, AttributeType::KeyType)? {
        Some(Attribute::KeyType(KeyType::AES)) => SecretType::Aes,
        Some(Attribute::KeyType(KeyType::GENERIC_SECRET)) => SecretType::Generic,
        _ => return Ok(None),
    };
    let Some(Attribute::ValueLen(len)) = read(admin, handle, AttributeType::ValueLen)? else {
        return Ok(None);
    };
    let Ok(bits) = u32::try_from(usize::from(len).saturating_mul(8)) else { return Ok(None) };
    let check_value = check_value(admin, handle, secret_type)?;
    info.secret = Some(SecretInfo { bits, check_value });
    audit(admin, handle, &mut info, Class::Secret)?;
    Ok(Some(Found {
        handle,
        kind: KeyKind::Oct { bits },
        info,
        always_authenticate: false,
        secret_type: Some(secret_type),
    }))
}

/// Reads the check value; has the token compute it where it does not tell it and the key may
/// encrypt in ECB, which none that is made here may.
fn check_value(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
    secret_type: SecretType,
) -> Result<Option<CheckValue>, BackendError> {
    if let Some(Attribute::CheckValue(told)) = read(admin, handle, AttributeType::CheckValue)?
        && let Some(told) = CheckValue::new(&told)
    {
        return Ok(Some(told));
    }
    let allows_ecb = match read(admin, handle, AttributeType::AllowedMechanisms)? {
        Some(Attribute::AllowedMechanisms(allowed)) if !allowed.is_empty() => {
            allowed.contains(&MechanismType::AES_ECB)
        }
        _ => true,
    };
    let may_encrypt = flag(admin, handle, AttributeType::Encrypt)? == Some(true);
    if secret_type != SecretType::Aes || !allows_ecb || !may_encrypt {
        return Ok(None);
    }
    match admin.session().encrypt(&Mechanism::AesEcb, handle, &[0; 16]) {
        Ok(block) => Ok(block.get(..3).and_then(CheckValue::new)),
        Err(error) => {
            let fault = Fault::of(&error, Function::Encrypt);
            if fault.is_refusal() { Ok(None) } else { Err(admin.fault(fault)) }
        }
    }
}

/// Names the usages that are there and do not go together; `None` where all is well.
pub(super) fn mixed_usages(
    admin: &AdminLease<'_>,
    handle: ObjectHandle,
) -> Result<Option<String>, BackendError> {
    let (mut names, mut pairs) = (Vec::new(), 0);
    for pair in PAIRS {
        let before = names.len();
        for (kind, name) in pair {
            if flag(admin, handle, kind)? == Some(true) {
                names.push(name);
            }
        }
        pairs += usize::from(names.len() > before);
    }
    let derives = flag(admin, handle, AttributeType::Derive)? == Some(true);
    names.extend(derives.then_some("CKA_DERIVE"));
    let is_one = pairs == 1 && !derives;
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Ok((!is_one).then(|| format!("not exactly one usage and its inverse: {names}")))
}
