//! The rules in words, and the rule that tells a nested token from a bare one.

use std::fmt;

use super::{Audience, Context, JweRules, JwsRules, JwsUnprotectedHeader, Nesting};
use crate::error::{Error, Result};
use crate::jose::header::Header;

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
            lines.extend(seal.sign.iter().map(|name| format!("seal: signed by {name:?}")));
            if let (Some(algs), Some(encs)) = (&seal.algs, &seal.encs) {
                lines.push(format!("seal: encrypted with {algs}; content {encs}"));
            }
        }
        if let Some(open) = &self.open {
            lines.extend(open.audience.iter().map(|name| format!("open: aud must hold {name:?}")));
            if let Some(JweRules { algs, encs, .. }) = &open.jwe {
                lines.push(format!("open: JWE alg {algs}; enc {encs}"));
                lines.push(format!("open: decrypted by {}", quoted(&open.decrypt)));
            }
            if let Some(JwsRules { algs, .. }) = &open.jws {
                let issuers = match open.issuers.is_empty() {
                    true => "whoever the trusted keys vouch for".into(),
                    false => quoted(&open.issuers),
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

impl fmt::Display for JwsUnprotectedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignored => "ignored",
            Self::Joint => "alg and kid are believed",
        })
    }
}

/// Each in quotes and escaped, so that no name can pass for a rule of its own.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn trusted_key(jwk: &crate::jose::jwk::PublicJwk) -> String {
    format!(
        "open: trusts {} key {}{}",
        jwk.key.kind(),
        jwk.key.thumbprint(),
        jwk.iss.as_ref().map(|iss| format!(", for {iss:?} only")).unwrap_or_default()
    )
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
