#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! ```text
//! cli -> engine -> jwt -> { jws, jwe } -> { policy, keyring, backend, jose, primitives }
//!
//!              token            claims
//!                |                ^
//!   jose::serialization     jwt::claims          parse once, strictly; check last
//!   jose::header            jws::verify
//!   policy                  jwe::decrypt         what is allowed, before any device
//!   engine (kid -> key) --> backend::HardwareKey one private-key operation
//!                             |-- pkcs11         a PKCS#11 token
//!                             |-- tpm            a TPM 2.0
//!                             `-- memory         software keys, for tests only
//! ```
//!
//! - [`engine`]: configuration, keyring and policy behind seal, open, sign, verify, encrypt, decrypt.
//! - [`backend`]: the seam. The core imports no backend; a backend imports the seam, the types of
//!   [`jose`] and [`primitives`], and nothing else.
//! - [`policy`]: contexts and profiles; [`jwt`], [`jwe`], [`jws`]: the tokens; [`jose`]: pure types.
//! - [`keyring`], [`lifecycle`]: names, versions, kids and places of keys, and how they change.
//! - [`config`], [`keystores`], [`doctor`]: the file, the devices it names, and their report.
//!
//! # Logs
//!
//! Events go to [`tracing`]; target `hsm_jose::custody` says for each private-key operation what ran
//! in the device and what on the host. No event has a token, a claim, a key or a PIN in it.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod backend;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod jose;
pub mod jwe;
pub mod jws;
pub mod jwt;
pub mod keyring;
pub mod keystores;
pub mod lifecycle;
pub mod policy;
pub mod primitives;
pub mod secret;

pub use error::{Error, Result};
