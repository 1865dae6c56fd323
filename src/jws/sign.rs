//! Signing in the device.

use serde_json::Map;

use crate::backend::{HardwareKey, ToSign};
use crate::error::Result;
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::base64url;
use crate::jose::header::Header;

/// What a JWS shall say of itself.
#[derive(Clone, Copy, Debug)]
pub struct JwsParameters<'a> {
    /// The algorithm, under the name that the header shall have.
    pub alg: SignatureAlgorithm,
    /// `kid`.
    pub kid: Option<&'a str>,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
}

/// Signs `payload` into a compact JWS (RFC 7515 section 5.1).
///
/// # Errors
/// A device fault, or an algorithm that the key does not do.
pub fn sign(
    key: &dyn HardwareKey,
    parameters: &JwsParameters<'_>,
    payload: &[u8],
) -> Result<String> {
    let mut token = signing_input(parameters, payload);
    let signature = key.sign(parameters.alg, ToSign::Message(token.as_bytes()))?;
    token.push('.');
    base64url::encode_append(&signature, &mut token);
    Ok(token)
}

/// Signs `payload` into a compact JWS without it: `header..signature` (RFC 7515 appendix F).
///
/// # Errors
/// As [`sign`].
pub fn sign_detached(
    key: &dyn HardwareKey,
    parameters: &JwsParameters<'_>,
    payload: &[u8],
) -> Result<String> {
    let input = signing_input(parameters, payload);
    let signature = key.sign(parameters.alg, ToSign::Message(input.as_bytes()))?;
    let header = input.split('.').next().unwrap_or_default();
    Ok(format!("{header}..{}", base64url::encode(&signature)))
}

fn signing_input(parameters: &JwsParameters<'_>, payload: &[u8]) -> String {
    let JwsParameters { alg, kid, typ, cty } = parameters;
    let mut members = Map::new();
    let named = [("alg", Some(alg.name())), ("kid", *kid), ("typ", *typ), ("cty", *cty)];
    for (name, value) in named {
        if let Some(value) = value {
            members.insert(name.into(), value.into());
        }
    }
    let mut input = Header::of(members).encode();
    // The payload, two dots and the longest signature, so that signing does not move the text.
    input.reserve(payload.len() * 4 / 3 + 1024);
    input.push('.');
    base64url::encode_append(payload, &mut input);
    input
}
