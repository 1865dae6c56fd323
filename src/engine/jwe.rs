//! Encryption and decryption outside a context.

use super::Engine;
use serde_json::{Map, Value};

use crate::backend::{CekPlacement, KeyShape, Support};
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyKind, KeyManagement, Purpose};
use crate::jose::header::Header;
use crate::jose::serialization::Serialization;
use crate::jwe::{self, EphemeralKey, JweBuilder, JweToken, Recipient};
use crate::policy::{AllowList, Policy, refused_name};
use crate::secret::Plaintext;

/// What an encryption shall be; what is left out is chosen by policy.
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
/// # let alg = KeyManagement::EcdhEsA256Kw;
/// # let key = make(KeyAlgorithm::Unwrap(alg))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let recipient = hsm_jose::jwe::Recipient::new(jwk.clone())?;
/// use hsm_jose::engine::{EncryptOptions, encrypt};
/// use hsm_jose::jose::serialization::Serialization;
///
/// let options = EncryptOptions {
///     serialization: Serialization::Flattened,
///     aad: b"in the clear",
///     ..EncryptOptions::default()
/// };
/// let token = encrypt(&policy, &[recipient], &options, b"content")?;
/// assert!(token.starts_with('{'));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EncryptOptions<'a> {
    /// The `alg`, which must be allowed.
    pub alg: Option<KeyManagement>,
    /// The `enc`, which must be allowed.
    pub enc: Option<ContentEncryption>,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
    /// Agreement PartyUInfo; empty for none.
    pub apu: &'a [u8],
    /// Agreement PartyVInfo; empty for none.
    pub apv: &'a [u8],
    /// Additional authenticated data, for the JSON serializations; empty for none.
    pub aad: &'a [u8],
    /// How the JWE is written.
    pub serialization: Serialization,
}

/// A decrypted content, and where its key was recovered.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement};
/// # use hsm_jose::keyring::KeyringFile;
/// # use hsm_jose::keystores::Keystores;
/// # use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let directory = tempfile::tempdir().unwrap();
/// # let file = KeyringFile::new(&directory.path().join("keyring.json"));
/// # let keystore = Arc::new(MemoryKeystore::new("test"));
/// # let key = KeyRequest {
/// #     name: "partner-enc".into(),
/// #     algs: vec![KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw)],
/// #     kid: None,
/// #     profile: Profile::Strict,
/// # };
/// # let request = GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
/// # let jwk = generate(&file, &*keystore, &request)?.jwk().unwrap();
/// # let keyring = file.read()?;
/// # let keystores = Keystores::opened(vec![keystore], false)?;
/// use hsm_jose::engine::{EncryptOptions, Engine};
/// use hsm_jose::jwe::Recipient;
///
/// let engine = Engine::new(Policy::of(Profile::Strict), Vec::new(), &keyring, keystores)?;
/// let token = engine.encrypt(&[Recipient::new(jwk)?], &EncryptOptions::default(), b"content")?;
/// let decrypted = engine.decrypt(token.as_bytes(), None)?;
/// assert_eq!((decrypted.key.as_str(), decrypted.keystore.as_str()), ("partner-enc", "test"));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct DecryptedContent {
    /// The content.
    pub plaintext: Plaintext,
    /// The protected header, which the content's tag vouches for.
    pub header: Header,
    /// What the recipient's header has beside it, in a JSON serialization: nothing vouches for it.
    pub unprotected: Map<String, Value>,
    /// The additional authenticated data, which the tag vouches for; empty if there is none.
    pub aad: Vec<u8>,
    /// The `alg` by which the key was recovered.
    pub alg: KeyManagement,
    /// Which recipient of the token we are, from 0.
    pub recipient: usize,
    /// How many recipients it has.
    pub recipients: usize,
    /// The name of the key.
    pub key: String,
    /// The kid of its version.
    pub kid: String,
    /// The keystore that holds it.
    pub keystore: String,
    /// Where the steps of the private-key operation ran.
    pub support: Support,
    /// Where the content encryption key was while it was used.
    pub cek_placement: CekPlacement,
}

impl Engine {
    /// Makes a key for one answer in the memory of a device; see [`EphemeralKey`].
    ///
    /// # Errors
    /// [`Error::Policy`] for an `alg` that policy does not allow, or an RSA key that is shorter than
    /// [`Policy::rsa_made_bits`]; else as [`Keystores::open`](crate::keystores::Keystores::open) and
    /// [`EphemeralKey::generate`].
    pub fn ephemeral_key(
        &self,
        keystore: &str,
        alg: KeyManagement,
        shape: KeyShape,
    ) -> Result<EphemeralKey> {
        if !self.policy.allows(KeyAlgorithm::Unwrap(alg)) {
            return Err(refused_name("alg", alg.name(), &self.policy.jwe.algs));
        }
        if alg.fits(shape.kind()) {
            self.policy.check_made(shape)?;
        }
        EphemeralKey::check(alg, shape)?;
        EphemeralKey::generate(&*self.keystores().open(keystore)?, alg, shape)
    }

    /// Encrypts to the first of the recipient's keys that policy's order of algorithms finds.
    ///
    /// # Errors
    /// [`Error::Policy`]: nothing that is allowed fits.
    pub fn encrypt(
        &self,
        recipients: &[Recipient],
        options: &EncryptOptions<'_>,
        plaintext: &[u8],
    ) -> Result<String> {
        encrypt(&self.policy, recipients, options, plaintext)
    }

    /// Encrypts to several recipients, each given by the keys it has, of which the first that
    /// policy's order of algorithms finds is taken. For the general serialization.
    ///
    /// # Errors
    /// As [`JweBuilder::encrypt`]; [`Error::Policy`]: nothing that is allowed fits one of them.
    pub fn encrypt_to_all(
        &self,
        recipients: &[&[Recipient]],
        options: &EncryptOptions<'_>,
        plaintext: &[u8],
    ) -> Result<String> {
        encrypt_to_all(&self.policy, recipients, options, plaintext)
    }

    /// Encrypts with the active version of the symmetric key called `key`, for whoever shares it.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::Usage`] for a key that is not symmetric, or not for the `alg`;
    /// [`Error::Policy`]: nothing that is allowed fits; or a device fault.
    pub fn encrypt_with(
        &self,
        key: &str,
        options: &EncryptOptions<'_>,
        plaintext: &[u8],
    ) -> Result<String> {
        let key = self.keys.active(key, Purpose::Decrypt)?;
        let own = key.entry.algs.iter().find_map(|alg| match alg {
            KeyAlgorithm::Unwrap(alg) if alg.is_symmetric() => Some(*alg),
            _ => None,
        });
        let alg = own.filter(|own| options.alg.is_none_or(|alg| alg == *own)).ok_or_else(|| {
            let what = options.alg.map_or("encryption here", KeyManagement::name);
            let what = format!("key {} is not for {what}", key.name());
            Error::Usage(format!("{what}; to a public key, encrypt without any key of ours"))
        })?;
        if !self.policy.jwe.algs.contains(alg) {
            return Err(Error::Policy(format!(
                "key {} is for {alg}, which policy does not allow: `symmetric` of [policy] names \
                 what it does",
                key.name()
            )));
        }
        let encs = encs(&self.policy, options)?;
        // The key of `dir` is that of the enc.
        let fits = |enc: &ContentEncryption| {
            !alg.is_direct() || key.kind == KeyKind::Oct { bits: 8 * enc.key_len() as u32 }
        };
        let enc = encs.iter().find(fits).ok_or_else(|| {
            Error::Policy(format!("key {} ({}) fits none of: {encs}", key.name(), key.kind))
        })?;
        let jwe = JweBuilder::new(enc).with(self.keys.handle(key)?, Some(&key.kid), alg);
        described(jwe, options).encrypt(options.serialization, plaintext)
    }

    /// Decrypts a JWE in any serialization with the key that its `kid` names, or, if it names
    /// none, with the key called `key`; without either, with the keys that fit, four at most. Of
    /// several recipients, with the keys of those that are ours. A key is used for the algorithms that
    /// the keyring has for it, and for no other that its device would do.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Policy`] before any device is asked; [`Error::KeyNotFound`];
    /// [`Error::DecryptionFailed`], bare; or a device fault.
    pub fn decrypt(&self, token: &[u8], key: Option<&str>) -> Result<DecryptedContent> {
        self.decrypt_of(token, key, None)
    }

    /// As [`Engine::decrypt`], for a token that came from `peer`, under the policy's failure budget.
    ///
    /// # Errors
    /// As [`Engine::decrypt`]; [`Error::BudgetSpent`], before any device is asked, for a peer that
    /// has caused too many failures.
    pub fn decrypt_from(
        &self,
        peer: &str,
        token: &[u8],
        key: Option<&str>,
    ) -> Result<DecryptedContent> {
        self.decrypt_of(token, key, Some(peer))
    }

    fn decrypt_of(
        &self,
        token: &[u8],
        key: Option<&str>,
        peer: Option<&str>,
    ) -> Result<DecryptedContent> {
        let token = JweToken::parse(token, &self.policy.jwe)?;
        let recipients = token.recipient_count();
        let names = match key {
            Some(name) => {
                self.keys.check_decrypts(name)?;
                Some([name.to_owned()])
            }
            None => None,
        };
        let (decrypted, key) =
            self.keys.decrypt_with(token, names.as_ref().map(|names| &names[..]), peer)?;
        let handle = self.keys.handle(key)?;
        Ok(DecryptedContent {
            plaintext: decrypted.plaintext,
            header: decrypted.header,
            unprotected: decrypted.unprotected,
            aad: decrypted.aad,
            alg: decrypted.alg,
            recipient: decrypted.recipient,
            recipients,
            key: key.name().to_owned(),
            kid: key.kid.clone(),
            keystore: handle.keystore().to_owned(),
            support: handle.support(KeyAlgorithm::Unwrap(decrypted.alg))?,
            cek_placement: decrypted.cek_placement,
        })
    }
}

/// Encrypts under a policy, without any engine: public keys are all it takes.
///
/// # Errors
/// As [`Engine::encrypt`].
pub fn encrypt(
    policy: &Policy,
    recipients: &[Recipient],
    options: &EncryptOptions<'_>,
    plaintext: &[u8],
) -> Result<String> {
    encrypt_to_all(policy, &[recipients], options, plaintext)
}

/// Encrypts to several recipients under a policy, without any engine. Each is given by the keys it
/// has.
///
/// # Errors
/// As [`Engine::encrypt_to_all`].
pub fn encrypt_to_all(
    policy: &Policy,
    recipients: &[&[Recipient]],
    options: &EncryptOptions<'_>,
    plaintext: &[u8],
) -> Result<String> {
    let EncryptOptions { alg, serialization, .. } = *options;
    let as_list = alg.map(|alg| [alg]);
    let algs = policy.jwe.algs.narrowed(as_list.as_ref().map(|algs| &algs[..]), "alg");
    let mut algs = algs.map_err(refused)?;
    if recipients.len() > 1 && alg.is_none() {
        // One that hands nobody a key cannot be chosen for several; who asks for it is told so.
        let several = algs.iter().filter(|alg| !alg.is_direct());
        algs = AllowList::new(several).map_err(refused)?;
    }
    let enc = encs(policy, options)?.iter().next();
    let enc = enc.ok_or_else(|| Error::Config("no enc is allowed".into()))?;
    let mut jwe = JweBuilder::new(enc);
    for keys in recipients {
        let (recipient, alg) = jwe::choose(keys, &algs, policy)?;
        jwe = jwe.to(recipient, alg);
    }
    described(jwe, options).encrypt(serialization, plaintext)
}

/// The encs that policy and the caller leave, in order of preference.
fn encs(policy: &Policy, options: &EncryptOptions<'_>) -> Result<AllowList<ContentEncryption>> {
    let as_list = options.enc.map(|enc| [enc]);
    policy.jwe.encs.narrowed(as_list.as_ref().map(|encs| &encs[..]), "enc").map_err(refused)
}

/// Adds what the caller says of the token.
fn described<'a>(jwe: JweBuilder<'a>, options: &EncryptOptions<'a>) -> JweBuilder<'a> {
    let EncryptOptions { typ, cty, apu, apv, aad, .. } = *options;
    let mut jwe = jwe.parties(apu, apv).aad(aad);
    for (name, value) in [("typ", typ), ("cty", cty)] {
        if let Some(value) = value {
            jwe = jwe.protected(name, value);
        }
    }
    jwe
}

fn refused(error: Error) -> Error {
    match error {
        Error::Config(text) => Error::Policy(text),
        other => other,
    }
}
