//! Public keys in whatever form a file has: JWK, JWK Set, PEM, DER.

use super::super::x509::{Certificate, CertificateChain, LABEL, X509Error};
use super::super::{pem, pkcs8, spki};
use super::{JwkError, JwkSet, PublicJwk};

/// The first octet of every key and certificate in DER: a SEQUENCE. No JSON text begins with it.
const DER_SEQUENCE: u8 = 0x30;

impl JwkSet {
    /// Reads a JWK or JWK Set as [`JwkSet::parse`] does, or PEM, or DER.
    ///
    /// PEM is one or more public keys (`PUBLIC KEY`, `RSA PUBLIC KEY`), or a certificate and, after it,
    /// those of its issuers: that is one key, and `x5c` is the chain. DER is one public key or one
    /// certificate. A certificate is taken for its key: whoever gives the file vouches for it, as with
    /// a JWK; who issued it and until when are not looked at. Its key usage becomes `use`.
    ///
    /// # Errors
    /// Another form, a private key, or a key that this build does not have.
    pub fn from_any(bytes: &[u8]) -> Result<Self, JwkError> {
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            return Self::parse(bytes);
        }
        match pem::text(bytes) {
            Some(text) => from_pem(text),
            None if bytes.first() == Some(&DER_SEQUENCE) => {
                Ok(Self { keys: vec![from_der(bytes)?] })
            }
            None => Err(JwkError::new(
                "neither a JWK or JWK Set, nor PEM, nor a public key or certificate in DER",
            )),
        }
    }
}

impl PublicJwk {
    /// Reads one public key as [`JwkSet::from_any`] does.
    ///
    /// # Errors
    /// As [`JwkSet::from_any`]; a JWK Set with another number of keys than one.
    pub fn from_any(bytes: &[u8]) -> Result<Self, JwkError> {
        let mut set = JwkSet::from_any(bytes)?;
        match (set.keys.pop(), set.keys.len()) {
            (Some(jwk), 0) => Ok(jwk),
            (None, _) => Err(JwkError::new("no key that this build can use")),
            (Some(_), others) => Err(JwkError(format!("{} keys, expected one", others + 1))),
        }
    }
}

fn from_pem(text: &str) -> Result<JwkSet, JwkError> {
    if pem::blocks(text).any(|block| block.is_private()) {
        return Err(private());
    }
    let is_certificate = |block: &pem::Block<'_>| block.label == LABEL;
    if !pem::blocks(text).any(|block| is_certificate(&block)) {
        let keys = pem::blocks(text).map(|block| spki::from_block(&block));
        return Ok(JwkSet { keys: keys.collect::<Result<_, _>>()? });
    }
    let chain = CertificateChain::from_pem(text).map_err(certificate)?;
    if !chain.is_in_order() {
        return Err(JwkError::new(
            "certificates that do not issue each other: a file has one key, with its chain after it",
        ));
    }
    Ok(JwkSet { keys: vec![PublicJwk::certified(chain)?] })
}

fn from_der(der: &[u8]) -> Result<PublicJwk, JwkError> {
    if pkcs8::is_private(der) {
        return Err(private());
    }
    match Certificate::from_der(der) {
        Ok(found) => PublicJwk::certified(CertificateChain::new(vec![found]).map_err(certificate)?),
        Err(_) => spki::from_der(der),
    }
}

fn certificate(error: X509Error) -> JwkError {
    JwkError(error.to_string())
}

fn private() -> JwkError {
    JwkError::new("a private key, where a public one is expected")
}
