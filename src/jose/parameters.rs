//! What is read of a header, whether it is one object or the union of a token's parts.

use serde_json::{Map, Value};

use super::alg::{ContentEncryption, KeyManagement, SignatureAlgorithm};
use super::base64url;
use super::header::{Agreement, Header, MAX_PARTY_INFO_LEN};
use super::jwk::{MAX_KID_LEN, PRIVATE_MEMBERS, PublicPoint, is_kid};
use crate::error::{Error, Result};

/// The JOSE header of a recipient or signature: the union of the protected header, of the unprotected
/// one that recipients share, and of their own (RFC 7515 section 4, RFC 7516 section 4). It borrows them:
/// what is shared is not copied for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JoseHeader<'a> {
    protected: &'a Header,
    shared: Option<&'a Map<String, Value>>,
    own: &'a Map<String, Value>,
}

impl<'a> JoseHeader<'a> {
    /// Joins the parts.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a member in two of the parts, `crit`, `zip` or `b64` in one that is not
    /// protected (RFC 7515 section 4.1.11, RFC 7516 sections 4.1.3 and 4.1.13, RFC 7797 section 3).
    pub(crate) fn new(
        protected: &'a Header,
        shared: Option<&'a Map<String, Value>>,
        own: &'a Map<String, Value>,
    ) -> Result<Self> {
        for name in shared.into_iter().flat_map(Map::keys).chain(own.keys()) {
            if ["crit", "zip", "b64"].contains(&name.as_str()) {
                return Err(bad(format!("{name} is not protected")));
            }
            if protected.has(name) {
                return Err(twice());
            }
        }
        if shared.is_some_and(|shared| own.keys().any(|name| shared.contains_key(name))) {
            return Err(twice());
        }
        Ok(Self { protected, shared, own })
    }

    /// Checks what every JOSE header has: members of the right type, and an `alg`.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a member of the wrong type, no `alg`.
    pub(crate) fn checked(self) -> Result<Self> {
        self.check_types()?;
        self.check_alg()?;
        Ok(self)
    }
}

impl Parameters for JoseHeader<'_> {
    fn member(&self, name: &str) -> Option<&Value> {
        let shared = || self.shared.and_then(|shared| shared.get(name));
        self.protected.member(name).or_else(shared).or_else(|| self.own.get(name))
    }
}

/// The parameters of a header.
pub(crate) trait Parameters {
    /// Returns a member.
    fn member(&self, name: &str) -> Option<&Value>;

    fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.member(name).and_then(Value::as_str)
    }

    /// `alg` as it stands; empty if absent, which no algorithm is called.
    fn alg(&self) -> &str {
        self.text("alg").unwrap_or_default()
    }

    /// `enc` as it stands; empty if absent.
    fn enc(&self) -> &str {
        self.text("enc").unwrap_or_default()
    }

    fn kid(&self) -> Option<&str> {
        self.text("kid")
    }

    fn key_management(&self) -> Option<KeyManagement> {
        KeyManagement::from_name(self.alg())
    }

    fn content_encryption(&self) -> Option<ContentEncryption> {
        ContentEncryption::from_name(self.enc())
    }

    fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::from_name(self.alg())
    }

    /// As [`Header::agreement`].
    fn agreement(&self) -> Result<Agreement> {
        let Some(Value::Object(epk)) = self.member("epk") else {
            return Err(bad("epk is missing or not an object"));
        };
        if PRIVATE_MEMBERS.iter().any(|name| epk.contains_key(*name)) {
            return Err(bad("epk holds a private key"));
        }
        let epk = PublicPoint::from_members(epk).map_err(|error| bad(format!("epk: {error}")))?;
        Ok(Agreement { epk, apu: self.party_info("apu")?, apv: self.party_info("apv")? })
    }

    /// As [`Header::gcm_key_wrap`].
    fn gcm_key_wrap(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let octets = |name| {
            let text = self.text(name).ok_or_else(|| bad(format!("{name} is missing")))?;
            base64url::decode(text.as_bytes()).map_err(|error| bad(format!("{name} is {error}")))
        };
        Ok((octets("iv")?, octets("tag")?))
    }

    fn party_info(&self, name: &str) -> Result<Vec<u8>> {
        let text = match self.member(name) {
            None => return Ok(Vec::new()),
            Some(Value::String(text)) => text,
            Some(_) => return Err(bad(format!("{name} is not a string"))),
        };
        let info = base64url::decode(text.as_bytes())
            .map_err(|error| bad(format!("{name} is {error}")))?;
        if info.len() > MAX_PARTY_INFO_LEN {
            return Err(bad(format!("{name} is over {MAX_PARTY_INFO_LEN} bytes")));
        }
        Ok(info)
    }

    /// What belongs to one `alg` is looked at where that is used, and nothing to any other token (RFC
    /// 7515 section 4: what is not understood is ignored).
    fn check_types(&self) -> Result<()> {
        for name in ["alg", "enc", "kid", "typ", "cty", "zip"] {
            if self.member(name).is_some_and(|value| !value.is_string()) {
                return Err(bad(format!("{name} is not a string")));
            }
        }
        if !self.kid().is_none_or(is_kid) {
            return Err(bad(format!("kid is over {MAX_KID_LEN} bytes or has control characters")));
        }
        Ok(())
    }

    fn check_alg(&self) -> Result<()> {
        match self.alg().is_empty() {
            true => Err(bad("alg is missing")),
            false => Ok(()),
        }
    }
}

fn twice() -> Error {
    bad("a member is in two of its parts")
}

fn bad(what: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("header: {what}"))
}
