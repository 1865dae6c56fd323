//! Says what a context allows, and why a given token would be refused, without any key.

use serde::Serialize;

use super::{Audience, Context, JweRules, JwsRules, Nesting};
use crate::error::{Error, Result};
use crate::jose::header::Header;
use crate::jose::serialization::{CompactJwe, CompactJws, bounded};

/// The verdict of a context's policy on a token: what can be said without a key.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whether policy would let the token reach a key.
    pub accepted: bool,
    /// What was checked, in order, and the reason where it ended.
    pub steps: Vec<String>,
}

/// Walks the checks that come before any key, and says where a token would be refused.
pub fn explain(context: &Context, token: &[u8]) -> Explanation {
    let mut steps = Vec::new();
    let outcome = walk(context, token, &mut steps);
    if let Err(error) = &outcome {
        steps.push(format!("refused: {error}"));
    }
    Explanation { accepted: outcome.is_ok(), steps }
}

fn walk(context: &Context, token: &[u8], steps: &mut Vec<String>) -> Result<()> {
    let rules = context.opening()?;
    let text = bounded(token, context.max_token_len)?;
    steps.push(format!("{} bytes, at most {}", text.len(), context.max_token_len));
    let header = if context.nesting == Nesting::Jws {
        let header = Header::parse(CompactJws::split(text)?.protected)?;
        steps.push(format!("a compact JWS, alg {:?}", header.alg()));
        required(rules.jws.as_ref())?.check(&header)?;
        context.check_typ(&header)?;
        header
    } else {
        let header = Header::parse(CompactJwe::split(text)?.protected)?;
        steps.push(format!("a compact JWE, alg {:?}, enc {:?}", header.alg(), header.enc()));
        let (alg, _) = required(rules.jwe.as_ref())?.check(&header)?;
        if context.nesting == Nesting::JweOfJws {
            check_nested_cty(&header)?;
        } else {
            refuse_nested_cty(&header)?;
            context.check_typ(&header)?;
        }
        if alg.is_ecdh() {
            let epk = header.agreement()?.epk;
            crate::primitives::ecdh::check_point(&epk)
                .map_err(|error| Error::Malformed(format!("epk: {error}")))?;
        }
        header
    };
    steps.push("header allowed".into());
    match header.kid() {
        Some(_) => steps.push("names a kid; whether we hold it is for the keyring to say".into()),
        None => steps.push("names no kid; the keys of the context that fit would be tried".into()),
    }
    Ok(())
}

/// A nested JWT says so: `cty` is `JWT` (RFC 7519 section 5.2).
pub(crate) fn check_nested_cty(header: &Header) -> Result<()> {
    match header.cty().map(super::media_type).as_deref() {
        Some("jwt") => Ok(()),
        _ => Err(Error::Policy("cty is not \"JWT\": the content would not be a signed JWT".into())),
    }
}

/// An unsigned context takes claims, not another token.
pub(crate) fn refuse_nested_cty(header: &Header) -> Result<()> {
    match check_nested_cty(header) {
        Ok(()) => Err(Error::Policy("cty is \"JWT\", this context takes bare claims".into())),
        Err(_) => Ok(()),
    }
}

fn required<T>(rules: Option<&T>) -> Result<&T> {
    rules.ok_or_else(|| Error::Config("the context lacks rules for its nesting".into()))
}

impl Context {
    /// Returns the context in words, one rule a line.
    pub fn text(&self) -> String {
        let nesting = match self.nesting {
            Nesting::Jws => "signed",
            Nesting::JweOfJws => "signed, then encrypted",
            Nesting::Jwe => "encrypted, NOT signed",
        };
        let typ = match &self.typ {
            Some(typ) => format!("{typ:?}, required"),
            None => "\"JWT\", may be absent".into(),
        };
        let mut lines = vec![
            format!("context {}: {nesting}", self.name),
            format!("typ: {typ}"),
            format!("clock skew: {} s; token: at most {} bytes", self.skew, self.max_token_len),
        ];
        if let Some(seal) = &self.seal {
            lines.extend(seal.issuer.iter().map(|issuer| format!("seal: iss {issuer:?}")));
            lines.extend(seal.audience.iter().map(|audience| match audience {
                Audience::Recipient => "seal: aud from the recipient's registration".into(),
                Audience::Fixed(audience) => format!("seal: aud {audience:?}"),
            }));
            lines.extend(seal.lifetime.iter().map(|seconds| format!("seal: lifetime {seconds} s")));
            lines.extend(seal.sign.iter().map(|name| format!("seal: signed by {name}")));
            if let (Some(algs), Some(encs)) = (&seal.algs, &seal.encs) {
                lines.push(format!("seal: encrypted with {algs}; content {encs}"));
            }
        }
        if let Some(open) = &self.open {
            lines.extend(open.audience.iter().map(|name| format!("open: aud must hold {name:?}")));
            if let Some(JweRules { algs, encs, .. }) = &open.jwe {
                lines.push(format!("open: JWE alg {algs}; enc {encs}"));
                lines.push(format!("open: decrypted by {}", open.decrypt.join(", ")));
            }
            if let Some(JwsRules { algs, .. }) = &open.jws {
                let issuers = match open.issuers.is_empty() {
                    true => "whoever the trusted keys vouch for".into(),
                    false => open.issuers.join(", "),
                };
                lines.push(format!("open: JWS alg {algs}; issuers: {issuers}"));
                lines.extend(open.trust.iter().map(trusted_key));
            }
            lines.extend(
                open.max_lifetime
                    .iter()
                    .map(|seconds| format!("open: lifetime at most {seconds} s")),
            );
        }
        lines.join("\n") + "\n"
    }
}

fn trusted_key(jwk: &crate::jose::jwk::PublicJwk) -> String {
    format!(
        "open: trusts {} key {}{}",
        jwk.key.kind(),
        jwk.key.thumbprint(),
        jwk.iss.as_ref().map(|iss| format!(", for {iss:?} only")).unwrap_or_default()
    )
}
