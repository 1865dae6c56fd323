//! What is made is what is taken: a token that no recipient would take is refused as wrong usage, and
//! before any device is asked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{
    BackendError, Cek, CekRequest, HardwareKey, HostCek, KeyInfo, KeyShape, KeySpec, Keystore,
    Support, ToSign, WrappedCek,
};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::jose::jwk::PublicJwk;
use hsm_jose::jose::serialization::MAX_TOKEN_LEN;
use hsm_jose::jose::serialization::Serialization::{self, Compact, Flattened, General};
use hsm_jose::policy::{Policy, Profile};
use serde_json::{Map, Value, json};

#[path = "taken/jwe.rs"]
mod jwe;
#[path = "taken/jws.rs"]
mod jws;

/// A key that counts what reaches its device.
#[derive(Debug)]
struct Counted {
    key: Arc<dyn HardwareKey>,
    calls: AtomicUsize,
}

impl Counted {
    fn new(alg: KeyAlgorithm, shape: KeyShape) -> Self {
        let key = MemoryKeystore::new("memory");
        let key = key.generate_ephemeral(&KeySpec { shape, algs: vec![alg] }).unwrap();
        Self { key, calls: AtomicUsize::new(0) }
    }

    fn jwk(&self, kid: Option<&str>) -> PublicJwk {
        let mut jwk = PublicJwk::bare(self.info().public.clone().unwrap());
        jwk.kid = kid.map(str::to_owned);
        jwk
    }

    /// How often the device was asked since the last time.
    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }
}

impl HardwareKey for Counted {
    fn keystore(&self) -> &str {
        self.key.keystore()
    }
    fn info(&self) -> &KeyInfo {
        self.key.info()
    }
    fn support(&self, alg: KeyAlgorithm) -> Result<Support, BackendError> {
        self.key.support(alg)
    }
    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.key.unwrap_cek(request, enc)
    }
    fn wrap_cek(&self, alg: KeyManagement, cek: &HostCek) -> Result<WrappedCek, BackendError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.key.wrap_cek(alg, cek)
    }
    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.key.sign(alg, input)
    }
    fn confirm_alive(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

/// Kids that no header may have.
fn bad_kids() -> [String; 4] {
    ["a\nb".into(), "\0".into(), "k".repeat(257), "k".repeat(20_000)]
}

/// Arrays in each other, so many.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

fn is_usage<T>(made: &Result<T, Error>) -> bool {
    matches!(made, Err(Error::Usage(_)))
}

/// The longest content whose token is not longer than is taken: `bare` is the length of the token without
/// content, `text_len` that of the text which a content becomes in it.
fn longest(bare: usize, text_len: impl Fn(usize) -> usize) -> usize {
    let fits = |len: &usize| bare + text_len(*len) <= MAX_TOKEN_LEN;
    (0..MAX_TOKEN_LEN).rev().find(fits).expect("one fits")
}

/// RFC 4648 section 5, without padding.
fn base64url_len(len: usize) -> usize {
    (len * 4).div_ceil(3)
}
