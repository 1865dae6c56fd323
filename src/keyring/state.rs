//! What a version of a key does at a time, and where it came from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a version is in its life.
///
/// ```
/// use hsm_jose::keyring::KeyState;
///
/// assert!(KeyState::Retiring.serves());
/// assert!(!KeyState::Retired.serves());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Written down before the device made the key. Seen by nobody but a crash's successor.
    Pending,
    /// Signs, or is published for senders to encrypt to.
    Active,
    /// Replaced, but still decrypts, and its signatures still verify.
    Retiring,
    /// Does nothing any more.
    Retired,
}

/// How a key came into its device.
///
/// ```
/// use hsm_jose::keyring::Provenance;
///
/// assert_eq!(Provenance::Imported.name(), "imported");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Made in the device by us.
    Generated,
    /// It was there: made by a vendor's tool, a ceremony or a clone.
    Adopted,
    /// Its private part was once outside.
    Imported,
}

impl KeyState {
    /// Returns whether a version in this state still works for somebody.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::Active | Self::Retiring)
    }

    /// Returns the name of the state, as it stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Provenance {
    /// Returns the name of the provenance, as it stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Adopted => "adopted",
            Self::Imported => "imported",
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
