//! Templates: what a new key shall be, said in full, because tokens differ in what they assume.

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use zeroize::Zeroize;

use crate::backend::KeyShape;
use crate::jose::alg::{Curve, KeyAlgorithm, Purpose};
use crate::jose::jwk::{PrivateParts, PublicKey};

/// What a new key shall be.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) label: &'a str,
    pub(crate) shape: KeyShape,
    pub(crate) usages: Usages,
    /// CKA_ALLOWED_MECHANISMS; empty for a key that is not bound to any.
    pub(crate) allowed: Vec<MechanismType>,
    /// A token object; else a session object, which goes with the session.
    pub(crate) on_token: bool,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usages {
    pub(crate) decrypt: bool,
    pub(crate) sign: bool,
    pub(crate) derive: bool,
}

/// What a token may refuse in a template, and a key be kept without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extras {
    /// CKA_ALLOWED_MECHANISMS.
    pub(crate) allowed: bool,
    /// CKA_MODIFIABLE = false.
    pub(crate) locked: bool,
    /// CKA_COPYABLE = false.
    pub(crate) no_copies: bool,
}

impl Extras {
    /// All of them, then fewer: the one that binds a key to its mechanisms is given up last.
    pub(crate) const STEPS: [Self; 5] = [
        Self { allowed: true, locked: true, no_copies: true },
        Self { allowed: true, locked: true, no_copies: false },
        Self { allowed: true, locked: false, no_copies: false },
        Self { allowed: false, locked: true, no_copies: false },
        Self { allowed: false, locked: false, no_copies: false },
    ];
}

impl Usages {
    /// The one usage of a key for `alg`.
    pub(crate) fn of(alg: KeyAlgorithm) -> Self {
        let is_sign = alg.purpose() == Purpose::Sign;
        let is_ecdh = matches!(alg, KeyAlgorithm::Unwrap(alg) if alg.is_ecdh());
        Self { decrypt: !is_sign && !is_ecdh, sign: is_sign, derive: is_ecdh }
    }
}

impl Wanted<'_> {
    /// The template of the private key, usage by usage.
    pub(crate) fn private(&self, extras: Extras) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Token(self.on_token),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Decrypt(self.usages.decrypt),
            Attribute::Sign(self.usages.sign),
            Attribute::SignRecover(false),
            Attribute::Unwrap(false),
            Attribute::Derive(self.usages.derive),
            Attribute::Id(self.id.to_vec()),
            Attribute::Label(self.label.as_bytes().to_vec()),
        ];
        if extras.allowed && !self.allowed.is_empty() {
            template.push(Attribute::AllowedMechanisms(self.allowed.clone()));
        }
        if extras.locked {
            template.push(Attribute::Modifiable(false));
        }
        if extras.no_copies {
            template.push(Attribute::Copyable(false));
        }
        template
    }

    /// The template of the public key, which is kept to tell the public half: private EC keys of
    /// SoftHSM do not.
    pub(crate) fn public(&self) -> Vec<Attribute> {
        vec![
            Attribute::Token(self.on_token),
            Attribute::Private(false),
            Attribute::Encrypt(self.usages.decrypt),
            Attribute::Verify(self.usages.sign),
            Attribute::Id(self.id.to_vec()),
            Attribute::Label(self.label.as_bytes().to_vec()),
        ]
    }

    /// The ways to generate a pair of the shape: mechanism and what it adds to the public template.
    /// For the 25519 curves tokens do not agree on mechanism and parameters.
    pub(crate) fn generators(&self) -> Vec<(Mechanism<'static>, Vec<Attribute>)> {
        match self.shape {
            KeyShape::Rsa { bits } => {
                let bits = cryptoki_sys::CK_ULONG::from(bits);
                let public = vec![
                    Attribute::ModulusBits(bits.into()),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                ];
                vec![(Mechanism::RsaPkcsKeyPairGen, public)]
            }
            KeyShape::Curve(curve) => {
                let mechanisms: Vec<fn() -> Mechanism<'static>> = match curve {
                    Curve::P256 | Curve::P384 | Curve::P521 => vec![|| Mechanism::EccKeyPairGen],
                    Curve::Ed25519 => vec![|| Mechanism::EccEdwardsKeyPairGen],
                    Curve::X25519 => vec![|| Mechanism::EccMontgomeryKeyPairGen, || {
                        Mechanism::EccEdwardsKeyPairGen
                    }],
                };
                let mut ways = Vec::new();
                for mechanism in mechanisms {
                    for params in params_of(curve) {
                        ways.push((mechanism(), vec![Attribute::EcParams(params.to_vec())]));
                    }
                }
                ways
            }
        }
    }

    /// The ways to create the private and the public object of a known key: what each adds to its
    /// template. The private numbers are cleared by [`clear`].
    pub(crate) fn creators(
        &self,
        public: &PublicKey,
        private: &PrivateParts,
    ) -> Vec<(Vec<Attribute>, Vec<Attribute>)> {
        let objects = |key_type: KeyType| {
            (
                vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(key_type)],
                vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(key_type)],
            )
        };
        match (public, private) {
            (PublicKey::Rsa(rsa), PrivateParts::Rsa { d, p, q, dp, dq, qi }) => {
                let (mut private, mut public) = objects(KeyType::RSA);
                let halves = [
                    Attribute::Modulus(rsa.n().to_vec()),
                    Attribute::PublicExponent(rsa.e().to_vec()),
                ];
                public.extend(halves.clone());
                private.extend(halves);
                private.extend([
                    Attribute::PrivateExponent(d.to_vec()),
                    Attribute::Prime1(p.to_vec()),
                    Attribute::Prime2(q.to_vec()),
                    Attribute::Exponent1(dp.to_vec()),
                    Attribute::Exponent2(dq.to_vec()),
                    Attribute::Coefficient(qi.to_vec()),
                ]);
                vec![(private, public)]
            }
            (PublicKey::Point(point), PrivateParts::Scalar(scalar)) => {
                let curve = point.curve();
                let key_types = match curve {
                    Curve::P256 | Curve::P384 | Curve::P521 => vec![KeyType::EC],
                    Curve::Ed25519 => vec![KeyType::EC_EDWARDS],
                    Curve::X25519 => vec![KeyType::EC_MONTGOMERY, KeyType::EC_EDWARDS],
                };
                let mut ways = Vec::new();
                for key_type in key_types {
                    for params in params_of(curve) {
                        let (mut private, mut public) = objects(key_type);
                        private.push(Attribute::EcParams(params.to_vec()));
                        private.push(Attribute::Value(scalar.to_vec()));
                        public.push(Attribute::EcParams(params.to_vec()));
                        let point = super::octet_string(point.as_bytes());
                        public.push(Attribute::EcPoint(point));
                        ways.push((private, public));
                    }
                }
                ways
            }
            _ => Vec::new(),
        }
    }
}

/// Clears the private numbers of a template.
pub(crate) fn clear(template: &mut [Attribute]) {
    for attribute in template {
        match attribute {
            Attribute::PrivateExponent(bytes)
            | Attribute::Prime1(bytes)
            | Attribute::Prime2(bytes)
            | Attribute::Exponent1(bytes)
            | Attribute::Exponent2(bytes)
            | Attribute::Coefficient(bytes)
            | Attribute::Value(bytes) => bytes.zeroize(),
            _ => {}
        }
    }
}

/// Tells the curve of CKA_EC_PARAMS: an OID, or the name of the curve as a PrintableString.
pub(crate) fn curve_of(params: &[u8]) -> Option<Curve> {
    Curve::ALL.iter().copied().find(|curve| params_of(*curve).contains(&params))
}

fn params_of(curve: Curve) -> Vec<&'static [u8]> {
    match curve {
        // RFC 5480 section 2.1.1.1.
        Curve::P256 => vec![&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]],
        Curve::P384 => vec![&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]],
        Curve::P521 => vec![&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]],
        // RFC 8410 section 3, and the names of PKCS#11 3.0 sections 2.3.5 and 2.3.6.
        Curve::X25519 => vec![&[0x06, 0x03, 0x2b, 0x65, 0x6e], b"\x13\x0acurve25519"],
        Curve::Ed25519 => vec![&[0x06, 0x03, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_known_by_each_form_of_its_parameters() {
        for curve in Curve::ALL {
            for params in params_of(*curve) {
                assert_eq!(curve_of(params), Some(*curve));
            }
        }
        assert_eq!(curve_of(&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a]), None);
    }
}
