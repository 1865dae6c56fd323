//! From a checked configuration to an engine: reads the keyring, trust files and recipients.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Engine;
use crate::config::{Config, ContextConfig, OpenConfig, SealConfig};
use crate::error::{Error, Result};
use crate::jose::jwk::{JwkSet, PublicJwk};
use crate::jose::serialization::MAX_TOKEN_LEN;
use crate::jwe::Recipient;
use crate::jws::is_for_signatures;
use crate::keyring::KeyringFile;
use crate::keystores::Keystores;
use crate::policy::{
    AllowList, Context, CriticalExtension, CriticalExtensions, JweRules, JwsRules, Nesting,
    OpenRules, Policy, Profile, SealRules,
};

/// The clock skew of a context that names none, in seconds.
pub const DEFAULT_SKEW: u64 = 60;

/// The longest token of a context that names no size, in bytes: an ID token with a few kilobytes of
/// claims, signed and encrypted, stays under a tenth of it.
pub const DEFAULT_CONTEXT_TOKEN_LEN: usize = 256 * 1024;

/// The largest file of keys that is read, in bytes.
pub const MAX_JWKS_LEN: u64 = 1024 * 1024;

/// A registered recipient: its keys, and the name it wants in `aud`.
///
/// ```
/// use hsm_jose::engine::load;
///
/// # let config = hsm_jose::config::Config::parse(
/// #     "hsm-jose.toml".as_ref(),
/// #     "schema = 1\nenvironment = \"test\"\n",
/// # )?;
/// // Neither a [recipient.NAME] of the configuration nor a file:
/// assert!(load::recipient(&config, "nobody").is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct Registered {
    /// The keys that can be encrypted to.
    pub keys: Vec<Recipient>,
    /// The recipient's `aud`; `None` for a bare JWK file.
    pub audience: Option<String>,
}

impl Engine {
    /// Makes the engine that a configuration describes. No device is opened yet.
    ///
    /// # Errors
    /// [`Error::Config`] for what is wrong in the configuration, the keyring or a trust file.
    pub fn from_config(config: &Config) -> Result<Self> {
        let contexts = contexts(config)?;
        Self::with_contexts(config, contexts)
    }

    /// Makes an engine without the configuration's contexts, for work outside of them: trust files
    /// that do not exist yet are no obstacle to it.
    ///
    /// # Errors
    /// [`Error::Config`] for what is wrong in the configuration or the keyring.
    pub fn without_contexts(config: &Config) -> Result<Self> {
        Self::with_contexts(config, Vec::new())
    }

    fn with_contexts(config: &Config, contexts: Vec<Context>) -> Result<Self> {
        let keyring = KeyringFile::new(&config.keyring).read()?;
        Self::new(policy(config)?, contexts, &keyring, Keystores::new(config))
    }
}

/// Returns the policy for what is outside a context.
///
/// # Errors
/// [`Error::Config`]: a list that is empty, or wider than the profile.
pub fn policy(config: &Config) -> Result<Policy> {
    let narrowing = &config.policy;
    let narrowed = widest(config)?.narrowed(
        narrowing.jwe_alg.as_deref(),
        narrowing.jwe_enc.as_deref(),
        narrowing.jws_alg.as_deref(),
    );
    // What is named stays, whether or not the lists name it too.
    let mut policy = narrowed?.with_symmetric(&narrowing.symmetric)?;
    policy.failure_budget = narrowing.failure_budget.or(policy.failure_budget);
    let mut critical = CriticalExtensions::default();
    for name in narrowing.crit.iter().flatten() {
        let extension = CriticalExtension::known(name)
            .ok_or_else(|| Error::Config(format!("policy.crit: {name:?} is not known")))?;
        critical = critical.with(extension)?;
    }
    Ok(policy.extended(critical, narrowing.unencoded))
}

/// Returns what contexts may name: the profile and the symmetric algorithms of the configuration.
///
/// # Errors
/// [`Error::Config`]: an algorithm that is not symmetric.
pub(crate) fn widest(config: &Config) -> Result<Policy> {
    Policy::of(config.policy.profile).with_symmetric(&config.policy.symmetric)
}

/// Returns the contexts, with their trust files read.
///
/// # Errors
/// [`Error::Config`] naming the context; as [`Context::check`] under the profile.
pub fn contexts(config: &Config) -> Result<Vec<Context>> {
    let policy = widest(config)?;
    let contexts = config.contexts.iter().map(|(name, settings)| {
        let context = context(policy.profile, name, settings)
            .map_err(|error| Error::Config(format!("context {name}: {error}")))?;
        context.check(&policy)?;
        Ok(context)
    });
    contexts.collect()
}

/// Returns whoever `who` names: a registered recipient, or a file with a JWK or JWK Set.
///
/// # Errors
/// [`Error::Usage`] if it is neither, [`Error::Policy`] if none of the keys can be encrypted to.
pub fn recipient(config: &Config, who: &str) -> Result<Registered> {
    if let Some(registered) = config.recipients.get(who) {
        let keys = recipients(read_jwks(&registered.jwks)?, None)?;
        return Ok(Registered { keys, audience: registered.audience.clone() });
    }
    let path = Path::new(who);
    if !path.exists() {
        return Err(unknown_recipient(who));
    }
    Ok(Registered { keys: recipients(read_jwks(path)?, None)?, audience: None })
}

/// Returns only the audience that `who` registered, for tokens that are not encrypted.
///
/// # Errors
/// As [`recipient`], but no key is needed.
pub fn audience_of(config: &Config, who: &str) -> Result<Registered> {
    match config.recipients.get(who) {
        Some(registered) => {
            Ok(Registered { keys: Vec::new(), audience: registered.audience.clone() })
        }
        None if Path::new(who).exists() => Ok(Registered { keys: Vec::new(), audience: None }),
        None => Err(unknown_recipient(who)),
    }
}

/// Returns the keys of a set that can be encrypted to: those with this `kid`, if one is given.
///
/// # Errors
/// [`Error::KeyNotFound`] if no key has the kid; [`Error::Policy`] if none can be encrypted to, with
/// the reason for the first.
pub fn recipients(set: JwkSet, kid: Option<&str>) -> Result<Vec<Recipient>> {
    let is_meant = |jwk: &PublicJwk| kid.is_none_or(|kid| jwk.kid.as_deref() == Some(kid));
    let mut meant = set.keys.into_iter().filter(is_meant).peekable();
    if meant.peek().is_none() {
        return Err(Error::KeyNotFound(match kid {
            Some(kid) => format!("no key of the recipient has the kid {kid:?}"),
            None => "the recipient's set has no key that this build can use".into(),
        }));
    }
    let (mut keys, mut refusal) = (Vec::new(), None);
    for jwk in meant {
        match Recipient::new(jwk) {
            Ok(recipient) => keys.push(recipient),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    match refusal {
        Some(error) if keys.is_empty() => Err(error),
        _ => Ok(keys),
    }
}

/// Reads the keys of a file in any form that [`JwkSet::from_any`] takes: JWK, JWK Set, PEM, DER.
///
/// # Errors
/// [`Error::Usage`] naming the file, if it cannot be read or is none of them.
pub fn read_jwks(path: &Path) -> Result<JwkSet> {
    let unreadable = |error| Error::Usage(format!("cannot read {}: {error}", path.display()));
    let mut json = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_JWKS_LEN + 1).read_to_end(&mut json).map_err(unreadable)?;
    if json.len() as u64 > MAX_JWKS_LEN {
        return Err(Error::Usage(format!("{}: over {MAX_JWKS_LEN} bytes", path.display())));
    }
    JwkSet::from_any(&json).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
}

fn unknown_recipient(who: &str) -> Error {
    Error::Usage(format!("{who:?} is neither a file nor a [recipient.NAME] of the configuration"))
}

/// Returns one context, with its trust file read: what it leaves out is as the profile has it, what it
/// names is for [`Context::check`] to compare with policy.
pub(crate) fn context(profile: Profile, name: &str, settings: &ContextConfig) -> Result<Context> {
    let nesting = settings.nesting;
    // RFC 7519 section 5.2: a nested JWT has cty "JWT", one that is not nested has none.
    match settings.cty.as_deref() {
        None => {}
        Some(cty) if nesting == Nesting::JweOfJws && crate::policy::media_type(cty) == "jwt" => {}
        Some(_) => {
            return Err(Error::Config(
                "cty is \"JWT\" for nested tokens, and absent from others".into(),
            ));
        }
    }
    let max_token_len = settings.size.unwrap_or(DEFAULT_CONTEXT_TOKEN_LEN);
    if max_token_len > MAX_TOKEN_LEN {
        return Err(Error::Config(format!("size is at most {MAX_TOKEN_LEN} bytes")));
    }
    Ok(Context {
        name: name.to_owned(),
        nesting,
        typ: settings.typ.clone(),
        skew: settings.skew.unwrap_or(DEFAULT_SKEW),
        max_token_len,
        seal: settings.seal.as_ref().map(|seal| sealing(nesting, seal)).transpose()?,
        open: settings
            .open
            .as_ref()
            .map(|open| opening(nesting, open, profile, max_token_len))
            .transpose()?,
    })
}

/// Refuses what a context could name and would have no key for.
fn refuse_symmetric<T: std::fmt::Display>(alg: Option<T>, what: &str, why: &str) -> Result<()> {
    match alg {
        Some(alg) => Err(Error::Config(format!("{what}: {alg} is for symmetric keys, and {why}"))),
        None => Ok(()),
    }
}

fn sealing(nesting: Nesting, settings: &SealConfig) -> Result<SealRules> {
    let shared = settings.encrypt.iter().find(|alg| alg.is_symmetric());
    refuse_symmetric(shared, "seal.encrypt", "a recipient is registered with public keys")?;
    let is_encrypted = nesting.is_encrypted();
    Ok(SealRules {
        issuer: settings.issuer.clone(),
        audience: settings.audience.clone(),
        sign: settings.sign.clone(),
        algs: match is_encrypted {
            true => Some(AllowList::new(settings.encrypt.iter().copied())?),
            false => None,
        },
        encs: match is_encrypted {
            true => Some(AllowList::new(settings.content.iter().copied())?),
            false => None,
        },
        lifetime: settings.lifetime,
    })
}

fn opening(
    nesting: Nesting,
    settings: &OpenConfig,
    profile: Profile,
    max_token_len: usize,
) -> Result<OpenRules> {
    // A context takes algorithms of symmetric keys only where it names them itself.
    let Policy { jwe, jws, .. } = Policy::of(profile);
    let jwe = || -> Result<JweRules> {
        let mut rules = jwe;
        if let Some(algs) = &settings.encrypt {
            rules.algs = AllowList::new(algs.iter().copied())?;
        }
        if let Some(encs) = &settings.content {
            rules.encs = AllowList::new(encs.iter().copied())?;
        }
        rules.limits.max_token_len = max_token_len;
        Ok(rules)
    };
    let jws = || -> Result<JwsRules> {
        let mut rules = jws;
        if let Some(algs) = &settings.sign {
            let macs = algs.iter().copied().find(|alg| alg.is_symmetric());
            refuse_symmetric(macs, "open.sign", "a trust file has public keys only")?;
            rules.algs = AllowList::new(algs.iter().copied())?;
        }
        // RFC 7797 section 7: not in a JWT.
        rules.unencoded = false;
        rules.limits.max_token_len = max_token_len;
        Ok(rules)
    };
    let trust = match &settings.trust {
        Some(path) => {
            let keys = read_jwks(path)?.keys;
            keys.into_iter().filter(is_for_signatures).collect()
        }
        None => Vec::new(),
    };
    Ok(OpenRules {
        audience: settings.audience.clone(),
        issuers: settings.issuers.clone().unwrap_or_default(),
        trust,
        decrypt: settings.decrypt.clone(),
        jwe: nesting.is_encrypted().then(jwe).transpose()?,
        jws: nesting.is_signed().then(jws).transpose()?,
        max_lifetime: settings.lifetime,
    })
}
