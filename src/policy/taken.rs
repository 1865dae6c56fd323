//! What a context must have: looked at where one is taken.

use super::Context;
use crate::error::{Error, Result};

impl Context {
    /// Checks that the context has what a token of its nesting needs. Who made a signed token, for
    /// whom and until when is always said, and looked at (RFC 8725 sections 3.8 and 3.9, RFC 7519
    /// section 4.1.4).
    ///
    /// # Errors
    /// [`Error::Config`] naming the context and the member.
    pub fn check_complete(&self) -> Result<()> {
        let (signed, encrypted) = (self.nesting.is_signed(), self.nesting.is_encrypted());
        if let Some(seal) = &self.seal {
            self.needs("seal.issuer", signed, seal.issuer.is_some())?;
            self.needs("seal.audience", signed, seal.audience.is_some())?;
            self.needs("seal.sign", signed, seal.sign.is_some())?;
            self.needs("seal.lifetime", signed, seal.lifetime.is_some())?;
            self.needs("seal.algs", encrypted, seal.algs.is_some())?;
            self.needs("seal.encs", encrypted, seal.encs.is_some())?;
        }
        if let Some(open) = &self.open {
            self.needs("open.audience", signed, open.audience.is_some())?;
            self.needs("open.jws", signed, open.jws.is_some())?;
            self.needs("open.jwe", encrypted, open.jwe.is_some())?;
        }
        Ok(())
    }

    fn needs(&self, member: &str, needed: bool, is_there: bool) -> Result<()> {
        if needed && !is_there {
            return Err(Error::Config(format!(
                "context {} lacks {member}, which tokens of its nesting need",
                self.name
            )));
        }
        Ok(())
    }
}
