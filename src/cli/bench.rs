//! `hsm-jose bench`

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Report, Setup};
use crate::backend::pkcs11::{BareKey, BareOperation, Pkcs11Keystore};
use crate::backend::{KeyShape, KeySpec, Keystore, Locator};
use crate::config::KeystoreConfig;
use crate::engine::{Engine, SignOptions};
use crate::error::{Error, Result};
use crate::jose::alg::{
    ContentEncryption, Curve, Hash, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use crate::jose::jwk::PublicJwk;
use crate::jwe::Recipient;
use crate::jwt::Claims;
use crate::keyring::{KeyEntry, KeyState, KeyVersion, Keyring, Provenance, Timestamp};
use crate::keystores::{self, Keystores};
use crate::policy::{AllowList, Audience, Context, Nesting, OpenRules, Policy, Profile, SealRules};
use crate::primitives::rsa::RsaRecipient;
use crate::primitives::{digest, ecdh};

/// How long one side runs before the other has its turn.
const SLICE: Duration = Duration::from_millis(50);

/// The length of what is signed and encrypted, in bytes.
const PAYLOAD_LEN: usize = 300;

/// Measure the engine beside the bare device call, in one run
///
/// Makes four keys in the token (RSA-2048 and P-256), runs for each operation the bare native calls
/// and the engine in turns of 50 ms, and destroys the keys. Prints the median rate of each and the
/// median ratio of neighbouring turns: the ratio holds where the machine is shared and the rates
/// do not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose bench --seconds 5")]
pub struct Args {
    /// The keystore [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    keystore: Option<String>,
    /// Seconds for each row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Numbers of threads to run with
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_name = "N,N")]
    threads: Vec<usize>,
}

/// One measured pair.
struct Row {
    operation: &'static str,
    bare: &'static str,
    threads: usize,
    bare_rate: f64,
    engine_rate: f64,
    ratio: f64,
    turns: usize,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let name = self.keystore.as_deref().map_or_else(|| setup.keystores.only(), Ok)?;
        let Some(KeystoreConfig::Pkcs11(settings)) = setup.config.keystores.get(name) else {
            return Err(Error::Usage(format!(
                "{name} is not a PKCS#11 keystore of the configuration"
            )));
        };
        let most = settings.sessions.saturating_sub(1);
        if self.threads.iter().any(|threads| !(1..=most).contains(threads)) {
            return Err(Error::Usage(format!(
                "threads are 1 to {most}: the sessions of {name} but one"
            )));
        }
        let keystore = Arc::new(keystores::open_pkcs11(name, settings)?);
        let bench = Bench::new(&keystore)?;
        let mut rows = Vec::new();
        for threads in &self.threads {
            rows.extend(bench.rows(*threads, Duration::from_secs(self.seconds))?);
        }
        Ok(report(&keystore, &rows)?)
    }
}

/// The keys, and an engine over them.
struct Bench {
    keystore: Arc<Pkcs11Keystore>,
    keys: Vec<Locator>,
    engine: Engine,
    tokens: [String; 4],
    operations: [BareOperation; 4],
}

impl Bench {
    fn new(keystore: &Arc<Pkcs11Keystore>) -> Result<Self> {
        let rsa = KeyShape::Rsa { bits: 2048 };
        let p256 = KeyShape::Curve(Curve::P256);
        let wanted = [
            ("rsa-dec", rsa, KeyAlgorithm::Unwrap(KeyManagement::RsaOaep)),
            ("rsa-sig", rsa, KeyAlgorithm::Sign(SignatureAlgorithm::Ps256)),
            ("ec-sig", p256, KeyAlgorithm::Sign(SignatureAlgorithm::Es256)),
            ("ec-dec", p256, KeyAlgorithm::Unwrap(KeyManagement::EcdhEs)),
        ];
        let mut made = Made { keystore: keystore.clone(), keys: Vec::new() };
        let mut keyring = Keyring::default();
        let mut jwks = Vec::new();
        for (name, shape, alg) in wanted {
            let locator = keystore.new_locator("hsm-jose-bench")?;
            made.keys.push(locator.clone());
            let key = keystore.generate(&locator, &KeySpec { shape, algs: vec![alg] })?;
            let public = key.info().public.clone();
            let mut jwk = PublicJwk::bare(public.ok_or_else(|| unexpected("no public half"))?);
            (jwk.kid, jwk.alg) = (Some(name.to_owned()), Some(alg.name().to_owned()));
            jwks.push(jwk.clone());
            keyring.keys.push(entry(name, alg, keystore.name(), locator, jwk));
        }
        let [rsa_dec, rsa_sig, ec_sig, ec_dec] = &jwks[..] else {
            return Err(unexpected("four keys"));
        };
        let contexts = vec![
            context("rsa", "rsa-dec", KeyManagement::RsaOaep, "rsa-sig", rsa_sig)?,
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
        let operations = operations(rsa_dec, ec_dec)?;
        let keys = std::mem::take(&mut made.keys);
        Ok(Self { keystore: keystore.clone(), keys, engine, tokens, operations })
    }

    fn rows(&self, threads: usize, time: Duration) -> Result<Vec<Row>> {
        const OAEP: &str = "C_DecryptInit, C_Decrypt (OAEP SHA-1)";
        const PSS: &str = "C_SignInit, C_Sign (PSS)";
        const ECDSA: &str = "C_SignInit, C_Sign (ECDSA)";
        const ECDH: &str = "C_DeriveKey, C_GetAttributeValue, C_DestroyObject";
        let payload = [b'x'; PAYLOAD_LEN];
        let decrypt =
            |token: usize| self.engine.decrypt(self.tokens[token].as_bytes(), None).map(drop);
        let sign = |key: &str| self.engine.sign(key, &SignOptions::default(), &payload).map(drop);
        let open = |context: &str, token: usize| {
            self.engine.open(context, self.tokens[token].as_bytes()).map(drop)
        };
        let pairs: [(&str, &str, usize, usize, &(dyn Fn() -> Result<()> + Sync)); 6] = [
            ("decrypt RSA-OAEP RSA-2048", OAEP, 0, 0, &|| decrypt(0)),
            ("sign PS256 RSA-2048", PSS, 1, 1, &|| sign("rsa-sig")),
            ("sign ES256 P-256", ECDSA, 2, 2, &|| sign("ec-sig")),
            ("decrypt ECDH-ES P-256", ECDH, 3, 3, &|| decrypt(1)),
            ("open RSA-OAEP, PS256 RSA-2048", OAEP, 0, 0, &|| open("rsa", 2)),
            ("open ECDH-ES, ES256 P-256", ECDH, 3, 3, &|| open("p256", 3)),
        ];
        let measure = |(operation, bare, key, with, engine): (_, _, usize, usize, _)| {
            let rates =
                self.measure(&self.keys[key], &self.operations[with], engine, threads, time)?;
            let (bare_rate, engine_rate, ratio, turns) = rates;
            Ok(Row { operation, bare, threads, bare_rate, engine_rate, ratio, turns })
        };
        pairs.into_iter().map(measure).collect()
    }

    fn measure(
        &self,
        key: &Locator,
        operation: &BareOperation,
        engine: &(dyn Fn() -> Result<()> + Sync),
        threads: usize,
        time: Duration,
    ) -> Result<(f64, f64, f64, usize)> {
        let bare_turn = || {
            let keys = (0..threads).map(|_| self.keystore.bare(key, operation.clone()));
            let keys = keys.collect::<std::result::Result<Vec<_>, _>>()?;
            turn(keys, |key: &mut BareKey<'_>| Ok(key.run()?))
        };
        let engine_turn = || turn(vec![(); threads], |()| engine());
        // Warm up: handles, sessions, known answers.
        (bare_turn()?, engine_turn()?);
        let (mut bare, mut own, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let start = Instant::now();
        while start.elapsed() < time {
            // Who is first alternates, so that a drift of the machine favours neither.
            let (b, e) = match ratios.len() % 2 {
                0 => {
                    let b = bare_turn()?;
                    (b, engine_turn()?)
                }
                _ => {
                    let e = engine_turn()?;
                    (bare_turn()?, e)
                }
            };
            (bare.push(b), own.push(e), ratios.push(e / b));
        }
        let turns = ratios.len();
        Ok((median(bare), median(own), median(ratios), turns))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        destroy(&self.keystore, &self.keys);
    }
}

/// Keys that are destroyed unless a [`Bench`] has taken them over.
struct Made {
    keystore: Arc<Pkcs11Keystore>,
    keys: Vec<Locator>,
}

impl Drop for Made {
    fn drop(&mut self) {
        destroy(&self.keystore, &self.keys);
    }
}

fn destroy(keystore: &Pkcs11Keystore, keys: &[Locator]) {
    for key in keys {
        if let Err(error) = keystore.destroy(key) {
            tracing::warn!(target: "hsm_jose", %key, %error, "a key of the measurement is left");
        }
    }
}

/// Runs one side on its threads for a slice; returns operations per second.
fn turn<T: Send>(workers: Vec<T>, run: impl Fn(&mut T) -> Result<()> + Sync) -> Result<f64> {
    std::thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                scope.spawn(move || -> Result<f64> {
                    let (start, mut count) = (Instant::now(), 0u32);
                    loop {
                        run(&mut worker)?;
                        count += 1;
                        let elapsed = start.elapsed();
                        if elapsed >= SLICE {
                            return Ok(f64::from(count) / elapsed.as_secs_f64());
                        }
                    }
                })
            })
            .collect();
        let rates = handles.into_iter().map(|handle| match handle.join() {
            Ok(rate) => rate,
            Err(_) => Err(unexpected("a thread of the measurement panicked")),
        });
        rates.sum()
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn operations(rsa: &PublicJwk, ec: &PublicJwk) -> Result<[BareOperation; 4]> {
    use crate::jose::jwk::PublicKey;
    let (PublicKey::Rsa(rsa), PublicKey::Point(point)) = (&rsa.key, &ec.key) else {
        return Err(unexpected("an RSA key and a point"));
    };
    let bad = |error: &dyn std::fmt::Display| unexpected(&error.to_string());
    let recipient = RsaRecipient::new(rsa).map_err(|error| bad(&error))?;
    let cek = [7; ContentEncryption::A256Gcm.key_len()];
    let ciphertext = recipient.encrypt(Hash::Sha1, &cek).map_err(|error| bad(&error))?;
    let (peer, _) = ecdh::agree_ephemeral(point).map_err(|error| bad(&error))?;
    let digest = digest::digest(Hash::Sha256, b"hsm-jose bench");
    Ok([
        BareOperation::DecryptOaepSha1(ciphertext),
        BareOperation::SignPss(digest.clone()),
        BareOperation::SignEcdsa(digest),
        BareOperation::Agree(peer.as_bytes().to_vec(), point.curve().field_len()),
    ])
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

fn report(keystore: &Pkcs11Keystore, rows: &[Row]) -> Result<Report> {
    let device = keystore.describe()?;
    let device = format!("{} {} ({})", device.manufacturer, device.model, device.version);
    let mut text = format!(
        "{device}, {PAYLOAD_LEN}-byte payload; operations per second, medians\n\
         {:<31} {:>7} {:>10} {:>10} {:>7}  bare call\n",
        "operation", "threads", "bare", "engine", "ratio"
    );
    for row in rows {
        text += &format!(
            "{:<31} {:>7} {:>10.0} {:>10.0} {:>7.3}  {}\n",
            row.operation, row.threads, row.bare_rate, row.engine_rate, row.ratio, row.bare
        );
    }
    let json: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "operation": row.operation,
                "bare": row.bare,
                "threads": row.threads,
                "bare_per_second": row.bare_rate,
                "engine_per_second": row.engine_rate,
                "ratio": row.ratio,
                "turns": row.turns,
            })
        })
        .collect();
    let json = json!({ "device": device, "payload_len": PAYLOAD_LEN, "rows": json });
    Ok(Report::new(text, json))
}

fn unexpected(what: &str) -> Error {
    Error::Io(format!("measurement: {what}"))
}
