//! What a context must have and what it may name: looked at where one is taken.

use super::{AllowList, Context, Limits, Policy};
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, SignatureAlgorithm};

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

    /// Checks that the context is complete ([`Context::check_complete`]) and no wider than `policy`: each
    /// algorithm that it names is in the profile or in the policy's list, and it refuses the header
    /// parameters that the policy refuses. A list that is narrower than the profile is for what is outside
    /// of contexts, and what `crit` may name is the context's own.
    ///
    /// # Errors
    /// [`Error::Config`] naming the context, and what of it is missing or not allowed.
    pub fn check(&self, policy: &Policy) -> Result<()> {
        self.check_complete()?;
        if let Some(seal) = &self.seal {
            self.within("seal.encrypt", seal.algs.as_ref(), policy, unwraps)?;
            self.within("seal.content", seal.encs.as_ref(), policy, encrypts)?;
        }
        let Some(open) = &self.open else { return Ok(()) };
        if let Some(rules) = &open.jwe {
            self.within("open.encrypt", Some(&rules.algs), policy, unwraps)?;
            self.within("open.content", Some(&rules.encs), policy, encrypts)?;
            self.refuses("open.jwe", &rules.limits, &policy.jwe.limits)?;
        }
        if let Some(rules) = &open.jws {
            self.within("open.sign", Some(&rules.algs), policy, signs)?;
            self.refuses("open.jws", &rules.limits, &policy.jws.limits)?;
        }
        Ok(())
    }

    fn within<T: Copy + PartialEq + std::fmt::Display>(
        &self,
        member: &str,
        named: Option<&AllowList<T>>,
        policy: &Policy,
        allows: fn(&Policy, T) -> bool,
    ) -> Result<()> {
        let mut named = named.into_iter().flat_map(AllowList::iter);
        match named.find(|value| !allows(policy, *value)) {
            None => Ok(()),
            Some(value) => Err(Error::Config(format!(
                "context {}: {member}: {value} is not allowed by the {} profile, which a context narrows \
                 and never widens",
                self.name,
                policy.profile.name()
            ))),
        }
    }

    fn refuses(&self, member: &str, own: &Limits, policy: &Limits) -> Result<()> {
        let mut refused = policy.refused_parameters.iter();
        match refused.find(|name| !own.refused_parameters.contains(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Config(format!(
                "context {}: {member}: header parameter {name} is taken, which policy refuses",
                self.name
            ))),
        }
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

fn unwraps(policy: &Policy, alg: KeyManagement) -> bool {
    policy.allows_in_context(KeyAlgorithm::Unwrap(alg))
}

fn signs(policy: &Policy, alg: SignatureAlgorithm) -> bool {
    policy.allows_in_context(KeyAlgorithm::Sign(alg))
}

fn encrypts(policy: &Policy, enc: ContentEncryption) -> bool {
    policy.allows_content_in_context(enc)
}
