//! The keys of a measurement, and an engine over them.

use std::sync::Arc;

use super::PAYLOAD_LEN;
use crate::backend::bare::{BareKeystore, BareOperation};
use crate::backend::{KeyShape, KeySpec, Keystore, Locator};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::jose::alg::{
    ContentEncryption, Curve, Hash, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use crate::jose::jwk::{PublicJwk, PublicKey};
use crate::jwe::Recipient;
use crate::jwt::Claims;
use crate::keyring::{KeyEntry, KeyState, KeyVersion, Keyring, Provenance, Timestamp};
use crate::keystores::Keystores;
use crate::policy::{AllowList, Audience, Context, Nesting, OpenRules, Policy, Profile, SealRules};
use crate::primitives::rsa::RsaRecipient;
use crate::primitives::{digest, ecdh};

/// The keys, and an engine over them.
pub(super) struct Bench {
    pub(super) keystore: Arc<dyn BareKeystore>,
    /// The four keys of the operations, then those that take turns.
    pub(super) keys: Vec<Locator>,
    pub(super) engine: Engine,
    pub(super) tokens: [String; 4],
    pub(super) operations: [BareOperation; 4],
}

impl Bench {
    pub(super) fn new(keystore: &Arc<dyn BareKeystore>) -> Result<Self> {
        let oaep = keystore.oaep();
        let rsa = KeyShape::Rsa { bits: 2048 };
        let p256 = KeyShape::Curve(Curve::P256);
        let es256 = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
        let mut wanted = vec![
            ("rsa-dec".to_owned(), rsa, KeyAlgorithm::Unwrap(oaep)),
            ("rsa-sig".to_owned(), rsa, KeyAlgorithm::Sign(SignatureAlgorithm::Ps256)),
            ("ec-sig".to_owned(), p256, es256),
            ("ec-dec".to_owned(), p256, KeyAlgorithm::Unwrap(KeyManagement::EcdhEs)),
        ];
        wanted.extend((0..keystore.in_turn()).map(|number| (in_turn(number), p256, es256)));
        let mut made = Made { keystore: keystore.clone(), keys: Vec::new() };
        let mut keyring = Keyring::default();
        let mut jwks = Vec::new();
        for (name, shape, alg) in wanted {
            let locator = keystore.new_locator("hsm-jose-bench")?;
            made.keys.push(locator.clone());
            let key = keystore.generate(&locator, &KeySpec { shape, algs: vec![alg] })?;
            let public = key.info().public.clone();
            let mut jwk = PublicJwk::bare(public.ok_or_else(|| unexpected("no public half"))?);
            (jwk.kid, jwk.alg) = (Some(name.clone()), Some(alg.name().to_owned()));
            jwks.push(jwk.clone());
            keyring.keys.push(entry(&name, alg, keystore.name(), locator, jwk));
        }
        let [rsa_dec, rsa_sig, ec_sig, ec_dec, ..] = &jwks[..] else {
            return Err(unexpected("four keys"));
        };
        let contexts = vec![
            context("rsa", "rsa-dec", oaep, "rsa-sig", rsa_sig)?,
            context("p256", "ec-dec", KeyManagement::EcdhEs, "ec-sig", ec_sig)?,
        ];
        let keystores = Keystores::opened(vec![keystore.clone() as Arc<dyn Keystore>], false)?;
        let engine = Engine::new(Policy::of(Profile::All), contexts, &keyring, keystores)?;
        let payload = [b'x'; PAYLOAD_LEN];
        let claims = Claims::parse(format!(r#"{{"sub":"{}"}}"#, "x".repeat(PAYLOAD_LEN - 150)))?;
        let (rsa, ec) = (Recipient::new(rsa_dec.clone())?, Recipient::new(ec_dec.clone())?);
        let encrypt = |to: &Recipient| {
            engine.encrypt(std::slice::from_ref(to), &Default::default(), &payload)
        };
        let tokens = [
            encrypt(&rsa)?,
            encrypt(&ec)?,
            engine.seal("rsa", &claims, std::slice::from_ref(&rsa), None)?,
            engine.seal("p256", &claims, std::slice::from_ref(&ec), None)?,
        ];
        let operations = operations(oaep, rsa_dec, ec_dec)?;
        let keys = std::mem::take(&mut made.keys);
        Ok(Self { keystore: keystore.clone(), keys, engine, tokens, operations })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        destroy(&*self.keystore, &self.keys);
    }
}

/// Keys that are destroyed unless a [`Bench`] has taken them over.
struct Made {
    keystore: Arc<dyn BareKeystore>,
    keys: Vec<Locator>,
}

impl Drop for Made {
    fn drop(&mut self) {
        destroy(&*self.keystore, &self.keys);
    }
}

fn destroy(keystore: &dyn BareKeystore, keys: &[Locator]) {
    for key in keys {
        if let Err(error) = keystore.destroy(key) {
            tracing::warn!(target: "hsm_jose", %key, %error, "a key of the measurement is left");
        }
    }
}

fn operations(oaep: KeyManagement, rsa: &PublicJwk, ec: &PublicJwk) -> Result<[BareOperation; 4]> {
    let hash = oaep.oaep_hash().ok_or_else(|| unexpected("no RSA-OAEP"))?;
    let (PublicKey::Rsa(rsa), PublicKey::Point(point)) = (&rsa.key, &ec.key) else {
        return Err(unexpected("an RSA key and a point"));
    };
    let bad = |error: &dyn std::fmt::Display| unexpected(&error.to_string());
    let recipient = RsaRecipient::new(rsa).map_err(|error| bad(&error))?;
    let cek = [7; ContentEncryption::A256Gcm.key_len()];
    let ciphertext = recipient.encrypt(hash, &cek).map_err(|error| bad(&error))?;
    let (peer, _) = ecdh::agree_ephemeral(point).map_err(|error| bad(&error))?;
    let digest = digest::digest(Hash::Sha256, b"hsm-jose bench");
    Ok([
        BareOperation::DecryptOaep(hash, ciphertext),
        BareOperation::SignPss(digest.clone()),
        BareOperation::SignEcdsa(digest),
        BareOperation::Agree(peer),
    ])
}

/// The name of one of the keys that take turns.
pub(super) fn in_turn(number: usize) -> String {
    format!("ec-sig-{number}")
}

fn entry(
    name: &str,
    alg: KeyAlgorithm,
    keystore: &str,
    locator: Locator,
    jwk: PublicJwk,
) -> KeyEntry {
    let version = KeyVersion {
        version: 1,
        kid: jwk.kid.clone(),
        kid_given: true,
        state: KeyState::Active,
        created: Timestamp::now(),
        keystore: keystore.to_owned(),
        locator,
        provenance: Provenance::Generated,
        waiver: None,
        unproven: Vec::new(),
        public: Some(jwk),
        secret: None,
    };
    KeyEntry {
        name: name.to_owned(),
        purpose: alg.purpose(),
        algs: vec![alg],
        versions: vec![version],
    }
}

fn context(
    name: &str,
    decrypt: &str,
    alg: KeyManagement,
    sign: &str,
    signer: &PublicJwk,
) -> Result<Context> {
    let policy = Policy::of(Profile::All);
    let audience = format!("https://{name}.example");
    Ok(Context {
        name: name.to_owned(),
        nesting: Nesting::JweOfJws,
        typ: None,
        skew: 60,
        max_token_len: 65536,
        seal: Some(SealRules {
            issuer: Some("https://issuer.example".to_owned()),
            audience: Some(Audience::Fixed(audience.clone())),
            sign: Some(sign.to_owned()),
            algs: Some(AllowList::new([alg])?),
            encs: Some(AllowList::new([ContentEncryption::A256Gcm])?),
            lifetime: Some(24 * 3600),
        }),
        open: Some(OpenRules {
            audience: Some(audience),
            issuers: vec!["https://issuer.example".to_owned()],
            trust: vec![signer.clone()],
            decrypt: vec![decrypt.to_owned()],
            jwe: Some(policy.jwe),
            jws: Some(policy.jws),
            max_lifetime: None,
        }),
    })
}

pub(super) fn unexpected(what: &str) -> Error {
    Error::Io(format!("measurement: {what}"))
}
