//! JSON Web Signature (RFC 7515): a payload signed by a key in a device, and verified on the host
//! with public keys that were registered, never with one that a token brings along.
//!
//! [`sign`] and [`JwsToken`] are for the compact serialization, as a JWT is; [`sign_as`] and [`Jws`]
//! for every serialization, any number of signatures, payloads that are detached, unencoded (RFC
//! 7797) or too large for memory. Who must have signed is for the caller to say ([`Require`]):
//!
//! ```
//! use hsm_jose::backend::memory::MemoryKeystore;
//! use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
//! use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
//! use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
//! use hsm_jose::jose::serialization::Serialization;
//! use hsm_jose::jws::{self, Jws, JwsForm, JwsParameters, Require, Signer, TrustedKeys};
//! use hsm_jose::policy::{Policy, Profile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let alg = SignatureAlgorithm::Es256;
//! let spec =
//!     KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![KeyAlgorithm::Sign(alg)] };
//! let keystore = MemoryKeystore::new("memory"); // or a PKCS#11 token, or a TPM
//! let (mut keys, mut trusted) = (Vec::new(), Vec::new());
//! for iss in ["https://buyer.example", "https://seller.example"] {
//!     let key = keystore.generate(&keystore.new_locator(iss)?, &spec)?;
//!     let mut jwk = PublicJwk::bare(key.info().public.clone().ok_or("no public key")?);
//!     jwk.iss = Some(iss.into());
//!     keys.push(key);
//!     trusted.push(jwk);
//! }
//! let parameters = JwsParameters { alg, kid: None, typ: None, cty: None };
//! let signers: Vec<_> = keys.iter().map(|key| Signer::new(&**key, &parameters)).collect();
//! let form = JwsForm { serialization: Serialization::General, ..JwsForm::default() };
//! let token = jws::sign_as(&signers, form, b"a contract")?;
//!
//! let policy = Policy::of(Profile::Strict);
//! let trusted = TrustedKeys::new(JwkSet { keys: trusted }, &policy);
//! let both = Require::AllOf(&["https://buyer.example", "https://seller.example"]);
//! let verified = Jws::parse(token.as_bytes(), &policy.jws)?.verify(&trusted, &both)?;
//! assert_eq!(verified.get().as_bytes(), b"a contract");
//! assert_eq!(verified.signatures().len(), 2);
//! # Ok(())
//! # }
//! ```

mod mac;
mod require;
mod several;
mod sign;
mod signer;
mod stream;
mod trusted;
mod verified;
mod verify;

pub(crate) use mac::Among;
pub use mac::Authenticated;
pub use require::Require;
pub use several::Jws;
pub use sign::{sign, sign_as, sign_detached, sign_reader, takes_reader};
pub use signer::{JwsForm, JwsParameters, Signer};
pub(crate) use trusted::is_for_signatures;
pub use trusted::{MAX_CANDIDATES, TrustedKeys};
pub use verified::{VerifiedJws, VerifiedSignature};
pub use verify::{JwsToken, Verified};
