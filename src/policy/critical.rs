//! Header parameters that `crit` may name because somebody checks their value (RFC 7515 section
//! 4.1.11): none, until a caller adds them.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::jose::header::{Header, is_specified};

/// How far the clock of a signer may be ahead, in seconds: the skew of contexts that name none.
const SKEW: u64 = 60;

/// The longest domain name, in bytes, and the longest label of one (RFC 1035 section 2.3.4).
const MAX_DOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

/// What a check of a value is: the value, the protected header it stands in, and the reason of a
/// refusal, which names nothing of the value.
type Check = dyn Fn(&Value, &Header) -> std::result::Result<(), String> + Send + Sync;

/// A header parameter that is understood where `crit` names it, with the check of its value.
///
/// ```
/// use hsm_jose::policy::CriticalExtension;
///
/// let amount = CriticalExtension::new("https://bank.example/amount", |value, _header| {
///     value.as_u64().map(drop).ok_or_else(|| "is not an amount".to_owned())
/// })?;
/// assert_eq!(amount.name(), "https://bank.example/amount");
/// assert!(CriticalExtension::known("http://openbanking.org.uk/iat").is_some());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone)]
pub struct CriticalExtension {
    name: String,
    check: Arc<Check>,
}

/// The header parameters that `crit` may name, for JWS and JWE alike; empty unless some are added.
///
/// ```
/// use hsm_jose::jose::alg::SignatureAlgorithm;
/// use hsm_jose::policy::{CriticalExtension, JwsRules};
///
/// let mut rules = JwsRules::new([SignatureAlgorithm::Ps256])?;
/// for name in CriticalExtension::KNOWN {
///     let known = CriticalExtension::known(name).expect("it is one of those");
///     rules.limits.critical = rules.limits.critical.with(known)?;
/// }
/// assert_eq!(rules.limits.critical.names().count(), 3);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CriticalExtensions(Vec<CriticalExtension>);

impl CriticalExtension {
    /// Takes the name of a header parameter and the check of its value.
    ///
    /// The check sees the value and the protected header. Whoever registers a name says that it is
    /// "understood and processed": a check that takes anything says so of anything.
    ///
    /// # Errors
    /// [`Error::Config`]: an empty name, or one that RFC 7515, 7516, 7518 or 7797 defines.
    pub fn new(
        name: impl Into<String>,
        check: impl Fn(&Value, &Header) -> std::result::Result<(), String> + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name == "b64" || is_specified(&name) {
            return Err(Error::Config(format!(
                "crit: {name:?} is a name of the specification, or none: not an extension"
            )));
        }
        Ok(Self { name, check: Arc::new(check) })
    }

    /// Returns one of the extensions that this library knows by name: the three of the UK Open
    /// Banking Read/Write API (version 3.1, "Message signing").
    ///
    /// - `http://openbanking.org.uk/iat`: a NumericDate that is not in the future, by more than 60
    ///   seconds on this machine's clock;
    /// - `http://openbanking.org.uk/iss`: a string that is not empty. Whether it is the name of the
    ///   key's owner is for the caller to compare;
    /// - `http://openbanking.org.uk/tan`: the trust anchor's domain name.
    pub fn known(name: &str) -> Option<Self> {
        let check: Arc<Check> = match name {
            OB_IAT => Arc::new(|value, _| check_issued_at(value, system_time())),
            OB_ISS => Arc::new(|value, _| match value.as_str() {
                None | Some("") => Err("is not a string with characters".into()),
                Some(_) => Ok(()),
            }),
            OB_TAN => Arc::new(|value, _| match value.as_str().is_some_and(is_domain) {
                true => Ok(()),
                false => Err("is not a domain name".into()),
            }),
            _ => return None,
        };
        Some(Self { name: name.to_owned(), check })
    }

    /// The names that [`CriticalExtension::known`] knows.
    pub const KNOWN: [&'static str; 3] = [OB_IAT, OB_ISS, OB_TAN];

    /// Returns the name of the header parameter.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl CriticalExtensions {
    /// Adds an extension.
    ///
    /// # Errors
    /// [`Error::Config`] if the name is there already.
    pub fn with(mut self, extension: CriticalExtension) -> Result<Self> {
        if self.find(&extension.name).is_some() {
            return Err(Error::Config(format!("crit: {:?} is there twice", extension.name)));
        }
        self.0.push(extension);
        Ok(self)
    }

    /// Returns the names, in the order they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(CriticalExtension::name)
    }

    /// Checks everything that the `crit` of a protected header names, `understood` apart.
    pub(super) fn check(&self, header: &Header, understood: &[&str]) -> Result<()> {
        for name in header.crit().filter(|name| !understood.contains(name)) {
            let shown: String = name.chars().take(32).collect();
            let Some(extension) = self.find(name) else {
                return Err(Error::Policy(format!(
                    "critical header parameter {shown:?} is not understood"
                )));
            };
            // invariant: `crit` names members of its header only, see `Header`.
            let value = header.members().get(name).unwrap_or(&Value::Null);
            (extension.check)(value, header).map_err(|reason| {
                Error::Policy(format!("critical header parameter {shown:?} {reason}"))
            })?;
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&CriticalExtension> {
        self.0.iter().find(|extension| extension.name == name)
    }
}

impl fmt::Debug for CriticalExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CriticalExtension({:?})", self.name)
    }
}

const OB_IAT: &str = "http://openbanking.org.uk/iat";
const OB_ISS: &str = "http://openbanking.org.uk/iss";
const OB_TAN: &str = "http://openbanking.org.uk/tan";

fn system_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// RFC 7519 section 2: a NumericDate may have a fraction.
fn check_issued_at(value: &Value, now: u64) -> std::result::Result<(), String> {
    match value.as_f64() {
        Some(date) if date >= 0.0 && date <= (now + SKEW) as f64 => Ok(()),
        Some(_) => Err("is in the future, or before 1970".into()),
        None => Err("is not a number of seconds".into()),
    }
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_DOMAIN && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn header(name: &str, value: Value) -> Header {
        let members = json!({ "alg": "PS256", "crit": [name], name: value });
        Header::of(members.as_object().unwrap().clone())
    }

    #[test]
    fn what_nobody_checks_is_not_understood() {
        let none = CriticalExtensions::default();
        assert!(none.check(&header(OB_ISS, json!("a")), &[]).is_err());
        assert!(none.check(&header("b64", json!(false)), &[]).is_err());
        assert!(none.check(&header("b64", json!(false)), &["b64"]).is_ok());
        let some = none.with(CriticalExtension::known(OB_ISS).unwrap()).unwrap();
        assert!(some.check(&header(OB_ISS, json!("a")), &[]).is_ok());
        assert!(some.check(&header(OB_TAN, json!("a")), &[]).is_err());
        assert!(some.clone().with(CriticalExtension::known(OB_ISS).unwrap()).is_err());
        assert_eq!(some.names().collect::<Vec<_>>(), [OB_ISS]);
    }

    #[test]
    fn names_of_the_specification_are_no_extensions() {
        for name in ["", "alg", "kid", "crit", "b64", "zip", "epk", "p2c"] {
            assert!(CriticalExtension::new(name, |_, _| Ok(())).is_err(), "{name}");
        }
        assert!(CriticalExtension::new("exp", |_, _| Ok(())).is_ok());
        assert!(CriticalExtension::known("http://openbanking.org.uk/aud").is_none());
    }

    /// UK Open Banking, Read/Write Data API 3.1, "Message signing".
    #[test]
    fn values_of_open_banking_are_checked() {
        let all =
            CriticalExtension::KNOWN.iter().fold(CriticalExtensions::default(), |all, name| {
                all.with(CriticalExtension::known(name).unwrap()).unwrap()
            });
        let good = [
            (OB_IAT, json!(1_501_497_671)),
            (OB_IAT, json!(1_501_497_671.5)),
            (OB_ISS, json!("C=UK, ST=England, L=London, O=Acme Ltd.")),
            (OB_TAN, json!("openbanking.org.uk")),
        ];
        for (name, value) in good {
            assert!(all.check(&header(name, value.clone()), &[]).is_ok(), "{name} {value}");
        }
        let bad = [
            (OB_IAT, json!(system_time() + 3600)),
            (OB_IAT, json!(-1)),
            (OB_IAT, json!("1501497671")),
            (OB_IAT, json!(null)),
            (OB_ISS, json!("")),
            (OB_ISS, json!(["a"])),
            (OB_TAN, json!("")),
            (OB_TAN, json!("localhost:3000")),
            (OB_TAN, json!("a..b")),
            (OB_TAN, json!("-a.b")),
            (OB_TAN, json!("https://openbanking.org.uk")),
            (OB_TAN, json!(1)),
        ];
        for (name, value) in bad {
            let error = all.check(&header(name, value.clone()), &[]).unwrap_err();
            assert_eq!(error.code(), "policy", "{name} {value}");
        }
    }
}
