//! hsm-jose
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod backend;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod error;
pub mod jose;
pub mod keyring;
pub mod keystores;
pub mod lifecycle;
pub mod primitives;
pub mod secret;

pub use error::{Error, Result};
