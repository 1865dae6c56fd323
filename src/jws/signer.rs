//! Who signs, what the headers say, and how it is written.

use serde_json::{Map, Value};

use crate::backend::HardwareKey;
use crate::error::{Error, Result};
use crate::jose::alg::{Hash, SignatureAlgorithm};
use crate::jose::base64url;
use crate::jose::header::{Header, is_specified};
use crate::jose::jwk::{MAX_RSA_BITS, PublicKey};
use crate::jose::parameters::JoseHeader;
use crate::jose::serialization::{JwsSignature, Serialization};

/// What a JWS shall say of itself.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let keystore = MemoryKeystore::new("test");
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let policy = Policy::of(Profile::Strict);
/// # let es256 = SignatureAlgorithm::Es256;
/// # let key = make(KeyAlgorithm::Sign(es256))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// use hsm_jose::jws::{JwsParameters, sign};
///
/// let parameters = JwsParameters { alg: es256, kid: Some("1"), typ: None, cty: None };
/// let token = sign(&*key, &parameters, b"payload")?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct JwsParameters<'a> {
    /// The algorithm, under the name that the header shall have.
    pub alg: SignatureAlgorithm,
    /// `kid`.
    pub kid: Option<&'a str>,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
}

/// How a JWS shall be written.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let keystore = MemoryKeystore::new("test");
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let policy = Policy::of(Profile::Strict);
/// # let es256 = SignatureAlgorithm::Es256;
/// # let key = make(KeyAlgorithm::Sign(es256))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let parameters = hsm_jose::jws::JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// use hsm_jose::jws::{JwsForm, Signer, sign_as};
///
/// let signer = Signer::new(&*key, &parameters);
/// let detached = JwsForm { detached: true, ..JwsForm::default() };
/// assert!(sign_as(&[signer], detached, b"payload")?.contains(".."));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JwsForm {
    /// The serialization.
    pub serialization: Serialization,
    /// Leave the payload out (RFC 7515 appendix F).
    pub detached: bool,
    /// Sign the payload as it is, with `b64` false and critical (RFC 7797).
    pub unencoded: bool,
}

/// One who signs: a key in a device, and the headers of its signature.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let keystore = MemoryKeystore::new("test");
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let policy = Policy::of(Profile::Strict);
/// # let es256 = SignatureAlgorithm::Es256;
/// # let key = make(KeyAlgorithm::Sign(es256))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let parameters = hsm_jose::jws::JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// use hsm_jose::jws::{JwsForm, Signer};
///
/// let members = serde_json::json!({ "http://openbanking.org.uk/iss": "Acme" });
/// let signer = Signer::new(&*key, &parameters)
///     .with_protected(members.as_object().unwrap())?
///     .with_critical("http://openbanking.org.uk/iss")?;
/// assert_eq!(signer.protected(JwsForm::default()).crit().count(), 1);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Signer<'a> {
    pub(super) key: &'a dyn HardwareKey,
    pub(super) alg: SignatureAlgorithm,
    protected: Map<String, Value>,
    critical: Vec<String>,
    pub(super) unprotected: Map<String, Value>,
}

impl<'a> Signer<'a> {
    /// Takes a key and what its protected header shall say.
    pub fn new(key: &'a dyn HardwareKey, parameters: &JwsParameters<'_>) -> Self {
        let (protected, unprotected) = (parameters.members(), Map::new());
        Self { key, alg: parameters.alg, protected, critical: Vec::new(), unprotected }
    }

    /// Adds members to the protected header.
    ///
    /// # Errors
    /// [`Error::Usage`]: one that the parameters or the form decide (`alg`, `kid`, `typ`, `cty`,
    /// `crit`, `b64`), one of a JWE, or one that is there already.
    pub fn with_protected(mut self, members: &Map<String, Value>) -> Result<Self> {
        self.check_free(members, &["alg", "kid", "typ", "cty"])?;
        self.protected.extend(members.clone());
        Ok(self)
    }

    /// Adds members to the unprotected header, which a recipient may ignore and anyone can change.
    ///
    /// # Errors
    /// [`Error::Usage`]: `alg`, `crit`, `b64`, one of a JWE, or one that is there already, in this
    /// header or the other.
    pub fn with_unprotected(mut self, members: &Map<String, Value>) -> Result<Self> {
        self.check_free(members, &["alg"])?;
        self.unprotected.extend(members.clone());
        Ok(self)
    }

    /// Marks a member of the protected header, added before, as critical.
    ///
    /// # Errors
    /// [`Error::Usage`]: one that is not there, one of the specification, or one twice (RFC 7515
    /// section 4.1.11).
    pub fn with_critical(mut self, name: &str) -> Result<Self> {
        let is_again = self.critical.iter().any(|other| other == name);
        if is_again || is_specified(name) || !self.protected.contains_key(name) {
            return Err(Error::Usage(format!(
                "crit: {name:?} is not a member added to the protected header, is one of the \
                 specification, or is there twice"
            )));
        }
        self.critical.push(name.to_owned());
        Ok(self)
    }

    /// Returns the algorithm.
    pub fn alg(&self) -> SignatureAlgorithm {
        self.alg
    }

    /// Returns the protected header of a signature in a form.
    pub fn protected(&self, form: JwsForm) -> Header {
        let mut members = self.protected.clone();
        let mut critical = self.critical.clone();
        if form.unencoded {
            members.insert("b64".into(), false.into());
            critical.push("b64".into());
        }
        if !critical.is_empty() {
            members.insert("crit".into(), critical.into());
        }
        Header::of(members)
    }

    fn check_free(&self, members: &Map<String, Value>, decided: &[&str]) -> Result<()> {
        const NEVER: [&str; 11] =
            ["crit", "b64", "enc", "zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"];
        for name in members.keys() {
            if NEVER.contains(&name.as_str()) || decided.contains(&name.as_str()) {
                return Err(Error::Usage(format!("header: {name} is not given as a member")));
            }
            if self.protected.contains_key(name) || self.unprotected.contains_key(name) {
                return Err(Error::Usage(format!("header: {name:?} is there twice")));
            }
        }
        Ok(())
    }

    /// The protected header as it stands in the token: such that a recipient would parse it.
    pub(super) fn encoded(&self, unencoded: bool) -> Result<String> {
        let form = JwsForm { unencoded, ..JwsForm::default() };
        let encoded = self.protected(form).encode();
        let parsed = Header::parse(&encoded);
        let checked = parsed.and_then(|header| {
            JoseHeader::new(&header, None, &self.unprotected)?.checked().map(drop)
        });
        match checked {
            Ok(()) => Ok(encoded),
            Err(error) => Err(Error::Usage(format!("header: no recipient would take it: {error}"))),
        }
    }

    /// The length of a signature of the key, in bytes (RFC 7518 sections 3.2 to 3.5, RFC 8032 section
    /// 5.1.6).
    pub(super) fn signature_len(&self) -> usize {
        match (self.alg.curve(), &self.key.info().public) {
            (Some(curve), _) => 2 * curve.field_len(),
            (None, Some(PublicKey::Rsa(rsa))) => rsa.modulus_len(),
            // Of a key whose device does not tell the public half: the longest that is taken.
            (None, None) if !self.alg.is_symmetric() => MAX_RSA_BITS / 8,
            (None, _) => self.alg.hash().map_or(0, Hash::len),
        }
    }

    pub(super) fn signed(&self, protected: String, signature: &[u8]) -> JwsSignature<'static> {
        JwsSignature {
            protected: protected.into(),
            header: self.unprotected.clone(),
            signature: base64url::encode(signature).into(),
        }
    }
}

impl JwsParameters<'_> {
    pub(super) fn members(&self) -> Map<String, Value> {
        let Self { alg, kid, typ, cty } = self;
        let mut members = Map::new();
        let named = [("alg", Some(alg.name())), ("kid", *kid), ("typ", *typ), ("cty", *cty)];
        for (name, value) in named {
            if let Some(value) = value {
                members.insert(name.into(), value.into());
            }
        }
        members
    }
}
