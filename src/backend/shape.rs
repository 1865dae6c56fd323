//! What kind of key there is or shall be, and whether a device does an algorithm with it.

use crate::jose::alg::{KeyAlgorithm, KeyKind, Purpose};
use crate::jose::jwk::{MAX_RSA_BITS, MIN_RSA_BITS, PublicKey};

/// Whether and how a device does an operation.
///
/// ```
/// use hsm_jose::backend::Support;
///
/// let support = Support::HostAssisted { mechanism: "CKM_ECDH1_DERIVE", step: "Concat KDF" };
/// assert!(support.is_available());
/// assert!(!Support::No { reason: "the token has no RSA".into() }.is_available());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// All of the private-key operation runs in the device.
    Hardware {
        /// The device's mechanism or scheme, by its name in the standard.
        mechanism: &'static str,
    },
    /// The private key stays in the device, a step of its operation runs on the host.
    HostAssisted {
        /// The device's mechanism or scheme.
        mechanism: &'static str,
        /// What the host does, and what that means.
        step: &'static str,
    },
    /// The device does not do it.
    No {
        /// Why, in words for an operator.
        reason: String,
    },
}

/// The kind and size of a key.
///
/// ```
/// use hsm_jose::backend::KeyShape;
/// use hsm_jose::jose::alg::KeyKind;
///
/// let shape = KeyShape::Rsa { bits: 3072 };
/// assert_eq!((shape.kind(), shape.to_string().as_str()), (KeyKind::Rsa, "RSA-3072"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyShape {
    /// RSA with a modulus of this many bits, and the public exponent 65537.
    Rsa {
        /// Modulus length in bits.
        bits: u32,
    },
    /// A key on a curve.
    Curve(crate::jose::alg::Curve),
    /// A symmetric key.
    Oct {
        /// Length in bits, a multiple of 8.
        bits: u32,
    },
}

/// What a new key shall be.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
///
/// let keystore = MemoryKeystore::new("test"); // or a PKCS#11 token, or a TPM
/// let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![alg] };
/// assert_eq!(spec.purpose().map(|purpose| purpose == alg.purpose()), Some(true));
/// assert!(keystore.generate_ephemeral(&KeySpec { algs: vec![], ..spec }).is_err());
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Kind and size.
    pub shape: KeyShape,
    /// The algorithms the key is bound to: at least one, all of one purpose.
    pub algs: Vec<KeyAlgorithm>,
}

impl Support {
    /// Returns whether the operation can be done at all.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        !matches!(self, Self::No { .. })
    }
}

impl KeyShape {
    /// Returns the shape of a public key.
    pub fn of(public: &PublicKey) -> Self {
        match public {
            PublicKey::Rsa(rsa) => Self::Rsa { bits: rsa.bits() as u32 },
            PublicKey::Point(point) => Self::Curve(point.curve()),
        }
    }

    /// Returns the kind of key.
    pub const fn kind(self) -> KeyKind {
        match self {
            Self::Rsa { .. } => KeyKind::Rsa,
            Self::Curve(curve) => KeyKind::Curve(curve),
            Self::Oct { bits } => KeyKind::Oct { bits },
        }
    }

    /// Says what is wrong with the length of an RSA key that is to be made or put in; policy may ask for more.
    pub(crate) fn wrong_length(self) -> Option<String> {
        let Self::Rsa { bits } = self else { return None };
        let is_right =
            (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&(bits as usize)) && bits.is_multiple_of(64);
        (!is_right).then(|| {
            format!(
                "RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, a multiple of 64, not {bits}"
            )
        })
    }
}

impl std::fmt::Display for KeyShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::Curve(curve) => f.write_str(curve.name()),
            Self::Oct { bits } => write!(f, "oct-{bits}"),
        }
    }
}

impl KeySpec {
    /// Returns the purpose that all algorithms of the key share, or `None` where they do not.
    pub fn purpose(&self) -> Option<Purpose> {
        let purpose = self.algs.first()?.purpose();
        self.algs.iter().all(|alg| alg.purpose() == purpose).then_some(purpose)
    }
}
