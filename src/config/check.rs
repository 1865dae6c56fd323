//! From the file's text to a [`Config`]: every complaint with its line and column.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::{Config, Environment, PolicyConfig, Profile, RecipientConfig, SCHEMA, raw};
use crate::error::Result;
use crate::policy::{CriticalExtension, FailureBudget};

mod context;
mod keystore;
mod source;

pub(super) use source::Source;

/// Parses and checks the text.
pub(super) fn config(source: &Source<'_>) -> Result<Config> {
    let versioned: raw::Versioned = source.parse()?;
    match versioned.schema {
        Some(schema) if *schema.get_ref() == SCHEMA => {}
        Some(schema) => {
            let what = format!("schema {}, this build knows schema {SCHEMA}", schema.get_ref());
            return Err(source.error(schema.span(), what));
        }
        None => return Err(source.error(0..0, format!("schema = {SCHEMA} is missing"))),
    }
    let file: raw::File = source.parse()?;
    let environment = match file.environment.get_ref().as_str() {
        "test" => Environment::Test,
        "production" => Environment::Production,
        _ => {
            let what = "environment is \"test\" or \"production\"";
            return Err(source.error(file.environment.span(), what));
        }
    };
    let mut lines = BTreeMap::new();
    let mut keystores = BTreeMap::new();
    for (name, settings) in file.keystore {
        source.check_name("keystore", &name)?;
        lines.insert(format!("keystore.{}", name.get_ref()), source.line_of(&name));
        let place = settings.span();
        let keystore = keystore::keystore(source, environment, place, settings.into_inner())?;
        keystores.insert(name.into_inner(), keystore);
    }
    let mut contexts = BTreeMap::new();
    for (name, settings) in file.context {
        source.check_name("context", &name)?;
        let path = format!("context.{}", name.get_ref());
        lines.insert(path.clone(), source.line_of(&name));
        let context = context::context(source, &path, &mut lines, settings.into_inner())?;
        contexts.insert(name.into_inner(), context);
    }
    let mut recipients = BTreeMap::new();
    for (name, settings) in file.recipient {
        source.check_name("recipient", &name)?;
        let raw::Recipient { jwks, audience } = settings.into_inner();
        lines.insert(format!("recipient.{}", name.get_ref()), source.line_of(&name));
        let jwks = source.resolve(jwks.into_inner());
        recipients.insert(name.into_inner(), RecipientConfig { jwks, audience });
    }
    Ok(Config {
        path: source.path.to_path_buf(),
        environment,
        keystores,
        keyring: source.resolve(
            file.keyring.map_or_else(|| PathBuf::from("keyring.json"), |keyring| keyring.file),
        ),
        policy: policy(source, environment, file.policy)?,
        contexts,
        recipients,
        lines,
    })
}

fn policy(
    source: &Source<'_>,
    environment: Environment,
    settings: Option<raw::Policy>,
) -> Result<PolicyConfig> {
    let Some(settings) = settings else {
        return Ok(PolicyConfig {
            profile: Profile::default(),
            symmetric: Vec::new(),
            jwe_alg: None,
            jwe_enc: None,
            jws_alg: None,
            failure_budget: None,
            crit: None,
            unencoded: None,
        });
    };
    if let Some(profile) = &settings.profile
        && *profile.get_ref() == Profile::All
        && environment == Environment::Production
    {
        return Err(source.error(profile.span(), "the profile \"all\" is refused in production"));
    }
    let budget = |settings: Spanned<raw::DecryptionFailures>| {
        let raw::DecryptionFailures { most, seconds } = *settings.get_ref();
        FailureBudget::new(most, Duration::from_secs(seconds))
            .map_err(|error| source.error(settings.span(), error))
    };
    if let Some(crit) = &settings.crit
        && let Some(name) =
            crit.get_ref().iter().find(|name| CriticalExtension::known(name).is_none())
    {
        let known = CriticalExtension::KNOWN.join(", ");
        return Err(source.error(
            crit.span(),
            format!("crit: nobody here checks the value of {name:?}; known are {known}"),
        ));
    }
    if let Some(list) = &settings.symmetric
        && let Some(alg) = list.get_ref().iter().find(|alg| !alg.is_symmetric())
    {
        let what = format!("{alg} is not an algorithm of symmetric keys");
        return Err(source.error(list.span(), what));
    }
    let symmetric = source.optional_list(settings.symmetric, "symmetric")?;
    Ok(PolicyConfig {
        profile: settings.profile.map(Spanned::into_inner).unwrap_or_default(),
        symmetric: symmetric.unwrap_or_default(),
        jwe_alg: source.optional_list(settings.jwe_alg, "jwe_alg")?,
        jwe_enc: source.optional_list(settings.jwe_enc, "jwe_enc")?,
        jws_alg: source.optional_list(settings.jws_alg, "jws_alg")?,
        failure_budget: settings.decryption_failures.map(budget).transpose()?,
        crit: source.optional_list(settings.crit, "crit")?,
        unencoded: settings.unencoded,
    })
}
