//! Primitives on the host: what a sender and a verifier do with public keys, and the steps that
//! follow a device's answer. A leaf: it knows no token, no keystore and no JOSE header; of ours it
//! takes only the names of algorithms, the public key types and the secret types.

pub(crate) mod aes_gcm;
pub mod aes_kw;
pub mod concat_kdf;
pub mod content;
pub mod digest;
pub mod ecdh;
pub mod oaep;
pub mod random;
pub(crate) mod read;
pub mod rsa;
pub mod secret;
pub mod verify;

#[cfg(test)]
pub(crate) mod test_hex;
