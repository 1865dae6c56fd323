//! By what a key is known and recorded: its public half, or, where it has none, size and check value.

use crate::backend::{BackendError, HardwareKey, KeyInfo, KeyShape, Keystore, Locator, SecretInfo};
use crate::jose::base64url;
use crate::jose::jwk::{PublicJwk, PublicKey};
use crate::keyring::KeyVersion;
use crate::primitives::random;

/// By what a key is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The public half of a private key.
    Public(PublicKey),
    /// Size and check value of a symmetric key.
    Secret(SecretInfo),
}

impl Identity {
    /// What a device tells of a key; `None` where it does not tell its public half.
    pub(super) fn told(info: &KeyInfo) -> Option<Self> {
        let public = info.public.clone().map(Self::Public);
        public.or_else(|| info.secret.map(Self::Secret))
    }

    /// Returns kind and size.
    pub(super) fn shape(&self) -> KeyShape {
        match self {
            Self::Public(public) => KeyShape::of(public),
            Self::Secret(secret) => secret.shape(),
        }
    }

    /// Returns the kid of a key that is given none: the RFC 7638 thumbprint of a public half; 16
    /// random bytes for a symmetric key, of which no thumbprint is made (section 7 of that RFC).
    pub(super) fn kid(&self) -> String {
        match self {
            Self::Public(public) => public.thumbprint(),
            Self::Secret(_) => {
                let mut kid = [0; 16];
                random::fill(&mut kid);
                base64url::encode(&kid)
            }
        }
    }

    /// Puts what both tell together; `None` if they cannot be of one key.
    pub(super) fn joined(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Secret(own), Self::Secret(other)) if own.agrees_with(other) => {
                let check_value = own.check_value.or(other.check_value);
                Some(Self::Secret(SecretInfo { bits: own.bits, check_value }))
            }
            (own, other) => (own == other).then(|| own.clone()),
        }
    }

    /// Finds the key in its place.
    pub(super) fn find(
        &self,
        keystore: &dyn Keystore,
        locator: &Locator,
    ) -> Result<std::sync::Arc<dyn HardwareKey>, BackendError> {
        match self {
            Self::Public(public) => keystore.find_with_public(locator, public),
            Self::Secret(secret) => keystore.find_with_secret(locator, secret),
        }
    }

    /// What the keyring has of a version; `None` for one that is pending.
    pub(super) fn recorded(version: &KeyVersion) -> Option<Self> {
        let public = version.public.as_ref().map(|jwk| Self::Public(jwk.key.clone()));
        public.or_else(|| version.secret.map(Self::Secret))
    }

    /// Writes it into a version.
    pub(super) fn record(self, version: &mut KeyVersion) {
        match self {
            Self::Public(public) => version.public = Some(PublicJwk::bare(public)),
            Self::Secret(secret) => version.secret = Some(secret),
        }
    }
}
