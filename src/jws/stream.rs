//! Payloads that are read once and never held: the signing input goes through a hash.

use std::io::Read;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::jose::alg::{Hash, SignatureAlgorithm};
use crate::jose::base64url;
use crate::primitives::digest::Hasher;
use crate::primitives::read::fill;
use crate::secret::Wiped;

/// How much of a payload is held at a time, in bytes: a multiple of 3, so that base64url of the parts
/// is that of the whole.
const CHUNK: usize = 48 * 1024;

/// Returns the hash that an algorithm signs the digest of, and nothing else of the message.
pub(super) fn prehash(alg: SignatureAlgorithm) -> Option<Hash> {
    use SignatureAlgorithm as Alg;
    match alg {
        Alg::Rs256 | Alg::Rs384 | Alg::Rs512 => alg.hash(),
        Alg::Ps256 | Alg::Ps384 | Alg::Ps512 => alg.hash(),
        Alg::Es256 | Alg::Es384 | Alg::Es512 => alg.hash(),
        // PureEdDSA goes over the message twice (RFC 8032 section 5.1.6).
        Alg::EdDsa | Alg::Ed25519 => None,
        // HMAC begins with the key, which is in the device (RFC 2104 section 2).
        Alg::Hs256 | Alg::Hs384 | Alg::Hs512 => None,
    }
}

pub(super) fn needs_whole(alg: SignatureAlgorithm) -> Error {
    let why = match alg.is_symmetric() {
        true => "a MAC by reader stands alone, with a key that takes a message in parts",
        false => "it goes over the message twice (RFC 8032 section 5.1)",
    };
    Error::Usage(format!("{alg} needs the payload in memory: {why}"))
}

/// Returns the signing input of a payload that is at hand as it is signed (RFC 7515 section 5.1). The
/// payload may be a secret, or come out of a JWE: no copy of it stays behind.
pub(super) fn whole(protected: &str, payload: &[u8]) -> Wiped {
    Wiped::new([protected.as_bytes(), payload].join(&b'.'))
}

/// Begins the digest of a signing input: the protected header and the period.
pub(super) fn begin(hash: Hash, protected: &str) -> Hasher {
    let mut hasher = Hasher::new(hash);
    hasher.update(protected.as_bytes());
    hasher.update(b".");
    hasher
}

/// Reads a payload to its end into every digest, in base64url if it is `encoded`.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn feed<'h>(
    payload: impl Read,
    encoded: bool,
    hashers: impl Iterator<Item = &'h mut Hasher>,
) -> Result<()> {
    let mut hashers: Vec<_> = hashers.collect();
    let mut parts = Parts::new(payload, encoded);
    while let Some(octets) = parts.next().map_err(unreadable)? {
        hashers.iter_mut().for_each(|hasher| hasher.update(octets));
    }
    Ok(())
}

/// A signing input, to be read: what comes before the payload, and the payload as it is signed.
pub(super) struct SigningInput<R> {
    parts: Parts<R>,
    /// What is read and not handed on yet.
    ready: Zeroizing<Vec<u8>>,
    handed: usize,
}

impl<R: Read> SigningInput<R> {
    pub(super) fn new(protected: &str, payload: R, encoded: bool) -> Self {
        let ready = Zeroizing::new([protected.as_bytes(), b"."].concat());
        Self { parts: Parts::new(payload, encoded), ready, handed: 0 }
    }
}

impl<R: Read> Read for SigningInput<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.handed == self.ready.len() {
            let Some(part) = self.parts.next()? else { return Ok(0) };
            self.ready.clear();
            self.ready.extend_from_slice(part);
            self.handed = 0;
        }
        let rest = &self.ready[self.handed..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.handed += len;
        Ok(len)
    }
}

/// A payload in parts, as they are signed.
struct Parts<R> {
    payload: R,
    encoded: bool,
    chunk: Zeroizing<Vec<u8>>,
    text: Zeroizing<String>,
    has_ended: bool,
    /// It could not be read, and has a hole.
    is_broken: bool,
}

impl<R: Read> Parts<R> {
    fn new(payload: R, encoded: bool) -> Self {
        let chunk = Zeroizing::new(vec![0; CHUNK]);
        let text = Zeroizing::new(String::with_capacity(CHUNK / 3 * 4));
        Self { payload, encoded, chunk, text, has_ended: false, is_broken: false }
    }

    /// Returns the next part, of one octet or more; `None` at the end.
    fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        if self.is_broken {
            return Err(std::io::Error::other("it could not be read before"));
        }
        if self.has_ended {
            return Ok(None);
        }
        self.is_broken = true;
        let len = fill(&mut self.payload, &mut self.chunk)?;
        self.is_broken = false;
        self.has_ended = len < CHUNK;
        if len == 0 {
            return Ok(None);
        }
        Ok(Some(match self.encoded {
            true => {
                self.text.clear();
                base64url::encode_append(&self.chunk[..len], &mut self.text);
                self.text.as_bytes()
            }
            false => &self.chunk[..len],
        }))
    }
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Io(format!("cannot read the payload: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::digest::digest;

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let len = self.0.len().min(buffer.len()).min(1000);
            let (now, rest) = self.0.split_at(len);
            buffer[..len].copy_from_slice(now);
            self.0 = rest;
            Ok(len)
        }
    }

    #[test]
    fn parts_make_the_digest_of_the_whole() {
        for len in [0, 1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 2] {
            let payload: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
            for (encoded, whole) in
                [(true, base64url::encode(&payload).into_bytes()), (false, payload.clone())]
            {
                let mut hashers = [begin(Hash::Sha256, "e30"), begin(Hash::Sha512, "")];
                feed(Trickle(&payload), encoded, hashers.iter_mut()).unwrap();
                let [first, second] = hashers.map(Hasher::finish);
                assert_eq!(first, digest(Hash::Sha256, &[b"e30.", &whole[..]].concat()), "{len}");
                assert_eq!(second, digest(Hash::Sha512, &[b".", &whole[..]].concat()), "{len}");
            }
        }
    }

    #[test]
    fn a_signing_input_reads_as_the_whole() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let payload: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
            for (encoded, whole) in
                [(true, base64url::encode(&payload).into_bytes()), (false, payload.clone())]
            {
                let mut input = SigningInput::new("e30", Trickle(&payload), encoded);
                let mut read = Vec::new();
                input.read_to_end(&mut read).unwrap();
                assert_eq!(read, [b"e30.", &whole[..]].concat(), "{len}");
            }
        }
    }

    #[test]
    fn a_reader_that_fails_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("gone"))
            }
        }
        assert_eq!(feed(Broken, true, [].into_iter()).unwrap_err().code(), "io");
        // What has a hole is not read on.
        let mut input = SigningInput::new("e30", Broken, true);
        let mut buffer = [0; 16];
        assert_eq!(input.read(&mut buffer).unwrap(), 4);
        assert!(input.read(&mut buffer).is_err());
        assert!(input.read(&mut buffer).is_err());
    }
}
