//! Hash functions by the name an algorithm gives them.

use aws_lc_rs::digest as aws;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::jose::alg::Hash;

/// Hashes `message`; the digest has [`Hash::len`] bytes.
pub fn digest(hash: Hash, message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => Sha1::digest(message).to_vec(),
        Hash::Sha256 => Sha256::digest(message).to_vec(),
        Hash::Sha384 => Sha384::digest(message).to_vec(),
        Hash::Sha512 => Sha512::digest(message).to_vec(),
    }
}

/// A digest in the making, for what is not in memory as a whole.
///
/// ```
/// use hsm_jose::jose::alg::Hash;
/// use hsm_jose::primitives::digest::{Hasher, digest};
///
/// let mut hasher = Hasher::new(Hash::Sha256);
/// hasher.update(b"in two ");
/// hasher.update(b"parts");
/// assert_eq!(hasher.finish(), digest(Hash::Sha256, b"in two parts"));
/// ```
#[derive(Clone)]
pub struct Hasher(aws::Context);

impl Hasher {
    /// Begins a digest.
    pub fn new(hash: Hash) -> Self {
        Self(aws::Context::new(algorithm(hash)))
    }

    /// Goes on with `part`.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// Ends it; the digest has [`Hash::len`] bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

pub(super) fn algorithm(hash: Hash) -> &'static aws::Algorithm {
    match hash {
        Hash::Sha1 => &aws::SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &aws::SHA256,
        Hash::Sha384 => &aws::SHA384,
        Hash::Sha512 => &aws::SHA512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::test_hex;

    /// FIPS 180-4, the one-block example `abc`.
    #[test]
    fn abc() {
        let starts = [
            (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Hash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Hash::Sha384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"),
            (Hash::Sha512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2"),
        ];
        for (hash, start) in starts {
            let digest = digest(hash, b"abc");
            assert_eq!(digest.len(), hash.len());
            assert!(test_hex::encode(&digest).starts_with(start), "{hash:?}");
            let mut hasher = Hasher::new(hash);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish(), digest, "{hash:?}");
        }
    }
}
