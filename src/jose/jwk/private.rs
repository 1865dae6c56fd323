//! Private JWKs, on their way into a keystore.

use zeroize::Zeroizing;

use super::super::json::SecretMembers;
use super::super::pkcs8;
use super::{JwkError, PublicJwk, PublicKey, octets, parse_members};
use crate::primitives::rsa;

/// A private key on its way *into* a keystore: zeroized, without `Clone`, `Serialize` or `Debug`
/// of its private part. None ever comes out.
///
/// ```
/// use hsm_jose::jose::jwk::PrivateJwk;
///
/// // RFC 8037 appendix A.1.
/// let private = PrivateJwk::parse(
///     br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// assert!(!format!("{private:?}").contains("nWGx"));
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
pub struct PrivateJwk {
    /// The public half.
    pub public: PublicJwk,
    pub(crate) private: PrivateParts,
}

/// The private numbers, big-endian.
pub(crate) enum PrivateParts {
    Rsa {
        d: Zeroizing<Vec<u8>>,
        p: Zeroizing<Vec<u8>>,
        q: Zeroizing<Vec<u8>>,
        dp: Zeroizing<Vec<u8>>,
        dq: Zeroizing<Vec<u8>>,
        qi: Zeroizing<Vec<u8>>,
    },
    /// The scalar of a P curve (as long as the field), or the 32-byte private key of X25519 or
    /// Ed25519 (its seed).
    Scalar(Zeroizing<Vec<u8>>),
}

impl PrivateJwk {
    /// Parses a private JWK. An RSA key needs its factors: `p`, `q`, `dp`, `dq` and `qi`; one of
    /// more than two primes (`oth`) is refused.
    ///
    /// # Errors
    /// Bad JSON, a missing or misformed member. No private member is quoted.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        let members = SecretMembers(parse_members(json)?);
        let members = &members.0;
        let public = PublicJwk::public_half(members)?;
        let secret = |name| octets(members, name).map(Zeroizing::new);
        let private = match &public.key {
            // RFC 7518 section 6.3.2.7: who does not know `oth` must not use the key.
            PublicKey::Rsa(_) if members.contains_key("oth") => {
                return Err(JwkError::new("private RSA JWK of more than two primes (\"oth\")"));
            }
            PublicKey::Rsa(_) => {
                let factor = |name| {
                    secret(name).map_err(|_| {
                        JwkError(format!(
                            "private RSA JWK without a good {name:?}: the factors are needed"
                        ))
                    })
                };
                PrivateParts::Rsa {
                    d: secret("d")?,
                    p: factor("p")?,
                    q: factor("q")?,
                    dp: factor("dp")?,
                    dq: factor("dq")?,
                    qi: factor("qi")?,
                }
            }
            PublicKey::Point(point) => {
                let d = secret("d")?;
                if d.len() != point.curve().field_len() {
                    return Err(JwkError::new("private member \"d\" of the wrong length"));
                }
                PrivateParts::Scalar(d)
            }
        };
        Ok(Self { public, private })
    }

    /// Checks that the private half is that of the public one, in every part. A token that computes with
    /// factors that are not those of its modulus can give one of them away.
    ///
    /// # Errors
    /// The halves are of different keys, the parts of an RSA key do not belong together, or it is of a
    /// length or exponent that is not taken.
    pub fn check(&self) -> Result<(), JwkError> {
        let belongs = match (&self.public.key, &self.private) {
            (PublicKey::Rsa(public), private) => rsa::pair(public, private).is_some(),
            (PublicKey::Point(point), PrivateParts::Scalar(d)) => {
                pkcs8::scalar_key(point.curve(), d)?.public.key == self.public.key
            }
            (PublicKey::Point(_), PrivateParts::Rsa { .. }) => false,
        };
        match belongs {
            true => Ok(()),
            false => Err(JwkError::new(
                "the parts of the private key are not of one key, or not taken here",
            )),
        }
    }
}

impl std::fmt::Debug for PrivateJwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateJwk({}, redacted)", self.public.key.kind())
    }
}
