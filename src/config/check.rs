//! From the file's text to a [`Config`]: every complaint with its line and column.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::{
    Audience, Config, ContextConfig, Environment, KeystoreConfig, OpenConfig, Pkcs11Settings,
    PolicyConfig, Profile, RecipientConfig, SCHEMA, SealConfig, raw,
};
use crate::error::{Error, Result};
use crate::jose::json::told;
use crate::keyring::check_name;
use crate::policy::CriticalExtension;
use crate::policy::FailureBudget;
use crate::secret::PinSource;

/// Sessions of a keystore at once: one for each core of a common server.
const DEFAULT_SESSIONS: usize = 8;

/// The most clock skew that a context tolerates, in seconds: RFC 7519 section 4.1.4 means a few
/// minutes, and clocks that are further apart are to be set, not tolerated.
const MAX_SKEW: u64 = 600;

/// The text of a configuration and where it is from.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

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
        let keystore = keystore(source, environment, place, settings.into_inner())?;
        keystores.insert(name.into_inner(), keystore);
    }
    let mut contexts = BTreeMap::new();
    for (name, settings) in file.context {
        source.check_name("context", &name)?;
        let path = format!("context.{}", name.get_ref());
        lines.insert(path.clone(), source.line_of(&name));
        let context = context(source, &path, &mut lines, settings.into_inner())?;
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

fn keystore(
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
    Ok(KeystoreConfig::Tpm(super::TpmSettings {
        tcti: parsed
            .map_err(|error: crate::backend::tpm::TctiError| source.error(tcti.span(), error))?,
        keys: source.resolve(keys.into_inner()),
        auth,
        parent_name: parent_name.transpose()?,
    }))
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

fn context(
    source: &Source<'_>,
    path: &str,
    lines: &mut BTreeMap<String, usize>,
    settings: raw::Context,
) -> Result<ContextConfig> {
    let nesting = settings.nesting;
    if let Some(size) = settings.size.as_ref().filter(|size| *size.get_ref() == 0) {
        return Err(source.error(size.span(), "size is in bytes and more than 0"));
    }
    if let Some(skew) = settings.skew.as_ref().filter(|skew| *skew.get_ref() > MAX_SKEW) {
        return Err(source.error(skew.span(), format!("skew is at most {MAX_SKEW} seconds")));
    }
    let mut note = |member: &str, span: Option<Range<usize>>| {
        if let Some(span) = span {
            lines.insert(format!("{path}.{member}"), source.position(span.start).0);
        }
    };
    if let Some(seal) = &settings.seal {
        note("seal", Some(seal.span()));
        note("seal.sign", seal.get_ref().sign.as_ref().map(Spanned::span));
    }
    if let Some(open) = &settings.open {
        note("open", Some(open.span()));
        note("open.trust", open.get_ref().trust.as_ref().map(Spanned::span));
        note("open.decrypt", open.get_ref().decrypt.as_ref().map(Spanned::span));
    }
    Ok(ContextConfig {
        nesting,
        typ: settings.typ,
        cty: settings.cty,
        skew: settings.skew.map(Spanned::into_inner),
        size: settings.size.map(Spanned::into_inner),
        seal: settings.seal.map(|half| seal(source, nesting, half)).transpose()?,
        open: settings.open.map(|half| open(source, nesting, half)).transpose()?,
    })
}

fn seal(
    source: &Source<'_>,
    nesting: super::Nesting,
    settings: Spanned<raw::Seal>,
) -> Result<SealConfig> {
    let place = settings.span();
    let raw::Seal { issuer, audience, sign, encrypt, content, lifetime } = settings.into_inner();
    source.zero(lifetime.as_ref(), "lifetime")?;
    let signed = Half { source, place: &place, applies: nesting.is_signed(), why: "jwe" };
    let encrypted = Half { source, place: &place, applies: nesting.is_encrypted(), why: "jws" };
    if nesting.is_signed() {
        source.required(issuer.as_ref(), &place, "issuer")?;
        source.required(audience.as_ref(), &place, "audience")?;
        source.required(lifetime.as_ref(), &place, "lifetime")?;
    }
    let sign = signed.member(sign, "sign")?;
    if let Some(name) = &sign {
        source.check_name("key", name)?;
    }
    let encrypt = encrypted.member(encrypt, "encrypt")?;
    let content = encrypted.member(content, "content")?;
    Ok(SealConfig {
        issuer: issuer.map(Spanned::into_inner),
        audience: audience.map(|audience| match audience.into_inner() {
            value if value == "recipient" => Audience::Recipient,
            value => Audience::Fixed(value),
        }),
        sign: sign.map(Spanned::into_inner),
        encrypt: source.optional_list(encrypt, "encrypt")?.unwrap_or_default(),
        content: source.optional_list(content, "content")?.unwrap_or_default(),
        lifetime: lifetime.map(Spanned::into_inner),
    })
}

fn open(
    source: &Source<'_>,
    nesting: super::Nesting,
    settings: Spanned<raw::Open>,
) -> Result<OpenConfig> {
    let place = settings.span();
    let settings = settings.into_inner();
    source.zero(settings.lifetime.as_ref(), "lifetime")?;
    let signed = Half { source, place: &place, applies: nesting.is_signed(), why: "jwe" };
    let encrypted = Half { source, place: &place, applies: nesting.is_encrypted(), why: "jws" };
    if nesting.is_signed() {
        source.required(settings.audience.as_ref(), &place, "audience")?;
    }
    let trust = signed.member(settings.trust, "trust")?;
    let decrypt = encrypted.member(settings.decrypt, "decrypt")?;
    if let Some(names) = &decrypt {
        for name in names.get_ref() {
            check_name("key", name).map_err(|error| source.error(names.span(), error))?;
        }
    }
    Ok(OpenConfig {
        audience: settings.audience.map(Spanned::into_inner),
        issuers: source.optional_list(settings.issuers, "issuers")?,
        trust: trust.map(|path| source.resolve(path.into_inner())),
        decrypt: source.optional_list(decrypt, "decrypt")?.unwrap_or_default(),
        encrypt: source.optional_list(encrypted.only(settings.encrypt, "encrypt")?, "encrypt")?,
        content: source.optional_list(encrypted.only(settings.content, "content")?, "content")?,
        sign: source.optional_list(signed.only(settings.sign, "sign")?, "sign")?,
        lifetime: settings.lifetime.map(Spanned::into_inner),
    })
}

/// The signing or the encrypting half of a context: its members are there exactly if it applies.
struct Half<'a> {
    source: &'a Source<'a>,
    place: &'a Range<usize>,
    applies: bool,
    why: &'static str,
}

impl Half<'_> {
    fn member<T>(&self, member: Option<Spanned<T>>, name: &str) -> Result<Option<Spanned<T>>> {
        match self.applies {
            true => self.source.required(member, self.place, name).map(Some),
            false => self.only(member, name),
        }
    }

    fn only<T>(&self, member: Option<Spanned<T>>, name: &str) -> Result<Option<Spanned<T>>> {
        match &member {
            Some(member) if !self.applies => {
                let what = format!("{name} has no place where nesting is \"{}\"", self.why);
                Err(self.source.error(member.span(), what))
            }
            _ => Ok(member),
        }
    }
}

impl Source<'_> {
    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        // Only the message: the crate's own display quotes the line, and what stands there may be
        // a secret in the wrong place.
        toml::from_str(self.text)
            .map_err(|error| self.error(error.span().unwrap_or_default(), error.message()))
    }

    fn error(&self, span: Range<usize>, what: impl Display) -> Error {
        let (line, column) = self.position(span.start);
        let what = told(&what.to_string());
        Error::Config(format!("{}:{line}:{column}: {what}", self.path.display()))
    }

    /// Returns line and column, both from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    fn line_of<T>(&self, value: &Spanned<T>) -> usize {
        self.position(value.span().start).0
    }

    fn check_name(&self, what: &str, name: &Spanned<String>) -> Result<()> {
        check_name(what, name.get_ref()).map_err(|error| self.error(name.span(), error))
    }

    fn required<T>(&self, member: Option<T>, place: &Range<usize>, name: &str) -> Result<T> {
        member.ok_or_else(|| self.error(place.clone(), format!("{name} is missing here")))
    }

    /// Refuses a setting of another kind of keystore.
    fn only(&self, settings: &raw::Keystore, known: &[&str]) -> Result<()> {
        match settings.foreign(known) {
            None => Ok(()),
            Some((name, place)) => {
                let kind = settings.kind.get_ref();
                Err(self.error(place, format!("a keystore of type {kind:?} has no {name}")))
            }
        }
    }

    fn pin(&self, environment: Environment, pin: Spanned<raw::PinMember>) -> Result<PinSource> {
        if matches!(pin.get_ref().0, PinSource::Env(_)) && environment == Environment::Production {
            let what = "a PIN from an environment variable is refused in production: \
                        every child of the process and /proc/PID/environ have it";
            return Err(self.error(pin.span(), what));
        }
        Ok(pin.into_inner().0.rebased(self.directory()))
    }

    fn zero(&self, member: Option<&Spanned<u64>>, name: &str) -> Result<()> {
        match member {
            Some(value) if *value.get_ref() == 0 => {
                Err(self.error(value.span(), format!("{name} is in seconds and more than 0")))
            }
            _ => Ok(()),
        }
    }

    fn optional_list<T: PartialEq>(
        &self,
        list: Option<Spanned<Vec<T>>>,
        name: &str,
    ) -> Result<Option<Vec<T>>> {
        let Some(list) = list else { return Ok(None) };
        if list.get_ref().is_empty() {
            let what = format!("{name} is an empty list, which would allow nothing");
            return Err(self.error(list.span(), what));
        }
        let items = list.get_ref();
        if items.iter().enumerate().any(|(at, item)| items[..at].contains(item)) {
            return Err(self.error(list.span(), format!("{name} has an entry twice")));
        }
        Ok(Some(list.into_inner()))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn resolve(&self, path: PathBuf) -> PathBuf {
        self.directory().join(path)
    }
}
