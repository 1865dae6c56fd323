//! Whom a content is encrypted to: a public key, or a symmetric key of a device.

use serde_json::Map;

use super::recipient::{Delivered, Recipient};
use crate::backend::{HardwareKey, HostCek, WrappedCek};
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyKind, KeyManagement, KeyManagementMode};
use crate::jose::base64url;

/// One recipient of a JWE in the making.
#[derive(Clone, Copy, Debug)]
pub(super) enum To<'a> {
    /// Whoever has the private half.
    Public(&'a Recipient),
    /// Whoever shares the key.
    Secret { key: &'a dyn HardwareKey, kid: Option<&'a str> },
}

impl To<'_> {
    /// Returns whether the key can do `alg`, and for `dir` is as long as `enc` has it.
    pub(super) fn fits(&self, alg: KeyManagement, enc: ContentEncryption) -> bool {
        match self {
            Self::Public(recipient) => recipient.fits(alg),
            Self::Secret { key, .. } => key.info().secret.is_some_and(|secret| {
                let kind = secret.shape().kind();
                let is_cek = kind == KeyKind::Oct { bits: 8 * enc.key_len() as u32 };
                alg.fits(kind) && (is_cek || !alg.is_direct())
            }),
        }
    }

    /// Returns what a device will deliver, in its place and as long as it will be; of a public key, whose
    /// work is the host's, nothing.
    pub(super) fn draft(&self, alg: KeyManagement, enc: ContentEncryption) -> Delivered {
        if let Self::Public(_) = self {
            return Delivered::default();
        }
        // RFC 3394 section 2.2.1: eight bytes more; in GCM as many, with iv and tag in the header.
        let (len, gcm) = match alg {
            KeyManagement::Dir => (0, None),
            _ if matches!(alg.mode(), KeyManagementMode::GcmKeyWrapping(_)) => {
                (enc.key_len(), Some(([0; 12], [0; 16])))
            }
            _ => (enc.key_len() + 8, None),
        };
        delivered(WrappedCek { encrypted_key: vec![0; len], gcm })
    }

    /// Returns the `kid` that the header has for the key.
    pub(super) fn kid(&self) -> Option<&str> {
        match self {
            Self::Public(recipient) => recipient.jwk().kid.as_deref(),
            Self::Secret { kid, .. } => *kid,
        }
    }
}

/// Wraps a content encryption key in the device (RFC 7518 sections 4.4 and 4.7).
pub(super) fn wrap(key: &dyn HardwareKey, alg: KeyManagement, cek: &HostCek) -> Result<Delivered> {
    Ok(delivered(key.wrap_cek(alg, cek)?))
}

fn delivered(WrappedCek { encrypted_key, gcm }: WrappedCek) -> Delivered {
    let mut members = Map::new();
    if let Some((iv, tag)) = gcm {
        members.insert("iv".into(), base64url::encode(&iv).into());
        members.insert("tag".into(), base64url::encode(&tag).into());
    }
    Delivered { encrypted_key, members }
}

pub(super) fn unfit(alg: KeyManagement, enc: ContentEncryption) -> Error {
    match alg {
        KeyManagement::Dir => Error::Policy(format!("the key is not for dir with {enc}")),
        _ => Error::Policy(format!("the recipient's key is not for {alg}")),
    }
}
