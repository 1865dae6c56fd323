//! What is wrong, or worth a look, with a JWK or a JWK Set: every finding, and not just the first.

use std::collections::HashSet;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::super::alg::Curve;
use super::super::json::quotable;
use super::key::{remainder, rsa_faults};
use super::{JwkError, JwkSet, PRIVATE_MEMBERS, PublicJwk, PublicKey, octets, text};
use super::{parse_members, public};
use crate::primitives::ecdh::check_point;

mod metadata;

/// The smallest public exponent that is no remark (FIPS 186-5 section 5.1).
const SMALLEST_USUAL_EXPONENT: u64 = 65537;

/// Moduli are divided by odd numbers up to this one: no generator makes a key with such a factor.
const LARGEST_SMALL_FACTOR: u32 = 1021;

/// The most findings of one severity that are told of a key. Whatever is wrong with one that was made by
/// mistake are fewer; of thousands of operations in `key_ops`, nobody reads more.
pub const MAX_FINDINGS: usize = 64;

/// How much a finding weighs.
///
/// ```
/// use hsm_jose::jose::jwk::{Severity, check};
///
/// let findings = check(b"not a key", std::time::SystemTime::now());
/// assert!(findings.iter().any(|finding| finding.severity == Severity::Fault));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Against a specification, or the key is of no use.
    Fault,
    /// Allowed, and worth a look.
    Remark,
}

/// One thing that was found.
///
/// ```
/// use hsm_jose::jose::jwk::check;
///
/// // A public key of RFC 8037 appendix A.2, and what does not belong there.
/// let key = br#"{"kty":"OKP","crv":"Ed25519","use":"enc",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let findings = check(key, std::time::SystemTime::now());
/// assert!(findings.iter().any(|finding| finding.member == "use" && finding.key.is_none()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The position of the key in its set, from 0; `None` for a single key, or the set itself.
    pub key: Option<usize>,
    /// The member it is about, as `key_ops`; `keys` for the set itself.
    pub member: &'static str,
    /// What was found. Quotes at most 32 characters of the key, and nothing private.
    pub what: String,
}

/// Checks keys in any form that [`JwkSet::from_any`] takes.
///
/// Looked at are the key (size, exponent, small factors, curve, point), `use`, `key_ops`, `alg` and
/// whether they agree with each other and with the key, `kid`, private members, `x5u`, `x5c`, `x5t`,
/// `x5t#S256`, and, of a set, kids and keys that are there twice. `at` is the time at which
/// certificates have to be valid; who issued them is for [`crate::jose::x509::Anchors`].
///
/// Stricter than [`JwkSet::parse`], which has to work with what others send: an `n` or `e` with leading
/// zero octets is a fault (RFC 7518 sections 2 and 6.3.1), and the key is read all the same.
///
/// An empty list is a good key, or a good set. Of each key there are at most [`MAX_FINDINGS`] faults and
/// as many remarks, and one more that says how many there are besides.
///
/// ```
/// use hsm_jose::jose::jwk::{Severity, check};
///
/// let jwk = br#"{"kty":"OKP","crv":"Ed25519","use":"enc","alg":"ES256","key_ops":["verify"],
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// let findings = check(jwk, std::time::SystemTime::now());
/// assert!(findings.iter().all(|finding| finding.severity == Severity::Fault));
/// let members: Vec<_> = findings.iter().map(|finding| finding.member).collect();
/// assert_eq!(members, ["use", "key_ops", "alg", "alg"]);
/// ```
#[must_use]
pub fn check(bytes: &[u8], at: SystemTime) -> Vec<Finding> {
    match parse_members(bytes) {
        Ok(members) if !members.contains_key("keys") || members.contains_key("kty") => {
            examine(&members, None, at)
        }
        Ok(members) => check_set(&members, at),
        Err(_) => match JwkSet::from_any(bytes) {
            Ok(JwkSet { keys }) => {
                let keys = keys.iter().enumerate().flat_map(|(index, jwk)| {
                    examine(&jwk.to_members(), (keys.len() > 1).then_some(index), at)
                });
                keys.collect()
            }
            Err(error) => vec![Finding::new(Severity::Fault, None, "kty", error.to_string())],
        },
    }
}

impl PublicJwk {
    /// Checks the key as [`check`] does.
    #[must_use]
    pub fn check(&self, at: SystemTime) -> Vec<Finding> {
        examine(&self.to_members(), None, at)
    }
}

impl Finding {
    fn new(
        severity: Severity,
        key: Option<usize>,
        member: &'static str,
        what: impl Into<String>,
    ) -> Self {
        Self { severity, key, member, what: what.into() }
    }
}

fn check_set(members: &Map<String, Value>, at: SystemTime) -> Vec<Finding> {
    let about_set = |severity, what: &str| Finding::new(severity, None, "keys", what);
    let Some(Value::Array(values)) = members.get("keys") else {
        return vec![about_set(Severity::Fault, "not an array")];
    };
    let (mut findings, mut usable) = (Vec::new(), 0);
    let (mut kids, mut thumbprints) = (HashSet::new(), HashSet::new());
    for (index, value) in values.iter().enumerate() {
        let Value::Object(key) = value else {
            findings.push(Finding::new(Severity::Fault, Some(index), "keys", "not an object"));
            continue;
        };
        findings.extend(examine(key, Some(index), at));
        let mut add = |severity, member, what: String| {
            findings.push(Finding::new(severity, Some(index), member, what));
        };
        match key.get("kid").and_then(Value::as_str) {
            Some(kid) if !kids.insert(kid) => {
                let kid = quotable(kid);
                add(Severity::Fault, "kid", format!("{kid:?} is that of a key before it, too"));
            }
            None if values.len() > 1 => {
                add(Severity::Remark, "kid", "none, in a set of several keys".into());
            }
            _ => {}
        }
        if let Ok(jwk) = PublicJwk::from_members(key) {
            usable += 1;
            if !thumbprints.insert(jwk.key.thumbprint()) {
                add(Severity::Remark, "kty", "the same key as one before it".into());
            }
        }
    }
    if usable == 0 {
        findings.push(about_set(Severity::Fault, "no key that this build can use"));
    }
    findings
}

/// Checks the members of one JWK.
fn examine(members: &Map<String, Value>, index: Option<usize>, at: SystemTime) -> Vec<Finding> {
    let mut examination = Examination { members, index, findings: Vec::new(), untold: None };
    for name in PRIVATE_MEMBERS.into_iter().filter(|name| members.contains_key(*name)) {
        examination.fault(name, "private, in a public JWK: this key must be taken as exposed");
    }
    let key = examination.key();
    examination.metadata(key.as_ref(), at);
    examination.concluded()
}

/// One key under examination.
struct Examination<'a> {
    members: &'a Map<String, Value>,
    index: Option<usize>,
    findings: Vec<Finding>,
    /// How many more there are, and the member that the first of them is about.
    untold: Option<(usize, &'static str)>,
}

impl Examination<'_> {
    fn fault(&mut self, member: &'static str, what: impl Into<String>) {
        self.add(Severity::Fault, member, what);
    }

    fn remark(&mut self, member: &'static str, what: impl Into<String>) {
        self.add(Severity::Remark, member, what);
    }

    /// Each severity has room of its own: no number of remarks hides a fault.
    fn add(&mut self, severity: Severity, member: &'static str, what: impl Into<String>) {
        let told = self.findings.iter().filter(|finding| finding.severity == severity).count();
        match told < MAX_FINDINGS {
            true => self.findings.push(Finding::new(severity, self.index, member, what)),
            false => self.untold.get_or_insert((0, member)).0 += 1,
        }
    }

    fn concluded(mut self) -> Vec<Finding> {
        if let Some((count, member)) = self.untold {
            let what = format!("{count} more findings, not told one by one");
            self.findings.push(Finding::new(Severity::Remark, self.index, member, what));
        }
        self.findings
    }

    /// Returns a member's value, or records why it cannot be read.
    fn read<T>(&mut self, member: &'static str, value: Result<Option<T>, JwkError>) -> Option<T> {
        value.unwrap_or_else(|error| {
            self.fault(member, error.to_string());
            None
        })
    }

    /// Checks the key itself.
    fn key(&mut self) -> Option<PublicKey> {
        self.numbers();
        let key = match PublicKey::from_members(self.members) {
            Ok(key) => key,
            Err(error) => {
                self.unreadable(&error);
                return None;
            }
        };
        match &key {
            PublicKey::Rsa(rsa) => {
                let e = rsa.e().iter().fold(0, |e, byte| e << 8 | u64::from(*byte));
                if e >> 33 != 0 {
                    self.fault("e", "over 33 bits: this build does not use the key");
                } else if e < SMALLEST_USUAL_EXPONENT {
                    self.remark("e", format!("{e}, below {SMALLEST_USUAL_EXPONENT}"));
                }
                if let Some(factor) = small_factor(rsa.n()) {
                    self.fault("n", format!("can be divided by {factor}: anyone has the key"));
                }
            }
            PublicKey::Point(point) => {
                if let Err(error) = check_point(point) {
                    self.fault("x", error.to_string());
                }
            }
        }
        Some(key)
    }

    /// RFC 7518 sections 2 and 6.3.1: Base64urlUInt has the least octets that the number takes.
    fn numbers(&mut self) {
        if text(self.members, "kty") != Ok("RSA") {
            return;
        }
        for member in ["n", "e"] {
            if let Ok([0, _, ..]) = octets(self.members, member).as_deref() {
                self.fault(member, "with leading zero octets (RFC 7518 section 2)");
            }
        }
    }

    /// A key that this build does not have is passed over in a set, and of no use alone.
    fn unreadable(&mut self, error: &JwkError) {
        let kty = text(self.members, "kty");
        let is_known = match kty {
            Ok("RSA") => true,
            // RFC 7518 section 6.2.1, RFC 8037 section 2: crv must be there, which is no unknown curve.
            Ok("EC" | "OKP") => {
                text(self.members, "crv").map_or(true, |crv| Curve::from_name(crv).is_some())
            }
            Ok(_) => false,
            Err(_) => true,
        };
        if !is_known && self.index.is_some() {
            return self.remark("kty", format!("passed over: {error}"));
        }
        let members: &[&'static str] = match kty {
            Ok("RSA") => &["n", "e"],
            Ok("EC") => &["x", "y"],
            Ok("OKP") => &["x"],
            _ => &[],
        };
        let before = self.findings.len();
        if let (Ok("EC" | "OKP"), Err(error)) = (&kty, text(self.members, "crv")) {
            self.fault("crv", error.to_string());
        }
        for member in members {
            if let Err(error) = octets(self.members, member) {
                self.fault(member, error.to_string());
            }
        }
        if let (Ok("RSA"), Ok(n), Ok(e)) =
            (kty, octets(self.members, "n"), octets(self.members, "e"))
        {
            for (member, what) in rsa_faults(&n, &e) {
                self.fault(member, what);
            }
        }
        if self.findings.len() == before {
            self.fault("kty", error.to_string());
        }
    }
}

/// Returns the smallest odd factor up to [`LARGEST_SMALL_FACTOR`] of a number over it.
fn small_factor(n: &[u8]) -> Option<u32> {
    (3..=LARGEST_SMALL_FACTOR).step_by(2).find(|factor| remainder(n, *factor) == 0)
}
