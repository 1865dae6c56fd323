//! hsm-jose
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod backend;
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
