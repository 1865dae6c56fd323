//! Signing in the device.

use std::borrow::Cow;
use std::io::Read;

use serde_json::{Map, Value};

use super::stream::{self, SigningInput, prehash};
use crate::backend::{BackendError, HardwareKey, ToSign};
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::base64url;
use crate::jose::header::{Header, is_specified};
use crate::jose::parameters::JoseHeader;
use crate::jose::serialization::{JwsParts, JwsSignature, MAX_SIGNATURES, Serialization};
use crate::primitives::digest::Hasher;

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
    key: &'a dyn HardwareKey,
    alg: SignatureAlgorithm,
    protected: Map<String, Value>,
    critical: Vec<String>,
    unprotected: Map<String, Value>,
}

/// Signs `payload` into a compact JWS (RFC 7515 section 5.1).
///
/// # Errors
/// A device fault, an algorithm that the key does not do, or [`crate::Error::Usage`] for a header that
/// is longer than is taken.
pub fn sign(
    key: &dyn HardwareKey,
    parameters: &JwsParameters<'_>,
    payload: &[u8],
) -> Result<String> {
    let mut token = signing_input(parameters, payload)?;
    let signature = made_by(key, parameters.alg, ToSign::Message(token.as_bytes()))?;
    token.push('.');
    base64url::encode_append(&signature, &mut token);
    Ok(token)
}

/// Signs `payload` into a compact JWS without it: `header..signature` (RFC 7515 appendix F).
///
/// # Errors
/// As [`sign`].
pub fn sign_detached(
    key: &dyn HardwareKey,
    parameters: &JwsParameters<'_>,
    payload: &[u8],
) -> Result<String> {
    let input = signing_input(parameters, payload)?;
    let signature = made_by(key, parameters.alg, ToSign::Message(input.as_bytes()))?;
    let header = input.split('.').next().unwrap_or_default();
    Ok(format!("{header}..{}", base64url::encode(&signature)))
}

/// Signs `payload` by each of `signers` into one JWS, in any serialization.
///
/// # Errors
/// [`Error::Usage`]: no signer, more than the serialization can carry, an unprotected header in the
/// compact one, an unencoded payload that the serialization cannot carry (RFC 7797 section 5);
/// else as [`sign`].
pub fn sign_as(signers: &[Signer<'_>], form: JwsForm, payload: &[u8]) -> Result<String> {
    check_form(signers, form)?;
    let carried: Cow<'_, str> = match (form.unencoded, form.detached) {
        (false, _) => base64url::encode(payload).into(),
        (true, true) => "".into(),
        (true, false) => unencoded(form.serialization, payload)?.into(),
    };
    let signed = if form.unencoded { payload } else { carried.as_bytes() };
    let signatures = signers.iter().map(|signer| {
        let protected = signer.encoded(form.unencoded)?;
        let input = stream::whole(&protected, signed);
        let signature = made_by(signer.key, signer.alg, ToSign::Message(&input))?;
        Ok(signer.signed(protected, &signature))
    });
    let signatures = signatures.collect::<Result<_>>()?;
    written(form.serialization, (!form.detached).then_some(carried), signatures)
}

/// As [`sign_as`], detached, reading the payload once and holding a few kilobytes of it: the device
/// signs its digest, or takes the payload for the MAC of an only signer, and has a session taken for it
/// until the reader ends (how, and how much: [`HardwareKey::mac_reader`]).
///
/// # Errors
/// As [`sign_as`]; [`Error::Usage`] for a form that is not detached, and for signers that need the
/// payload in memory (see [`takes_reader`]); [`Error::Io`] if the payload cannot be read.
pub fn sign_reader(signers: &[Signer<'_>], form: JwsForm, payload: impl Read) -> Result<String> {
    check_form(signers, form)?;
    if !form.detached {
        return Err(Error::Usage("a payload that is read once is detached".into()));
    }
    if let [signer] = signers
        && signer.alg.is_symmetric()
        && signer.key.takes_reader()
    {
        let protected = signer.encoded(form.unencoded)?;
        let mut input = SigningInput::new(&protected, payload, !form.unencoded);
        let mac = signer.key.mac_reader(signer.alg, &mut input).map_err(told_of_message)?;
        return written(form.serialization, None, vec![signer.signed(protected, &mac)]);
    }
    let mut headers = Vec::with_capacity(signers.len());
    let mut hashers = Vec::with_capacity(signers.len());
    for signer in signers {
        let hash = prehash(signer.alg).ok_or_else(|| stream::needs_whole(signer.alg))?;
        let protected = signer.encoded(form.unencoded)?;
        hashers.push(stream::begin(hash, &protected));
        headers.push(protected);
    }
    stream::feed(payload, !form.unencoded, hashers.iter_mut())?;
    let digests = hashers.into_iter().map(Hasher::finish);
    let signatures = signers.iter().zip(headers).zip(digests).map(|((signer, header), digest)| {
        let signature = made_by(signer.key, signer.alg, ToSign::Digest(&digest))?;
        Ok(signer.signed(header, &signature))
    });
    written(form.serialization, None, signatures.collect::<Result<_>>()?)
}

/// Returns whether [`sign_reader`] works with all of `signers`: not with Ed25519, which goes over the
/// message twice (RFC 8032 section 5.1), and with a MAC only if it is the only one and its key takes
/// a reader ([`HardwareKey::takes_reader`]).
#[must_use]
pub fn takes_reader(signers: &[Signer<'_>]) -> bool {
    match signers {
        [only] if only.alg.is_symmetric() => only.key.takes_reader(),
        signers => signers.iter().all(|signer| prehash(signer.alg).is_some()),
    }
}

/// What a device says of a message that it could not have.
pub(super) fn told_of_message(error: BackendError) -> Error {
    match error {
        BackendError::Message { reason } => stream::unreadable(reason),
        error => error.into(),
    }
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
        const NEVER: [&str; 10] =
            ["crit", "b64", "enc", "zip", "epk", "apu", "apv", "iv", "tag", "p2s"];
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
    fn encoded(&self, unencoded: bool) -> Result<String> {
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

    fn signed(&self, protected: String, signature: &[u8]) -> JwsSignature<'static> {
        JwsSignature {
            protected: protected.into(),
            header: self.unprotected.clone(),
            signature: base64url::encode(signature).into(),
        }
    }
}

impl JwsParameters<'_> {
    fn members(&self) -> Map<String, Value> {
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

/// The one place where a signature is made.
fn made_by(key: &dyn HardwareKey, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>> {
    Ok(key.sign(alg, input)?)
}

fn signing_input(parameters: &JwsParameters<'_>, payload: &[u8]) -> Result<String> {
    let mut input = Header::of(parameters.members()).encode_to_send()?;
    // The payload, two dots and the longest signature, so that signing does not move the text.
    input.reserve(payload.len() * 4 / 3 + 1024);
    input.push('.');
    base64url::encode_append(payload, &mut input);
    Ok(input)
}

fn check_form(signers: &[Signer<'_>], form: JwsForm) -> Result<()> {
    let most = if form.serialization == Serialization::General { MAX_SIGNATURES } else { 1 };
    if !(1..=most).contains(&signers.len()) {
        return Err(Error::Usage(format!(
            "{} signatures; the {} serialization carries {}",
            signers.len(),
            form.serialization,
            if most == 1 { "one".to_owned() } else { format!("1 to {most}") }
        )));
    }
    let is_compact = form.serialization == Serialization::Compact;
    if is_compact && signers.iter().any(|signer| !signer.unprotected.is_empty()) {
        return Err(Error::Usage("the compact serialization carries no unprotected header".into()));
    }
    Ok(())
}

/// RFC 7797 section 5: what a serialization carries as it is. In the compact one, only what every
/// way of transport leaves alone (section 5.2), though more is read.
fn unencoded(serialization: Serialization, payload: &[u8]) -> Result<&str> {
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_~".contains(byte);
    if serialization == Serialization::Compact && !payload.iter().all(is_safe) {
        return Err(Error::Usage(
            "an unencoded payload in a compact JWS has letters, digits, '-', '_' and '~' only; \
             leave it out (detached), or use a JSON serialization"
                .into(),
        ));
    }
    std::str::from_utf8(payload).map_err(|_| {
        Error::Usage("an unencoded payload in JSON is UTF-8; leave it out (detached)".into())
    })
}

fn written(
    serialization: Serialization,
    payload: Option<Cow<'_, str>>,
    signatures: Vec<JwsSignature<'_>>,
) -> Result<String> {
    JwsParts { serialization, payload, signatures }.write(serialization)
}
