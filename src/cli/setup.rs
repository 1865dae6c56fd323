//! What nearly every command starts from.

use std::path::Path;

use crate::config::Config;
use crate::error::Result;
use crate::keyring::KeyringFile;
use crate::keystores::Keystores;

/// The configuration, and the keyring and keystores it names. No device is touched yet.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The configuration.
    pub(crate) config: Config,
    /// Where the keyring is.
    pub(crate) keyring: KeyringFile,
    /// The keystores, opened when they are first needed.
    pub(crate) keystores: Keystores,
}

impl Setup {
    /// Finds and reads the configuration; `given` is that of `--config`.
    ///
    /// # Errors
    /// [`crate::Error::Config`].
    pub(crate) fn load(given: Option<&Path>) -> Result<Self> {
        let path = Config::find(given)?;
        let config = Config::load(&path)?;
        tracing::info!(target: "hsm_jose", path = %path.display(), "configuration");
        let keyring = KeyringFile::new(&config.keyring);
        let keystores = Keystores::new(&config);
        Ok(Self { config, keyring, keystores })
    }
}
