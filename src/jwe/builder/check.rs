//! What is refused before any key is asked: what does not go together, and what would not be taken.

use std::collections::HashSet;

use super::super::recipient::PartyInfo;
use super::super::to::unfit;
use super::JweBuilder;
use crate::error::{Error, Result};
use crate::jose::base64url;
use crate::jose::header::{self, Header, MAX_PARTY_INFO_LEN};
use crate::jose::parameters::JoseHeader;
use crate::jose::serialization::{MAX_RECIPIENTS, Serialization, check_len_to_send};
use crate::primitives::content::Sealed;

impl JweBuilder<'_> {
    /// Checks, for a plaintext of so many bytes, that what was given goes together, and that the token
    /// will be taken as far as it is known before any key is asked.
    pub(in super::super) fn check(
        &self,
        serialization: Serialization,
        plaintext_len: usize,
    ) -> Result<()> {
        self.check_parts(serialization)?;
        self.check_members()?;
        self.check_draft(serialization, plaintext_len)
    }

    fn check_parts(&self, serialization: Serialization) -> Result<()> {
        let usage = |what: &str| Err(Error::Usage(what.to_owned()));
        let count = self.recipients.len();
        if count == 0 {
            return usage("a JWE needs a recipient");
        }
        if count > MAX_RECIPIENTS {
            return usage(&format!("{count} recipients, at most {MAX_RECIPIENTS} are taken"));
        }
        if count > 1 && serialization != Serialization::General {
            return usage("several recipients are for the general serialization");
        }
        if count > 1 && self.recipients.iter().any(|(_, alg)| alg.is_direct()) {
            return usage(
                "ECDH-ES and dir are for one recipient: several get the key by an alg that wraps \
                 it, as ECDH-ES+A256KW",
            );
        }
        let enc = self.enc;
        if let Some((_, alg)) = self.recipients.iter().find(|(to, alg)| !to.fits(*alg, enc)) {
            return Err(unfit(*alg, enc));
        }
        let PartyInfo { apu, apv } = self.parties;
        let names_parties = !apu.is_empty() || !apv.is_empty();
        if apu.len().max(apv.len()) > MAX_PARTY_INFO_LEN {
            return Err(Error::Usage(format!("apu or apv of over {MAX_PARTY_INFO_LEN} bytes")));
        }
        if names_parties && !self.recipients.iter().any(|(_, alg)| alg.is_ecdh()) {
            return usage("apu and apv are for ECDH-ES");
        }
        let has_more = !self.aad.is_empty() || !self.unprotected.is_empty();
        if has_more && serialization == Serialization::Compact {
            return usage("aad and unprotected members are for the JSON serializations");
        }
        Ok(())
    }

    /// The parts of the header are disjoint, and nothing that is made here is overridden.
    fn check_members(&self) -> Result<()> {
        let usage = |name: &str, what: &str| {
            Err(Error::Usage(format!(
                "header parameter {:?} {what}",
                crate::jose::json::quotable(name)
            )))
        };
        let mut given = HashSet::new();
        let protected = self.protected.iter().map(|(name, _)| (&**name, true));
        let unprotected = self.unprotected.iter().map(|(name, _)| (&**name, false));
        for (name, is_protected) in protected.chain(unprotected) {
            let is_free = ["typ", "cty"].contains(&name) && is_protected;
            if header::is_specified(name) && !is_free {
                return usage(name, "is made by the library, or must not be sent like this");
            }
            if name == "b64" {
                return usage(name, "says how the payload of a JWS is signed (RFC 7797)");
            }
            if !given.insert(name) {
                return usage(name, "is given twice");
            }
        }
        Ok(())
    }

    /// A token with all that is known of it, but for the content, is written as the token will be.
    fn check_draft(&self, serialization: Serialization, plaintext_len: usize) -> Result<()> {
        let each = self.recipients.iter();
        let mut delivered: Vec<_> = each.map(|(to, alg)| to.draft(*alg, self.enc)).collect();
        self.name(&mut delivered);
        let protected = self.protected_header(&mut delivered)?;
        let ciphertext_len = base64url::encoded_len(self.enc.ciphertext_len(plaintext_len));
        if serialization == Serialization::Compact {
            // The header is all that a recipient could refuse.
            Header::parse(&protected).map_err(refused)?;
            let key_len = delivered.iter().map(|it| it.encrypted_key.len()).sum();
            let lens = [key_len, self.enc.iv_len(), self.enc.tag_len()].map(base64url::encoded_len);
            let dots = 4;
            return check_len_to_send(
                protected.len() + lens.iter().sum::<usize>() + ciphertext_len + dots,
            );
        }
        let sealed = Sealed {
            iv: vec![0; self.enc.iv_len()],
            ciphertext: Vec::new(),
            tag: vec![0; self.enc.tag_len()],
        };
        let aad = base64url::encode(self.aad);
        let draft = self.jwe(serialization, protected, delivered, &aad, &sealed);
        // Of what is made, every recipient's header is a good one.
        let header = draft.protected_header().map_err(refused)?;
        let each = draft.joint_headers(&header).map_err(refused)?.into_iter();
        each.map(JoseHeader::checked).collect::<Result<Vec<_>>>().map_err(refused)?;
        let draft = draft.write(serialization).map_err(refused)?;
        check_len_to_send(draft.len() + ciphertext_len)
    }
}

fn refused(error: Error) -> Error {
    match error {
        Error::Malformed(what) => Error::Usage(format!("no recipient would take it: {what}")),
        other => other,
    }
}
