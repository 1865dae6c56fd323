//! What is believed of a header that is not protected: anyone on the way can change it.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// What is believed of the unprotected parts of a JWE's header.
///
/// Whatever is chosen: `typ`, `cty` and `crit` count only where they are protected; `crit` and `zip`
/// elsewhere are malformed (RFC 7516 sections 4.1.3 and 4.1.13); a member that policy refuses is
/// refused in every part.
///
/// ```
/// use hsm_jose::policy::{Policy, Profile, UnprotectedHeaders};
///
/// let rules = Policy::of(Profile::Strict).jwe;
/// assert_eq!(rules.unprotected, UnprotectedHeaders::RecipientKey);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnprotectedHeaders {
    /// Only a recipient's own `header`, and only for what selects and serves its key: `alg`, `kid`,
    /// `epk`, `apu`, `apv`, `iv`, `tag`. Several recipients with an `alg` each cannot protect them;
    /// the key that they lead to is bound to its `alg` all the same, and whoever changes them gets no
    /// further than a failed decryption. `enc` is protected. The shared `unprotected` header is
    /// believed for none of these, and refused where it has one.
    RecipientKey,
    /// The JOSE header as RFC 7516 section 4 has it: a member counts wherever it is. For
    /// interoperability (RFC 7520 sections 5.11 and 5.12).
    Joint,
}

/// What leads to a key, or to how the content is encrypted.
const LEADING: [&str; 8] = ["alg", "enc", "kid", "epk", "apu", "apv", "iv", "tag"];

impl UnprotectedHeaders {
    /// Checks the unprotected parts of a header: the one that recipients share, and a recipient's
    /// own.
    ///
    /// # Errors
    /// [`Error::Policy`] naming the member that would have to be protected.
    pub(crate) fn check(self, shared: &Map<String, Value>, own: &Map<String, Value>) -> Result<()> {
        if self == Self::Joint {
            return Ok(());
        }
        let has = |part: &Map<String, Value>, name: &str| part.contains_key(name);
        if let Some(name) = LEADING.iter().find(|name| has(shared, name)) {
            return Err(Error::Policy(format!(
                "header parameter {name} is in the shared unprotected header, where anyone can \
                 change it: it must be protected"
            )));
        }
        if has(own, "enc") {
            return Err(Error::Policy(
                "header parameter enc is in an unprotected header: it must be protected".into(),
            ));
        }
        Ok(())
    }

    /// The rule in words.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::RecipientKey => {
                "enc must be protected; alg and kid too, or in the recipient's own header"
            }
            Self::Joint => "alg, enc and kid are taken from wherever they are",
        }
    }
}
