//! `[keystore.NAME]`: what each kind of keystore has to be told, and nothing of another kind.

use std::ops::Range;

use toml::Spanned;

use super::Source;
#[cfg(feature = "tpm")]
use crate::config::TpmSettings;
use crate::config::{Environment, KeystoreConfig, Pkcs11Settings, raw};
use crate::error::Result;
#[cfg(feature = "tpm")]
use crate::secret::PinSource;

/// Sessions of a keystore at once: one for each core of a common server.
const DEFAULT_SESSIONS: usize = 8;

pub(super) fn keystore(
    source: &Source<'_>,
    environment: Environment,
    place: Range<usize>,
    settings: raw::Keystore,
) -> Result<KeystoreConfig> {
    let kind = &settings.kind;
    match kind.get_ref().as_str() {
        "pkcs11" => pkcs11(source, environment, place, settings),
        "tpm" => tpm(source, environment, place, settings),
        "memory" if environment == Environment::Production => {
            let what = "the memory keystore has no security and is refused in production";
            Err(source.error(kind.span(), what))
        }
        "memory" if settings.foreign(&[]).is_none() => Ok(KeystoreConfig::Memory),
        "memory" => {
            Err(source.error(place, "a memory keystore has no other setting than its type"))
        }
        _ => Err(source.error(kind.span(), "type is \"pkcs11\", \"tpm\" or \"memory\"")),
    }
}

fn pkcs11(
    source: &Source<'_>,
    environment: Environment,
    place: Range<usize>,
    settings: raw::Keystore,
) -> Result<KeystoreConfig> {
    source.only(&settings, &["module", "token", "pin", "sessions", "host_oaep"])?;
    let pin = source.pin(environment, source.required(settings.pin, &place, "pin")?)?;
    let sessions = settings.sessions;
    if let Some(sessions) = sessions.as_ref().filter(|sessions| *sessions.get_ref() < 2) {
        let what = "sessions is at least 2: one keeps the login, the others work";
        return Err(source.error(sessions.span(), what));
    }
    let module = source.required(settings.module, &place, "module")?;
    let token = source.required(settings.token, &place, "token")?;
    #[cfg(feature = "pkcs11")]
    if let Err(error) = token.get_ref().parse::<crate::backend::pkcs11::TokenSelector>() {
        return Err(source.error(token.span(), error));
    }
    Ok(KeystoreConfig::Pkcs11(Pkcs11Settings {
        module: source.resolve(module.into_inner()),
        token: token.into_inner(),
        pin,
        sessions: sessions.map_or(DEFAULT_SESSIONS, Spanned::into_inner),
        host_oaep: settings.host_oaep.is_some_and(Spanned::into_inner),
    }))
}

/// A configuration serves builds with and without the feature: what lacks it says so when the
/// keystore is used.
#[cfg(not(feature = "tpm"))]
fn tpm(
    source: &Source<'_>,
    _: Environment,
    _: Range<usize>,
    settings: raw::Keystore,
) -> Result<KeystoreConfig> {
    source.only(&settings, &["tcti", "keys", "auth", "parent_name"])?;
    Ok(KeystoreConfig::Tpm)
}

#[cfg(feature = "tpm")]
fn tpm(
    source: &Source<'_>,
    environment: Environment,
    place: Range<usize>,
    settings: raw::Keystore,
) -> Result<KeystoreConfig> {
    source.only(&settings, &["tcti", "keys", "auth", "parent_name"])?;
    let auth = source.required(settings.auth, &place, "auth")?;
    if auth.get_ref().0 == PinSource::Protected {
        return Err(source.error(auth.span(), "a TPM has no PIN pad"));
    }
    let auth = source.pin(environment, auth)?;
    let tcti = source.required(settings.tcti, &place, "tcti")?;
    let keys = source.required(settings.keys, &place, "keys")?;
    let parent_name = settings.parent_name.map(|name| {
        name.get_ref()
            .parse()
            .map_err(|error: crate::backend::tpm::ParentNameError| source.error(name.span(), error))
    });
    let parsed = tcti.get_ref().parse();
    Ok(KeystoreConfig::Tpm(TpmSettings {
        tcti: parsed
            .map_err(|error: crate::backend::tpm::TctiError| source.error(tcti.span(), error))?,
        keys: source.resolve(keys.into_inner()),
        auth,
        parent_name: parent_name.transpose()?,
    }))
}
