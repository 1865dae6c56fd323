//! Registered names that no policy can allow: refused on purpose, or not in this build, and why.

use serde::Serialize;

/// A name of the IANA registries "JSON Web Signature and Encryption Algorithms", "JSON Web Key
/// Elliptic Curve" or "Header Parameters" that is never taken or made.
///
/// ```
/// use hsm_jose::jose::alg::KeyAlgorithm;
/// use hsm_jose::jose::refused;
///
/// let refused = refused::find("RSA1_5").expect("it is on the list");
/// assert!(refused.on_purpose && refused.why.contains("oracle"));
/// assert!(KeyAlgorithm::from_name(refused.name).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The name as it is registered; case-sensitive.
    pub name: &'static str,
    /// Where it would stand: `alg` of a JWE or JWS, `crv` of a key, or a header parameter.
    pub place: &'static str,
    /// Whether it is refused for what it is, and not for what this build lacks.
    pub on_purpose: bool,
    /// Why, in words for an operator.
    pub why: &'static str,
}

const PASSWORDS: &str = "a password is no key: it can be guessed, and its count lets a stranger \
                         choose what a decryption costs";
const CURVE448: &str = "the host's half would stand on ed448-goldilocks, which has had only \
                        pre-releases since 0.9";

pub(crate) const ZIP: Refused =
    on_purpose("zip", "JWE header", "compression before encryption tells lengths, and bombs");

/// All of them: those refused on purpose first.
pub const REFUSED: &[Refused] = &[
    on_purpose("none", "JWS alg", "a token that nobody signed"),
    on_purpose("RSA1_5", "JWE alg", "PKCS#1 v1.5 padding cannot be opened without an oracle"),
    on_purpose("PBES2-HS256+A128KW", "JWE alg", PASSWORDS),
    on_purpose("PBES2-HS384+A192KW", "JWE alg", PASSWORDS),
    on_purpose("PBES2-HS512+A256KW", "JWE alg", PASSWORDS),
    ZIP,
    on_purpose("RS1", "JWS alg", "SHA-1 signatures can be made to collide"),
    missing("Ed448", "JWS alg, crv", CURVE448),
    missing("X448", "crv", CURVE448),
    missing("ES256K", "JWS alg", "secp256k1 is in no profile that this build serves"),
    missing("secp256k1", "crv", "it is for ES256K, which is not in this build"),
];

/// Finds what is said of `name`: exact, as names are (RFC 7515 section 4.1.1).
pub fn find(name: &str) -> Option<&'static Refused> {
    REFUSED.iter().find(|refused| refused.name == name)
}

const fn on_purpose(name: &'static str, place: &'static str, why: &'static str) -> Refused {
    Refused { name, place, on_purpose: true, why }
}

const fn missing(name: &'static str, place: &'static str, why: &'static str) -> Refused {
    Refused { name, place, on_purpose: false, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::alg::{ContentEncryption, Curve, KeyAlgorithm};

    #[test]
    fn what_is_refused_has_no_value_and_stands_once() {
        for (index, refused) in REFUSED.iter().enumerate() {
            let name = refused.name;
            assert!(KeyAlgorithm::from_name(name).is_none(), "{name}");
            assert!(ContentEncryption::from_name(name).is_none(), "{name}");
            assert!(Curve::from_name(name).is_none(), "{name}");
            assert!(REFUSED[..index].iter().all(|other| other.name != name), "{name}");
        }
    }
}
