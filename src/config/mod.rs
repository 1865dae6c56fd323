//! The configuration: a TOML file without secrets, only with where to find them.
//!
//! [`Config`] is plain data that has been checked in itself. Whether keystores answer, keys exist
//! and trust files can be read is found by whoever uses them, and by `config check`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use crate::policy::FailureBudget;
use crate::secret::PinSource;

mod check;
mod context;
mod pin;
#[cfg(feature = "tpm")]
mod pinned;
mod raw;

pub use context::{ContextConfig, OpenConfig, RecipientConfig, SealConfig};

pub use crate::policy::{Audience, Nesting, Profile};

/// The schema of the configuration file that this build reads.
pub const SCHEMA: i64 = 1;

/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A checked configuration. Paths are absolute, or relative to the working directory.
///
/// ```
/// use hsm_jose::config::{Config, Environment};
///
/// let text = r#"
///     schema = 1
///     environment = "test"
///     [keystore.soft]
///     type = "memory"
/// "#;
/// let config = Config::parse("hsm-jose.toml".as_ref(), text)?;
/// assert_eq!(config.environment, Environment::Test);
/// assert!(config.keystores.contains_key("soft"));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Whether this is production.
    pub environment: Environment,
    /// `[keystore.NAME]`: the devices.
    pub keystores: BTreeMap<String, KeystoreConfig>,
    /// `[keyring] file`: `keyring.json` beside the configuration unless given.
    pub keyring: PathBuf,
    /// `[policy]`: what is made and taken, which contexts narrow.
    pub policy: PolicyConfig,
    /// `[context.NAME]`: the kinds of token.
    pub contexts: BTreeMap<String, ContextConfig>,
    /// `[recipient.NAME]`: whom tokens are sealed to.
    pub recipients: BTreeMap<String, RecipientConfig>,
    lines: BTreeMap<String, usize>,
}

/// Where the configuration is used.
///
/// ```
/// use hsm_jose::config::Config;
///
/// let text = r#"
///     schema = 1
///     environment = "production"
///     [keystore.soft]
///     type = "memory"
/// "#;
/// assert!(Config::parse("hsm-jose.toml".as_ref(), text).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Software tokens, imported keys and PINs from environment variables are allowed.
    Test,
    /// They are not.
    Production,
}

/// A device.
///
/// ```
/// # use hsm_jose::config::*;
/// # let text = r#"
/// # schema = 1
/// # environment = "test"
/// # [keystore.soft]
/// # type = "memory"
/// # [context.id_token]
/// # nesting = "jwe(jws)"
/// # [context.id_token.seal]
/// # issuer = "https://issuer.example"
/// # audience = "recipient"
/// # sign = "issuer-sig"
/// # encrypt = ["ECDH-ES+A256KW"]
/// # content = ["A256GCM"]
/// # lifetime = 300
/// # [context.id_token.open]
/// # audience = "https://issuer.example"
/// # trust = "issuers.json"
/// # decrypt = ["partner-enc"]
/// # [recipient.partner]
/// # jwks = "partner.json"
/// # audience = "https://partner.example"
/// # "#;
/// # let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
///
/// assert_eq!(config.keystores["soft"], KeystoreConfig::Memory);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeystoreConfig {
    /// `type = "pkcs11"`.
    Pkcs11(Pkcs11Settings),
    /// `type = "tpm"`.
    #[cfg(feature = "tpm")]
    Tpm(TpmSettings),
    /// `type = "tpm"`, which this build cannot open.
    #[cfg(not(feature = "tpm"))]
    Tpm,
    /// `type = "memory"`: software keys that live as long as the process. NO SECURITY.
    Memory,
}

/// `[keystore.NAME]` with `type = "pkcs11"`.
///
/// ```
/// use hsm_jose::config::{Config, KeystoreConfig};
///
/// let text = r#"
///     schema = 1
///     environment = "test"
///     [keystore.issuer]
///     type = "pkcs11"
///     module = "/usr/lib/softhsm/libsofthsm2.so"
///     token = "issuer"
///     pin = { file = "pin" }
/// "#;
/// let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
/// let KeystoreConfig::Pkcs11(settings) = &config.keystores["issuer"] else { panic!() };
/// assert_eq!((settings.token.as_str(), settings.sessions), ("issuer", 8));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Settings {
    /// The vendor's module, a shared library.
    pub module: PathBuf,
    /// The token's label, or an RFC 7512 URI of the token.
    pub token: String,
    /// Where the PIN is.
    pub pin: PinSource,
    /// At most this many sessions at once, 8 unless given: one keeps the login, the others work.
    pub sessions: usize,
    /// Allows raw RSA in the token with OAEP decoding on the host.
    pub host_oaep: bool,
}

/// `[keystore.NAME]` with `type = "tpm"`.
///
/// ```
/// use hsm_jose::config::{Config, KeystoreConfig};
///
/// let text = r#"
///     schema = 1
///     environment = "test"
///     [keystore.edge]
///     type = "tpm"
///     tcti = "device:/dev/tpmrm0"
///     keys = "tpm-keys"
///     auth = { file = "tpm-auth" }
/// "#;
/// let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
/// let KeystoreConfig::Tpm(settings) = &config.keystores["edge"] else { panic!() };
/// assert!(settings.parent_name.is_none(), "`hsm-jose token pin` writes it");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[cfg(feature = "tpm")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmSettings {
    /// The way to the TPM.
    pub tcti: crate::backend::tpm::Tcti,
    /// The folder of key files.
    pub keys: PathBuf,
    /// Where the authorization value of the keys is.
    pub auth: PinSource,
    /// The pinned name of the parent key.
    pub parent_name: Option<crate::backend::tpm::ParentName>,
}

/// `[policy]`.
///
/// ```
/// # use hsm_jose::config::*;
/// # let text = r#"
/// # schema = 1
/// # environment = "test"
/// # [keystore.soft]
/// # type = "memory"
/// # [context.id_token]
/// # nesting = "jwe(jws)"
/// # [context.id_token.seal]
/// # issuer = "https://issuer.example"
/// # audience = "recipient"
/// # sign = "issuer-sig"
/// # encrypt = ["ECDH-ES+A256KW"]
/// # content = ["A256GCM"]
/// # lifetime = 300
/// # [context.id_token.open]
/// # audience = "https://issuer.example"
/// # trust = "issuers.json"
/// # decrypt = ["partner-enc"]
/// # [recipient.partner]
/// # jwks = "partner.json"
/// # audience = "https://partner.example"
/// # "#;
/// # let config = Config::parse("/etc/hsm-jose/config.toml".as_ref(), text)?;
///
/// assert_eq!(config.policy.profile, Profile::Strict);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// The named profile.
    pub profile: Profile,
    /// Algorithms of symmetric keys that are allowed beside the profile's.
    pub symmetric: Vec<KeyAlgorithm>,
    /// Narrows the JWE algs of the profile, in contexts too.
    pub jwe_alg: Option<Vec<KeyManagement>>,
    /// Narrows the JWE encs of the profile, in contexts too.
    pub jwe_enc: Option<Vec<ContentEncryption>>,
    /// Narrows the JWS algs of the profile, in contexts too.
    pub jws_alg: Option<Vec<SignatureAlgorithm>>,
    /// `decryption_failures`: how many failed decryptions a peer may cause with a key, where the
    /// program that links the library names the peer; the profile's unless given.
    pub failure_budget: Option<FailureBudget>,
    /// Names that `crit` may name outside of contexts, each one that [`crate::policy::CriticalExtension`] knows.
    pub crit: Option<Vec<String>>,
    /// Whether the payload of a JWS may be unencoded outside of contexts (RFC 7797); the profile says if this does not.
    pub unencoded: Option<bool>,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`], with the file's name and, where it is about a place, its line and column.
    pub fn load(path: &Path) -> Result<Self> {
        let unreadable =
            |error| Error::Config(format!("cannot read configuration {}: {error}", path.display()));
        let mut text = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        // Bounded while it is read: the length of a device or a pipe says nothing.
        file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_FILE {
            return Err(Error::Config(format!(
                "configuration {} has more than {MAX_FILE} bytes, which is not one of ours",
                path.display()
            )));
        }
        let text = String::from_utf8(text)
            .map_err(|_| unreadable(std::io::Error::other("it is not UTF-8 text")))?;
        Self::parse(path, &text)
    }

    /// Checks the text of a configuration as if it were read from `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        check::config(&check::Source { path, text })
    }

    /// Finds the configuration file: `given` (`--config`), `$HSM_JOSE_CONFIG`, `./hsm-jose.toml`,
    /// `$XDG_CONFIG_HOME/hsm-jose/config.toml`, `/etc/hsm-jose/config.toml`.
    ///
    /// The first two are taken whether or not the file is there: one that was named and is not
    /// there is an error, never a reason to look elsewhere.
    ///
    /// # Errors
    /// [`Error::Config`] with all places if there is none.
    pub fn find(given: Option<&Path>) -> Result<PathBuf> {
        let named = given.map(Path::to_path_buf).or_else(|| environment_path("HSM_JOSE_CONFIG"));
        if let Some(path) = named {
            return Ok(path);
        }
        let user = environment_path("XDG_CONFIG_HOME")
            .or_else(|| environment_path("HOME").map(|home| home.join(".config")));
        let mut places = vec![PathBuf::from("hsm-jose.toml")];
        places.extend(user.map(|directory| directory.join("hsm-jose/config.toml")));
        places.push(PathBuf::from("/etc/hsm-jose/config.toml"));
        if let Some(path) = places.iter().find(|path| path.is_file()) {
            return Ok(path.clone());
        }
        let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        Err(Error::Config(format!(
            "no configuration: neither `given` nor HSM_JOSE_CONFIG names one, and there is no {}",
            places.join(", ")
        )))
    }

    /// Returns the line of a dotted path of the file, such as `context.id_token.seal.sign`: for
    /// messages about keystores, key names, trust files and recipients.
    pub fn line(&self, path: &str) -> Option<usize> {
        self.lines.get(path).copied()
    }

    /// Returns whether software tokens, imported keys without waiver and the like are refused.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.environment == Environment::Production
    }
}

fn environment_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
