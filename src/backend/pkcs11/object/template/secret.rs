//! Templates of symmetric keys.

use super::*;

impl Wanted<'_> {
    /// The template of a symmetric key, usage by usage: each with its inverse, and no other. A key
    /// that both wraps and decrypts would give away what it has wrapped.
    pub(crate) fn secret(&self, extras: Extras) -> Vec<Attribute> {
        let Usages { decrypt, sign, derive, wrap } = self.usages;
        let mut template = vec![
            Attribute::Token(self.on_token),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(decrypt),
            Attribute::Decrypt(decrypt),
            Attribute::Sign(sign),
            Attribute::Verify(sign),
            Attribute::Wrap(wrap),
            Attribute::Unwrap(wrap),
            Attribute::Derive(derive),
            Attribute::Id(self.id.to_vec()),
            Attribute::Label(self.label.as_bytes().to_vec()),
        ];
        self.add(extras, &mut template);
        template
    }

    /// The way to generate a symmetric key: mechanism and what it adds to the template.
    pub(crate) fn secret_generator(&self) -> (Mechanism<'static>, Attribute) {
        let KeyShape::Oct { bits } = self.shape else {
            return (Mechanism::AesKeyGen, Attribute::ValueLen(0.into()));
        };
        let mechanism = match self.usages.sign {
            true => Mechanism::GenericSecretKeyGen,
            false => Mechanism::AesKeyGen,
        };
        (mechanism, Attribute::ValueLen(cryptoki_sys::CK_ULONG::from(bits / 8).into()))
    }

    /// The template of the object of a known symmetric key.
    pub(crate) fn known_secret(&self, extras: Extras, value: &[u8]) -> PrivateTemplate {
        let key_type = if self.usages.sign { KeyType::GENERIC_SECRET } else { KeyType::AES };
        let mut template = PrivateTemplate(self.secret(extras));
        template.0.extend([
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(key_type),
            Attribute::Value(value.to_vec()),
        ]);
        template
    }
}
