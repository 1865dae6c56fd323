//! Templates: what a new key shall be, said in full, because tokens differ in what they assume.

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use zeroize::Zeroize;

use crate::backend::KeyShape;
use crate::jose::alg::KeyManagementMode as Mode;
use crate::jose::alg::{Curve, KeyAlgorithm};
use crate::jose::jwk::{PrivateJwk, PrivateParts, PublicKey, RsaPublic};

mod secret;

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
    pub(crate) wrap: bool,
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
    /// The one usage of a key for `alg`; that of a symmetric key stands for its inverse too.
    pub(crate) fn of(alg: KeyAlgorithm) -> Self {
        let none = Self::default();
        let KeyAlgorithm::Unwrap(alg) = alg else { return Self { sign: true, ..none } };
        match alg.mode() {
            Mode::DirectKeyAgreement | Mode::KeyAgreementWithKeyWrapping(_) => {
                Self { derive: true, ..none }
            }
            Mode::KeyWrapping(_) => Self { wrap: true, ..none },
            Mode::KeyEncryption(_) | Mode::GcmKeyWrapping(_) | Mode::DirectEncryption => {
                Self { decrypt: true, ..none }
            }
        }
    }

    /// Returns whether a key with these usages has the one of an attribute.
    pub(crate) fn has(self, kind: AttributeType) -> bool {
        match kind {
            AttributeType::Encrypt | AttributeType::Decrypt => self.decrypt,
            AttributeType::Sign | AttributeType::Verify => self.sign,
            AttributeType::Wrap | AttributeType::Unwrap => self.wrap,
            AttributeType::Derive => self.derive,
            _ => false,
        }
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
        self.add(extras, &mut template);
        template
    }

    fn add(&self, extras: Extras, template: &mut Vec<Attribute>) {
        if extras.allowed && !self.allowed.is_empty() {
            template.push(Attribute::AllowedMechanisms(self.allowed.clone()));
        }
        if extras.locked {
            template.push(Attribute::Modifiable(false));
        }
        if extras.no_copies {
            template.push(Attribute::Copyable(false));
        }
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
            // No pair: see `secret_generator`.
            KeyShape::Oct { .. } => Vec::new(),
        }
    }

    /// The ways to say what a known key is; as with [`Wanted::generators`], tokens do not agree.
    pub(crate) fn forms(&self) -> Vec<Form> {
        let KeyShape::Curve(curve) = self.shape else {
            return vec![Form { key_type: KeyType::RSA, params: None }];
        };
        let key_types = match curve {
            Curve::P256 | Curve::P384 | Curve::P521 => vec![KeyType::EC],
            Curve::Ed25519 => vec![KeyType::EC_EDWARDS],
            Curve::X25519 => vec![KeyType::EC_MONTGOMERY, KeyType::EC_EDWARDS],
        };
        let with_params = |key_type| {
            params_of(curve).into_iter().map(move |params| Form { key_type, params: Some(params) })
        };
        key_types.into_iter().flat_map(with_params).collect()
    }

    /// The template of the private object of a known key.
    pub(crate) fn known_private(
        &self,
        extras: Extras,
        form: Form,
        key: &PrivateJwk,
    ) -> PrivateTemplate {
        let mut template = PrivateTemplate(self.private(extras));
        template.0.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
        template.0.extend(form.attributes());
        if let PublicKey::Rsa(rsa) = &key.public.key {
            template.0.extend(rsa_halves(rsa));
        }
        match &key.private {
            PrivateParts::Rsa { d, p, q, dp, dq, qi } => template.0.extend([
                Attribute::PrivateExponent(d.to_vec()),
                Attribute::Prime1(p.to_vec()),
                Attribute::Prime2(q.to_vec()),
                Attribute::Exponent1(dp.to_vec()),
                Attribute::Exponent2(dq.to_vec()),
                Attribute::Coefficient(qi.to_vec()),
            ]),
            PrivateParts::Scalar(scalar) => template.0.push(Attribute::Value(scalar.to_vec())),
        }
        template
    }

    /// The template of the public object of a known key.
    pub(crate) fn known_public(&self, form: Form, public: &PublicKey) -> Vec<Attribute> {
        let mut template = self.public();
        template.push(Attribute::Class(ObjectClass::PUBLIC_KEY));
        template.extend(form.attributes());
        match public {
            PublicKey::Rsa(rsa) => template.extend(rsa_halves(rsa)),
            PublicKey::Point(point) => {
                template.push(Attribute::EcPoint(super::octet_string(point.as_bytes())));
            }
        }
        template
    }
}

/// A way to say what a known key is: its type, and the parameters of its curve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    key_type: KeyType,
    params: Option<&'static [u8]>,
}

impl Form {
    fn attributes(self) -> impl Iterator<Item = Attribute> {
        let params = self.params.map(|params| Attribute::EcParams(params.to_vec()));
        [Attribute::KeyType(self.key_type)].into_iter().chain(params)
    }
}

fn rsa_halves(rsa: &RsaPublic) -> [Attribute; 2] {
    [Attribute::Modulus(rsa.n().to_vec()), Attribute::PublicExponent(rsa.e().to_vec())]
}

/// A template with private numbers, which are cleared when it is dropped.
pub(crate) struct PrivateTemplate(Vec<Attribute>);

impl std::ops::Deref for PrivateTemplate {
    type Target = [Attribute];

    fn deref(&self) -> &[Attribute] {
        &self.0
    }
}

impl Drop for PrivateTemplate {
    fn drop(&mut self) {
        for attribute in &mut self.0 {
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
