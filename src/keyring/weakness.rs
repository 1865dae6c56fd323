//! Keys that were entered before they were known to be weak. They do not keep the others from being used,
//! and are there to be seen and destroyed; nothing uses them.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{KeyRef, KeyVersion};
use crate::error::{Error, Result};
use crate::jose::jwk::PublicJwk;

impl KeyVersion {
    /// Returns why the version does not serve, in whatever state it is: an RSA modulus that anyone can
    /// factor (ROCA, CVE-2017-15361). It is there to be seen and destroyed.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        self.public.as_ref().and_then(|jwk| jwk.key.weakness())
    }

    /// Returns whether the version still works for somebody: its state serves, and it is not weak.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.state.serves() && self.weakness().is_none()
    }
}

impl KeyRef<'_> {
    /// Checks that the key may serve at all, in whatever state it is.
    ///
    /// # Errors
    /// [`Error::Policy`] with what [`KeyVersion::weakness`] says.
    pub fn check_strength(&self) -> Result<()> {
        let Some(weakness) = self.version.weakness() else { return Ok(()) };
        Err(Error::Policy(format!(
            "key {} (kid {:?}) does not serve: {weakness}; rotate: generate another with \
             `key generate`, and destroy it with `key destroy`",
            self.key.name, self.kid
        )))
    }
}

/// Reads the public half of a version: a weak one too.
pub(super) fn recorded_public<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<PublicJwk>, D::Error> {
    let members = Option::<Map<String, Value>>::deserialize(deserializer)?;
    let public = members.map(|members| PublicJwk::existing(&members)).transpose();
    public.map_err(serde::de::Error::custom)
}
