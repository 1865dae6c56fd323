//! Pure JOSE types, without I/O: algorithms, base64url, headers, serializations and JWKs.

pub mod alg;
pub mod base64url;
pub mod header;
pub mod inspect;
pub mod json;
pub mod jwk;
pub mod oct;
pub(crate) mod parameters;
pub(crate) mod pem;
pub mod pkcs8;
pub mod refused;
pub mod serialization;
pub mod spki;
pub mod x509;
