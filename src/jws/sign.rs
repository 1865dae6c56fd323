//! Signing in the device.

use std::borrow::Cow;
use std::io::Read;

use super::signer::{JwsForm, JwsParameters, Signer};
use super::stream::{self, SigningInput, prehash};
use crate::backend::{BackendError, HardwareKey, ToSign};
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::base64url;
use crate::jose::serialization::{
    JwsParts, JwsSignature, MAX_SIGNATURES, Serialization, check_len_to_send, escaped_len,
};
use crate::primitives::digest::Hasher;

/// Signs `payload` into a compact JWS (RFC 7515 section 5.1).
///
/// # Errors
/// [`Error::Usage`] before the device is asked, for a token that no recipient would take: over
/// [`MAX_TOKEN_LEN`](crate::jose::serialization::MAX_TOKEN_LEN), which a payload of 24 MiB makes; a
/// header over [`MAX_HEADER_LEN`](crate::jose::header::MAX_HEADER_LEN); a `kid` over
/// [`MAX_KID_LEN`](crate::jose::jwk::MAX_KID_LEN) or with control characters. Else a device fault, or an
/// algorithm that the key does not do.
pub fn sign(
    key: &dyn HardwareKey,
    parameters: &JwsParameters<'_>,
    payload: &[u8],
) -> Result<String> {
    let signer = Signer::new(key, parameters);
    let mut token = signing_input(&signer, JwsForm::default(), payload)?;
    let signature = made_by(key, parameters.alg, ToSign::Message(token.as_bytes()))?;
    token.push('.');
    base64url::encode_append(&signature, &mut token);
    Ok(token)
}

/// Signs `payload` into a compact JWS without it: `header..signature` (RFC 7515 appendix F).
///
/// # Errors
/// As [`sign`]; the payload, which is not in the token, may have any length.
pub fn sign_detached(
    key: &dyn HardwareKey,
    parameters: &JwsParameters<'_>,
    payload: &[u8],
) -> Result<String> {
    let form = JwsForm { detached: true, ..JwsForm::default() };
    let input = signing_input(&Signer::new(key, parameters), form, payload)?;
    let signature = made_by(key, parameters.alg, ToSign::Message(input.as_bytes()))?;
    let header = input.split('.').next().unwrap_or_default();
    Ok(format!("{header}..{}", base64url::encode(&signature)))
}

/// Signs `payload` by each of `signers` into one JWS, in any serialization.
///
/// # Errors
/// [`Error::Usage`]: no signer, more than the serialization can carry, an unprotected header in the
/// compact one, or one that is nested too deep for it, an unencoded payload that the serialization
/// cannot carry (RFC 7797 section 5); else as [`sign`]. No device is asked before all headers and the
/// length of the token are known to be good.
pub fn sign_as(signers: &[Signer<'_>], form: JwsForm, payload: &[u8]) -> Result<String> {
    let headers = prepared(signers, form, payload)?;
    let carried: Cow<'_, str> = match (form.unencoded, form.detached) {
        (false, _) => base64url::encode(payload).into(),
        (true, true) => "".into(),
        (true, false) => unencoded(form.serialization, payload)?.into(),
    };
    let signed = if form.unencoded { payload } else { carried.as_bytes() };
    let signatures = signers.iter().zip(headers).map(|(signer, protected)| {
        let input = stream::whole(&protected, signed);
        let signature = made_by(signer.key, signer.alg, ToSign::Message(&input))?;
        Ok(signer.signed(protected, &signature))
    });
    let signatures = signatures.collect::<Result<_>>()?;
    written(form.serialization, (!form.detached).then_some(carried), signatures)
}

/// As [`sign_as`], detached, reading the payload once and holding a few kilobytes of it: the device
/// signs its digest, or takes the payload for the MAC of an only signer, and has a session taken for it
/// until the reader ends (how, and how much: [`HardwareKey::mac_reader`]).
///
/// # Errors
/// As [`sign_as`]; [`Error::Usage`] for a form that is not detached, and for signers that need the
/// payload in memory (see [`takes_reader`]); [`Error::Io`] if the payload cannot be read.
pub fn sign_reader(signers: &[Signer<'_>], form: JwsForm, payload: impl Read) -> Result<String> {
    if !form.detached {
        return Err(Error::Usage("a payload that is read once is detached".into()));
    }
    let mut headers = prepared(signers, form, &[])?;
    if let [signer] = signers
        && signer.alg.is_symmetric()
        && signer.key.takes_reader()
    {
        let protected = headers.remove(0);
        let mut input = SigningInput::new(&protected, payload, !form.unencoded);
        let mac = signer.key.mac_reader(signer.alg, &mut input).map_err(told_of_message)?;
        return written(form.serialization, None, vec![signer.signed(protected, &mac)]);
    }
    let hashers = signers.iter().zip(&headers).map(|(signer, protected)| {
        let hash = prehash(signer.alg).ok_or_else(|| stream::needs_whole(signer.alg))?;
        Ok(stream::begin(hash, protected))
    });
    let mut hashers = hashers.collect::<Result<Vec<_>>>()?;
    stream::feed(payload, !form.unencoded, hashers.iter_mut())?;
    let digests = hashers.into_iter().map(Hasher::finish);
    let signatures = signers.iter().zip(headers).zip(digests).map(|((signer, header), digest)| {
        let signature = made_by(signer.key, signer.alg, ToSign::Digest(&digest))?;
        Ok(signer.signed(header, &signature))
    });
    written(form.serialization, None, signatures.collect::<Result<_>>()?)
}

/// Returns whether [`sign_reader`] works with all of `signers`: not with Ed25519, which goes over the
/// message twice (RFC 8032 section 5.1), and with a MAC only if it is the only one and its key takes
/// a reader ([`HardwareKey::takes_reader`]).
#[must_use]
pub fn takes_reader(signers: &[Signer<'_>]) -> bool {
    match signers {
        [only] if only.alg.is_symmetric() => only.key.takes_reader(),
        signers => signers.iter().all(|signer| prehash(signer.alg).is_some()),
    }
}

/// What a device says of a message that it could not have.
pub(super) fn told_of_message(error: BackendError) -> Error {
    match error {
        BackendError::Message { reason } => stream::unreadable(reason),
        error => error.into(),
    }
}

/// The one place where a signature is made.
fn made_by(key: &dyn HardwareKey, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>> {
    Ok(key.sign(alg, input)?)
}

fn signing_input(signer: &Signer<'_>, form: JwsForm, payload: &[u8]) -> Result<String> {
    let mut input = prepared(std::slice::from_ref(signer), form, payload)?.remove(0);
    // The payload, two dots and the longest signature, so that signing does not move the text.
    input.reserve(payload.len() * 4 / 3 + 1024);
    input.push('.');
    base64url::encode_append(payload, &mut input);
    Ok(input)
}

/// Returns the protected header of each signature as it stands in the token, having looked whether the
/// token will be one that is taken: before a device is asked for anything.
fn prepared(signers: &[Signer<'_>], form: JwsForm, payload: &[u8]) -> Result<Vec<String>> {
    check_form(signers, form)?;
    let headers = signers.iter().map(|signer| signer.encoded(form.unencoded));
    let headers = headers.collect::<Result<Vec<_>>>()?;
    let signatures = signers.iter().zip(&headers).map(|(signer, protected)| {
        signer.signed(protected.clone(), &vec![0; signer.signature_len()])
    });
    let without_payload = (!form.detached).then_some("".into());
    let draft = written(form.serialization, without_payload, signatures.collect())?;
    let carried_len = match (form.detached, form.unencoded) {
        (true, _) => 0,
        (false, false) => base64url::encoded_len(payload.len()),
        (false, true) => escaped_len(form.serialization, unencoded(form.serialization, payload)?),
    };
    check_len_to_send(draft.len() + carried_len)?;
    Ok(headers)
}

fn check_form(signers: &[Signer<'_>], form: JwsForm) -> Result<()> {
    let most = if form.serialization == Serialization::General { MAX_SIGNATURES } else { 1 };
    if !(1..=most).contains(&signers.len()) {
        return Err(Error::Usage(format!(
            "{} signatures; the {} serialization carries {}",
            signers.len(),
            form.serialization,
            if most == 1 { "one".to_owned() } else { format!("1 to {most}") }
        )));
    }
    let is_compact = form.serialization == Serialization::Compact;
    if is_compact && signers.iter().any(|signer| !signer.unprotected.is_empty()) {
        return Err(Error::Usage("the compact serialization carries no unprotected header".into()));
    }
    Ok(())
}

/// RFC 7797 section 5: what a serialization carries as it is. In the compact one, only what every
/// way of transport leaves alone (section 5.2), though more is read.
fn unencoded(serialization: Serialization, payload: &[u8]) -> Result<&str> {
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_~".contains(byte);
    if serialization == Serialization::Compact && !payload.iter().all(is_safe) {
        return Err(Error::Usage(
            "an unencoded payload in a compact JWS has letters, digits, '-', '_' and '~' only; \
             leave it out (detached), or use a JSON serialization"
                .into(),
        ));
    }
    std::str::from_utf8(payload).map_err(|_| {
        Error::Usage("an unencoded payload in JSON is UTF-8; leave it out (detached)".into())
    })
}

fn written(
    serialization: Serialization,
    payload: Option<Cow<'_, str>>,
    signatures: Vec<JwsSignature<'_>>,
) -> Result<String> {
    JwsParts { serialization, payload, signatures }.write_checked(serialization)
}
