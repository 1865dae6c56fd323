//! Values of arguments.

use std::time::SystemTime;

use clap::ValueEnum;

use crate::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use crate::jose::jwk::ThumbprintHash;
use crate::jose::serialization::Serialization;

/// How a JWE or JWS is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Dots and base64url
    #[default]
    Compact,
    /// JSON with one recipient or signature
    Flattened,
    /// JSON with any number of them
    General,
}

impl Format {
    /// Returns the serialization.
    pub(super) const fn serialization(self) -> Serialization {
        match self {
            Self::Compact => Serialization::Compact,
            Self::Flattened => Serialization::Flattened,
            Self::General => Serialization::General,
        }
    }
}

pub(super) fn key_alg(name: &str) -> Result<KeyAlgorithm, String> {
    one_of(KeyAlgorithm::from_name(name), KeyAlgorithm::all().map(KeyAlgorithm::name))
}

/// Takes a kid that begins with a hyphen, as one thumbprint in 64 does, and no option that follows
/// `--kid` in its value's place.
pub(super) fn kid(text: &str) -> Result<String, String> {
    let is_option = text
        .strip_prefix("--")
        .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    match is_option {
        true => Err("an option where a kid is to be".to_owned()),
        false => Ok(text.to_owned()),
    }
}

pub(super) fn jwe_alg(name: &str) -> Result<KeyManagement, String> {
    let all = KeyManagement::ALL.iter().map(|alg| alg.name());
    one_of(KeyManagement::from_name(name), all)
}

pub(super) fn jwe_enc(name: &str) -> Result<ContentEncryption, String> {
    let all = ContentEncryption::ALL.iter().map(|enc| enc.name());
    one_of(ContentEncryption::from_name(name), all)
}

pub(super) fn jws_alg(name: &str) -> Result<SignatureAlgorithm, String> {
    let all = SignatureAlgorithm::ALL.iter().map(|alg| alg.name());
    one_of(SignatureAlgorithm::from_name(name), all)
}

pub(super) fn curve(name: &str) -> Result<Curve, String> {
    one_of(Curve::from_name(name), Curve::ALL.iter().map(|curve| curve.name()))
}

pub(super) fn thumbprint_hash(name: &str) -> Result<ThumbprintHash, String> {
    one_of(ThumbprintHash::from_name(name), ThumbprintHash::ALL.iter().map(|hash| hash.name()))
}

/// A time in UTC, as RFC 3339 writes it.
pub(super) fn time(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text).map_err(|_| "a time is 2026-11-25T12:00:00Z".to_owned())
}

fn one_of<T>(value: Option<T>, names: impl Iterator<Item = &'static str>) -> Result<T, String> {
    value.ok_or_else(|| format!("this build has {}", names.collect::<Vec<_>>().join(", ")))
}
