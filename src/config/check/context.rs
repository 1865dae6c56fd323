//! `[context.NAME]` with its halves: what each nesting needs, and nothing that has no place in it.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::Source;
use crate::config::{Audience, ContextConfig, Nesting, OpenConfig, SealConfig, raw};
use crate::error::Result;
use crate::keyring::check_name;

/// The most clock skew that a context tolerates, in seconds: RFC 7519 section 4.1.4 means a few
/// minutes, and clocks that are further apart are to be set, not tolerated.
const MAX_SKEW: u64 = 600;

pub(super) fn context(
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

fn seal(source: &Source<'_>, nesting: Nesting, settings: Spanned<raw::Seal>) -> Result<SealConfig> {
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

fn open(source: &Source<'_>, nesting: Nesting, settings: Spanned<raw::Open>) -> Result<OpenConfig> {
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
