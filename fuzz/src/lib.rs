//! What the fuzz targets share.
//!
//! - [`world`]: known keys, an engine for each profile, and tokens that they take.
//! - [`edit`]: changes to a token that keep it decodable.
//! - [`import`]: what must hold of a private key that is imported.
//! - [`oracle`]: what must hold of every token, whatever was done to it.
//! - [`parts`]: what a tag or a signature vouches for, read without the crate's parsers.
//! - [`seeds`]: what each target starts from.
//! - [`sender`]: encryption by somebody who has no policy, shared with the crate's tests.

#![warn(missing_docs)]

pub mod edit;
pub mod import;
pub mod oracle;
pub mod parts;
pub mod seeds;
pub mod world;

#[allow(missing_docs, reason = "the tests' own")]
#[path = "../../tests/common/mod.rs"]
pub mod sender;
