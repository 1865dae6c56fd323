//! What nearly every command starts from.

use std::path::Path;

use crate::config::Config;
use crate::engine::{Engine, load};
use crate::error::Result;
use crate::keyring::KeyringFile;
use crate::keystores::Keystores;

/// The configuration, and the keyring and keystores it names. No device is touched yet.
#[derive(Debug)]
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// Where the keyring is.
    pub keyring: KeyringFile,
    /// The keystores, opened when they are first needed.
    pub keystores: Keystores,
}

impl Setup {
    /// Finds and reads the configuration; `given` is that of `--config`.
    ///
    /// # Errors
    /// [`crate::Error::Config`].
    pub fn load(given: Option<&Path>) -> Result<Self> {
        let path = Config::find(given)?;
        let config = Config::load(&path)?;
        tracing::info!(target: "hsm_jose", path = %path.display(), "configuration");
        let keyring = KeyringFile::new(&config.keyring);
        let keystores = Keystores::new(&config);
        Ok(Self { config, keyring, keystores })
    }

    /// Makes the engine for what is outside of contexts: their trust files need not be there.
    ///
    /// # Errors
    /// As [`Engine::without_contexts`].
    pub fn engine(self) -> Result<Engine> {
        Engine::new(load::policy(&self.config)?, Vec::new(), &self.keyring.read()?, self.keystores)
    }

    /// Makes the engine with the contexts of the configuration.
    ///
    /// # Errors
    /// As [`Engine::from_config`].
    pub fn engine_with_contexts(self) -> Result<(Engine, Config)> {
        let contexts = load::contexts(&self.config)?;
        let policy = load::policy(&self.config)?;
        let engine = Engine::new(policy, contexts, &self.keyring.read()?, self.keystores)?;
        Ok((engine, self.config))
    }
}
