//! Key files with their areas unmarshalled: what [`tss2`] has as bytes.

use tss_esapi::structures::{Private, Public};
use tss_esapi::traits::{Marshall, UnMarshall};

use super::{NOT_SERVED, describe};
use crate::backend::{KeyInfo, Locator, tss2};

/// A key as it lies in a file: wrapped by its parent.
pub(in crate::backend::tpm) struct KeyFile {
    /// The parent: the primary key of the owner hierarchy, or a persistent handle.
    pub(in crate::backend::tpm) parent: u32,
    /// The key's authorization value is empty.
    pub(in crate::backend::tpm) empty_auth: bool,
    pub(in crate::backend::tpm) public: Public,
    pub(in crate::backend::tpm) private: Private,
}

/// Tells what a key file, to be called `name`, says of its key, without a TPM: its public half, or, of one
/// for HMAC, size and check value; its attributes, and what is wrong with them. Whether a TPM loads it is
/// not known.
///
/// ```
/// use hsm_jose::backend::tpm::describe_key_file;
///
/// let error = describe_key_file("edge.pem", b"-----BEGIN").unwrap_err();
/// assert!(error.starts_with("not a whole PEM text"));
/// ```
///
/// # Errors
/// What is wrong with the file, in words for an operator; a kind of key that JOSE does not have; one for
/// HMAC that may have come from outside.
pub fn describe_key_file(name: &str, text: &[u8]) -> Result<KeyInfo, String> {
    let file = KeyFile::decode(text)?;
    let told = describe(&file.public, !file.empty_auth);
    let told = told.ok_or(NOT_SERVED)?;
    Ok(told.into_info(&Locator::KeyFile(name.to_owned())).1)
}

impl KeyFile {
    /// Writes the PEM text.
    ///
    /// # Errors
    /// What does not fit the form.
    pub(in crate::backend::tpm) fn encode(&self) -> Result<String, String> {
        let public = self.public.marshall().map_err(|_| "the public area cannot be written")?;
        let Self { parent, empty_auth, .. } = *self;
        let private = self.private.value().to_vec();
        let file = tss2::KeyFile { parent, empty_auth, public, private };
        file.encode().map_err(|error| error.to_string())
    }

    /// Reads the PEM text.
    ///
    /// # Errors
    /// What is wrong with it, in words for an operator.
    pub(in crate::backend::tpm) fn decode(text: &[u8]) -> Result<Self, String> {
        let file = tss2::KeyFile::decode(text).map_err(|error| error.to_string())?;
        let tss2::KeyFile { parent, empty_auth, public, private } = file;
        let public = Public::unmarshall(&public).map_err(|_| "its public area cannot be read")?;
        let private = Private::try_from(private).map_err(|_| "its private area is too long")?;
        Ok(Self { parent, empty_auth, public, private })
    }
}
