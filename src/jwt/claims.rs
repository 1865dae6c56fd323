//! Claims: stamped when a token is made, checked when one is opened.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::jose::base64url;
use crate::jose::header::Header;
use crate::jose::json::{self, SecretMembers};
use crate::policy::{Context, Nesting, OpenRules, SealRules};
use crate::primitives::random;
use crate::secret::Wiped;

/// Tells the time. Injectable, so that expiry can be tested.
///
/// ```
/// use hsm_jose::jwt::Clock;
///
/// /// A clock that runs ahead.
/// #[derive(Debug)]
/// struct Ahead;
///
/// impl Clock for Ahead {
///     fn now(&self) -> u64 {
///         hsm_jose::jwt::SystemClock.now() + 60
///     }
/// }
/// assert!(Ahead.now() > hsm_jose::jwt::SystemClock.now());
/// ```
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Returns the seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    fn now(&self) -> u64;
}

/// The system's clock.
///
/// ```
/// use hsm_jose::jwt::{Clock, SystemClock};
///
/// assert!(SystemClock.now() > 1_700_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that stands still, for tests.
///
/// ```
/// use hsm_jose::jwt::{Clock, FixedClock};
///
/// assert_eq!(FixedClock(1_300_819_380).now(), 1_300_819_380);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub u64);

/// A JWT Claims Set: a JSON object without duplicate members, and the octets it came as.
///
/// ```
/// use hsm_jose::jwt::Claims;
///
/// let claims = Claims::parse(r#"{"sub":"alice"}"#)?;
/// assert_eq!(claims.members()["sub"], "alice");
/// assert!(!format!("{claims:?}").contains("alice"));
/// assert!(Claims::parse(r#"{"sub":"alice","sub":"mallory"}"#).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
pub struct Claims {
    members: SecretMembers,
    json: Wiped,
}

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        // Before 1970 nothing has been issued and everything is in the future: fails closed.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
    }
}

impl Clock for FixedClock {
    fn now(&self) -> u64 {
        self.0
    }
}

impl Claims {
    /// Parses a claims set.
    ///
    /// # Errors
    /// [`Error::Malformed`]: not a JSON object, duplicate members, too deep.
    pub fn parse(json: impl Into<Vec<u8>>) -> Result<Self> {
        let json = Wiped::new(json.into());
        let members = json::parse_object(&json)
            .map_err(|error| Error::Malformed(format!("claims: {error}")))?;
        Ok(Self { members: SecretMembers(members), json })
    }

    /// Returns the claims.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members.0
    }

    /// Returns the octets of the claims, as they were signed.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Completes the claims of a token that is being made: `iss`, `aud`, `iat`, `exp` and `jti`.
    ///
    /// A claim that is there already must agree: another `iss` or `aud`, an `iat` that is not now,
    /// or an `exp` outside the lifetime are refused, not overwritten.
    pub(super) fn stamped(
        &self,
        context: &Context,
        rules: &SealRules,
        audience: Option<&str>,
        now: u64,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let mut stamped = SecretMembers(self.members.0.clone());
        let members = &mut stamped.0;
        if let Some(issuer) = &rules.issuer {
            agree(members, "iss", issuer)?;
        }
        match audience {
            Some(audience) => match members.get("aud") {
                Some(Value::Array(values)) if *values == [Value::from(audience)] => {}
                _ => agree(members, "aud", audience)?,
            },
            None if rules.audience.is_none() || has_audience(members) => {}
            None => {
                return Err(claim(
                    "aud",
                    "is missing: the recipient is a file, which registers no audience",
                ));
            }
        }
        if let Some(lifetime) = rules.lifetime {
            stamp_times(members, lifetime, context.skew, now)?;
        }
        // What the same context would not take is not made in it, but for what is not valid yet.
        let date = |name| members.get(name).map(|value| numeric_date(name, value)).transpose();
        let (exp, nbf, iat) = (date("exp")?, date("nbf")?, date("iat")?);
        if exp.is_some_and(|exp| exp <= now as f64) {
            return Err(claim("exp", "is in the past"));
        }
        if iat.is_some_and(|iat| iat > now as f64 + context.skew as f64) {
            return Err(claim("iat", "is in the future"));
        }
        if nbf.is_some_and(|nbf| exp.is_some_and(|exp| nbf >= exp)) {
            return Err(claim("nbf", "is not before exp"));
        }
        for name in ["iss", "sub", "jti"] {
            text_if_present(members, name)?;
        }
        if rules.sign.is_some() && !members.contains_key("jti") {
            let mut jti = [0; 16];
            random::fill(&mut jti);
            members.insert("jti".into(), base64url::encode(&jti).into());
        }
        members.retain(|name, _| !self.members.0.contains_key(name));
        Ok(self.with_added(members))
    }

    /// Puts members before the claims, whose text stays as it is: written anew, a number of many digits
    /// would be another one.
    fn with_added(&self, added: &Map<String, Value>) -> Zeroizing<Vec<u8>> {
        let mut json = Zeroizing::new(Vec::with_capacity(self.json.len() + 512));
        // invariant: a map of JSON values always serializes, and a Vec takes every byte.
        let _ = serde_json::to_writer(&mut *json, added);
        json.pop();
        if !added.is_empty() && !self.members.0.is_empty() {
            json.push(b',');
        }
        // The text is an object: after white space comes its brace.
        let own = self.json.trim_ascii().get(1..).unwrap_or_default();
        json.extend_from_slice(own);
        json
    }

    /// Checks the claims of a token that was opened, at time `now`; `key_issuer` is the one issuer
    /// that the verifying key is registered for.
    ///
    /// `iss`, `aud` and `exp` must be there, unless the context is unsigned; `nbf`, `iat`, `sub` and
    /// `jti` must be right where they are.
    pub(super) fn check(
        &self,
        context: &Context,
        rules: &OpenRules,
        key_issuer: Option<&str>,
        now: u64,
    ) -> Result<()> {
        let members = &self.members.0;
        let is_signed = context.nesting != Nesting::Jwe;
        match members.get("iss").map(Value::as_str) {
            Some(Some(iss)) => {
                if !rules.issuers.is_empty() && !rules.issuers.iter().any(|issuer| issuer == iss) {
                    return Err(claim("iss", "is not an issuer that this context takes"));
                }
                if key_issuer.is_some_and(|issuer| issuer != iss) {
                    return Err(claim(
                        "iss",
                        "is not the issuer that the signing key is registered for",
                    ));
                }
            }
            None if !is_signed && rules.issuers.is_empty() => {}
            _ => return Err(claim("iss", "is missing or not a string")),
        }
        if let Some(own_name) = &rules.audience {
            let is_for_us = match members.get("aud") {
                Some(Value::String(audience)) => audience == own_name,
                Some(Value::Array(values)) if values.iter().all(Value::is_string) => {
                    values.iter().any(|value| value.as_str() == Some(own_name))
                }
                _ => {
                    return Err(claim(
                        "aud",
                        "is missing, or neither a string nor an array of strings",
                    ));
                }
            };
            if !is_for_us {
                return Err(claim("aud", "does not hold our own name"));
            }
        }
        self.check_times(context.skew, rules.max_lifetime, is_signed, now)?;
        for name in ["sub", "jti"] {
            text_if_present(members, name)?;
        }
        Ok(())
    }

    /// Checks that claims which a protected header repeats say the same there (RFC 7519 section
    /// 5.3): whoever routed the token by its header has not been misled.
    pub(super) fn check_replicated(&self, header: &Header) -> Result<()> {
        for name in ["iss", "sub", "aud"] {
            let told = header.members().get(name);
            if told.is_some() && told != self.members.0.get(name) {
                return Err(claim(name, "is not what the header says it is"));
            }
        }
        Ok(())
    }

    fn check_times(
        &self,
        skew: u64,
        max_lifetime: Option<u64>,
        needs_exp: bool,
        now: u64,
    ) -> Result<()> {
        let date =
            |name| self.members.0.get(name).map(|value| numeric_date(name, value)).transpose();
        let (now, skew) = (now as f64, skew as f64);
        let exp = date("exp")?;
        if exp.is_none() && (needs_exp || max_lifetime.is_some()) {
            return Err(claim("exp", "is missing"));
        }
        if exp.is_some_and(|exp| exp + skew <= now) {
            return Err(claim("exp", "is in the past"));
        }
        if date("nbf")?.is_some_and(|nbf| nbf > now + skew) {
            return Err(claim("nbf", "is in the future"));
        }
        let iat = date("iat")?;
        if iat.is_some_and(|iat| iat > now + skew) {
            return Err(claim("iat", "is in the future"));
        }
        if let (Some(max_lifetime), Some(exp)) = (max_lifetime, exp) {
            let iat = iat
                .ok_or_else(|| claim("iat", "is missing, and this context limits the lifetime"))?;
            if exp - iat > max_lifetime as f64 {
                return Err(claim("exp", format!("is more than {max_lifetime} s after iat")));
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claims({} members, redacted)", self.members.0.len())
    }
}

/// Sets `iat`, and `exp` unless it is there and within the lifetime.
fn stamp_times(members: &mut Map<String, Value>, lifetime: u64, skew: u64, now: u64) -> Result<()> {
    match members.get("iat") {
        None => drop(members.insert("iat".into(), now.into())),
        Some(value) => {
            if (numeric_date("iat", value)? - now as f64).abs() > skew as f64 {
                return Err(claim("iat", "is not now; leave it out and it is stamped"));
            }
        }
    }
    let latest = now.saturating_add(lifetime);
    match members.get("exp") {
        None => drop(members.insert("exp".into(), latest.into())),
        Some(value) => {
            let exp = numeric_date("exp", value)?;
            if exp <= now as f64 || exp > latest as f64 {
                return Err(claim("exp", format!("is not within the lifetime of {lifetime} s")));
            }
        }
    }
    Ok(())
}

/// Sets a claim, or refuses one that is there and says something else.
fn agree(members: &mut Map<String, Value>, name: &'static str, value: &str) -> Result<()> {
    match members.get(name) {
        None => drop(members.insert(name.into(), value.into())),
        Some(Value::String(own)) if own == value => {}
        Some(_) => return Err(claim(name, "is not what the context and the recipient make it")),
    }
    Ok(())
}

fn has_audience(members: &Map<String, Value>) -> bool {
    match members.get("aud") {
        Some(Value::String(_)) => true,
        Some(Value::Array(values)) => !values.is_empty() && values.iter().all(Value::is_string),
        _ => false,
    }
}

fn text_if_present(members: &Map<String, Value>, name: &'static str) -> Result<()> {
    match members.get(name) {
        None | Some(Value::String(_)) => Ok(()),
        Some(_) => Err(claim(name, "is not a string")),
    }
}

/// RFC 7519 section 2: seconds, fractions allowed. What a double cannot hold exactly, or is negative,
/// is no date.
fn numeric_date(name: &'static str, value: &Value) -> Result<f64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let seconds = value.as_f64().filter(|seconds| (0.0..EXACT).contains(seconds));
    seconds.ok_or_else(|| claim(name, "is not a NumericDate"))
}

fn claim(claim: &'static str, reason: impl Into<String>) -> Error {
    Error::Claim { claim, reason: reason.into() }
}
