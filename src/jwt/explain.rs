//! Says why a given token would be refused, as far as that can be said without any key.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::jose::header::Header;
use crate::jose::serialization::{Kind, Serialization, only_compact};
use crate::jwe::JweToken;
use crate::jws::{Jws, JwsToken};
use crate::policy::{Context, Nesting, Policy, check_nested_cty, refuse_nested_cty};

/// The verdict of policy on a token: what can be said without a key.
///
/// ```
/// use hsm_jose::jwt::explain_outside;
/// use hsm_jose::policy::{Policy, Profile};
///
/// let verdict = explain_outside(&Policy::of(Profile::Strict), b"eyJhbGciOiJub25lIn0.e30.");
/// assert!(!verdict.accepted);
/// println!("{}", verdict.steps.join("\n"));
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whether policy would let the token reach a key.
    pub accepted: bool,
    /// What was checked, in order, and the reason where it ended.
    pub steps: Vec<String>,
}

/// Walks the checks of a context that come before any key, and says where a token would be refused.
pub fn explain(context: &Context, token: &[u8]) -> Explanation {
    Explanation::of(|steps| in_context(context, token, steps))
}

/// As [`explain`], for the commands outside a context.
pub fn explain_outside(policy: &Policy, token: &[u8]) -> Explanation {
    let max_len = policy.jwe.limits.max_token_len;
    Explanation::of(|steps| {
        match Kind::of(token, max_len)? {
            Kind::Jwe => allowed_jwe(&JweToken::parse(token, &policy.jwe)?, steps),
            Kind::Jws => {
                let jws = Jws::parse(token, &policy.jws)?;
                for (alg, kid) in jws.claimed()? {
                    allowed_as(&format!("alg {alg}"), kid, steps);
                }
            }
        }
        Ok(())
    })
}

impl Explanation {
    fn of(walk: impl FnOnce(&mut Vec<String>) -> Result<()>) -> Self {
        let mut steps = Vec::new();
        let outcome = walk(&mut steps);
        if let Err(error) = &outcome {
            steps.push(match error {
                Error::Policy(_) => error.to_string(),
                _ => format!("refused: {error}"),
            });
        }
        Self { accepted: outcome.is_ok(), steps }
    }
}

fn in_context(context: &Context, token: &[u8], steps: &mut Vec<String>) -> Result<()> {
    context.check_complete()?;
    let rules = context.opening()?;
    only_compact(token)?;
    let lacking = || Error::Config(format!("context {} lacks rules for its nesting", context.name));
    let header = match context.nesting {
        Nesting::Jws => {
            let header =
                JwsToken::parse(token, rules.jws.as_ref().ok_or_else(lacking)?)?.into_header();
            context.check_typ(&header)?;
            header
        }
        Nesting::JweOfJws => {
            let header =
                JweToken::parse(token, rules.jwe.as_ref().ok_or_else(lacking)?)?.into_header();
            check_nested_cty(&header)?;
            header
        }
        Nesting::Jwe => {
            let header =
                JweToken::parse(token, rules.jwe.as_ref().ok_or_else(lacking)?)?.into_header();
            refuse_nested_cty(&header)?;
            context.check_typ(&header)?;
            header
        }
    };
    allowed(&header, steps);
    if context.nesting == Nesting::JweOfJws {
        steps.push("what is inside is seen, and checked, only after decryption".into());
    }
    Ok(())
}

fn allowed_jwe(token: &JweToken<'_>, steps: &mut Vec<String>) {
    if token.serialization() == Serialization::Compact {
        return allowed(token.header(), steps);
    }
    steps.push("well formed, and of an allowed length".into());
    steps.push(format!("content allowed: enc {}", token.enc()));
    for recipient in token.recipients() {
        let named = match recipient.kid() {
            Some(_) => "names a kid",
            None => "names no kid",
        };
        steps
            .push(format!("recipient {}: alg {} allowed, {named}", recipient.index, recipient.alg));
    }
    for passed_over in &token.passed_over {
        steps.push(format!("another recipient is passed over: {}", passed_over.why));
    }
    steps.push("whether a recipient is ours is for the keyring to say".into());
}

fn allowed(header: &Header, steps: &mut Vec<String>) {
    let what = match header.enc() {
        "" => format!("alg {}", header.alg()),
        enc => format!("alg {}, enc {enc}", header.alg()),
    };
    allowed_as(&what, header.kid(), steps);
}

fn allowed_as(what: &str, kid: Option<&str>, steps: &mut Vec<String>) {
    steps.push("well formed, and of an allowed length".into());
    steps.push(format!("header allowed: {what}"));
    steps.push(match kid {
        Some(_) => "names a kid: whether we hold it is for the keyring to say".into(),
        None => "names no kid: the keys that fit would be tried".into(),
    });
}
